// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// RawConn is a client's connection that sends exactly the bytes it is given and
// returns exactly those that come: for requests that no HTTP library would send.
//
//	c := testkit.DialRawTLS(t, addr, ca.ClientConfig("localhost"))
//	c.Send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
//	r := c.ReadResponse("POST")
type RawConn struct {
	// Conn is the connection: the TLS one for DialRawTLS.
	Conn net.Conn

	plain net.Conn
	r     *bufio.Reader
	t     testing.TB
}

// DialRaw connects to HOST:PORT or unix:PATH without TLS.
func DialRaw(t testing.TB, addr string) *RawConn {
	t.Helper()
	network, address := splitAddr(addr)
	conn, err := net.DialTimeout(network, address, Patience)
	if err != nil {
		t.Fatalf("cannot connect to %s: %v", addr, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &RawConn{Conn: conn, plain: conn, r: bufio.NewReader(conn), t: t}
	c.renewDeadline()
	return c
}

// DialRawTLS connects to HOST:PORT or unix:PATH and shakes hands. Without NextProtos
// in config the client offers no protocol by ALPN and speaks HTTP/1.1.
func DialRawTLS(t testing.TB, addr string, config *tls.Config) *RawConn {
	t.Helper()
	c := DialRaw(t, addr)
	conn := tls.Client(c.plain, config)
	if err := conn.Handshake(); err != nil {
		t.Fatalf("cannot shake hands with %s: %v", addr, err)
	}
	c.Conn, c.r = conn, bufio.NewReader(conn)
	return c
}

// State is the TLS state: version, curve, protocol, certificates.
func (c *RawConn) State() tls.ConnectionState {
	c.t.Helper()
	conn, ok := c.Conn.(*tls.Conn)
	if !ok {
		c.t.Fatalf("cannot tell the TLS state of a plain connection")
	}
	return conn.ConnectionState()
}

// Send writes the bytes at once.
func (c *RawConn) Send(raw string) {
	c.t.Helper()
	if err := c.TrySend(raw); err != nil {
		c.t.Fatalf("cannot send %d bytes: %v", len(raw), err)
	}
}

// TrySend is [RawConn.Send] for a peer that may have closed already.
func (c *RawConn) TrySend(raw string) error {
	c.renewDeadline()
	_, err := io.WriteString(c.Conn, raw)
	return err
}

// SendSlowly writes piece bytes at a time, each every apart.
func (c *RawConn) SendSlowly(raw string, piece int, every time.Duration) {
	c.t.Helper()
	for len(raw) > 0 {
		n := min(piece, len(raw))
		c.Send(raw[:n])
		raw = raw[n:]
		time.Sleep(every)
	}
}

// ReadUntil returns the bytes up to and including end.
func (c *RawConn) ReadUntil(end string) string {
	c.t.Helper()
	c.renewDeadline()
	var b strings.Builder
	for !strings.HasSuffix(b.String(), end) {
		next, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("cannot read until %q: %v after %q", end, err, b.String())
		}
		b.WriteByte(next)
	}
	return b.String()
}

// ReadN returns the next n bytes.
func (c *RawConn) ReadN(n int) string {
	c.t.Helper()
	c.renewDeadline()
	buf := make([]byte, n)
	if got, err := io.ReadFull(c.r, buf); err != nil {
		c.t.Fatalf("cannot read %d bytes: %v after %q", n, err, buf[:got])
	}
	return string(buf)
}

// ReadAll returns everything until the peer closes; err is nil for a proper end
// (close_notify under TLS) and says otherwise how it ended, such as ECONNRESET.
func (c *RawConn) ReadAll() (raw string, err error) {
	c.t.Helper()
	c.renewDeadline()
	data, err := io.ReadAll(c.r)
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		c.t.Fatalf("gave up waiting for the peer to close after %s; it sent %q", Patience, data)
	}
	return string(data), err
}

// ReadResponse reads one response of HTTP/1.1, framed as RFC 9112, section 6.3 says
// for the method of its request. Interim ones (1xx) are responses of their own.
func (c *RawConn) ReadResponse(method string) RawResponse {
	c.t.Helper()
	c.renewDeadline()
	head, err := readHead(c.r)
	if err != nil {
		c.t.Fatalf("cannot read a response: %v after %q", err, head)
	}
	resp := RawResponse{rawMessage: rawMessage{Head: head}}
	resp.Body, resp.Err = resp.readBody(c.r, method)
	return resp
}

// CloseWrite ends what the client sends (close_notify under TLS) and goes on reading.
func (c *RawConn) CloseWrite() { closeWrite(c.Conn) }

// Reset ends the connection with RST.
func (c *RawConn) Reset() {
	if tcp, ok := c.plain.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.plain.Close()
}

// Close ends the connection; the end of the test calls it too.
func (c *RawConn) Close() { _ = c.Conn.Close() }

func (c *RawConn) renewDeadline() { _ = c.Conn.SetDeadline(time.Now().Add(Patience)) }
