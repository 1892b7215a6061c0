// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net"
	"sync"
	"sync/atomic"
)

// tunnel is an upgraded connection. Of a WebSocket it knows where frames end, so that it can say goodbye between
// two of them.
type tunnel struct {
	client, app net.Conn
	websocket   bool
	ending      atomic.Bool
}

// newTunnel joins client and app; the bytes of each that were received already come first.
func newTunnel(client, app net.Conn, fromClient, fromApp []byte, websocket bool) *tunnel {
	t := &tunnel{websocket: websocket}
	t.client = &prefixed{Conn: client, prefix: append([]byte(nil), fromClient...)}
	t.app = &prefixed{Conn: app, prefix: fromApp}
	if websocket {
		t.client = &frameWriter{Conn: t.client}
		t.app = &frameWriter{Conn: t.app, masked: true}
	}
	return t
}

// goAway sends a WebSocket's two ends the close frame "going away"; other protocols have no such word.
func (t *tunnel) goAway(owner *sync.WaitGroup) {
	if !t.websocket || t.ending.Swap(true) {
		return
	}
	// In goroutines of their own: a peer that does not read must not hold up the goodbye to the others. Closing
	// the connections, which the drain's deadline does, ends them.
	owner.Go(t.client.(*frameWriter).goAway)
	owner.Go(t.app.(*frameWriter).goAway)
}

func (t *tunnel) drained() bool { return t.ending.Load() }

func (t *tunnel) close() {
	t.ending.Store(true)
	t.client.Close()
	t.app.Close()
}

// tunnels are the open ones. http.Server forgets connections that were taken over, so they have their own list.
type tunnels struct {
	metrics *Metrics

	goodbyes sync.WaitGroup

	mu     sync.Mutex
	all    map[*tunnel]struct{}
	away   bool
	closed bool
	empty  chan struct{} // closed and forgotten when the last one ends; nil while nobody waits
}

func (ts *tunnels) add(t *tunnel) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.all == nil {
		ts.all = make(map[*tunnel]struct{})
	}
	ts.all[t] = struct{}{}
	ts.metrics.tunnels.Set(float64(len(ts.all)))
	switch {
	case ts.closed:
		t.close()
	case ts.away:
		t.goAway(&ts.goodbyes)
	}
}

func (ts *tunnels) remove(t *tunnel) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.all, t)
	ts.metrics.tunnels.Set(float64(len(ts.all)))
	if len(ts.all) == 0 && ts.empty != nil {
		close(ts.empty)
		ts.empty = nil
	}
}

func (ts *tunnels) goAway() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.away = true
	if ts.closed {
		return
	}
	for t := range ts.all {
		t.goAway(&ts.goodbyes)
	}
}

func (ts *tunnels) closeAll() {
	ts.mu.Lock()
	ts.away, ts.closed = true, true
	for t := range ts.all {
		t.close()
	}
	ts.mu.Unlock()
	ts.goodbyes.Wait()
}

func (ts *tunnels) wait(done <-chan struct{}) {
	ts.mu.Lock()
	if len(ts.all) == 0 {
		ts.mu.Unlock()
		return
	}
	if ts.empty == nil {
		ts.empty = make(chan struct{})
	}
	empty := ts.empty
	ts.mu.Unlock()
	select {
	case <-empty:
	case <-done:
	}
}
