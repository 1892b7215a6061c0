// SPDX-License-Identifier: Apache-2.0

// Package lifecycle runs the actors of a program and ends them in one order, the same for every program:
//
//	stop asked for   Stopping is closed (/readyz turns 503), everything is still served
//	ShutdownDelay    still accepting, so that load balancers notice
//	StopAccepting    listeners close
//	Drain            work in flight ends, up to ShutdownTimeout; at 80 % of it Cancel cuts what is left
//	Flush            buffers are written out
//	contexts end     every Run returns, and is waited for
//
// A program adds its actors while it starts and then waits in Run:
//
//	group := lifecycle.New(lifecycle.Options{Log: log, ShutdownTimeout: 25 * time.Second})
//	group.Add(lifecycle.Actor{
//		Name:          "https",
//		Run:           func(context.Context) error { return serve(server, ln) },
//		StopAccepting: func() { ln.Close() },
//		Drain:         server.Shutdown,
//		Cancel:        func() { server.Close() },
//	})
//	group.OnReload("certificates", store.Reload)
//	code := group.Run(ctx, signals)
//
// A stop is asked for by SIGTERM, SIGINT, Stop, the end of Run's context, or an actor that fails.
package lifecycle

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Group.
type Options struct {
	// Log says what the group does; nil is silent.
	Log *slog.Logger
	// ShutdownDelay is for how long the program goes on accepting after a stop was asked for. It is not part of ShutdownTimeout.
	ShutdownDelay time.Duration
	// ShutdownTimeout bounds the drain, counted from the end of the delay. Zero waits for nothing.
	// Steps that overrun it (a drain that ignores its context, flushing, actors that end) get at most one second more each.
	ShutdownTimeout time.Duration
}

// Actor is a part of a program that runs until it is told to end. Every function is optional. A function that panics counts
// as one that failed; the stack is logged.
type Actor struct {
	// Name is what the log calls the actor.
	Name string
	// Run does the work. Its context ends after the drain and the flush: that is when the actor must return.
	// An error (other than the context's own, once that has ended) ends the program with exit code 1.
	// Returning nil early means that the actor is done; the program goes on.
	Run func(ctx context.Context) error
	// StopAccepting is called after the shutdown delay: close listeners, stop keep-alives. It must not block.
	StopAccepting func()
	// Drain returns when no work is in flight any more. All drains run at once; ctx ends at ShutdownTimeout.
	Drain func(ctx context.Context) error
	// Cancel is called at 80 % of ShutdownTimeout if Drain has not returned: cut what is still in flight. It must not block.
	Cancel func()
	// Flush writes out what is buffered. It is called after all drains, while every Run is still there.
	Flush func(ctx context.Context) error
}

// Group is the actors of one program. It is made by New; all methods may be called from any goroutine.
type Group struct {
	log      *slog.Logger
	delay    time.Duration
	timeout  time.Duration
	phase    atomic.Int32
	stopping chan struct{}

	reloading chan struct{} // holds a token while a reload runs
	hangups   chan struct{} // a SIGHUP that waits for the reload before it; more are the same one
	reloads   reloadCounters

	mu       sync.Mutex
	actors   []Actor
	onReload []reloader
	skip     func() bool
	reason   string // why the stop was asked for
	failed   bool   // the exit code is 1
}

// New returns a group without actors, in the phase Starting.
func New(o Options) *Group {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Group{
		log:       o.Log,
		delay:     o.ShutdownDelay,
		timeout:   o.ShutdownTimeout,
		stopping:  make(chan struct{}),
		reloading: make(chan struct{}, 1),
		hangups:   make(chan struct{}, 1),
	}
}

// Add adds an actor, which Run starts. It panics once Run has been called: an actor that nobody starts is a mistake in the program.
func (g *Group) Add(a Actor) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.Phase(); p != Starting {
		panic("lifecycle: actor " + a.Name + " added while " + p.String())
	}
	g.actors = append(g.actors, a)
}

// SkipDelay sets a question that is asked once, when a stop was asked for. The answer true means that waiting helps nobody,
// for example because the application in front of which the program stands has gone: no delay is made, work in flight is
// cancelled at once and that counts as drained.
func (g *Group) SkipDelay(f func() bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.skip = f
}

// Stop asks the program to end in order, as SIGTERM does, and returns at once. The reason is logged; only the first one counts.
func (g *Group) Stop(reason string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.stopping:
		return
	default:
	}
	g.reason = reason
	g.phase.CompareAndSwap(int32(Running), int32(Delaying))
	close(g.stopping)
}

// Stopping is closed when a stop is asked for the first time, before the shutdown delay.
func (g *Group) Stopping() <-chan struct{} { return g.stopping }

// Phase is where in its life the program is.
func (g *Group) Phase() Phase { return Phase(g.phase.Load()) }

// Phase is where in its life a program is.
type Phase int32

// The phases, in their order.
const (
	Starting Phase = iota // Run was not called yet
	Running
	Delaying // a stop was asked for; still accepting
	Draining // no longer accepting
	Stopped  // Run has returned
)

// String returns the phase as the log and the status page show it, for example "running".
func (p Phase) String() string {
	switch p {
	case Starting:
		return "starting"
	case Running:
		return "running"
	case Delaying:
		return "delaying"
	case Draining:
		return "draining"
	case Stopped:
		return "stopped"
	}
	return "unknown"
}
