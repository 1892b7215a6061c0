// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Conn is a client's connection below TLS, with what its handshake settled. Writes that make no progress for the
// idle timeout fail; a slow client that takes a little at a time is served for as long as it likes.
type Conn struct {
	net.Conn
	front *Frontend

	ClientIP   string     // "" for a unix socket
	ClientAddr netip.Addr // the same; not valid for a unix socket
	Version    string     // "TLS 1.3"
	Curve      string     // "X25519MLKEM768"
	ALPN       string     // "h2", "http/1.1" or ""
	ServerName string     // SNI
	Resumed    bool

	cork     cork
	armed    atomic.Int64 // UnixNano of when Write last set the deadline; 0: not since it was cleared
	explicit atomic.Bool  // a layer above has set a deadline of its own
	entered  bool
	asked    atomic.Bool // HTTP/1.1: it has brought a request
	left     atomic.Bool
	linger   atomic.Bool
	closed   atomic.Bool
}

func newConn(raw net.Conn, f *Frontend) *Conn {
	c := &Conn{Conn: raw, front: f}
	if addr, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		c.ClientAddr = addr.AddrPort().Addr().Unmap().WithZone("")
		c.ClientIP = c.ClientAddr.String()
	}
	return c
}

func (c *Conn) describe(state tls.ConnectionState) {
	c.Version = tls.VersionName(state.Version)
	if state.CurveID != 0 {
		c.Curve = state.CurveID.String()
	}
	c.ALPN, c.ServerName, c.Resumed = state.NegotiatedProtocol, state.ServerName, state.DidResume
}

type connKey struct{}

// ConnOf returns the connection that a request came on. It panics for a request that came another way.
func ConnOf(ctx context.Context) *Conn { return ctx.Value(connKey{}).(*Conn) }

// withConn puts the Conn below c's layers into the context of its requests.
func withConn(ctx context.Context, c net.Conn) context.Context {
	for {
		switch layer := c.(type) {
		case *Conn:
			return context.WithValue(ctx, connKey{}, layer)
		case interface{ NetConn() net.Conn }:
			c = layer.NetConn()
		default:
			return ctx
		}
	}
}

// Write writes p, or keeps it for the end of the large write that it is a part of.
func (c *Conn) Write(p []byte) (int, error) {
	c.cork.mu.Lock()
	defer c.cork.mu.Unlock()
	if c.cork.add(p) {
		return len(p), nil
	}
	if err := c.flushCork(); err != nil {
		return 0, err
	}
	return c.send(p)
}

// send writes all of p to the socket, with a deadline that moves on whenever the client takes some of it.
func (c *Conn) send(p []byte) (int, error) {
	idle := c.front.opts.IdleTimeout
	for sent := 0; ; {
		if !c.explicit.Load() {
			// A quarter of the timeout is the slack that saves setting a timer for every write.
			if now := time.Now(); now.UnixNano()-c.armed.Load() > int64(idle/4) {
				c.Conn.SetWriteDeadline(now.Add(idle))
				c.armed.Store(now.UnixNano())
			}
		}
		n, err := c.Conn.Write(p[sent:])
		sent += n
		if err == nil || c.explicit.Load() || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
		if n == 0 {
			c.Reset() // what waits in the socket is not taken either, and TLS must not wait to say goodbye
			return sent, err
		}
		c.armed.Store(0)
	}
}

// SetWriteDeadline lets a layer above end a write. Clearing a deadline means the rule of Write again.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		if c.explicit.Swap(false) {
			c.armed.Store(0)
		}
		return nil
	}
	c.explicit.Store(true)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *Conn) enter() {
	c.entered = true
	c.front.enter(c)
}

// TakenOver tells the frontend that an upgrade owns the connection from now on: Drain no longer waits for it.
func (c *Conn) TakenOver() {
	if c.entered && c.left.CompareAndSwap(false, true) {
		c.front.leave(c)
	}
}

// Linger makes Close wait for the client to read what was sent, since its own bytes are still arriving: closing a
// socket with unread bytes resets it, and the reset would overtake the response (RFC 9112, section 9.6).
func (c *Conn) Linger() { c.linger.Store(true) }

// lingerTime and lingerBytes bound what Close does after Linger.
const (
	lingerTime  = time.Second
	lingerBytes = 8 << 20
)

// Close closes the connection.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.TakenOver()
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || !c.linger.Load() || half.CloseWrite() != nil {
		return c.Conn.Close()
	}
	c.front.servers.Go(func() {
		defer c.Conn.Close()
		c.Conn.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
	})
	return nil
}

// Reset ends the connection so that nobody takes the end for a proper one.
func (c *Conn) Reset() {
	if tcp, ok := c.Conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	c.Conn.Close()
}

// CloseWrite sends the end of the stream.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
