// SPDX-License-Identifier: Apache-2.0

package address

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestListenReads(t *testing.T) {
	for _, tc := range []struct {
		text     string
		want     Listen
		loopback bool
	}{
		{"127.0.0.1:8443", Listen{"tcp", "127.0.0.1:8443"}, true},
		{"127.9.9.9:8443", Listen{"tcp", "127.9.9.9:8443"}, true},
		{":8443", Listen{"tcp", ":8443"}, false},
		{":0", Listen{"tcp", ":0"}, false},
		{"0.0.0.0:8443", Listen{"tcp", "0.0.0.0:8443"}, false},
		{"[::]:8443", Listen{"tcp", "[::]:8443"}, false},
		{"[::1]:8443", Listen{"tcp", "[::1]:8443"}, true},
		{"[0:0:0:0:0:0:0:1]:8443", Listen{"tcp", "[::1]:8443"}, true},
		{"[::ffff:127.0.0.1]:8443", Listen{"tcp", "127.0.0.1:8443"}, true},
		{"[fe80::1%eth0]:8443", Listen{"tcp", "[fe80::1%eth0]:8443"}, false},
		{"localhost:8443", Listen{"tcp", "localhost:8443"}, true},
		{"LocalHost:8443", Listen{"tcp", "localhost:8443"}, true},
		{"pod-1.example.com:65535", Listen{"tcp", "pod-1.example.com:65535"}, false},
		{"unix:/run/app.sock", Listen{"unix", "/run/app.sock"}, true},
		{"unix:///run//app.sock", Listen{"unix", "/run/app.sock"}, true},
		{"unix:app.sock", Listen{"unix", "app.sock"}, true},
		{"unix:@app", Listen{"unix", "@app"}, true},
		{"unix:./@app", Listen{"unix", "./@app"}, true},
	} {
		var l Listen
		if err := l.UnmarshalText([]byte(tc.text)); err != nil {
			t.Errorf("%q: %v", tc.text, err)
			continue
		}
		if l != tc.want || l.Loopback() != tc.loopback {
			t.Errorf("%q is %+v, loopback %v; want %+v, loopback %v", tc.text, l, l.Loopback(), tc.want, tc.loopback)
		}
	}
}

func TestTargetReads(t *testing.T) {
	for _, tc := range []struct {
		text     string
		want     Target
		loopback bool
	}{
		{"127.0.0.1:8080", Target{"", "tcp", "127.0.0.1:8080"}, true},
		{"[::1]:8080", Target{"", "tcp", "[::1]:8080"}, true},
		{"[::ffff:127.0.0.1]:8080", Target{"", "tcp", "127.0.0.1:8080"}, true},
		{"[::ffff:10.0.0.1]:8080", Target{"", "tcp", "10.0.0.1:8080"}, false},
		{"localhost:8080", Target{"", "tcp", "localhost:8080"}, true},
		{"h2c://LOCALHOST:8080", Target{"h2c", "tcp", "localhost:8080"}, true},
		{"h2c://[::1]:8080", Target{"h2c", "tcp", "[::1]:8080"}, true},
		{"h2c+unix:/run/app.sock", Target{"h2c", "unix", "/run/app.sock"}, true},
		{"h2c+unix:@app", Target{"h2c", "unix", "@app"}, true},
		{"unix:/run/app.sock", Target{"", "unix", "/run/app.sock"}, true},
		{"10.1.2.3:8080", Target{"", "tcp", "10.1.2.3:8080"}, false},
		{"128.0.0.1:8080", Target{"", "tcp", "128.0.0.1:8080"}, false},
		{"app_1.internal:8080", Target{"", "tcp", "app_1.internal:8080"}, false},
		{"foo.localhost:8080", Target{"", "tcp", "foo.localhost:8080"}, false},
		{"localhost.:8080", Target{"", "tcp", "localhost.:8080"}, false},
		{"localhost.evil.com:8080", Target{"", "tcp", "localhost.evil.com:8080"}, false},
		{"127.0.0.1.evil.com:8080", Target{"", "tcp", "127.0.0.1.evil.com:8080"}, false},
		{"localhost4:8080", Target{"", "tcp", "localhost4:8080"}, false},
	} {
		var target Target
		if err := target.UnmarshalText([]byte(tc.text)); err != nil {
			t.Errorf("%q: %v", tc.text, err)
			continue
		}
		if target != tc.want || target.Loopback() != tc.loopback {
			t.Errorf("%q is %+v, loopback %v; want %+v, loopback %v", tc.text, target, target.Loopback(), tc.want, tc.loopback)
		}
	}
}

// refusedByBoth is what neither a listener nor a target can be.
var refusedByBoth = map[string]string{
	"":                                     "is empty; use HOST:PORT or unix:PATH",
	"localhost":                            "the port is missing; use HOST:PORT or unix:PATH",
	"127.0.0.1:":                           "the port is missing; use HOST:PORT or unix:PATH",
	"127.0.0.1:http":                       `port "http" is not a number; use a number from 1 to 65535`,
	"127.0.0.1:+80":                        `port "+80" is not a number; use a number from 1 to 65535`,
	"127.0.0.1:-1":                         `port "-1" is not a number; use a number from 1 to 65535`,
	"127.0.0.1:80 ":                        `port "80 " is not a number; use a number from 1 to 65535`,
	"127.0.0.1:080":                        `port "080" begins with a zero; use a number from 1 to 65535`,
	"127.0.0.1:65536":                      "port 65536 is out of range; use a number from 1 to 65535",
	"::1:8080":                             "an IPv6 address stands in brackets; use [ADDRESS]:PORT",
	"::1":                                  "an IPv6 address stands in brackets; use [ADDRESS]:PORT",
	"[::1]":                                "the port is missing; use [ADDRESS]:PORT",
	"[::1]8080":                            "the port is missing; use [ADDRESS]:PORT",
	"[::1:8080":                            "the ] after the IPv6 address is missing; use [ADDRESS]:PORT",
	"[127.0.0.1]:8080":                     `"127.0.0.1" is not an IPv6 address; only those stand in brackets`,
	"[localhost]:8080":                     `"localhost" is not an IPv6 address; only those stand in brackets`,
	"[]:8080":                              `"" is not an IPv6 address; only those stand in brackets`,
	"[fe80::1%e/0]:80":                     `zone "e/0" is not the name of a network interface`,
	"127.1:8080":                           `"127.1" is not an IPv4 address; use four numbers from 0 to 255, such as 127.0.0.1`,
	"127.0.0.01:8080":                      `"127.0.0.01" is not an IPv4 address; use four numbers from 0 to 255, such as 127.0.0.1`,
	"127.0.0.256:8080":                     `"127.0.0.256" is not an IPv4 address; use four numbers from 0 to 255, such as 127.0.0.1`,
	"2130706433:8080":                      `"2130706433" is not an IPv4 address; use four numbers from 0 to 255, such as 127.0.0.1`,
	"0x7f000001:8080":                      `"0x7f000001" is not an IPv4 address; use four numbers from 0 to 255, such as 127.0.0.1`,
	"a b:8080":                             `"a b" is neither a host name nor an IP address; use HOST:PORT or unix:PATH`,
	"user@host:8080":                       `"user@host" is neither a host name nor an IP address; use HOST:PORT or unix:PATH`,
	"a..b:8080":                            `"a..b" is neither a host name nor an IP address; use HOST:PORT or unix:PATH`,
	".:8080":                               `"." is neither a host name nor an IP address; use HOST:PORT or unix:PATH`,
	"/run/app.sock":                        "is a path; use unix:/run/app.sock",
	"unix:":                                "the path is missing; use unix:PATH",
	"unix:@":                               "the path is missing; use unix:PATH",
	"unix://run/app.sock":                  "a unix socket has no host; use unix:/PATH",
	"unix:/run/":                           "the path is a directory; use unix:PATH with the socket's name",
	"unix:/run/a\x00b":                     "contains a control character; use HOST:PORT or unix:PATH",
	"unix:/run/a\nb":                       "contains a control character; use HOST:PORT or unix:PATH",
	strings.Repeat("a.", 128):              "the port is missing; use HOST:PORT or unix:PATH",
	strings.Repeat("a.", 127) + "com:80":   "the host name is longer than 253 characters",
	"unix:/" + strings.Repeat("a", 107):    "the path has 108 bytes and a unix socket's at most 107; use a shorter one",
	strings.Repeat("a", 64) + ".example:1": `"` + strings.Repeat("a", 64) + `.example" is neither a host name nor an IP address; use HOST:PORT or unix:PATH`,
}

func TestListenRefusesAndNamesTheFix(t *testing.T) {
	for text, want := range merge(refusedByBoth, map[string]string{
		"8443":                  "a port alone is no address; use :8443 for all addresses or 127.0.0.1:8443",
		"http://127.0.0.1:8443": "a listener has no scheme; use HOST:PORT or unix:PATH",
		"h2c://127.0.0.1:8443":  "a listener has no scheme; use HOST:PORT or unix:PATH",
	}) {
		l := Listen{"tcp", "before"}
		if err := l.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
		if l != (Listen{"tcp", "before"}) {
			t.Errorf("%q: the listener is %+v after an error", text, l)
		}
	}
}

func TestTargetRefusesAndNamesTheFix(t *testing.T) {
	for text, want := range merge(refusedByBoth, map[string]string{
		"8080":                       "a port alone is no address; use 127.0.0.1:8080",
		":8080":                      "the host is missing; use 127.0.0.1:8080",
		"127.0.0.1:0":                "port 0 cannot be connected to; use a number from 1 to 65535",
		"0.0.0.0:8080":               "0.0.0.0 is no address to connect to; use 127.0.0.1:8080",
		"[::]:8080":                  ":: is no address to connect to; use 127.0.0.1:8080",
		"[::ffff:0.0.0.0]:8080":      "0.0.0.0 is no address to connect to; use 127.0.0.1:8080",
		"http://127.0.0.1:8080/path": "is a URL; use 127.0.0.1:8080",
		"http://app":                 "is a URL; use app:80",
		"https://127.0.0.1:8080":     `scheme "https" is not known; use HOST:PORT, h2c://HOST:PORT or unix:PATH`,
		"h2c://h2c://127.0.0.1:8080": `scheme "h2c" is not known; use HOST:PORT, h2c://HOST:PORT or unix:PATH`,
		"h2c://127.0.0.1:8080/":      "has a path; use HOST:PORT or unix:PATH",
		"h2c://unix:/run/app.sock":   "use h2c+unix:/run/app.sock",
		"h2c+unix:":                  "the path is missing; use unix:PATH",
	}) {
		var target Target
		if err := target.UnmarshalText([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
		if target != (Target{}) {
			t.Errorf("%q: the target is %+v after an error", text, target)
		}
	}
}

func merge(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func TestUnsetAddressesPrintAsNothingAndAreNotLoopback(t *testing.T) {
	if l := (Listen{}); l.String() != "" || l.Loopback() {
		t.Errorf("unset Listen is %q, loopback %v", l, l.Loopback())
	}
	if target := (Target{}); target.String() != "" || target.Loopback() {
		t.Errorf("unset Target is %q, loopback %v", target, target.Loopback())
	}
}

func TestLocalhostIsDialledAsLiterals(t *testing.T) {
	for _, tc := range []struct {
		target Target
		want   []string
	}{
		{Target{"", "tcp", "localhost:80"}, []string{"127.0.0.1:80", "[::1]:80"}},
		{Target{"", "tcp", "LOCALHOST:80"}, []string{"127.0.0.1:80", "[::1]:80"}},
		{Target{"h2c", "tcp", "127.0.0.1:80"}, []string{"127.0.0.1:80"}},
		{Target{"", "tcp", "app.example:80"}, []string{"app.example:80"}},
		{Target{"", "unix", "localhost:80"}, []string{"localhost:80"}},
	} {
		if got := tc.target.DialAddresses(); !slices.Equal(got, tc.want) {
			t.Errorf("%s is dialled as %q, want %q", tc.target, got, tc.want)
		}
	}
}

func FuzzListen(f *testing.F) {
	for text := range refusedByBoth {
		f.Add(text)
	}
	for _, text := range []string{":8443", "[::1]:8443", "[fe80::1%eth0]:1", "localhost:0", "unix:@app", "unix:///a/../@b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l, again Listen
		if err := l.UnmarshalText([]byte(text)); err != nil {
			expectErrorLine(t, err)
			return
		}
		if err := again.UnmarshalText([]byte(l.String())); err != nil || again != l {
			t.Errorf("%q is %+v, but its text %q is %+v (%v)", text, l, l, again, err)
		}
		expectSound(t, l.Network, l.Address, l.Loopback(), literals(l.Address))
	})
}

func FuzzTarget(f *testing.F) {
	for text := range refusedByBoth {
		f.Add(text)
	}
	for _, text := range []string{"127.0.0.1:1", "h2c://localhost:80", "h2c+unix:/run/a", "h2c+unix:@app", "[::ffff:127.0.0.1]:1", "foo.localhost:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var target, again Target
		if err := target.UnmarshalText([]byte(text)); err != nil {
			expectErrorLine(t, err)
			return
		}
		if err := again.UnmarshalText([]byte(target.String())); err != nil || again != target {
			t.Errorf("%q is %+v, but its text %q is %+v (%v)", text, target, target, again, err)
		}
		expectSound(t, target.Network, target.Address, target.Loopback(), target.DialAddresses())
	})
}

// expectErrorLine checks that an error is one line: it goes to a terminal and to a log.
func expectErrorLine(t *testing.T, err error) {
	t.Helper()
	if strings.ContainsFunc(err.Error(), unicode.IsControl) {
		t.Errorf("the error holds control characters: %q", err)
	}
}

// expectSound checks what holds for every address that was read.
func expectSound(t *testing.T, network, addr string, isLoopback bool, dialled []string) {
	t.Helper()
	if strings.ContainsFunc(addr, unicode.IsControl) {
		t.Errorf("%q holds control characters", addr)
	}
	if network == "unix" {
		if addr == "" || len(addr) > unixPathMax || !isLoopback {
			t.Errorf("unix socket %q, loopback %v", addr, isLoopback)
		}
		return
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.Errorf("%q: %v", addr, err)
	}
	if !isLoopback {
		return
	}
	for _, literal := range dialled {
		if ap, err := netip.ParseAddrPort(literal); err != nil || !ap.Addr().IsLoopback() {
			t.Errorf("%q counts as loopback and leads to %q", addr, literal)
		}
	}
}
