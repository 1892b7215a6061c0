// SPDX-License-Identifier: Apache-2.0

package address

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// H2C is the scheme of a target that is spoken to in HTTP/2 without TLS from the first byte (RFC 9113 section 3.3).
const H2C = "h2c"

// Target is where a program connects to. The zero value is unset.
type Target struct {
	// Scheme is "" or "h2c".
	Scheme string
	// Network is "tcp" or "unix".
	Network string
	// Address is "HOST:PORT" or the socket's path ("@name": abstract).
	Address string
}

// UnmarshalText reads "HOST:PORT", "[IPV6]:PORT", "unix:PATH", "h2c://HOST:PORT" or "h2c+unix:PATH".
func (t *Target) UnmarshalText(text []byte) error {
	parsed, err := parseTarget(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

func parseTarget(text string) (Target, error) {
	if err := checkText(text); err != nil {
		return Target{}, err
	}
	var t Target
	rest := text
	if after, ok := strings.CutPrefix(text, H2C+"+unix:"); ok {
		t.Scheme, rest = H2C, "unix:"+after
	} else if after, ok := strings.CutPrefix(text, H2C+"://"); ok {
		t.Scheme, rest = H2C, after
		if strings.HasPrefix(rest, "unix:") {
			return Target{}, fmt.Errorf("use %s+%s", H2C, rest)
		}
	}
	if path, ok := cutUnix(rest); ok {
		path, err := parseUnix(path)
		t.Network, t.Address = "unix", path
		return t, err
	}
	hp, err := parseTargetTCP(rest)
	if err != nil {
		return Target{}, err
	}
	t.Network, t.Address = "tcp", hp.String()
	return t, nil
}

// parseTargetTCP reads a TCP address that can be connected to.
func parseTargetTCP(text string) (hostPort, error) {
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		if scheme == "http" {
			if !strings.Contains(host, ":") {
				host += ":80"
			}
			return hostPort{}, fmt.Errorf("is a URL; use %s", host)
		}
		return hostPort{}, fmt.Errorf("scheme %q is not known; use HOST:PORT, h2c://HOST:PORT or unix:PATH", scheme)
	}
	switch {
	case strings.HasPrefix(text, "/"):
		return hostPort{}, fmt.Errorf("is a path; use unix:%s", text)
	case strings.HasSuffix(text, "/"):
		return hostPort{}, fmt.Errorf("has a path; %w", errForm)
	}
	hp, err := parseHostPort(text)
	if err != nil {
		return hostPort{}, err
	}
	if hp.port == 0 {
		return hostPort{}, errors.New("port 0 cannot be connected to; use a number from 1 to 65535")
	}
	// Linux takes "no address" for loopback. Which of the two was meant cannot be known, and only one of them is safe.
	if hp.host == "" {
		return hostPort{}, fmt.Errorf("the host is missing; use 127.0.0.1:%d", hp.port)
	}
	if ip, err := netip.ParseAddr(hp.host); err == nil && ip.IsUnspecified() {
		return hostPort{}, fmt.Errorf("%s is no address to connect to; use 127.0.0.1:%d", ip, hp.port)
	}
	return hp, nil
}

// String returns the target as a user writes it, "" when it is unset.
func (t Target) String() string {
	switch {
	case t.Network == "unix" && t.Scheme != "":
		return t.Scheme + "+unix:" + t.Address
	case t.Network == "unix":
		return "unix:" + t.Address
	case t.Scheme != "":
		return t.Scheme + "://" + t.Address
	}
	return t.Address
}

// Loopback reports whether what answers is on this host (in Kubernetes: in this pod): a unix socket, a literal of
// 127.0.0.0/8 or ::1, or localhost. No name is looked up.
func (t Target) Loopback() bool {
	return t.Network == "unix" || loopback(t.Address)
}

// DialAddresses returns what to connect to on t.Network, in the order to try. localhost becomes 127.0.0.1 and ::1; every
// other address is returned as it is.
func (t Target) DialAddresses() []string {
	if t.Network == "unix" {
		return []string{t.Address}
	}
	return literals(t.Address)
}

// Dial connects to the target, on localhost over IPv4 first. The error of a refused connection is a syscall.ECONNREFUSED.
func (t Target) Dial(ctx context.Context) (net.Conn, error) {
	if t.Network == "" {
		return nil, fmt.Errorf("cannot connect: %w", errUnset)
	}
	var dialer net.Dialer
	var failures []error
	for _, addr := range t.DialAddresses() {
		conn, err := dialer.DialContext(ctx, t.Network, addr)
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, oneLine(failures)
}

// oneLine joins errors into one line.
func oneLine(errs []error) error {
	if len(errs) == 2 {
		return fmt.Errorf("%w; %w", errs[0], errs[1])
	}
	return errs[0]
}
