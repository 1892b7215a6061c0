// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server of these options on 127.0.0.1 and returns it with its address.
func serve(t *testing.T, o Options) (*Server, string) {
	t.Helper()
	return serveOn(t, o, listen(t, "127.0.0.1:0"))
}

func serveOn(t *testing.T, o Options, l net.Listener) (*Server, string) {
	t.Helper()
	if o.Program == "" {
		o.Program = "tls-proxy"
	}
	s := New(o)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s, l.Addr().String()
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// request is one request with its headers written as they are; "Host" may be forged.
type request struct {
	method, path string
	headers      []string // "Name: value"
	body         string
	from         string // the local address to connect from, "" for any
}

type reply struct {
	status int
	header http.Header
	body   string
}

// ask sends the request over a connection of its own. Without a Host header it sends the address.
func ask(t *testing.T, address string, r request) reply {
	t.Helper()
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if r.from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(r.from)}
	}
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	c, err := dialer.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return exchange(t, c, address, r)
}

func exchange(t *testing.T, c net.Conn, host string, r request) reply {
	t.Helper()
	if r.method == "" {
		r.method = "GET"
	}
	lines := []string{r.method + " " + r.path + " HTTP/1.1"}
	if !slices.ContainsFunc(r.headers, func(h string) bool { return strings.HasPrefix(h, "Host:") }) {
		lines = append(lines, "Host: "+host)
	}
	lines = append(lines, r.headers...)
	lines = append(lines, "Content-Length: "+strconv.Itoa(len(r.body)), "Connection: close", "", r.body)
	if _, err := io.WriteString(c, strings.Join(lines, "\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, string(body)}
}

// refusals reads PROGRAM_admin_refused_total.
func refusals(t *testing.T, registry *prometheus.Registry, reason string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "tls_proxy_admin_refused_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric for the reason %q", reason)
	return 0
}

// until waits for something that another goroutine brings about.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	testkit.Eventually(t, what, func() error {
		if !f() {
			return errors.New("not yet")
		}
		return nil
	})
}
