// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"io"
	"net"
	"net/http"
)

// Unknown as a Response.Length means that only the end of the body tells its length.
const Unknown = -1

// Response is a final response, or 101, whose body is read part by part with Next. It is part of the connection:
// neither it nor what Next returned may be used after Close, when the next request may have it.
type Response struct {
	Status int
	Minor  int         // 1 for HTTP/1.1, 0 for HTTP/1.0
	Header http.Header // the map of the request, filled
	// Length is the number of bytes of the body as announced by Content-Length, or Unknown. 0 where the
	// response has no body by its nature (HEAD, 204, 304), whatever Content-Length says.
	Length int64
	// Trailer holds the fields after a chunked body once Next has returned io.EOF; nil where there were none.
	Trailer http.Header

	conn      *conn
	framing   framing
	left      int64 // of the body, or of the current chunk
	keep      bool  // the server keeps the connection open
	whole     bool  // the body was read to its end
	stopAbort func() bool
}

type framing uint8

const (
	noBody framing = iota
	byLength
	chunked
	untilClose
)

// Next returns the next part of the body as it came from the server, valid until the following call. The error
// is io.EOF with or after the last part, io.ErrUnexpectedEOF where the server stopped in the middle, or what the
// connection said; a part may come with either.
func (r *Response) Next() ([]byte, error) {
	switch r.framing {
	case byLength:
		return r.nextByLength()
	case chunked:
		return r.nextChunked()
	case untilClose:
		return r.nextUntilClose()
	default:
		r.whole = true
		return nil, io.EOF
	}
}

// Buffered reports whether Next would return without waiting for the server.
func (r *Response) Buffered() bool {
	switch r.framing {
	case chunked:
		return r.chunkBuffered()
	case noBody:
		return true
	default:
		return r.conn.r < r.conn.w
	}
}

func (r *Response) nextByLength() ([]byte, error) {
	cn := r.conn
	if r.left == 0 {
		r.whole = true
		return nil, io.EOF
	}
	if cn.r == cn.w {
		if r.left > smallBuffer {
			cn.grow()
		}
		if err := cn.fill(); err != nil {
			return nil, noEOF(err)
		}
	}
	part := cn.consume(r.left)
	if r.left -= int64(len(part)); r.left == 0 {
		r.whole = true
		return part, io.EOF
	}
	return part, nil
}

func (r *Response) nextUntilClose() ([]byte, error) {
	cn := r.conn
	if cn.r == cn.w {
		if cn.w == len(cn.buf) {
			cn.grow() // the last read filled the small buffer, so more is likely to wait
		}
		if err := cn.fill(); err != nil {
			r.whole = err == io.EOF
			return nil, err
		}
	}
	return cn.consume(int64(cn.w - cn.r)), nil
}

// Close ends the exchange: the connection goes back to the pool where request and response are whole, else it
// is closed. It waits for the request body's reader to be done.
func (r *Response) Close() {
	cn := r.conn
	if cn == nil {
		return
	}
	r.conn = nil
	reusable := r.keep && r.whole && cn.r == cn.w && (cn.sender == nil || cn.sender.sent())
	if aborted := r.stopAbort != nil && !r.stopAbort(); aborted || !reusable {
		cn.abandon()
		if cn.sender != nil {
			cn.sender.stop()
		}
		cn.shrink()
		return
	}
	cn.shrink()
	cn.client.pool.put(cn, cn.client.MaxIdle, cn.client.IdleTimeout)
}

// RequestRead reports whether the request's body was read to its end. Where it was not, the connection that it
// comes from can carry no other request.
func (r *Response) RequestRead() bool {
	return r.conn.sender == nil || r.conn.sender.read.Load()
}

// Hijack hands over the connection of a 101 response, whose request had no Body, and what the server sent behind
// its head. The pool no longer knows it; the caller closes it.
func (r *Response) Hijack() (net.Conn, []byte) {
	cn := r.conn
	r.conn = nil
	if r.stopAbort != nil && !r.stopAbort() {
		cn.abandon()
	}
	early := bytes.Clone(cn.buf[cn.r:cn.w])
	cn.shrink()
	cn.buf, cn.small = nil, nil // a quiet tunnel holds no buffer
	return &hijacked{Conn: cn.nc, conn: cn}, early
}

// hijacked keeps the count of open connections right.
type hijacked struct {
	net.Conn
	conn *conn
}

func (h *hijacked) Close() error { h.conn.abandon(); return nil }

// CloseWrite half-closes, so that the server sees the end of the client's bytes and can still send its own.
func (h *hijacked) CloseWrite() error {
	if half, ok := h.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return h.Close()
}
