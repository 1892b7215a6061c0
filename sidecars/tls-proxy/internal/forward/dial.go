// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger/outrigger/internal/address"
)

// maxWaiting bounds the requests that wait for an application that refuses connections.
const maxWaiting = 4096

// probeInterval is how often one of the waiting tries again, for all of them.
const probeInterval = 25 * time.Millisecond

var errHoldFull = errors.New("too many requests wait for the application")

// dialer connects to the application. While it refuses, because it restarts, requests wait instead of failing.
type dialer struct {
	target  address.Target
	timeout time.Duration
	hold    time.Duration
	metrics *Metrics

	waiting atomic.Int64
	stopped chan struct{}
	probes  sync.WaitGroup

	mu   sync.Mutex
	back chan struct{} // closed when the application accepts again; nil while nobody waits
	over bool          // stopped is closed, or about to be
}

func newDialer(o Options) *dialer {
	return &dialer{target: o.Target, timeout: o.ConnectTimeout, hold: o.Hold, metrics: o.Metrics, stopped: make(chan struct{})}
}

// dial connects, and waits up to the hold where the application refuses.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	conn, err := d.attempt(ctx)
	if err == nil || d.hold <= 0 || !refused(err) {
		return conn, err
	}
	if d.waiting.Add(1) > maxWaiting {
		d.waiting.Add(-1)
		return nil, errHoldFull
	}
	defer d.waiting.Add(-1)
	conn, err = d.await(ctx, err)
	d.metrics.held(err)
	return conn, err
}

func (d *dialer) attempt(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.target.Dial(ctx)
	d.metrics.dialled(err)
	return conn, err
}

// await waits for the application and connects. refusal is the error to return where it does not come back.
func (d *dialer) await(ctx context.Context, refusal error) (net.Conn, error) {
	deadline := time.NewTimer(d.hold)
	defer deadline.Stop()
	for {
		select {
		case <-d.comeback():
			conn, err := d.attempt(ctx)
			if err == nil || !refused(err) {
				return conn, err
			}
		case <-deadline.C:
			return nil, refusal
		case <-d.stopped:
			return nil, refusal
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// comeback returns a channel that closes when the application accepts connections again. One goroutine probes for
// all who wait, and ends when the application is back or nobody waits any more.
func (d *dialer) comeback() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.back == nil && !d.over {
		back := make(chan struct{})
		d.back = back
		d.probes.Go(func() { d.probe(back) })
	}
	return d.back
}

func (d *dialer) probe(back chan struct{}) {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for d.waiting.Load() > 0 {
		select {
		case <-ticker.C:
		case <-d.stopped:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), d.timeout)
		conn, err := d.target.Dial(ctx)
		cancel()
		if err == nil {
			conn.Close()
		}
		if err == nil || !refused(err) {
			break
		}
	}
	d.mu.Lock()
	d.back = nil
	d.mu.Unlock()
	close(back)
}

// stop lets nobody wait any longer.
func (d *dialer) stop() {
	d.mu.Lock()
	if !d.over {
		d.over = true
		close(d.stopped)
	}
	d.mu.Unlock()
	d.probes.Wait()
}
