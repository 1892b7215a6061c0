// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"log/slog"
	"strings"
)

// redacted stands wherever a secret would be printed.
const redacted = "***"

// Secret is a setting that is never printed: neither by fmt nor by slog, in
// JSON, in YAML or by --print-config. It is taken from the environment or the
// YAML file, never from the command line, which every process of the host sees.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "***".
func (s Secret) String() string { return redacted }

// Format prints "***" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns "***".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "***".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the text as it is.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// secretKeys are the query keys whose values are secrets in any URL.
func secretKeys() []string { return []string{"password", "passwd", "secret", "token"} }

// redactURLs masks the password of a URL's userinfo and the values of secret
// query keys in any text. It works on the text, because a value that does not
// parse is printed in an error as well.
func redactURLs(text string) string {
	var b strings.Builder
	for text != "" {
		start, end := findURLSecret(text)
		if start < 0 {
			break
		}
		b.WriteString(text[:start])
		b.WriteString(redacted)
		text = text[end:]
	}
	b.WriteString(text)
	return b.String()
}

// hasURLSecret tells whether redactURLs would mask anything.
func hasURLSecret(text string) bool {
	start, _ := findURLSecret(text)
	return start >= 0
}

// findURLSecret returns where the first secret in text begins and ends, or -1.
func findURLSecret(text string) (start, end int) {
	start, end = findUserinfoPassword(text)
	for _, key := range secretKeys() {
		for _, before := range []string{"?", "&"} {
			i := strings.Index(text, before+key+"=")
			if i < 0 {
				continue
			}
			i += len(before) + len(key) + 1
			n := strings.IndexAny(text[i:], "& \n\"'")
			if n < 0 {
				n = len(text) - i
			}
			if n > 0 && text[i:i+n] != redacted && (start < 0 || i < start) {
				start, end = i, i+n
			}
		}
	}
	return start, end
}

// findUserinfoPassword finds PASSWORD in SCHEME://USER:PASSWORD@HOST. The last
// '@' of the authority ends it, and where a '/', '?' or '#' that nobody encoded is
// in the password (RFC 3986 section 3.2.1 wants it encoded), the last of the text.
func findUserinfoPassword(text string) (start, end int) {
	for from := 0; ; {
		i := strings.Index(text[from:], "://")
		if i < 0 {
			return -1, -1
		}
		from += i + len("://")
		word := text[from:]
		if n := strings.IndexAny(word, " \n\"'"); n >= 0 {
			word = word[:n]
		}
		authority := word
		if n := strings.IndexAny(word, "/?#"); n >= 0 {
			authority = word[:n]
		}
		if !strings.Contains(authority, "@") && !endsInPorts(authority) {
			authority = word
		}
		at, colon := strings.LastIndexByte(authority, '@'), strings.IndexByte(authority, ':')
		if at < 0 || colon < 0 || colon > at || authority[colon+1:at] == "" || authority[colon+1:at] == redacted {
			continue
		}
		return from + colon + 1, from + at
	}
}

// endsInPorts tells whether a text without user is a host or a list of hosts, so
// that a ':' in it comes before a port and not before a password.
func endsInPorts(authority string) bool {
	for host := range strings.SplitSeq(authority, ",") {
		colon := strings.LastIndexByte(host, ':')
		if colon >= 0 && strings.Trim(host[colon+1:], "0123456789") != "" && !strings.HasSuffix(host, "]") {
			return false
		}
	}
	return true
}
