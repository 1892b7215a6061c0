// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"
	"strings"
)

// hidden stands for a secret in everything that is printed.
const hidden = "***"

// Redact hides the passwords of a text that may or may not parse: that between user and host, and the values of options whose
// name ends in password, passwd, secret, token or api-key, or that are an address' own query.
func Redact(text string) string {
	kind, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	rest = redactAddress(rest)
	address, query, ok := strings.Cut(rest, "?")
	if !ok {
		return kind + "://" + rest
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if key, _, ok := strings.Cut(part, "="); ok && isSecret(trim(key)) {
			parts[i] = key + "=" + hidden
		}
	}
	return kind + "://" + address + "?" + strings.Join(parts, "&")
}

// redactAddress hides the password in what follows "://".
func redactAddress(rest string) string {
	start, end := password(rest)
	if start == end {
		return rest
	}
	return rest[:start] + hidden + rest[end:]
}

// password finds the password in what follows "://": between the first colon and the last at-sign before the path. Where a
// password holds / or ? in plain, the part before them looks like a host with a port that is no number; it then reaches to the
// last at-sign of all. (One that up to there is a number, or holds an at-sign, is a sound address as well, and read as one.)
func password(rest string) (start, end int) {
	if strings.HasPrefix(rest, "unix:") {
		return 0, 0
	}
	authority := rest[:strings.IndexAny(rest+"?", "/?")]
	colon := strings.IndexByte(authority, ':')
	if colon < 0 {
		return 0, 0
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		return min(colon+1, at), at
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 && !portsOnly(authority) {
		return colon + 1, at
	}
	return 0, 0
}

// portsOnly tells whether every host of a list ends in a port that is a number, or has none.
func portsOnly(list string) bool {
	for host := range strings.SplitSeq(list, ",") {
		port := host[strings.LastIndexByte(host, ':')+1:]
		bare := strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]")
		if strings.Contains(host, ":") && !bare && (port == "" || strings.Trim(port, "0123456789") != "") {
			return false
		}
	}
	return true
}

// isSecret tells by its name whether an option's value is not to be printed. A file's name is: password-file.
func isSecret(key string) bool {
	key = strings.ToLower(key)
	if key == "query" {
		return true
	}
	for _, end := range []string{"password", "passwd", "secret", "token", "api-key"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}

// refuseSecrets returns an error if the spec holds a password.
func (s Spec) refuseSecrets() error {
	if start, end := password(s.Address); end > start {
		return errors.New("it holds a password, which everybody who lists processes or manifests can read; use password-file=PATH")
	}
	for _, o := range s.Options {
		if isSecret(o.Key) && o.Key != "query" && o.Value != "" {
			return fmt.Errorf("option %q is a secret, which everybody who lists processes or manifests can read; use %s-file=PATH", o.Key, o.Key)
		}
	}
	return nil
}
