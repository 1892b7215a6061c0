// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/app"
)

// parse reads settings as the program does, from nothing but its arguments.
func parse(args []string, environ ...string) (*Config, error) {
	s := spec()
	_, err := app.Parse(s, args, environ)
	return s.Config.(*Config), err
}

// defaults are the settings of a tls-proxy that is told its target alone.
func defaults() *Config {
	return &Config{
		Listen: []address.Listen{{Network: "tcp", Address: ":8443"}},
		Target: address.Target{Network: "tcp", Address: "127.0.0.1:8080"},
		Hold:   5 * time.Second, ConnectTimeout: 5 * time.Second, TargetKeepAlive: 512, TargetIdleTimeout: 4 * time.Second,
		CertPoll: time.Minute, TLSProfile: "intermediate",
		RewriteRedirects: true, HSTSMaxAge: 365 * 24 * time.Hour, AccessLog: "json",
		HandshakeTimeout: 10 * time.Second, HeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		TunnelIdleTimeout: time.Hour, MaxHeaderBytes: 32 << 10, HTTP2MaxStreams: 100,
	}
}

const toApp = "--target=127.0.0.1:8080"

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	got, err := parse([]string{toApp})
	if err != nil {
		t.Fatal(err)
	}
	if want := defaults(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// settingTests has a value for each setting and what the value does to the defaults.
var settingTests = []struct {
	flag, value string
	want        func(*Config)
}{
	{"listen", "127.0.0.1:0", func(c *Config) { c.Listen = []address.Listen{{Network: "tcp", Address: "127.0.0.1:0"}} }},
	{"listen", "[::1]:8443", func(c *Config) { c.Listen = []address.Listen{{Network: "tcp", Address: "[::1]:8443"}} }},
	{"listen", "unix:/run/tls.sock", func(c *Config) { c.Listen = []address.Listen{{Network: "unix", Address: "/run/tls.sock"}} }},
	{"http-redirect", ":8000", func(c *Config) { c.HTTPRedirect = address.Listen{Network: "tcp", Address: ":8000"} }},
	{"target", "localhost:3000", func(c *Config) { c.Target = address.Target{Network: "tcp", Address: "localhost:3000"} }},
	{"target", "[::1]:3000", func(c *Config) { c.Target = address.Target{Network: "tcp", Address: "[::1]:3000"} }},
	{"target", "unix:/run/app.sock", func(c *Config) { c.Target = address.Target{Network: "unix", Address: "/run/app.sock"} }},
	{"target", "h2c://127.0.0.1:50051", func(c *Config) {
		c.Target = address.Target{Scheme: "h2c", Network: "tcp", Address: "127.0.0.1:50051"}
	}},
	{"target", "h2c+unix:/run/app.sock", func(c *Config) {
		c.Target = address.Target{Scheme: "h2c", Network: "unix", Address: "/run/app.sock"}
	}},
	{"unsafe-target", "true", func(c *Config) { c.UnsafeTarget = true }},
	{"ready-target", "true", func(c *Config) { c.ReadyTarget = true }},
	{"hold", "0s", func(c *Config) { c.Hold = 0 }},
	{"connect-timeout", "1s", func(c *Config) { c.ConnectTimeout = time.Second }},
	{"response-timeout", "1m", func(c *Config) { c.ResponseTimeout = time.Minute }},
	{"target-keep-alive", "0", func(c *Config) { c.TargetKeepAlive = 0 }},
	{"target-idle-timeout", "500ms", func(c *Config) { c.TargetIdleTimeout = 500 * time.Millisecond }},
	{"cert-dir", "/certs", func(c *Config) { c.CertDir = "/certs" }},
	{"self-signed", "true", func(c *Config) { c.SelfSigned = true }},
	{"cert-wait", "true", func(c *Config) { c.CertWait = true }},
	{"cert-poll", "1s", func(c *Config) { c.CertPoll = time.Second }},
	{"cert-expiry-unready", "48h", func(c *Config) { c.CertExpiryUnready = 48 * time.Hour }},
	{"tls-profile", "modern", func(c *Config) { c.TLSProfile = "modern" }},
	{"trusted-proxies", "10.0.0.0/8, 192.0.2.1,2001:db8::/32 unix", func(c *Config) {
		c.TrustedProxies = proxies{
			text: "10.0.0.0/8, 192.0.2.1,2001:db8::/32 unix",
			prefixes: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32"),
			},
			unix: true,
		}
	}},
	{"trusted-proxies", "::ffff:192.0.2.1", func(c *Config) {
		c.TrustedProxies = proxies{text: "::ffff:192.0.2.1", prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}
	}},
	{"rewrite-redirects", "false", func(c *Config) { c.RewriteRedirects = false }},
	{"secure-cookies", "true", func(c *Config) { c.SecureCookies = true }},
	{"hsts", "true", func(c *Config) { c.HSTS = true }},
	{"hsts-max-age", "1h", func(c *Config) { c.HSTSMaxAge = time.Hour }},
	{"access-log", "common", func(c *Config) { c.AccessLog = "common" }},
	{"handshake-timeout", "1s", func(c *Config) { c.HandshakeTimeout = time.Second }},
	{"header-timeout", "1s", func(c *Config) { c.HeaderTimeout = time.Second }},
	{"idle-timeout", "5m", func(c *Config) { c.IdleTimeout = 5 * time.Minute }},
	{"tunnel-idle-timeout", "24h", func(c *Config) { c.TunnelIdleTimeout = 24 * time.Hour }},
	{"max-header-bytes", "1MiB", func(c *Config) { c.MaxHeaderBytes = 1 << 20 }},
	{"http2-max-streams", "250", func(c *Config) { c.HTTP2MaxStreams = 250 }},
}

func TestEverySettingIsReadFromItsFlagAndItsVariable(t *testing.T) {
	for _, tt := range settingTests {
		variable := "TLS_PROXY_" + strings.ToUpper(strings.ReplaceAll(tt.flag, "-", "_")) + "=" + tt.value
		want := defaults()
		tt.want(want)
		for _, from := range []struct {
			name          string
			args, environ []string
		}{
			{"flag", []string{"--" + tt.flag + "=" + tt.value}, nil},
			{"variable", nil, []string{variable}},
		} {
			t.Run(tt.flag+" "+tt.value+" by "+from.name, func(t *testing.T) {
				args := from.args
				if tt.flag != "target" {
					args = append(args, toApp)
				}
				got, err := parse(args, from.environ...)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	}
}

func TestNoSettingIsLeftOutOfTheTable(t *testing.T) {
	common := []string{"Admin", "Log", "Shutdown", "Configuration"}
	for _, f := range app.Flags(spec()) {
		name := strings.TrimPrefix(f.Flag, "--")
		tested := slices.ContainsFunc(settingTests, func(tt struct {
			flag, value string
			want        func(*Config)
		},
		) bool {
			return tt.flag == name
		})
		if !tested && !slices.Contains(common, f.Group) && name != "cert" && name != "key" {
			t.Errorf("no test sets %s", f.Flag)
		}
	}
}

func TestRepeatableSettingsTakeOneValueAFlagOrALine(t *testing.T) {
	want := defaults()
	want.Listen = []address.Listen{{Network: "tcp", Address: ":1"}, {Network: "unix", Address: "/s"}}
	want.Cert, want.Key = []string{"a.crt", "b.crt"}, []string{"a.key", "b.key"}
	byFlag, err := parse([]string{toApp, "--listen=:1", "--listen=unix:/s", "--cert=a.crt", "--key=a.key", "--cert=b.crt", "--key=b.key"})
	if err != nil {
		t.Fatal(err)
	}
	byVariable, err := parse([]string{toApp}, "TLS_PROXY_LISTEN=:1\n\nunix:/s\n", "TLS_PROXY_CERT=a.crt\nb.crt", "TLS_PROXY_KEY=a.key\nb.key\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []*Config{byFlag, byVariable} {
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestAFlagBeatsItsVariable(t *testing.T) {
	got, err := parse([]string{toApp, "--hold=1s", "--rewrite-redirects=false"}, "TLS_PROXY_HOLD=2s", "TLS_PROXY_REWRITE_REDIRECTS=true", "TLS_PROXY_HSTS=true")
	if err != nil {
		t.Fatal(err)
	}
	if got.Hold != time.Second || got.RewriteRedirects || !got.HSTS {
		t.Errorf("got %+v", got)
	}
}

// TestEveryWrongSettingIsOneLineWithItsSourceAndTheFix also keeps the order of the lines.
func TestEveryWrongSettingIsOneLineWithItsSourceAndTheFix(t *testing.T) {
	const (
		remote   = "is not loopback, so its traffic would cross the network in clear text; use 127.0.0.1:PORT or unix:PATH, or allow it with --unsafe-target"
		bounded  = "must be more than 0s; without a bound a stuck peer would be kept for ever"
		positive = "must not be negative; use 0s or more"
	)
	for _, tt := range []struct {
		args, environ []string
		want          []string
	}{
		{nil, nil, []string{"--target (env TLS_PROXY_TARGET): is not set; use --target=ADDR or env TLS_PROXY_TARGET"}},
		{nil, []string{"TLS_PROXY_TARGET=x"}, []string{`env TLS_PROXY_TARGET="x": the port is missing; use HOST:PORT or unix:PATH`}},
		{nil, []string{"TLS_PROXY_TARGET="}, []string{`env TLS_PROXY_TARGET="": is empty; use HOST:PORT or unix:PATH`}},
		{[]string{"--target=8080"}, nil, []string{"--target=8080: a port alone is no address; use 127.0.0.1:8080"}},
		{[]string{"--target=http://127.0.0.1:8080"}, nil, []string{"--target=http://127.0.0.1:8080: is a URL; use 127.0.0.1:8080"}},
		{[]string{"--target=10.0.0.1:80"}, nil, []string{"--target=10.0.0.1:80: " + remote}},
		{[]string{"--target=app:80"}, nil, []string{"--target=app:80: " + remote}},
		{[]string{"--target=h2c://app.localhost:80"}, nil, []string{"--target=h2c://app.localhost:80: " + remote}},
		{[]string{toApp, "--cert=a.crt"}, nil, []string{"--cert=a.crt: certificate 1 has no key; give one --key for each --cert, in the same order"}},
		{
			[]string{toApp, "--cert=a.crt", "--key=a.key", "--key=b.key"},
			nil,
			[]string{"--key=a.key --key=b.key: key 2 has no certificate; give one --cert for each --key, in the same order"},
		},
		{
			[]string{toApp, "--listen=8443", "--listen=:https"},
			nil,
			[]string{
				"--listen=8443: a port alone is no address; use :8443 for all addresses or 127.0.0.1:8443",
				`--listen=:https: port "https" is not a number; use a number from 1 to 65535`,
			},
		},
		{[]string{toApp, "--tls-profile=old"}, nil, []string{"--tls-profile=old: not one of the choices; use intermediate or modern"}},
		{[]string{toApp, "--access-log=jsno"}, nil, []string{"--access-log=jsno: not one of the choices; use json, common or off; did you mean json?"}},
		{[]string{toApp, "--trusted-proxies=10.0.0.1/8"}, nil, []string{`--trusted-proxies=10.0.0.1/8: "10.0.0.1/8" has bits set behind its prefix length; use 10.0.0.0/8`}},
		{[]string{toApp}, []string{"TLS_PROXY_TRUSTED_PROXIES=everyone"}, []string{`env TLS_PROXY_TRUSTED_PROXIES="everyone": "everyone" is neither an address nor a CIDR; use 10.0.0.0/8, 2001:db8::/32, 10.1.2.3 or unix`}},
		{[]string{toApp, "--max-header-bytes=1"}, nil, []string{"--max-header-bytes=1: must be from 1KiB to 16MiB"}},
		{[]string{toApp, "--http2-max-streams=0"}, nil, []string{"--http2-max-streams=0: must be at least 1"}},
		{[]string{toApp, "--http2-max-streams=many"}, nil, []string{"--http2-max-streams=many: not a whole number; use digits only"}},
		{[]string{toApp, "--target-keep-alive=-1"}, nil, []string{"--target-keep-alive=-1: must not be negative; use 0 to keep none"}},
		{[]string{toApp}, []string{"TLS_PROXY_HSTS=yes please"}, []string{`env TLS_PROXY_HSTS="yes please": not a truth value; use true or false`}},
		{[]string{toApp, "--hold=5"}, nil, []string{"--hold=5: not a duration; use a number with a unit, such as 500ms, 25s or 5m"}},
		{
			[]string{toApp, "--hold=-1s", "--response-timeout=-1s", "--cert-expiry-unready=-1s", "--hsts-max-age=-1s"},
			nil,
			[]string{"--hold=-1s: " + positive, "--response-timeout=-1s: " + positive, "--cert-expiry-unready=-1s: " + positive, "--hsts-max-age=-1s: " + positive},
		},
		{
			[]string{
				toApp, "--connect-timeout=0s", "--target-idle-timeout=0s", "--cert-poll=0s", "--handshake-timeout=0s", "--header-timeout=0s",
				"--idle-timeout=0s", "--tunnel-idle-timeout=-1s",
			},
			nil,
			[]string{
				"--connect-timeout=0s: " + bounded, "--target-idle-timeout=0s: " + bounded, "--cert-poll=0s: " + bounded, "--handshake-timeout=0s: " + bounded,
				"--header-timeout=0s: " + bounded, "--idle-timeout=0s: " + bounded, "--tunnel-idle-timeout=-1s: " + bounded,
			},
		},
	} {
		t.Run(fmt.Sprint(tt.args, tt.environ), func(t *testing.T) {
			_, err := parse(tt.args, tt.environ...)
			if err == nil {
				t.Fatal("no error")
			}
			if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", err, strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestARemoteTargetHasToBeAllowed(t *testing.T) {
	got, err := parse([]string{"--target=10.0.0.1:80", "--unsafe-target"})
	if err != nil || got.Target.Address != "10.0.0.1:80" {
		t.Errorf("got %v, %v", got.Target, err)
	}
}
