// SPDX-License-Identifier: Apache-2.0

package frontend_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

func TestADrainLetsIdleConnectionsBringOneMoreRequest(t *testing.T) {
	t.Parallel()
	f := serve(t, ok)
	idle, fresh, http2 := f.dial(), f.dial(), f.dial("h2")
	idle.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	idle.ReadResponse("GET")
	http2.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	f.await(3, "tls_proxy_connections_open", "")
	f.StopAccepting()
	if !f.Draining() {
		t.Error("it is not draining")
	}
	drained := make(chan error)
	go func() { drained <- f.Drain(t.Context()) }()
	fresh.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := fresh.ReadResponse("GET"); r.Status() != 200 {
		t.Errorf("answer: %q", r.Head)
	}
	if sent, _ := http2.ReadAll(); !hasFrame(sent, 7) {
		t.Errorf("no GOAWAY among %x", sent)
	}
	for _, c := range []*testkit.RawConn{idle, fresh} {
		if rest, err := c.ReadAll(); rest != "" || err != nil {
			t.Errorf("%q %v", rest, err)
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// http.Server.Shutdown gives a connection that never brought a request five seconds, which would be the whole drain's.
func TestADrainDoesNotWaitForConnectionsThatNeverAsked(t *testing.T) {
	t.Parallel()
	f := serve(t, ok)
	silent := f.dial()
	f.await(1, "tls_proxy_connections_open", "")
	f.StopAccepting()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	if err := f.Drain(ctx); err != nil {
		t.Errorf("the drain waited for a silent connection: %v", err)
	}
	_, _ = silent.ReadAll()
}

func TestADrainWaitsForRequestsUntilItsDeadline(t *testing.T) {
	began := make(chan struct{})
	f := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		if !errors.Is(context.Cause(r.Context()), frontend.ErrCancelled) {
			t.Errorf("the cause is %v", context.Cause(r.Context()))
		}
	})
	c := f.dial()
	c.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-began
	f.StopAccepting()
	ctx, over := context.WithCancelCause(t.Context())
	drained := make(chan error)
	go func() { drained <- f.Drain(ctx) }()
	late := errors.New("the time is over")
	over(late)
	if err := <-drained; !errors.Is(err, late) {
		t.Errorf("Drain: %v, want %v", err, late)
	}
	f.Cancel()
	_, _ = c.ReadAll()
	f.await(0, "tls_proxy_connections_open", "")
}

func TestNobodyWhoConnectedBeforeADrainIsTurnedAway(t *testing.T) {
	t.Parallel()
	for range 10 {
		f := serve(t, ok)
		var conns []*testkit.RawConn
		for range 5 {
			conns = append(conns, testkit.DialRaw(t, f.addr)) // some in the queue of the listener, none with a handshake
		}
		f.StopAccepting()
		drained := make(chan error)
		go func() { drained <- f.Drain(t.Context()) }()
		for _, c := range conns {
			conn := tls.Client(c.Conn, f.config())
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			answer, readErr := io.ReadAll(conn)
			if err != nil || readErr != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200")) {
				t.Errorf("%v %v %q", err, readErr, answer)
			}
			c.Close()
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		if _, err := net.Dial("tcp", f.addr); err == nil {
			t.Error("a connection was taken after the drain")
		}
	}
}

func TestServeAfterTheEndClosesTheListener(t *testing.T) {
	f := serve(t, ok)
	f.StopAccepting()
	f.StopAccepting() // once more does nothing
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Serve(l); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the listener is open")
	}
}

func TestAListenerBeyondUseEndsServeWithAnError(t *testing.T) {
	f := serve(t, ok)
	if err := f.Serve(&brokenListener{}); err == nil || !strings.Contains(err.Error(), "cannot accept connections on 127.0.0.1:1: no such thing") {
		t.Errorf("Serve: %v", err)
	}
}

// brokenListener fails as a closed file descriptor does.
type brokenListener struct{}

func (*brokenListener) Accept() (net.Conn, error) {
	return nil, fmt.Errorf("no such thing: %w", io.EOF)
}
func (*brokenListener) Close() error   { return nil }
func (*brokenListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func TestClosingLeavesNothingBehind(t *testing.T) {
	f := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for range 3 {
		f.dial().Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		f.dial("h2").Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x87\x84")
		testkit.DialRaw(t, f.addr)
	}
	f.await(6, "tls_proxy_connections_open", "")
	f.Close()
	f.await(0, "tls_proxy_connections_open", "")
}
