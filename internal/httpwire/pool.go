// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// pool keeps idle connections, the most recently used on top: under a falling load the others age and are
// closed, so that a server with one worker per connection gets its workers back.
type pool struct {
	opened atomic.Int64 // connections that exist, idle or in use
	death  atomic.Int64 // when a kept connection was last found dead by a request, in Unix nanoseconds; 0: never

	mu     sync.Mutex
	idle   []*conn // oldest first
	reaper *time.Timer
}

// take returns the youngest idle connection, or nil. What is older than maxAge (0: any age will do) is closed.
func (p *pool) take(maxAge time.Duration) *conn {
	p.mu.Lock()
	n := len(p.idle)
	if n == 0 {
		p.mu.Unlock()
		return nil
	}
	cn := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.mu.Unlock()
	cn.idleFor = time.Since(cn.idleSince)
	if maxAge > 0 && cn.idleFor > maxAge {
		cn.abandon()
		return nil // all others are older still: the reaper has them
	}
	return cn
}

// put keeps cn, or closes it where limit connections are idle already.
func (p *pool) put(cn *conn, limit int, maxAge time.Duration) {
	cn.idleSince = time.Now()
	p.mu.Lock()
	if len(p.idle) >= limit {
		p.mu.Unlock()
		cn.abandon()
		return
	}
	p.idle = append(p.idle, cn)
	if p.reaper == nil && maxAge > 0 {
		p.reaper = time.AfterFunc(maxAge, func() { p.reap(maxAge) })
	}
	p.mu.Unlock()
}

// foundDead notes that a request was lost to a connection that was kept.
func (p *pool) foundDead() { p.death.Store(time.Now().UnixNano()) }

// wary reports whether that was a short while ago.
func (p *pool) wary() bool {
	death := p.death.Load()
	return death != 0 && time.Since(time.Unix(0, death)) < waryFor
}

// reap closes what has been idle for maxAge and comes back when the next one may be due.
func (p *pool) reap(maxAge time.Duration) {
	now := time.Now()
	p.mu.Lock()
	old := 0
	for old < len(p.idle) && now.Sub(p.idle[old].idleSince) >= maxAge {
		old++
	}
	expired := slices.Clone(p.idle[:old])
	p.idle = slices.Delete(p.idle, 0, old)
	if len(p.idle) == 0 {
		p.reaper = nil
	} else {
		p.reaper.Reset(max(maxAge-now.Sub(p.idle[0].idleSince), time.Millisecond))
	}
	p.mu.Unlock()
	for _, cn := range expired {
		cn.abandon()
	}
}

func (p *pool) closeIdle() {
	p.mu.Lock()
	idle := p.idle
	p.idle = nil
	if p.reaper != nil {
		p.reaper.Stop()
		p.reaper = nil
	}
	p.mu.Unlock()
	for _, cn := range idle {
		cn.abandon()
	}
}

func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}
