// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"log/slog"
	"time"
)

const (
	// grace is what each step after the deadline may still take: drains to notice that their context has ended, the flush,
	// the actors to return. With the default timeout of 25 s all of it fits into the 30 s that Kubernetes gives a pod.
	grace = time.Second
	// settle is what a drain with nothing in flight may take before it counts as one that has to be cancelled. It matters
	// for timeouts near zero only.
	settle = 50 * time.Millisecond
)

// shutdown ends everything in order and returns the exit code.
func (r *run) shutdown() int {
	r.mu.Lock()
	reason, skip := r.reason, r.skip
	r.mu.Unlock()
	r.log.Info("shutting down", "reason", reason, "delay", r.delay.String(), "timeout", r.timeout.String())

	timeout := r.timeout
	pointless := r.ask(skip)
	if pointless {
		r.log.Info("nothing to wait for, stopping at once")
		timeout = 0
	} else if !r.waitDelay() {
		return 1
	}

	r.phase.Store(int32(Draining))
	for _, a := range r.actors {
		r.tell(a.Name, a.StopAccepting)
	}
	deadline := time.Now().Add(timeout)
	cancelling := slog.LevelWarn
	if pointless {
		cancelling = slog.LevelDebug // nothing is lost
	}
	if drained := r.drain(deadline, timeout/5, cancelling); !drained && !pointless {
		r.fail()
	}
	r.flush(deadline)
	r.cancel()
	wait(r.runs, orGrace(deadline))
	if names := pending(r.runs); names != nil {
		r.log.Error("actors did not end in time", "actors", names)
		r.fail()
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed {
		return 1
	}
	return 0
}

// waitDelay waits for the shutdown delay. It reports false if Run did not wait for it: a second signal came.
func (r *run) waitDelay() bool {
	timer := time.NewTimer(r.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.base.Done():
		return false
	}
}

// drain runs all drains and reports whether every one ended by itself and without error. What has not is cancelled when
// only the time for the cancelled work to end is left, which is logged at the level given.
func (r *run) drain(deadline time.Time, forCancelled time.Duration, level slog.Level) bool {
	ctx, stop := context.WithDeadline(r.base, deadline)
	defer stop()
	var drains []*call
	for _, a := range r.actors {
		if a.Drain != nil {
			drains = append(drains, r.call(a, func() error { return a.Drain(ctx) }))
		}
	}
	wait(drains, latest(deadline.Add(-forCancelled), settle))

	clean := true
	for _, d := range drains {
		if d.ok() {
			continue
		}
		clean = false
		if d.ended() {
			r.log.Log(ctx, level, "cannot drain, cancelling what is in flight", "actor", d.Name, "error", d.err)
		} else {
			r.log.Log(ctx, level, "cancelling what is still in flight", "actor", d.Name)
		}
		r.tell(d.Name, d.Cancel)
	}
	wait(drains, deadline.Add(grace))
	if names := pending(drains); names != nil {
		r.log.Error("drains did not end in time", "actors", names)
	}
	return clean
}

// flush runs all flushes. One that fails has lost data, which the exit code says.
func (r *run) flush(deadline time.Time) {
	ctx, stop := context.WithDeadline(r.base, orGrace(deadline))
	defer stop()
	var flushes []*call
	for _, a := range r.actors {
		if a.Flush != nil {
			flushes = append(flushes, r.call(a, func() error { return a.Flush(ctx) }))
		}
	}
	wait(flushes, orGrace(deadline))
	for _, f := range flushes {
		switch {
		case !f.ended():
			r.log.Error("flush did not end in time", "actor", f.Name)
		case f.err != nil:
			r.log.Error("cannot flush", "actor", f.Name, "error", f.err)
		default:
			continue
		}
		r.fail()
	}
}

// ask asks the question of SkipDelay. No question, or one that panics, is a no.
func (r *run) ask(question func() bool) (yes bool) {
	if question == nil {
		return false
	}
	if err := guard(r.log, "skip delay", func() error { yes = question(); return nil }); err != nil {
		return false
	}
	return yes
}

// tell calls an actor's function if it has it.
func (r *run) tell(name string, f func()) {
	if f == nil {
		return
	}
	if err := guard(r.log, name, func() error { f(); return nil }); err != nil {
		r.fail()
	}
}

// orGrace is the deadline, or the grace from now if that is later.
func orGrace(deadline time.Time) time.Time { return latest(deadline, grace) }

// latest is the later of a time and a duration from now.
func latest(t time.Time, d time.Duration) time.Time {
	if now := time.Now().Add(d); now.After(t) {
		return now
	}
	return t
}
