// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"net/url"
	"strings"
)

// authority is the part of the address before the path, with the user.
func (s Spec) authority() string {
	if strings.HasPrefix(s.Address, "unix:") {
		return s.Address
	}
	authority, _, _ := strings.Cut(s.Address, "/")
	return authority
}

// Hosts lists the hosts of the address, without a user: "a:1,b:2/path" gives "a:1" and "b:2", "unix:/run/x" itself, and
// "/etc/x" none.
func (s Spec) Hosts() []string {
	list := s.authority()
	list = list[strings.LastIndexByte(list, '@')+1:]
	var hosts []string
	for host := range strings.SplitSeq(list, ",") {
		if host = trim(host); host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// Path is what follows the hosts, with its slash: "/path", or nothing.
func (s Spec) Path() string { return s.Address[len(s.authority()):] }

// User gives the user and the password before the hosts, decoded; both may be empty.
func (s Spec) User() (name, password string) {
	authority := s.authority()
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return "", ""
	}
	name, password, _ = strings.Cut(authority[:at], ":")
	return unescape(name), unescape(password)
}

// unescape decodes a user or password, which people do not always encode.
func unescape(text string) string {
	if decoded, err := url.PathUnescape(text); err == nil {
		return decoded
	}
	return text
}
