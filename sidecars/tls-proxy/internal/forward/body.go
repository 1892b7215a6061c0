// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// requestBody reads a client's body under a deadline that moves on with each byte, as long as the client is the
// one who is waited for: once the application has begun to answer, a quiet stream is a conversation.
type requestBody struct {
	x       *exchange
	control *http.ResponseController
	idle    time.Duration

	mu    sync.Mutex
	armed time.Time
	state bodyState
}

type bodyState uint8

const (
	awaited   bodyState = iota // the client owes the rest
	unhurried                  // read to its end, or the application has begun to answer
	stopped                    // nobody wants the rest
)

func (x *exchange) requestBody() *requestBody {
	x.body = &requestBody{x: x, control: http.NewResponseController(x.w), idle: x.h.opts.IdleTimeout}
	return x.body
}

// Read reads from the client.
func (b *requestBody) Read(p []byte) (int, error) {
	if !b.arm() {
		return 0, errStopped
	}
	n, err := b.x.r.Body.Read(p)
	b.x.received += int64(n)
	if err == io.EOF {
		b.unhurry()
	}
	return n, err
}

// arm moves the deadline on; a quarter of the timeout is the slack that saves setting a timer for every read.
func (b *requestBody) arm() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := time.Now(); b.state == awaited && now.Sub(b.armed) > b.idle/4 {
		_ = b.control.SetReadDeadline(now.Add(b.idle))
		b.armed = now
	}
	return b.state != stopped
}

// unhurry takes the deadline away.
func (b *requestBody) unhurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == awaited {
		b.state = unhurried
		_ = b.control.SetReadDeadline(time.Time{})
	}
}

// stop makes a Read that waits for the client return, now and for good.
func (b *requestBody) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state = stopped
	_ = b.control.SetReadDeadline(time.Unix(1, 0))
}

// isTimeout reports whether the client was too slow.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
