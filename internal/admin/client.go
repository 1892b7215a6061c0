// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// clientTimeout bounds a whole question, below the kubelet's usual patience with an exec probe that a user has raised a bit.
const clientTimeout = 5 * time.Second

// ClientT asks the admin port of the program's own container, for the sub-commands:
//
//	answer, err := admin.Client(":9911", admin.Control{}).Get(ctx, "/readyz?verbose")
//	answer, err := admin.Client(":9911", control).Post(ctx, "/-/drain", "")
type ClientT struct {
	http *http.Client
	name string // where it asks, for errors: "127.0.0.1:9911" or "unix:/run/control"
}

// Answer is what the admin port said.
type Answer struct {
	Status int
	Body   string
}

// OK tells whether the status is one of success.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Client makes a client for the admin port that listens on addr, "HOST:PORT", ":PORT" or "unix:PATH". A wildcard means
// 127.0.0.1, or [::1] where nothing listens on that. If control names a socket, every question goes there; a probe that is
// meant to test the port itself passes Control{}.
func Client(addr string, control Control) *ClientT {
	network, candidates := targets(addr)
	if control.Path != "" {
		network, candidates = "unix", []string{control.Path}
	}
	c := &ClientT{name: candidates[0]}
	if network == "unix" {
		c.name = "unix:" + candidates[0]
	}
	c.http = &http.Client{
		Timeout: clientTimeout,
		Transport: &http.Transport{
			Proxy:             nil, // what HTTP_PROXY names is no way to the own container
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialFirst(ctx, network, candidates)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// targets are the addresses to try for a listen address, at least one.
func targets(addr string) (network string, candidates []string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", []string{path}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "tcp", []string{addr} // the dial says what is wrong with it
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip == netip.IPv6Unspecified():
		return "tcp", []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("::1", port)}
	case err == nil && ip.Unmap() == netip.IPv4Unspecified():
		return "tcp", []string{net.JoinHostPort("127.0.0.1", port)}
	}
	return "tcp", []string{addr}
}

func dialFirst(ctx context.Context, network string, candidates []string) (net.Conn, error) {
	var first error
	for _, address := range candidates {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			return nc, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// Get asks for a path with its query, "/readyz?verbose".
func (c *ClientT) Get(ctx context.Context, path string) (Answer, error) {
	return c.do(ctx, http.MethodGet, path, "")
}

// Post sends a control request.
func (c *ClientT) Post(ctx context.Context, path, body string) (Answer, error) {
	return c.do(ctx, http.MethodPost, path, body)
}

// Put sends a control request.
func (c *ClientT) Put(ctx context.Context, path, body string) (Answer, error) {
	return c.do(ctx, http.MethodPut, path, body)
}

func (c *ClientT) do(ctx context.Context, method, path, body string) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
	if err != nil {
		return Answer{}, c.failed(err)
	}
	// The dialer decides where it goes; the name satisfies the guard.
	r.Header.Set(controlHeader, controlValue)
	answer, err := c.http.Do(r)
	if err != nil {
		return Answer{}, c.failed(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil {
		return Answer{}, c.failed(err)
	}
	return Answer{Status: answer.StatusCode, Body: string(text)}, nil
}

// failed says where nobody answered, and what may be the matter.
func (c *ClientT) failed(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %s", clientTimeout)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("%w; is the program running, with the same --admin-listen and --control?", errno(err))
	}
	return fmt.Errorf("cannot ask the admin port at %s: %w", c.name, err)
}

// errno is the system's error without the address, which the message has already.
func errno(err error) error {
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		return cause
	}
	return err
}
