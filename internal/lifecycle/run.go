// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"os"
	"syscall"
)

// run is one call of Run.
type run struct {
	*Group
	base   context.Context // ends when Run returns
	actors []Actor         // complete, in the order of adding
	runs   []*call         // the actors' Runs and the reload loop
	cancel context.CancelFunc
}

// Run starts the actors, waits for a stop, ends everything in order and returns the exit code: 0 if all work in flight was
// drained; 1 if an actor failed, if work was cut or lost (a forced drain), or at once on a second signal. After a second
// signal goroutines may still run: the caller has to end the process. Otherwise everything that Run started has returned,
// but for what the log has named for not ending in time.
//
// A signal on the channel is a SIGHUP, which reloads, or asks for the stop. The end of ctx asks for the stop too; the
// actors' contexts carry ctx's values but outlive it until the drain is over. Run is called once.
func (g *Group) Run(ctx context.Context, signals <-chan os.Signal) int {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer g.phase.Store(int32(Stopped))
	r := &run{Group: g, base: base}
	r.start()

	received := g.serve(ctx, signals)

	code := make(chan int, 1)
	go func() { code <- r.shutdown() }()
	for {
		select {
		case code := <-code:
			g.log.Info("stopped", "exit_code", code)
			return code
		case sig, ok := <-signals:
			switch {
			case !ok:
				signals = nil
			case sig == syscall.SIGHUP:
				g.log.Warn("reload ignored while shutting down")
			case received == 0: // something else began the stop (quit, a failed actor); this is the one signal of an orderly end
				received++
				g.log.Info("already shutting down", "signal", sig.String())
			default:
				g.log.Error("second signal, stopping at once", "signal", sig.String())
				return 1
			}
		}
	}
}

// serve handles signals until a stop is asked for, and returns how many signals asked for it.
func (g *Group) serve(ctx context.Context, signals <-chan os.Signal) int {
	for {
		select {
		case <-g.stopping:
			return 0
		case <-ctx.Done():
			g.Stop("context ended")
			return 0
		case sig, ok := <-signals:
			switch {
			case !ok:
				signals = nil
			case sig == syscall.SIGHUP:
				select {
				case g.hangups <- struct{}{}:
				default: // one is waiting already, and will load what this one is about
				}
			default:
				g.Stop("signal " + sig.String())
				return 1
			}
		}
	}
}

// start enters the phase Running and starts every actor and the reload loop.
func (r *run) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.Phase(); p != Starting {
		panic("lifecycle: Run called while " + p.String())
	}
	r.phase.Store(int32(Running))
	if r.reason != "" { // stopped before it ran
		r.phase.Store(int32(Delaying))
	}
	r.actors = r.Group.actors
	ctx, cancel := context.WithCancel(r.base)
	r.cancel = cancel
	for _, a := range r.actors {
		if a.Run != nil {
			r.runs = append(r.runs, r.call(a, func() error { return r.runActor(ctx, a) }))
		}
	}
	reload := Actor{Name: "reload"}
	r.runs = append(r.runs, r.call(reload, func() error { r.reloadLoop(ctx); return nil }))
}

// runActor runs one actor to its end and asks for the stop if it failed.
func (r *run) runActor(ctx context.Context, a Actor) error {
	err := guard(r.log, a.Name, func() error { return a.Run(ctx) })
	if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		r.log.Debug("actor ended", "actor", a.Name)
		return nil
	}
	r.log.Error("actor failed", "actor", a.Name, "error", err)
	r.fail()
	r.Stop("actor " + a.Name + " failed")
	return err
}

// reloadLoop reloads once for each SIGHUP, apart from the loop that listens to signals: a reload that hangs must not keep
// the program from stopping.
func (r *run) reloadLoop(ctx context.Context) {
	for {
		select {
		case <-r.stopping:
			return
		case <-r.hangups:
			if errors.Is(r.Reload(ctx), ErrStopping) { // any other error has been logged
				r.log.Warn("reload ignored while shutting down")
			}
		}
	}
}

// fail makes the exit code 1.
func (g *Group) fail() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = true
}
