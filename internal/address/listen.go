// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"strings"
)

// Listen is where a program accepts connections. The zero value is unset.
type Listen struct {
	// Network is "tcp" or "unix".
	Network string
	// Address is "HOST:PORT" (HOST may be empty: all addresses, IPv4 and IPv6) or the socket's path ("@name": abstract).
	// Port 0 lets the system choose one.
	Address string
}

// UnmarshalText reads "HOST:PORT", ":PORT", "[IPV6]:PORT" or "unix:PATH".
func (l *Listen) UnmarshalText(text []byte) error {
	parsed, err := parseListen(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

func parseListen(text string) (Listen, error) {
	if err := checkText(text); err != nil {
		return Listen{}, err
	}
	if rest, ok := cutUnix(text); ok {
		path, err := parseUnix(rest)
		return Listen{"unix", path}, err
	}
	switch {
	case strings.Contains(text, "://"):
		return Listen{}, fmt.Errorf("a listener has no scheme; %w", errForm)
	case strings.HasPrefix(text, "/"):
		return Listen{}, fmt.Errorf("is a path; use unix:%s", text)
	case isDigits(text):
		return Listen{}, fmt.Errorf("a port alone is no address; use :%[1]s for all addresses or 127.0.0.1:%[1]s", text)
	}
	hp, err := parseHostPort(text)
	if err != nil {
		return Listen{}, err
	}
	return Listen{"tcp", hp.String()}, nil
}

// String returns the address as a user writes it, "" when it is unset.
func (l Listen) String() string {
	if l.Network == "unix" {
		return "unix:" + l.Address
	}
	return l.Address
}

// Loopback reports whether only this host (in Kubernetes: this pod) can connect.
func (l Listen) Loopback() bool {
	return l.Network == "unix" || loopback(l.Address)
}

var errUnset = errors.New("the address is not set")
