// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// DefaultMaxHeaderBytes bounds a response head and a trailer section where Client.MaxHeaderBytes is 0.
const DefaultMaxHeaderBytes = 256 << 10

// Client sends HTTP/1.1 requests to one server over a pool of connections. Set the fields before first use.
type Client struct {
	// Dial opens a connection to the server.
	Dial func(context.Context) (net.Conn, error)
	// MaxIdle is how many idle connections are kept; 0 keeps none.
	MaxIdle int
	// IdleTimeout is how long an idle connection is kept; 0 means as long as the server keeps it.
	IdleTimeout time.Duration
	// ResponseTimeout bounds the wait for a final response head after the request was sent; 0 means no bound.
	ResponseTimeout time.Duration
	// SendTimeout bounds how long the server may take nothing of a request, until it has answered; 0 means no bound.
	SendTimeout time.Duration
	// MaxHeaderBytes bounds a response head; 0 means DefaultMaxHeaderBytes.
	MaxHeaderBytes int

	pool pool
}

// Request is one request to send.
type Request struct {
	// Method decides how the response is framed (a response to HEAD has no body).
	Method string
	// Wire holds the request head through its blank line and, where Body is nil, the whole body behind it.
	// It is sent as it stands.
	Wire []byte
	// Body is streamed after Wire; nil for none. StopBody is called to unblock a Read of Body that is no longer
	// wanted, because the server answered and closed before it took all of it.
	Body     io.Reader
	StopBody func()
	// Length is the number of bytes of Body, or -1 for the chunked coding, which Wire must then announce.
	Length int64
	// Trailer is asked for the trailer fields of a chunked body once Body has ended; nil for none.
	Trailer func() http.Header
	// ExpectContinue holds Body back until the server asks for it, answers, or is silent for a second.
	ExpectContinue bool
	// Idempotent allows the request to be sent again, once and on another connection, where its connection died
	// before the first byte of a response (RFC 9110, section 9.2.2). A body that has been read from is not sent again.
	Idempotent bool
	// Informational is called for each 1xx response but 101; nil ignores them.
	Informational func(status int, header http.Header) error
	// Header receives the response's header fields, keys canonical.
	Header http.Header
}

// DialError says that no connection could be had, so the server has seen nothing of the request.
type DialError struct{ Err error }

func (e *DialError) Error() string { return fmt.Sprintf("cannot connect: %v", e.Err) }
func (e *DialError) Unwrap() error { return e.Err }

// RequestBodyError says that Request.Body could not be read to its end: the sender's fault, not the server's.
type RequestBodyError struct{ Err error }

func (e *RequestBodyError) Error() string {
	return fmt.Sprintf("cannot read the request body: %v", e.Err)
}
func (e *RequestBodyError) Unwrap() error { return e.Err }

// ErrResponseTimeout says that the server sent no final response head within Client.ResponseTimeout, or took nothing
// of the request for Client.SendTimeout.
var ErrResponseTimeout = errors.New("no response in time")

// Do sends the request and returns its final response (or 101). The caller must Close the response.
func (c *Client) Do(ctx context.Context, req *Request) (*Response, error) {
	for again := false; ; again = true {
		cn, err := c.connection(ctx, req, again)
		if err != nil {
			return nil, err
		}
		resp, err := cn.roundTrip(ctx, req)
		if err == nil {
			return resp, nil
		}
		cn.abandon()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if cn.reused && !cn.received && isDeath(err) {
			c.pool.foundDead()
		}
		if again || !cn.mayRepeat(req, err) || (cn.wrote || !cn.reused) && !pause(ctx, beforeRepeat) {
			return nil, err
		}
	}
}

// beforeRepeat is how long a server whose connection ended under a request is left alone. One that was killed loses its
// connections a moment before its listener: whoever connects at once is reset as well, instead of refused.
const beforeRepeat = 25 * time.Millisecond

// pause lets time pass; false when ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// mayRepeat reports whether a failed request may be sent again: the connection ended without a byte of a response, and
// the server may see the request twice, or has seen nothing of it on a kept connection that turned out to be dead. A
// server that is killed ends new connections and kept ones alike.
func (cn *conn) mayRepeat(req *Request, err error) bool {
	bodyTouched := cn.sender != nil && cn.sender.done != nil
	return !cn.received && !bodyTouched && err != ErrResponseTimeout && (req.Idempotent || cn.reused && !cn.wrote)
}

// isDeath reports whether err says that the server has closed the connection.
func isDeath(err error) bool {
	return err == io.EOF || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// connection takes the most recently used idle connection or dials; fresh skips the idle ones, since where one
// was dead the rest are likely to be as well.
func (c *Client) connection(ctx context.Context, req *Request, fresh bool) (*conn, error) {
	for !fresh {
		cn := c.pool.take(c.IdleTimeout)
		if cn == nil {
			break
		}
		if cn.alive(req.Idempotent && req.Body == nil) {
			cn.reset(true)
			return cn, nil
		}
		cn.abandon()
	}
	nc, err := c.Dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &DialError{err}
	}
	c.pool.opened.Add(1)
	cn := newConn(nc, c)
	cn.reset(false)
	return cn, nil
}

// Open is the number of connections to the server, idle or in use.
func (c *Client) Open() int { return int(c.pool.opened.Load()) }

// Idle is the number of idle connections.
func (c *Client) Idle() int { return c.pool.len() }

// CloseIdle closes every idle connection.
func (c *Client) CloseIdle() { c.pool.closeIdle() }

func (c *Client) maxHeaderBytes() int {
	if c.MaxHeaderBytes > 0 {
		return c.MaxHeaderBytes
	}
	return DefaultMaxHeaderBytes
}
