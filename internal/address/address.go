// SPDX-License-Identifier: Apache-2.0

// Package address reads and uses the addresses that users write in settings: where a program listens ([Listen]) and where it
// connects to ([Target]). Both are text types, so a flag's or a YAML field's type says what it takes:
//
//	type Config struct {
//		Listen []address.Listen // 127.0.0.1:8443, :8443, [::1]:8443, localhost:8443, unix:/run/app.sock, unix:@name
//		Target address.Target   // 127.0.0.1:8080, localhost:8080, unix:/run/app.sock, h2c://127.0.0.1:8080, h2c+unix:/run/app.sock
//	}
//
//	ln, err := config.Listen[0].Bind(ctx)
//	conn, err := config.Target.Dial(ctx)
//
// Reading is strict: ports are numbers, IPv6 addresses stand in brackets, and what only looks like an IPv4 address (127.1,
// 0x7f000001, 127.0.0.01) is refused, so that no two readers of one address disagree about it.
//
// Loopback means a literal of 127.0.0.0/8 or ::1, a unix socket, or the name localhost, and that name is never looked up:
// /etc/hosts and DNS cannot send it elsewhere. Every other name, foo.localhost included, is not loopback, wherever it leads.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// hostPort is one TCP address as the user gave it: a literal (with a zone for link-local IPv6), a name, or nothing for all
// addresses of the host.
type hostPort struct {
	host string // canonical: lower-case localhost, netip's form of a literal
	port uint16
}

func (hp hostPort) String() string {
	return net.JoinHostPort(hp.host, strconv.Itoa(int(hp.port)))
}

// errForm is what is wrong with text that is no address at all.
var errForm = errors.New("use HOST:PORT or unix:PATH")

// checkText refuses what no address can be. Control characters would break the one line that an error is.
func checkText(text string) error {
	switch {
	case text == "":
		return fmt.Errorf("is empty; %w", errForm)
	case strings.ContainsFunc(text, unicode.IsControl):
		return fmt.Errorf("contains a control character; %w", errForm)
	}
	return nil
}

// parseHostPort reads "HOST:PORT" and ":PORT". Its errors end with the fix.
func parseHostPort(text string) (hostPort, error) {
	host, digits, err := splitHostPort(text)
	if err != nil {
		return hostPort{}, err
	}
	port, err := parsePort(digits)
	if err != nil {
		return hostPort{}, err
	}
	if host, err = parseHost(host, strings.HasPrefix(text, "[")); err != nil {
		return hostPort{}, err
	}
	return hostPort{host, port}, nil
}

// splitHostPort cuts text at its port. Unlike net.SplitHostPort it says what to write instead.
func splitHostPort(text string) (host, port string, err error) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		host, port, ok = strings.Cut(rest, "]")
		if !ok {
			return "", "", errors.New("the ] after the IPv6 address is missing; use [ADDRESS]:PORT")
		}
		if port, ok = strings.CutPrefix(port, ":"); !ok {
			return "", "", errors.New("the port is missing; use [ADDRESS]:PORT")
		}
		return host, port, nil
	}
	i := strings.LastIndexByte(text, ':')
	switch {
	case i < 0 && isDigits(text):
		return "", "", fmt.Errorf("a port alone is no address; use 127.0.0.1:%s", text)
	case i < 0:
		return "", "", fmt.Errorf("the port is missing; %w", errForm)
	case strings.Contains(text[:i], ":"):
		return "", "", errors.New("an IPv6 address stands in brackets; use [ADDRESS]:PORT")
	}
	return text[:i], text[i+1:], nil
}

// parsePort reads a port number. Port names are refused: what they mean depends on a file of the image.
func parsePort(digits string) (uint16, error) {
	switch {
	case digits == "":
		return 0, fmt.Errorf("the port is missing; %w", errForm)
	case !isDigits(digits):
		return 0, fmt.Errorf("port %q is not a number; use a number from 1 to 65535", digits)
	case len(digits) > 1 && digits[0] == '0':
		return 0, fmt.Errorf("port %q begins with a zero; use a number from 1 to 65535", digits)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port %s is out of range; use a number from 1 to 65535", digits)
	}
	return uint16(n), nil
}

// parseHost checks a host and returns its one form. Empty is allowed; bracketed tells that it has to be an IPv6 address.
func parseHost(host string, bracketed bool) (string, error) {
	if bracketed {
		ip, err := netip.ParseAddr(host)
		if err != nil || !ip.Is6() {
			return "", fmt.Errorf("%q is not an IPv6 address; only those stand in brackets", host)
		}
		if strings.Trim(ip.Zone(), nameBytes+".") != "" || len(ip.Zone()) > 15 {
			return "", fmt.Errorf("zone %q is not the name of a network interface", ip.Zone())
		}
		return ip.Unmap().String(), nil
	}
	if host == "" {
		return "", nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), nil
	}
	if strings.EqualFold(host, localhost) {
		return localhost, nil
	}
	return host, checkName(host)
}

// checkName reports what keeps host from being a host name (RFC 1123 section 2.1, with the underscore that container
// runtimes put into names). A name whose last label is a number is an IPv4 address that one reader accepts and another does
// not (WHATWG URL, "ends in a number"), so it is neither.
func checkName(host string) error {
	if len(host) > 253 {
		return errors.New("the host name is longer than 253 characters")
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, nameBytes) != "" {
			return fmt.Errorf("%q is neither a host name nor an IP address; %w", host, errForm)
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	if isDigits(last) || strings.HasPrefix(last, "0x") {
		return fmt.Errorf("%q is not an IPv4 address; use four numbers from 0 to 255, such as 127.0.0.1", host)
	}
	return nil
}

const (
	localhost = "localhost"
	nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
)

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// loopback reports whether a host and port, as in Listen.Address, is on loopback, without looking a name up.
func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return strings.EqualFold(host, localhost)
	}
	return ip.Unmap().IsLoopback()
}

// literals returns the addresses that hostport stands for on this host, in the order to try: those of localhost are fixed,
// every other one is itself.
func literals(hostport string) []string {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil || !strings.EqualFold(host, localhost) {
		return []string{hostport}
	}
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
}
