// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/outrigger/outrigger/internal/httpwire"
	"github.com/outrigger/outrigger/internal/listener"
)

// Serve accepts connections from l until StopAccepting. Nothing that a client does, and no shortage of
// descriptors, ends it.
func (f *Frontend) Serve(l net.Listener) error {
	accepting := listener.Tolerant(l, listener.Options{Name: "https", Log: f.opts.Log, OnError: f.opts.Metrics.acceptErrors.Inc})
	defer accepting.Close()
	if !f.begin(accepting) {
		return nil
	}
	defer f.listeners.Done()
	for {
		conn, err := accepting.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot accept connections on %s: %w", l.Addr(), err)
		}
		f.shaking.Go(func() { f.handshake(conn) })
	}
}

// begin notes a listener that StopAccepting has to end, and reports whether it is not too late for that.
func (f *Frontend) begin(l *listener.Listener) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.draining.Load() {
		return false
	}
	f.bound = append(f.bound, l)
	f.listeners.Add(1)
	return true
}

// handshake does the TLS handshake of a new connection and hands it to the server of its protocol.
func (f *Frontend) handshake(raw net.Conn) {
	conn := newConn(raw, f)
	start := time.Now()
	deadline := start.Add(f.opts.HandshakeTimeout)
	_ = conn.SetDeadline(deadline)
	secure := tls.Server(conn, f.opts.TLS)
	if err := secure.HandshakeContext(f.ctx); err != nil {
		f.refuse(conn, err)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	conn.describe(secure.ConnectionState())
	f.opts.Metrics.handshakeDone(conn, time.Since(start))
	if conn.ALPN == "h2" {
		f.queue2.put(secure, conn)
		return
	}
	f.queue1.put(&http1Conn{Guard: httpwire.NewGuard(secure, f.opts.Metrics.countRefused), raw: conn}, conn)
}

// refuse ends a connection whose handshake failed. A client that speaks plain HTTP is told so in its language.
func (f *Frontend) refuse(conn *Conn, err error) {
	reason := handshakeFailure(err)
	f.opts.Metrics.handshakes.WithLabelValues(reason).Inc()
	f.opts.Log.Debug("handshake failed", "client", conn.ClientIP, "reason", reason, "error", err)
	if reason == "plain_http" {
		io.WriteString(conn.Conn, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
			"This port speaks HTTPS: use https:// in the URL.\n")
		conn.Linger() // the rest of its request has not been read
		conn.Close()
		return
	}
	conn.Conn.Close()
}

// handshakeFailure sorts a handshake error into one of the values of the metric's result label.
func handshakeFailure(err error) string {
	text := err.Error()
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		switch string(header.RecordHeader[:]) {
		case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
			return "plain_http"
		}
		return "not_tls"
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok || strings.Contains(text, "remote error") {
		return "client_alert"
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), strings.Contains(text, "reset by peer"), strings.Contains(text, "broken pipe"):
		return "client_closed"
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "unsupported version"):
		return "unsupported_version"
	case strings.Contains(text, "cipher suite"):
		return "no_shared_cipher"
	case strings.Contains(text, "application protocol"):
		return "no_shared_protocol"
	case strings.Contains(text, "certificate"):
		return "certificate"
	}
	return "other"
}

// handshakeResults are all values of the result label, so that each series exists from the start.
var handshakeResults = []string{
	"ok", "plain_http", "not_tls", "client_alert", "timeout", "client_closed",
	"unsupported_version", "no_shared_cipher", "no_shared_protocol", "certificate", "other",
}

// queue is a net.Listener that is fed with connections, for http.Server.Serve.
type queue struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newQueue() *queue { return &queue{conns: make(chan net.Conn), closed: make(chan struct{})} }

// put hands conn over, or closes it where the server has stopped.
func (q *queue) put(conn net.Conn, inner *Conn) {
	inner.enter()
	select {
	case q.conns <- conn:
	case <-q.closed:
		conn.Close()
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	select {
	case <-q.closed:
	default:
		close(q.closed)
	}
	return nil
}

func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }
