// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestASecretIsNotPrintedByAnything(t *testing.T) {
	const text = "s3cret-value"
	value := struct {
		S Secret
		P *Secret
		L []Secret
	}{S: text, L: []Secret{text}}
	value.P = &value.S
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("x", "secret", value.S, "value", value, "pointer", value.P)
	}
	asJSON, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%s", "%q", "%x", "%+v", "%#v", "%d"} {
		printed := fmt.Sprintf(verb, value.S) + fmt.Sprintf(verb, value.L) + log.String() + string(asJSON) + string(asYAML)
		if strings.Contains(printed, text) || strings.Contains(printed, fmt.Sprintf("%x", text)) {
			t.Errorf("%s prints it: %s", verb, printed)
		}
	}
	if value.S.Reveal() != text {
		t.Errorf("Reveal returns %q", value.S.Reveal())
	}
}

func TestRedactURLs(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := redactURLs(text); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		if hasURLSecret(want) {
			t.Errorf("%s still has a secret", want)
		}
	}
	f("redis://u:p@h:6379", "redis://u:***@h:6379")
	f("redis://:p@h", "redis://:***@h")
	f("redis://u@h", "redis://u@h")
	f("redis://u:@h", "redis://u:@h")
	f("pg://u:a@b@h/db", "pg://u:***@h/db")
	f("pg://u:p@h, mysql://v:q@i", "pg://u:***@h, mysql://v:***@i")
	f(`cannot parse "pg://u:p@h/x"`, `cannot parse "pg://u:***@h/x"`)
	f("etcd://h?password=p&name=x", "etcd://h?password=***&name=x")
	f("etcd://h?name=x&token=t", "etcd://h?name=x&token=***")
	f("etcd://h?password-file=/p", "etcd://h?password-file=/p")
	f("http://h:80/a@b:c", "http://h:80/a@b:c")
	f("127.0.0.1:80", "127.0.0.1:80")
	f("redis://u:p/s?s#w@h/0", "redis://u:***@h/0")
	f("etcd://10.0.0.1:2379,[::1]:2379,[::1]/app@v1/", "etcd://10.0.0.1:2379,[::1]:2379,[::1]/app@v1/")
	f("etcd://u:p@h?secret=s", "etcd://u:***@h?secret=***")
}

func FuzzRedactURLs(f *testing.F) {
	f.Add("redis://u:p@h?password=x")
	f.Add("a://:b@c://:d@?token=&token=e")
	f.Fuzz(func(t *testing.T, text string) {
		if out := redactURLs(text); hasURLSecret(out) {
			t.Errorf("%q becomes %q", text, out)
		}
	})
}

func TestBytes(t *testing.T) {
	f := func(text string, want Bytes, printed string) {
		t.Helper()
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want || b.String() != printed {
			t.Errorf("%s: got %d (%s), %v", text, b, b, err)
		}
	}
	f("0", 0, "0")
	f("1500", 1500, "1500")
	f("32KiB", 32<<10, "32KiB")
	f("32 kib", 32<<10, "32KiB")
	f("1MB", 1e6, "1MB")
	f("10M", 10e6, "10MB")
	f("64Mi", 64<<20, "64MiB")
	f("2GiB", 2<<30, "2GiB")
	f("7B", 7, "7")
	bad := func(text, want string) {
		t.Helper()
		var b Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %d, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "MB", "-1", "1.5MB", "1XB", "1BB", "0x10", "1 2"} {
		bad(text, "not a size; use a whole number with a unit, such as 32KiB or 10MB")
	}
	bad("10000000000GB", "out of range")
}

func FuzzBytes(f *testing.F) {
	f.Add("32KiB")
	f.Fuzz(func(t *testing.T, text string) {
		var b, again Bytes
		if b.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Errorf("%q is %d, printed %s, which is %d: %v", text, b, b, again, err)
		}
	})
}

// FuzzParse throws command lines, variables and files at the parser: what is wrong
// is a UsageError with lines for the user, and nothing panics.
func FuzzParse(f *testing.F) {
	f.Add("--target=x\n--listen\n:1\n--secure", "TEST_PROG_MAX=1", "size: 1MB\n")
	f.Add("healthcheck\n--\n-x\nlive", "TEST_PROG_LISTEN=", "listen: [a, b]")
	f.Add("--no\n-\n-h=\n--=\n=", "=", "a: &a [*a]")
	f.Add("manifest\n--config\n", "TEST_PROG_CONFIG=x", "{target: {}}")
	f.Fuzz(func(t *testing.T, args, environ, file string) {
		p := newParser(testSpec(new(testConfig)), strings.Split(environ, "\n"))
		p.readFile = func(string) ([]byte, error) { return []byte(file), nil }
		p.exists = func(string) bool { return false }
		parsed, err := p.parse(strings.Split(args, "\n"))
		if parsed == nil {
			t.Fatalf("no outcome: %v", err)
		}
		if err != nil && exitCode(err) != exitUsage {
			t.Errorf("not a usage error: %v", err)
		}
		var out strings.Builder
		if err := parsed.writeConfig(&out); err != nil {
			t.Error(err)
		}
	})
}
