// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	smallBuffer = 8 << 10  // holds the head and body of most responses: one read each
	largeBuffer = 64 << 10 // for bodies that do not fit: four TLS records to a read
	// probeAfter is how long a connection may have been idle and still be trusted unseen: a server closes what
	// is idle for seconds, and looking costs a system call.
	probeAfter = 5 * time.Millisecond
	// waryFor is how long no connection is trusted unseen after one of them was found dead: the server may be of
	// those that close after each response and do not say so.
	waryFor = time.Minute
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// conn is one connection to the server, with the response that is being read from it.
type conn struct {
	nc     net.Conn
	client *Client
	abort  func()  // abandon, made once
	socket *socket // to look at it while it is idle; nil where nc is none
	small  []byte  // its own buffer, for as long as it lives
	buf    []byte  // small, or what a long head or body has been lent
	r, w   int     // buf[r:w] was received and is not consumed
	full   bool    // the last read filled buf, so that the socket may hold more
	large  *[largeBuffer]byte

	reused    bool // it has served a request before
	wrote     bool // a byte of this request may have left
	received  bool // a byte of this response has come
	idleSince time.Time
	idleFor   time.Duration

	resp   Response
	sender *sender // the goroutine that streams the request body; nil where there is none
	closed atomic.Bool

	deadlines deadlines
}

func newConn(nc net.Conn, client *Client) *conn {
	cn := &conn{nc: nc, client: client, small: make([]byte, smallBuffer)}
	cn.buf = cn.small
	cn.abort = cn.abandon
	cn.socket = socketOf(nc)
	return cn
}

func (cn *conn) reset(reused bool) {
	cn.reused, cn.wrote, cn.received = reused, false, false
	cn.r, cn.w, cn.full = 0, 0, false
	cn.resp = Response{conn: cn}
	cn.sender = nil
	cn.deadlines.reset()
}

// abandon closes the connection for good. It may be called more than once and from any goroutine.
func (cn *conn) abandon() {
	if cn.closed.CompareAndSwap(false, true) {
		cn.client.pool.opened.Add(-1)
		cn.nc.Close()
	}
}

// alive reports whether an idle connection is still usable: neither closed by the server nor holding bytes that
// nobody asked for (RFC 9112, section 9.5: such bytes must not be taken for the next response). The connection of
// a request that can be repeated is trusted where it was idle for a moment only and its last read left nothing
// behind; one that cannot be repeated is worth a look at any time.
func (cn *conn) alive(repeatable bool) bool {
	if cn.socket == nil || repeatable && cn.idleFor < probeAfter && !cn.full && !cn.client.pool.wary() {
		return true
	}
	return cn.socket.quiet()
}

// socket looks at a connection without reading from it.
type socket struct {
	raw  syscall.RawConn
	look func(fd uintptr) bool
	one  [1]byte
	err  error
}

func socketOf(nc net.Conn) *socket {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.look = func(fd uintptr) bool {
		_, _, s.err = syscall.Recvfrom(int(fd), s.one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	}
	return s
}

// quiet reports whether the connection is open and nothing has come.
func (s *socket) quiet() bool {
	return s.raw.Read(s.look) == nil && s.err == syscall.EAGAIN
}

// roundTrip sends the request and reads the response head.
func (cn *conn) roundTrip(ctx context.Context, req *Request) (*Response, error) {
	resp := &cn.resp
	if ctx.Done() != nil {
		resp.stopAbort = context.AfterFunc(ctx, cn.abort)
	}
	if len(req.Wire) > smallBuffer {
		cn.hurrySending() // what is smaller fits into any socket
	}
	n, err := cn.nc.Write(req.Wire)
	cn.wrote = n > 0
	if err != nil {
		return nil, cn.fail(err)
	}
	switch {
	case req.Body == nil:
		cn.awaitResponse()
	case req.ExpectContinue:
		cn.sender = newSender(cn, req)
		cn.awaitContinue()
	default:
		cn.sender = newSender(cn, req)
		cn.sender.start()
	}
	if err := cn.readFinalHead(req); err != nil {
		return nil, cn.fail(err)
	}
	cn.answered()
	return resp, nil
}

// readFinalHead reads response heads until one is final, or 101.
func (cn *conn) readFinalHead(req *Request) error {
	for {
		status, err := cn.readHead(req)
		switch {
		case err != nil && cn.deadlines.expecting && isTimeout(err):
			cn.endExpectation() // the server is silent, or its first response was informational
		case err != nil:
			return err
		case status >= 200 || status == 101:
			return nil
		case status == 100 && cn.deadlines.expecting:
			cn.endExpectation()
		}
	}
}

// endExpectation starts the body that was held back.
func (cn *conn) endExpectation() {
	cn.continued()
	cn.sender.start()
}

// fail ends the exchange after err and returns the error that explains it best: what went wrong with the
// request's body comes before what the connection says of it.
func (cn *conn) fail(err error) error {
	if cn.resp.stopAbort != nil {
		cn.resp.stopAbort()
	}
	cn.abandon()
	if cn.sender != nil {
		cause := cn.sender.cause() // before stop, which makes a body's reader fail
		cn.sender.stop()
		if cause != nil {
			return cause
		}
	}
	if isTimeout(err) {
		return ErrResponseTimeout
	}
	return err
}

// fill receives more bytes behind buf[r:w].
func (cn *conn) fill() error {
	if cn.r == cn.w {
		cn.r, cn.w = 0, 0
	} else if cn.w == len(cn.buf) && cn.r > 0 {
		cn.w = copy(cn.buf, cn.buf[cn.r:cn.w])
		cn.r = 0
	}
	n, err := cn.nc.Read(cn.buf[cn.w:])
	if n > 0 {
		cn.w += n
		cn.full = cn.w == len(cn.buf)
		cn.received = true
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// consume takes up to limit received bytes out of the buffer.
func (cn *conn) consume(limit int64) []byte {
	n := int(min(int64(cn.w-cn.r), limit))
	part := cn.buf[cn.r : cn.r+n]
	cn.r += n
	return part
}

// grow lends the connection a large buffer for the rest of a long body.
func (cn *conn) grow() {
	if cn.large != nil {
		return
	}
	cn.large = largeBuffers.Get().(*[largeBuffer]byte)
	cn.move(cn.large[:])
}

// enlarge replaces a buffer that a head fills by one of at least twice the size, until the response ends.
func (cn *conn) enlarge() {
	if cn.large == nil {
		cn.grow()
		return
	}
	cn.move(make([]byte, 2*len(cn.buf)))
}

// move goes on in another buffer.
func (cn *conn) move(buf []byte) {
	cn.w = copy(buf, cn.buf[cn.r:cn.w])
	cn.r = 0
	cn.buf = buf
}

// shrink goes back to the connection's own buffer. What is in the other is lost.
func (cn *conn) shrink() {
	if cn.large != nil {
		largeBuffers.Put(cn.large)
		cn.large, cn.buf = nil, cn.small
		cn.r, cn.w = 0, 0
	}
}
