// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// requestBody reads a client's body and does not wait longer than the idle timeout for the next byte, as long as
// the client is the one who is waited for: once the application has begun to answer, a quiet stream is a
// conversation. A transport may still hold it when the exchange is over, so it keeps to itself.
type requestBody struct {
	body     io.Reader
	control  *http.ResponseController
	watch    watchdog
	received atomic.Int64
	ended    atomic.Bool // it was read to its end
	late     atomic.Bool // the client owed a byte for too long

	mu      sync.Mutex
	stopped bool // nobody wants the rest
}

func (x *exchange) requestBody() *requestBody {
	b := &requestBody{body: x.r.Body, control: http.NewResponseController(x.w)}
	b.watch.idle, b.watch.bite = x.h.opts.IdleTimeout, b.wake
	x.body = b
	return b
}

// Read reads from the client.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.unwanted() {
		return 0, errStopped
	}
	b.watch.enter()
	n, err := b.body.Read(p)
	if b.watch.leave() {
		b.late.Store(true)
	}
	b.received.Add(int64(n))
	if err == io.EOF {
		b.ended.Store(true)
	}
	return n, err
}

func (b *requestBody) unwanted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopped
}

// wake makes a Read that waits return, and all later ones.
func (b *requestBody) wake() { _ = b.control.SetReadDeadline(time.Unix(1, 0)) }

// unhurry lets the client take its time from now on.
func (b *requestBody) unhurry() { b.watch.stop() }

// stop makes a Read that waits for the client return, now and for good. The connection can carry no further
// request then, unless the body had ended before.
func (b *requestBody) stop() {
	b.watch.stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped && !b.ended.Load() {
		b.wake()
	}
	b.stopped = true
}

// isTimeout reports whether somebody was too slow.
func isTimeout(err error) bool {
	late, ok := errors.AsType[net.Error](err)
	return ok && late.Timeout()
}
