// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// RawBackend is a server of HTTP/1.1 that records the exact bytes of each request and
// answers with the exact bytes it is told: the judge of what a proxy sends, and the
// source of answers that no sound server gives. Until told otherwise it answers 200
// with the body "ok".
//
//	app := testkit.NewRawBackend(t)
//	app.Respond("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
//	... // a request through the proxy to app.Addr()
//	got := app.WaitRequest(1)
type RawBackend struct {
	t        testing.TB
	listener net.Listener
	wg       sync.WaitGroup
	done     chan struct{}

	mu       sync.Mutex
	handler  func(*RawExchange)
	requests []*RawRequest
	conns    map[net.Conn]struct{}
	accepted int
}

// NewRawBackend listens on a port of 127.0.0.1.
func NewRawBackend(t testing.TB) *RawBackend {
	t.Helper()
	return newRawBackend(t, "tcp", "127.0.0.1:0")
}

// NewRawUnixBackend listens on a unix socket.
func NewRawUnixBackend(t testing.TB) *RawBackend {
	t.Helper()
	return newRawBackend(t, "unix", SocketPath(t))
}

func newRawBackend(t testing.TB, network, addr string) *RawBackend {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatalf("cannot listen for the backend: %v", err)
	}
	b := &RawBackend{t: t, listener: l, done: make(chan struct{}), conns: map[net.Conn]struct{}{}, handler: answerOK}
	b.wg.Go(b.accept)
	t.Cleanup(b.close)
	return b
}

func answerOK(x *RawExchange) {
	x.ReadBody()
	_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
	if x.Request().Method() != "HEAD" {
		_ = x.Send("ok")
	}
}

// Addr is where it listens: 127.0.0.1:PORT or unix:PATH, as --target takes it.
func (b *RawBackend) Addr() string {
	if b.listener.Addr().Network() == "unix" {
		return "unix:" + b.listener.Addr().String()
	}
	return b.listener.Addr().String()
}

// Respond answers each request from now on, once its body is read, with raw bytes.
func (b *RawBackend) Respond(raw string) {
	b.Handle(func(x *RawExchange) {
		x.ReadBody()
		_ = x.Send(raw)
	})
}

// Handle calls f for each request from now on, as soon as its head is there: f may
// answer before it reads the body, slowly, in pieces, or not at all. A body that f
// left is read after it, so that the next request is found.
func (b *RawBackend) Handle(f func(*RawExchange)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handler = f
}

// Requests are those recorded so far, in the order of their heads. The body of one
// that is still coming is what came of it.
func (b *RawBackend) Requests() []RawRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []RawRequest
	for _, r := range b.requests {
		out = append(out, *r)
	}
	return out
}

// WaitRequest waits until the nth request, from 1, is whole or broken off.
func (b *RawBackend) WaitRequest(n int) RawRequest {
	b.t.Helper()
	return b.wait(n, true)
}

// WaitHead waits for the head of the nth request, from 1.
func (b *RawBackend) WaitHead(n int) RawRequest {
	b.t.Helper()
	return b.wait(n, false)
}

func (b *RawBackend) wait(n int, whole bool) RawRequest {
	b.t.Helper()
	var got RawRequest
	Eventually(b.t, fmt.Sprintf("request %d to reach the backend", n), func() error {
		all := b.Requests()
		if len(all) < n {
			return fmt.Errorf("%d came", len(all))
		}
		if got = all[n-1]; whole && !got.whole {
			return errors.New("its body has not been read")
		}
		return nil
	})
	return got
}

// Forget drops what is recorded.
func (b *RawBackend) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests = nil
}

// Accepted is the number of connections taken so far, Open that of those open now.
func (b *RawBackend) Accepted() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted
}

// Open is the number of connections that are open now.
func (b *RawBackend) Open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.conns)
}

func (b *RawBackend) close() {
	close(b.done)
	_ = b.listener.Close()
	b.mu.Lock()
	for c := range b.conns {
		_ = c.Close()
	}
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *RawBackend) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		id, ok := b.add(conn)
		if !ok {
			_ = conn.Close()
			return
		}
		b.wg.Go(func() {
			b.serve(id, conn)
			_ = conn.Close()
			b.mu.Lock()
			delete(b.conns, conn)
			b.mu.Unlock()
		})
	}
}

func (b *RawBackend) add(conn net.Conn) (id int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.done:
		return 0, false
	default:
	}
	b.accepted++
	b.conns[conn] = struct{}{}
	return b.accepted, true
}

// serve answers requests on one connection until either side ends it.
func (b *RawBackend) serve(id int, conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		head, err := readHead(r)
		if head == "" && err != nil {
			return
		}
		req := &RawRequest{Conn: id, rawMessage: rawMessage{Head: head, Err: err}, whole: err != nil}
		b.mu.Lock()
		b.requests = append(b.requests, req)
		handler := b.handler
		b.mu.Unlock()
		if err != nil {
			return // recorded with its error: a head that never ended
		}
		x := &RawExchange{Conn: conn, Reader: r, backend: b, req: req}
		handler(x)
		if x.closed || x.ReadBody().Err != nil {
			return
		}
	}
}

// RawExchange is one request and its answer in progress, for [RawBackend.Handle].
type RawExchange struct {
	// Conn and Reader are the connection, for what comes after a 101: Reader holds
	// what was read beyond the head.
	Conn   net.Conn
	Reader *bufio.Reader

	backend  *RawBackend
	req      *RawRequest
	bodyRead bool
	closed   bool
}

// Request is the request as far as it has been read.
func (x *RawExchange) Request() RawRequest {
	x.backend.mu.Lock()
	defer x.backend.mu.Unlock()
	return *x.req
}

// ReadBody reads the rest of the request and returns it.
func (x *RawExchange) ReadBody() RawRequest {
	if !x.bodyRead {
		x.bodyRead = true
		body, err := x.req.readFramed(x.Reader, false)
		x.backend.mu.Lock()
		x.req.Body, x.req.Err, x.req.whole = body, err, true
		x.backend.mu.Unlock()
	}
	return x.Request()
}

// Send writes raw bytes; the error says that the peer has gone.
func (x *RawExchange) Send(raw string) error {
	_, err := io.WriteString(x.Conn, raw)
	return err
}

// SendSlowly writes piece bytes at a time, each every apart.
func (x *RawExchange) SendSlowly(raw string, piece int, every time.Duration) error {
	for chunk := range slices.Chunk([]byte(raw), piece) {
		if err := x.Send(string(chunk)); err != nil {
			return err
		}
		if !x.Pause(every) {
			return errors.New("the test has ended")
		}
	}
	return nil
}

// Pause lets time pass; false when the test ends first.
func (x *RawExchange) Pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-x.backend.done:
		return false
	}
}

// Wait waits until gate is closed; false when the test ends first. A handler that
// waits for anything has to wait through it, or with [RawExchange.Done].
func (x *RawExchange) Wait(gate <-chan struct{}) bool {
	select {
	case <-gate:
		return true
	case <-x.backend.done:
		return false
	}
}

// Done is closed when the test ends.
func (x *RawExchange) Done() <-chan struct{} { return x.backend.done }

// Close ends the connection after what was sent.
func (x *RawExchange) Close() {
	x.closed = true
	_ = x.Conn.Close()
}

// Reset ends the connection with RST.
func (x *RawExchange) Reset() {
	if tcp, ok := x.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	x.Close()
}
