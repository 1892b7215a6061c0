// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"sync"
	"time"
)

// watchdog watches one call after another, each of which waits for the client, and ends a call that has waited for
// longer than idle. Time between calls does not count: that is when the application is waited for. (The deadlines
// of an HTTP/2 stream, which net/http has for this, end the stream whether anybody waits or not.)
//
// Once stop has returned, bite is not running and will not be called.
type watchdog struct {
	idle time.Duration
	bite func() // makes the call return

	mu      sync.Mutex
	timer   *time.Timer // nil while there is nothing to look at
	since   time.Time   // when the call began; zero between calls
	bitten  bool
	stopped bool
}

// enter says that a call begins.
func (d *watchdog) enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	d.since = time.Now()
	if d.timer == nil {
		d.timer = time.AfterFunc(d.idle, d.look)
	}
}

// leave says that it has returned, and reports whether it was the watchdog's doing.
func (d *watchdog) leave() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.since = time.Time{}
	return d.bitten
}

func (d *watchdog) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped || d.since.IsZero() {
		d.timer = nil // the next call sets a new one
		return
	}
	if left := d.idle - time.Since(d.since); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.bitten, d.stopped = true, true
	d.bite()
}

// stop ends the watch for good.
func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	if d.timer != nil {
		d.timer.Stop()
	}
}
