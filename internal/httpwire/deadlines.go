// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"errors"
	"os"
	"sync"
	"time"
)

// expectTimeout is how long a server that was sent "Expect: 100-continue" may hold its answer back before the body
// is sent all the same: old servers ignore the header and wait for the body (RFC 9110, section 10.1.1).
const expectTimeout = time.Second

// deadlines bound the waits of one exchange. They end with the response's head: a body may take as long as it
// likes.
type deadlines struct {
	expecting bool // the request body waits for 100 Continue; of the goroutine that reads

	mu       sync.Mutex // orders what the sender starts against the end of it all
	answered bool       // the final head has come
	sending  time.Time  // when the deadline of a write was last set; zero: there is none
}

func (d *deadlines) reset() { d.expecting, d.answered, d.sending = false, false, time.Time{} }

// awaitResponse bounds the wait for the response from now on, since the request has been sent.
func (cn *conn) awaitResponse() {
	if cn.client.ResponseTimeout <= 0 {
		return
	}
	cn.deadlines.mu.Lock()
	defer cn.deadlines.mu.Unlock()
	if !cn.deadlines.answered {
		cn.nc.SetReadDeadline(time.Now().Add(cn.client.ResponseTimeout))
	}
}

// awaitContinue bounds the wait for leave to send the body. The sender is not running.
func (cn *conn) awaitContinue() {
	cn.deadlines.expecting = true
	cn.nc.SetReadDeadline(time.Now().Add(expectTimeout))
}

// continued ends that wait.
func (cn *conn) continued() {
	cn.deadlines.expecting = false
	cn.nc.SetReadDeadline(time.Time{})
}

// hurrySending bounds the next write. A quarter of the time is the slack that saves setting a timer for every one.
func (cn *conn) hurrySending() {
	limit := cn.client.SendTimeout
	if limit <= 0 {
		return
	}
	cn.deadlines.mu.Lock()
	defer cn.deadlines.mu.Unlock()
	if now := time.Now(); !cn.deadlines.answered && now.Sub(cn.deadlines.sending) > limit/4 {
		cn.nc.SetWriteDeadline(now.Add(limit))
		cn.deadlines.sending = now
	}
}

// answered ends all waits.
func (cn *conn) answered() {
	if cn.deadlines.expecting {
		cn.continued()
	}
	if cn.client.ResponseTimeout <= 0 && cn.client.SendTimeout <= 0 {
		return
	}
	cn.deadlines.mu.Lock()
	defer cn.deadlines.mu.Unlock()
	cn.deadlines.answered = true
	if cn.client.ResponseTimeout > 0 {
		cn.nc.SetReadDeadline(time.Time{})
	}
	if !cn.deadlines.sending.IsZero() {
		cn.nc.SetWriteDeadline(time.Time{})
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
