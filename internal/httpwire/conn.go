// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
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
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// conn is one connection to the server, with the response that is being read from it.
type conn struct {
	nc     net.Conn
	client *Client

	buf   []byte // small, or large's bytes while a long body is read
	r, w  int    // buf[r:w] was received and is not consumed
	large *[largeBuffer]byte

	reused    bool // it has served a request before
	wrote     bool // a byte of this request may have left
	received  bool // a byte of this response has come
	idleSince time.Time
	idleFor   time.Duration

	resp   Response
	sender *sender // the goroutine that streams the request body; nil where there is none
	closed atomic.Bool

	timeoutMu sync.Mutex // orders the sender's start of the response timeout against its end
	answered  bool       // the final head has come
}

func (cn *conn) reset(reused bool) {
	cn.reused, cn.wrote, cn.received = reused, false, false
	cn.r, cn.w = 0, 0
	cn.resp = Response{conn: cn}
	cn.sender, cn.answered = nil, false
}

// abandon closes the connection for good. It may be called more than once and from any goroutine.
func (cn *conn) abandon() {
	if cn.closed.CompareAndSwap(false, true) {
		cn.client.pool.opened.Add(-1)
		cn.nc.Close()
	}
}

// alive reports whether an idle connection is still usable: neither closed by the server nor holding bytes that
// nobody asked for (RFC 9112, section 9.5: such bytes must not be taken for the next response).
func (cn *conn) alive() bool {
	if cn.idleFor < probeAfter {
		return true
	}
	sc, ok := cn.nc.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	var one [1]byte
	err = raw.Read(func(fd uintptr) bool {
		_, _, errno := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errno == syscall.EAGAIN
		return true
	})
	return err == nil && quiet
}

// roundTrip sends the request and reads the response head.
func (cn *conn) roundTrip(ctx context.Context, req *Request) (*Response, error) {
	resp := &cn.resp
	if ctx.Done() != nil {
		resp.stopAbort = context.AfterFunc(ctx, cn.abandon)
	}
	n, err := cn.nc.Write(req.Wire)
	cn.wrote = n > 0
	if err != nil {
		return nil, cn.fail(err)
	}
	if req.Body != nil {
		cn.sender = newSender(cn, req)
		if !req.ExpectContinue {
			cn.sender.start()
		}
	}
	if req.Body == nil {
		cn.armResponseTimeout()
	}
	if err := cn.readFinalHead(req); err != nil {
		return nil, cn.fail(err)
	}
	cn.disarmResponseTimeout()
	return resp, nil
}

// armResponseTimeout starts the wait for the response once the request has been sent whole.
func (cn *conn) armResponseTimeout() {
	if d := cn.client.ResponseTimeout; d > 0 {
		cn.timeoutMu.Lock()
		defer cn.timeoutMu.Unlock()
		if !cn.answered {
			cn.nc.SetReadDeadline(time.Now().Add(d))
		}
	}
}

// disarmResponseTimeout ends the wait for good: a body may take as long as it likes.
func (cn *conn) disarmResponseTimeout() {
	if cn.client.ResponseTimeout > 0 {
		cn.timeoutMu.Lock()
		defer cn.timeoutMu.Unlock()
		cn.answered = true
		cn.nc.SetReadDeadline(time.Time{})
	}
}

// fail ends the exchange after err and returns the error that explains it best: what went wrong with the
// request's body comes before what the connection says of it.
func (cn *conn) fail(err error) error {
	if cn.resp.stopAbort != nil {
		cn.resp.stopAbort()
	}
	cn.abandon()
	if cn.sender != nil {
		own := cn.sender.ended() // before stop, which makes a body's reader fail
		cn.sender.stop()
		if bodyErr := cn.sender.bodyError(); own && bodyErr != nil {
			return bodyErr
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrResponseTimeout
	}
	return err
}

// readFinalHead reads response heads until one is final, or 101.
func (cn *conn) readFinalHead(req *Request) error {
	if req.ExpectContinue && req.Body != nil {
		if err := cn.awaitContinue(); err != nil {
			return err
		}
	}
	for {
		status, err := cn.readHead(req)
		if err != nil || status >= 200 || status == 101 {
			return err
		}
		if status == 100 && cn.sender != nil {
			cn.sender.start()
		}
	}
}

// awaitContinue waits for the first byte of an answer to "Expect: 100-continue" and starts the body where the
// server stays silent.
func (cn *conn) awaitContinue() error {
	cn.nc.SetReadDeadline(time.Now().Add(expectTimeout))
	err := cn.fill()
	if cn.closed.Load() {
		return net.ErrClosed
	}
	cn.nc.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		cn.sender.start()
		return nil
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
		cn.received = true
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// grow lends the connection a large buffer for the rest of a long body.
func (cn *conn) grow() {
	if cn.large != nil {
		return
	}
	large := largeBuffers.Get().(*[largeBuffer]byte)
	cn.w = copy(large[:], cn.buf[cn.r:cn.w])
	cn.r = 0
	cn.large, cn.buf = large, large[:]
}

// shrink gives the large buffer back.
func (cn *conn) shrink() {
	if cn.large != nil {
		largeBuffers.Put(cn.large)
		cn.large, cn.buf = nil, make([]byte, smallBuffer)
		cn.r, cn.w = 0, 0
	}
}
