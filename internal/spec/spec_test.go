// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestTextIsReadAsKindAddressAndOptions(t *testing.T) {
	cases := map[string]Spec{
		"etcd://10.0.0.1:2379/app/":                     {Kind: "etcd", Address: "10.0.0.1:2379/app/"},
		"etcd://10.0.0.1:2379,[::1]:2379/app/":          {Kind: "etcd", Address: "10.0.0.1:2379,[::1]:2379/app/"},
		"redis://127.0.0.1:6379?name=cache&group=ready": {Kind: "redis", Address: "127.0.0.1:6379", Options: []Option{{"name", "cache"}, {"group", "ready"}}},
		"signal://HUP?comm=nginx":                       {Kind: "signal", Address: "HUP", Options: []Option{{"comm", "nginx"}}},
		"http://app-v2:8080/p?query=a%3D1%26b%3D2":      {Kind: "http", Address: "app-v2:8080/p", Options: []Option{{"query", "a=1&b=2"}}},
		"h2c+unix:///run/x.sock":                        {Kind: "h2c+unix", Address: "/run/x.sock"},
		" HTTP://h ? name = my cache & b=%20c ":         {Kind: "http", Address: "h", Options: []Option{{"name", "my cache"}, {"b", " c"}}},
		"tcp://h?insecure&a=":                           {Kind: "tcp", Address: "h", Options: []Option{{"insecure", "true"}, {"a", ""}}},
		"tcp://h?a=1+1=2?&&a=ü&":                        {Kind: "tcp", Address: "h", Options: []Option{{"a", "1+1=2?"}, {"a", "ü"}}},
		"exec:nginx -s reload":                          {Kind: "exec", Address: "nginx -s reload"},
		"exec:curl http://h/?a=b&c=50%":                 {Kind: "exec", Address: "curl http://h/?a=b&c=50%"},
		`exec:["a", "b c"]`:                             {Kind: "exec", Address: `["a", "b c"]`},
		"file:///etc/x":                                 {Kind: "file", Address: "/etc/x"},
		"kube://":                                       {Kind: "kube"},
	}
	for text, want := range cases {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

func TestEachBadTextGetsItsFix(t *testing.T) {
	cases := map[string]string{
		"":                           "it does not begin with a kind; use KIND://ADDRESS?key=value",
		"127.0.0.1:80":               "it does not begin with a kind; use KIND://ADDRESS?key=value",
		"://h":                       "it does not begin with a kind; use KIND://ADDRESS?key=value",
		"C:/x":                       "it does not begin with a kind; use KIND://ADDRESS?key=value",
		"host:80":                    `"host:" is not followed by //; use KIND://ADDRESS?key=value`,
		"a1://h?=x":                  "option 1 has no proper name; use key=value with a key of letters, digits, - . and _, and write & in a value as %26",
		"aa://h?a=1&sec/ret=x":       "option 2 has no proper name; use key=value with a key of letters, digits, - . and _, and write & in a value as %26",
		"aa://h?rate=50%":            `option "rate" has a % that encodes nothing; write it as %25`,
		"redis://u:secret@h":         "it holds a password, which everybody who lists processes or manifests can read; use password-file=PATH",
		"redis://:secret@a,b:1/2":    "it holds a password, which everybody who lists processes or manifests can read; use password-file=PATH",
		"redis://u:sec/ret@h":        "a password in it holds / or ?; write them as %2F and %3F, or better use password-file=PATH",
		"redis://u:sec?ret@h":        "a password in it holds / or ?; write them as %2F and %3F, or better use password-file=PATH",
		"redis://h?password=secret":  `option "password" is a secret, which everybody who lists processes or manifests can read; use password-file=PATH`,
		"aa://h?bearer-token=secret": `option "bearer-token" is a secret, which everybody who lists processes or manifests can read; use bearer-token-file=PATH`,
	}
	for text, want := range cases {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", text, err, want)
		}
	}
}

func TestPasswordFromTheEnvironmentIsTakenAndNeverPrinted(t *testing.T) {
	s, err := ParseSecret("postgres://app:p%40ss:w@db1:5432,db2/app?password=other&query=token%3Dabc&sslmode=verify-full&password-file=/run/pw")
	if err != nil {
		t.Fatal(err)
	}
	if name, password := s.User(); name != "app" || password != "p@ss:w" {
		t.Errorf("user %q, password %q", name, password)
	}
	want := "postgres://app:***@db1:5432,db2/app?password=***&query=***&sslmode=verify-full&password-file=/run/pw"
	asJSON, err := json.Marshal(map[string]any{"x": s})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.String(); got != want || !strings.Contains(string(asJSON), "app:***@db1") {
		t.Errorf("got  %s\nwant %s\njson %s", got, want, asJSON)
	}
	var number struct {
		Token int `spec:"token"`
	}
	s = Spec{Kind: "aa", Options: []Option{{"token", "hush"}}}
	if err := s.Decode(&number); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v", err)
	}
}

func TestRedactHidesPasswordsOfTextsThatDoNotParse(t *testing.T) {
	cases := map[string]string{
		"plain":                         "plain",
		"redis://h:6379/0?a=b@c":        "redis://h:6379/0?a=b@c",
		"redis://[::1]:6379,[::2]?a=@":  "redis://[::1]:6379,[::2]?a=@",
		"unix://unix:/run/a@b":          "unix://unix:/run/a@b",
		"redis://user@h:80":             "redis://user@h:80",
		"redis://u:secret@h?x":          "redis://u:***@h?x",
		"redis://u:sec/r?et@h?TOKEN=x":  "redis://u:***@h?TOKEN=***",
		"!!://:secret@h?%%& Password=x": "!!://:***@h?%%& Password=***",
	}
	for text, want := range cases {
		if got := Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestAddressGivesHostsPathAndUser(t *testing.T) {
	cases := map[string]struct {
		hosts []string
		path  string
	}{
		"aa://h1:1, h2:2 ,[::1]:3/p/q": {[]string{"h1:1", "h2:2", "[::1]:3"}, "/p/q"},
		"aa://user@h":                  {[]string{"h"}, ""},
		"aa:///etc/x":                  {nil, "/etc/x"},
		"aa://unix:/run/x.sock?a=1":    {[]string{"unix:/run/x.sock"}, ""},
	}
	for text, want := range cases {
		if s := parse(t, text); !slices.Equal(s.Hosts(), want.hosts) || s.Path() != want.path {
			t.Errorf("%q: hosts %q, path %q", text, s.Hosts(), s.Path())
		}
	}
}

type level int

func (l *level) UnmarshalText(text []byte) error {
	if string(text) != "high" {
		return fmt.Errorf("%q is no level; use high", text)
	}
	*l = 9
	return nil
}

type common struct {
	Name string `spec:"name"`
}

type options struct {
	common
	Timeout time.Duration `spec:"timeout"`
	On      bool          `spec:"on"`
	Count   int8          `spec:"count"`
	Size    uint16        `spec:"size"`
	Ratio   float64       `spec:"ratio"`
	Groups  []string      `spec:"group"`
	Level   level         `spec:"level"`
	Max     *int          `spec:"max"`
	Ignored string
}

func parse(t *testing.T, text string) Spec {
	t.Helper()
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDecodeFillsTypedFieldsAndKeepsDefaults(t *testing.T) {
	got := options{Timeout: time.Second, Count: 3, Groups: []string{"default"}, Ignored: "kept"}
	if err := parse(t, "aa://h?name=my cache&on&size=65535&ratio=0.5&group=a&group=b&level=high&max=-1").Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := options{common: common{"my cache"}, Timeout: time.Second, On: true, Count: 3, Size: 65535, Ratio: 0.5, Groups: []string{"a", "b"}, Level: 9, Max: new(-1), Ignored: "kept"}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(options{})); d != "" {
		t.Error(d)
	}
}

func TestDecodeReportsEveryFaultAtOnce(t *testing.T) {
	var got options
	err := parse(t, "aa://h?tiemout=1s&zzzzzzzz=1&timeout=5&on=maybe&count=128&size=-1&ratio=NaN&level=low&name=a&name=b").Decode(&got)
	want := strings.Join([]string{
		`unknown option "tiemout"; did you mean timeout?`,
		`unknown option "zzzzzzzz"; known are count, group, level, max, name, on, ratio, size, timeout`,
		`option "timeout": "5" is not a duration; use for example 500ms, 30s or 1h30m`,
		`option "on": "maybe" is neither true nor false`,
		`option "count": "128" is not a whole number from -128 to 127`,
		`option "size": "-1" is not a whole number from 0 to 65535`,
		`option "ratio": "NaN" is not a number`,
		`option "level": "low" is no level; use high`,
		`option "name": it is given twice; give it once`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestRequiredOptionMayNotBeMissing(t *testing.T) {
	var target struct {
		Name string `spec:"name,required"`
	}
	if err := parse(t, "aa://h").Decode(&target); err == nil || err.Error() != `option "name" is missing; add name=VALUE` {
		t.Errorf("got %v", err)
	}
	if err := parse(t, "aa://h?name=x").Decode(&target); err != nil || target.Name != "x" {
		t.Errorf("got %v, %q", err, target.Name)
	}
	if err := parse(t, "aa://h?x=1").Decode(&struct{}{}); err == nil || err.Error() != `unknown option "x"; there are none here` {
		t.Errorf("got %v", err)
	}
}

func TestYAMLTakesTheTextOrAMapWithTheSameKeys(t *testing.T) {
	const document = `
- redis://127.0.0.1:6379?name=cache&rate=50%25
- url: redis://127.0.0.1:6379?name=cache
  rate: 50%
- &base {url: "redis://h", group: [a, 1e3, 0755], on: true}
- *base
`
	var got []Spec
	if err := yaml.Unmarshal([]byte(document), &got); err != nil {
		t.Fatal(err)
	}
	flat := Spec{Kind: "redis", Address: "127.0.0.1:6379", Options: []Option{{"name", "cache"}, {"rate", "50%"}}}
	list := Spec{Kind: "redis", Address: "h", Options: []Option{{"group", "a"}, {"group", "1e3"}, {"group", "0755"}, {"on", "true"}}}
	if d := cmp.Diff([]Spec{flat, flat, list, list}, got); d != "" {
		t.Error(d)
	}
}

func TestBadYAMLNamesTheLine(t *testing.T) {
	cases := map[string]string{
		"[a]":                             "line 1: want KIND://ADDRESS?key=value, or a map with it under url",
		"h:80":                            "line 1: it does not begin with a kind; use KIND://ADDRESS?key=value",
		"{name: x}":                       "line 1: there is no url; add url: KIND://ADDRESS",
		"url: nonsense":                   "line 1: url: it does not begin with a kind; use KIND://ADDRESS?key=value",
		"url: aa://h\nurl: bb://h":        "line 2: url is given twice; give it once",
		"url: aa://h\n/x: 1":              `line 2: "/x" is not the name of an option`,
		"url: aa://h\nx: {y: 1}":          `line 2: option "x": want a value or a list of values`,
		"url: aa://h\npassword: hush":     `line 1: option "password" is a secret, which everybody who lists processes or manifests can read; use password-file=PATH`,
		"url: redis://u:hush@h\nname: ab": "line 1: url: it holds a password, which everybody who lists processes or manifests can read; use password-file=PATH",
	}
	for document, want := range cases {
		var s Spec
		if err := yaml.Unmarshal([]byte(document), &s); err == nil || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", document, err, want)
		}
	}
}

func TestNearestIsTheLikelyMeaning(t *testing.T) {
	known := []string{"timeout", "interval", "password-file"}
	cases := map[string]string{"tiemout": "timeout", "time-out": "timeout", "intervall": "interval", "password": "", "passwordfile": "password-file", "x": ""}
	for name, want := range cases {
		if got, ok := Nearest(name, known); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func FuzzTextIsRefusedOrReadAgainTheSame(f *testing.F) {
	for _, text := range []string{
		"etcd://10.0.0.1:2379,[::1]:2379/app/", "redis://h?name=my cache&b=%20c&on", "exec:curl http://h/?a=b&c=50%", "exec: //x?y",
		"redis://u:sec?ret@h", "aa://u:p@h?password=x", "http://h?query=a%3D1%26", "aa://?a=%0A%25%26",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if slices.ContainsFunc(s.Options, func(o Option) bool { return isSecret(o.Key) }) || s.Kind == execKind && s.String() != "exec:"+s.Address {
			return // what is not printed cannot be read again
		}
		again, err := Parse(s.String())
		if err != nil || cmp.Diff(s, again) != "" {
			t.Fatalf("%q gives %q, which gives %q, %v", text, s.String(), again.String(), err)
		}
		s.Hosts()
		s.Path()
	})
}

// A password, whatever its bytes, may show in nothing that is printed.
func FuzzPasswordIsNeverPrinted(f *testing.F) {
	f.Add("secret", "h")
	f.Add("se/cr?et@", "a:1,b:2/x?y=z")
	f.Fuzz(func(t *testing.T, password, rest string) {
		const mark = "MARKMARK"
		head, _, cut := strings.Cut(strings.ReplaceAll(password, "/", "?"), "?")
		if cut && (portsOnly("user:"+head) || strings.Contains(head, "@")) {
			return // a sound address as well
		}
		text := "redis://user:" + password + mark + "@" + rest
		if got := Redact(text); strings.Contains(got, mark) {
			t.Errorf("%q is redacted to %q", text, got)
		}
		if s, err := Parse(text); err == nil || strings.Contains(err.Error(), mark) {
			t.Errorf("%q is read as %v, %v", text, s, err)
		}
		if s, err := ParseSecret(text); strings.Contains(fmt.Sprint(s, err), mark) {
			t.Errorf("%q is printed as %v, %v", text, s, err)
		}
	})
}
