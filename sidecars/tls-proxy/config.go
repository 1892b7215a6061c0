// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/certs"
)

// Config holds the settings. Every field is a flag, a TLS_PROXY_ variable and a key of the YAML file.
type Config struct {
	Listen       []address.Listen `group:"Listeners" default:":8443" placeholder:"ADDR" help:"Where HTTPS is served: HOST:PORT, :PORT or unix:PATH."`
	HTTPRedirect address.Listen   `group:"Listeners" placeholder:"ADDR" help:"Where plain HTTP is answered with a redirect (308) to HTTPS, such as :8000."`

	Target            address.Target `group:"Application" required:"" placeholder:"ADDR" help:"The application: HOST:PORT, unix:PATH, or h2c://HOST:PORT for cleartext HTTP/2 (gRPC). Loopback or a unix socket."`
	UnsafeTarget      bool           `group:"Application" help:"Allow a target that is not loopback: the traffic to it is not encrypted."`
	ReadyTarget       bool           `group:"Application" help:"Count whether the application accepts connections as part of /readyz."`
	Hold              time.Duration  `group:"Application" default:"5s" placeholder:"DURATION" help:"How long requests wait while the application refuses connections, because it restarts, before they get 503; 0s does not wait."`
	ConnectTimeout    time.Duration  `group:"Application" default:"5s" placeholder:"DURATION" help:"How long opening a connection to the application may take before 504."`
	ResponseTimeout   time.Duration  `group:"Application" default:"0s" placeholder:"DURATION" help:"How long the application may take to begin its response before 504; 0s is as long as the client waits."`
	TargetKeepAlive   int            `group:"Application" default:"512" placeholder:"N" help:"Idle connections to the application that are kept; 0 for an application with one worker per connection."`
	TargetIdleTimeout time.Duration  `group:"Application" default:"4s" placeholder:"DURATION" help:"How long an idle connection to the application is kept: less than the application's own keep-alive timeout (5s in many)."`

	Cert              []string      `group:"Certificates" placeholder:"FILE" help:"Certificate chain in PEM; needs --key. Given several times, the first is the default."`
	Key               []string      `group:"Certificates" placeholder:"FILE" help:"Private key in PEM of the --cert at the same place."`
	CertDir           string        `group:"Certificates" mount:"/tls" unless:"cert,self-signed" placeholder:"DIR" help:"Directory with tls.crt and tls.key as cert-manager mounts them, or with many pairs NAME.crt and NAME.key, chosen by SNI. Followed without a signal."`
	SelfSigned        bool          `group:"Certificates" help:"Make a certificate for localhost, 127.0.0.1, ::1 and the host's name, for development. Its SPKI pin is logged."`
	CertWait          bool          `group:"Certificates" help:"Start without a certificate and accept no connection until there is one."`
	CertPoll          time.Duration `group:"Certificates" default:"60s" placeholder:"DURATION" help:"How often certificate files are compared by content, beside being watched."`
	CertExpiryUnready time.Duration `group:"Certificates" default:"0s" placeholder:"DURATION" help:"How long before a certificate expires /readyz begins to fail; 0s is at its expiry."`
	TLSProfile        string        `group:"Certificates" name:"tls-profile" default:"intermediate" enum:"intermediate,modern" help:"Mozilla's profile: intermediate is TLS 1.2 and 1.3, modern is TLS 1.3 only."`

	TrustedProxies   proxies       `group:"HTTP" placeholder:"CIDR" help:"Peers whose X-Forwarded-* and X-Request-Id are believed and extended, as CIDRs or addresses separated by commas; the word unix stands for unix-socket peers. Everybody else's are overwritten."`
	RewriteRedirects bool          `group:"HTTP" default:"true" help:"Turn http:// URLs that name this application into https:// in Location, Content-Location and Refresh."`
	SecureCookies    bool          `group:"HTTP" help:"Add the Secure attribute to every cookie that the application sets."`
	HSTS             bool          `group:"HTTP" name:"hsts" help:"Send Strict-Transport-Security where the application does not."`
	HSTSMaxAge       time.Duration `group:"HTTP" name:"hsts-max-age" default:"8760h" placeholder:"DURATION" help:"The max-age of --hsts."`
	AccessLog        string        `group:"HTTP" default:"json" enum:"json,common,off" help:"Format of the access log on stdout: json, common (Common Log Format) or off."`

	HandshakeTimeout  time.Duration `group:"Limits" default:"10s" placeholder:"DURATION" help:"How long a TLS handshake may take."`
	HeaderTimeout     time.Duration `group:"Limits" default:"10s" placeholder:"DURATION" help:"How long a request head may take to arrive."`
	IdleTimeout       time.Duration `group:"Limits" default:"60s" placeholder:"DURATION" help:"How long a connection may be without a request, and a transfer without progress; it starts anew with every byte."`
	TunnelIdleTimeout time.Duration `group:"Limits" default:"1h" placeholder:"DURATION" help:"How long an upgraded connection, such as a WebSocket, may be without a byte in either direction."`
	MaxHeaderBytes    app.Bytes     `group:"Limits" default:"32KiB" help:"Size of a request head; a larger one gets 431."`
	HTTP2MaxStreams   int           `group:"Limits" name:"http2-max-streams" default:"100" placeholder:"N" help:"Concurrent HTTP/2 requests of one connection."`
}

// Validate checks the settings against each other; it looks at no file.
func (c *Config) Validate(r *app.Report) {
	if c.Target.Network != "" && !c.Target.Loopback() && !c.UnsafeTarget {
		r.Errorf("target", "is not loopback, so its traffic would cross the network in clear text; use 127.0.0.1:PORT or unix:PATH, or allow it with --unsafe-target")
	}
	switch {
	case len(c.Cert) > len(c.Key):
		r.Errorf("cert", "certificate %d has no key; give one --key for each --cert, in the same order", len(c.Key)+1)
	case len(c.Key) > len(c.Cert):
		r.Errorf("key", "key %d has no certificate; give one --cert for each --key, in the same order", len(c.Cert)+1)
	}
	for _, bound := range []struct {
		flag string
		is   time.Duration
	}{
		{"connect-timeout", c.ConnectTimeout},
		{"target-idle-timeout", c.TargetIdleTimeout},
		{"cert-poll", c.CertPoll},
		{"handshake-timeout", c.HandshakeTimeout},
		{"header-timeout", c.HeaderTimeout},
		{"idle-timeout", c.IdleTimeout},
		{"tunnel-idle-timeout", c.TunnelIdleTimeout},
	} {
		if bound.is <= 0 {
			r.Errorf(bound.flag, "must be more than 0s; without a bound a stuck peer would be kept for ever")
		}
	}
	for _, span := range []struct {
		flag string
		is   time.Duration
	}{
		{"hold", c.Hold}, {"response-timeout", c.ResponseTimeout}, {"cert-expiry-unready", c.CertExpiryUnready}, {"hsts-max-age", c.HSTSMaxAge},
	} {
		if span.is < 0 {
			r.Errorf(span.flag, "must not be negative; use 0s or more")
		}
	}
	if c.TargetKeepAlive < 0 {
		r.Errorf("target-keep-alive", "must not be negative; use 0 to keep none")
	}
	if c.HTTP2MaxStreams < 1 {
		r.Errorf("http2-max-streams", "must be at least 1")
	}
	if c.MaxHeaderBytes < 1<<10 || c.MaxHeaderBytes > 16<<20 {
		r.Errorf("max-header-bytes", "must be from 1KiB to 16MiB")
	}
}

// Check looks at the certificate files.
func (c *Config) Check(r *app.Report) {
	source := c.source()
	switch {
	case len(c.Cert) != len(c.Key):
		return // Validate has said so
	case len(source.Pairs) == 0 && source.Dir == "" && source.SelfSigned == nil:
		r.Errorf("cert-dir", "no certificate; mount one at /tls or name it with --cert-dir or --cert and --key, or use --self-signed for development")
		return
	case c.CertWait:
		return
	}
	if len(source.Pairs) > 0 {
		_, err := certs.Load(certs.Source{Pairs: source.Pairs})
		report(r, "cert", err)
	}
	if source.Dir != "" {
		_, err := certs.Load(certs.Source{Dir: source.Dir})
		report(r, "cert-dir", err)
	}
}

// report has a line of its own for each thing that is wrong with the certificates of a flag.
func report(r *app.Report, flag string, err error) {
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		from := flag
		if flag == "cert" && strings.HasPrefix(line, "cannot use key ") {
			from = "key"
		}
		r.Errorf(from, "%s", strings.TrimSuffix(line, "\n"))
	}
}

// source says where certificates come from.
func (c *Config) source() certs.Source {
	source := certs.Source{Dir: c.CertDir}
	for i := range min(len(c.Cert), len(c.Key)) {
		source.Pairs = append(source.Pairs, certs.Pair{Cert: c.Cert[i], Key: c.Key[i]})
	}
	if c.SelfSigned {
		source.SelfSigned = []string{}
	}
	return source
}

// hsts is the value of Strict-Transport-Security (RFC 6797, section 6.1), "" for none.
func (c *Config) hsts() string {
	if !c.HSTS {
		return ""
	}
	return "max-age=" + strconv.FormatInt(int64(c.HSTSMaxAge/time.Second), 10)
}

// manifest says what the container needs beyond what all programs share.
func (c *Config) manifest() app.Container {
	container := app.Container{PreStop: []string{"drain"}}
	for i, l := range append(c.Listen[:len(c.Listen):len(c.Listen)], c.HTTPRedirect) {
		_, port, err := net.SplitHostPort(l.Address)
		number, _ := strconv.Atoi(port)
		if l.Network != "tcp" || err != nil || number == 0 {
			continue
		}
		name := "https"
		if i == len(c.Listen) {
			name = "http"
		} else if i > 0 {
			name = fmt.Sprintf("https-%d", i+1)
		}
		container.Ports = append(container.Ports, app.Port{Name: name, Port: number})
	}
	if !c.SelfSigned && len(c.Cert) == 0 {
		path := c.CertDir
		if path == "" {
			path = "/tls"
		}
		container.Mounts = append(container.Mounts, app.Mount{Name: "tls", Path: path, Volume: "secret:tls", ReadOnly: true})
	}
	return container
}

// proxies are the peers of --trusted-proxies.
type proxies struct {
	text     string
	prefixes []netip.Prefix
	unix     bool
}

// UnmarshalText reads CIDRs, addresses and the word unix, separated by commas or spaces.
func (p *proxies) UnmarshalText(text []byte) error {
	*p = proxies{text: string(text)}
	for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		if word == "unix" {
			p.unix = true
			continue
		}
		if addr, err := netip.ParseAddr(word); err == nil && addr.Zone() == "" {
			p.prefixes = append(p.prefixes, netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(word)
		if err != nil || prefix.Addr().Is4In6() {
			return fmt.Errorf("%q is neither an address nor a CIDR; use 10.0.0.0/8, 2001:db8::/32, 10.1.2.3 or unix", word)
		}
		if prefix != prefix.Masked() {
			return fmt.Errorf("%q has bits set behind its prefix length; use %s", word, prefix.Masked())
		}
		p.prefixes = append(p.prefixes, prefix)
	}
	return nil
}

// String returns what was read.
func (p proxies) String() string { return p.text }

// MarshalText returns what was read.
func (p proxies) MarshalText() ([]byte, error) { return []byte(p.text), nil }
