// SPDX-License-Identifier: Apache-2.0

// Package spec parses the one mini-language in which settings name a thing with options: sources, upstreams, shadows, checks,
// notifications.
//
//	KIND://ADDRESS?key=value&key=value
//
//	etcd://10.0.0.1:2379,10.0.0.2:2379/app/
//	redis://127.0.0.1:6379?name=cache&group=ready
//	http://app-v2:8080?percent=10&query=debug%3D1
//	exec:nginx -s reload
//
// It is read like a URL with these differences: an address may be a list; spaces are allowed, and a plus is a plus; only the
// values of options are percent-encoded (& as %26, % as %25); a key without a value means true. The first question mark ends the
// address, so an HTTP address gets its own query by the option query. In YAML the same is written as the same text, or as a map
// with the text under url and the options beside it:
//
//   - url: redis://127.0.0.1:6379
//     group: [ready, cache]
//
// The options are bound to a struct, which knows their names and types:
//
//	s, err := spec.Parse(text)
//	opts := struct {
//		Timeout time.Duration `spec:"timeout"`
//		Groups  []string      `spec:"group"`
//	}{Timeout: time.Second}
//	err = s.Decode(&opts) // unknown option "tiemout"; did you mean timeout?
//
// A password does not belong into a setting that process lists and manifests show: [Parse] refuses it and names the fix, the
// option password-file. [ParseSecret] takes it, for texts from the environment. No error and no String prints one.
package spec

import (
	"encoding"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Spec is a thing with its options. The zero value is none.
type Spec struct {
	// Kind is the scheme in lower case: "redis".
	Kind string
	// Address is everything between "://" and the first question mark, as it came. It may hold a password: print the Spec.
	Address string
	// Options are the keys and decoded values in their order; a key may be repeated.
	Options []Option
}

// Option is one key with its value.
type Option struct{ Key, Value string }

var (
	_ encoding.TextUnmarshaler = (*Spec)(nil)
	_ fmt.Stringer             = Spec{}
)

// execKind is the kind whose address is a command: it has neither slashes in front nor options behind, as both may be part of it.
const execKind = "exec"

// Parse reads a text that anybody may see, such as a flag's value. A password in it is refused. The error says what is wrong and
// the fix; it never holds the text.
func Parse(text string) (Spec, error) {
	s, err := ParseSecret(text)
	if err != nil {
		return Spec{}, err
	}
	if err := s.refuseSecrets(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// ParseSecret is Parse for a text from the environment or a file that others do not see: it may hold passwords.
func ParseSecret(text string) (Spec, error) {
	text = trim(text)
	kind, rest, ok := strings.Cut(text, ":")
	if !ok || !isKind(kind) {
		return Spec{}, errors.New("it does not begin with a kind; use KIND://ADDRESS?key=value")
	}
	s := Spec{Kind: strings.ToLower(kind)}
	if s.Kind == execKind && !strings.HasPrefix(rest, "//") {
		s.Address = trim(rest)
		return s, nil
	}
	rest, ok = strings.CutPrefix(rest, "//")
	if !ok {
		return Spec{}, fmt.Errorf("%q is not followed by //; use KIND://ADDRESS?key=value", kind+":")
	}
	if _, end := password(rest); end > strings.IndexAny(rest+"?", "/?") {
		return Spec{}, errors.New("a password in it holds / or ?; write them as %2F and %3F, or better use password-file=PATH")
	}
	address, query, _ := strings.Cut(rest, "?")
	s.Address = trim(address)
	var err error
	s.Options, err = parseOptions(query)
	return s, err
}

// trim cuts white space as a person types it. strings.TrimSpace would cut more, some of it inside a letter of another encoding.
func trim(text string) string { return strings.Trim(text, " \t\r\n") }

// isKind tells whether a text is a URL scheme (RFC 3986, section 3.1) of at least two letters.
func isKind(text string) bool {
	if len(text) < 2 || !isLetter(text[0]) {
		return false
	}
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// parseOptions reads key=value&key=value. A bad key is named by its place, as it may be a piece of a password.
func parseOptions(query string) ([]Option, error) {
	var options []Option
	for part := range strings.SplitSeq(query, "&") {
		if trim(part) == "" {
			continue
		}
		key, value, given := strings.Cut(part, "=")
		key = trim(key)
		if !isKey(key) {
			return nil, fmt.Errorf("option %d has no proper name; use key=value with a key of letters, digits, - . and _, and write & in a value as %%26", len(options)+1)
		}
		if !given {
			value = "true"
		}
		decoded, err := url.PathUnescape(trim(value))
		if err != nil {
			return nil, fmt.Errorf("option %q has a %% that encodes nothing; write it as %%25", key)
		}
		options = append(options, Option{key, decoded})
	}
	return options, nil
}

func isKey(text string) bool {
	return text != "" && isLetter(text[0]) && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == ""
}

// UnmarshalText is [Parse], so that a Spec can be a flag.
func (s *Spec) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Get returns the first value of an option.
func (s Spec) Get(key string) (value string, ok bool) {
	for _, o := range s.Options {
		if o.Key == key {
			return o.Value, true
		}
	}
	return "", false
}

// String writes the spec so that Parse reads the same again, but with *** for every password, see [Redact].
func (s Spec) String() string {
	if s.Kind == "" {
		return ""
	}
	if s.Kind == execKind && len(s.Options) == 0 {
		// A space keeps a command that begins with slashes from being taken for the other form.
		space := strings.Repeat(" ", strings.Count(s.Address[:min(2, len(s.Address))], "//"))
		return s.Kind + ":" + space + Redact(s.Address)
	}
	var b strings.Builder
	b.WriteString(s.Kind + "://" + redactAddress(s.Address))
	for i, o := range s.Options {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(o.Key + "=")
		if isSecret(o.Key) {
			b.WriteString(hidden)
		} else {
			b.WriteString(encode(o.Value))
		}
	}
	return b.String()
}

// MarshalText is String: a Spec in JSON or YAML shows no password.
func (s Spec) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// encode writes a value so that it is decoded to the same, and readable otherwise.
func encode(value string) string {
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		end := i == 0 || i == len(value)-1
		if c == '%' || c == '&' || c < ' ' || c == ' ' && end {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
