// SPDX-License-Identifier: Apache-2.0

package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger/outrigger/internal/lifecycle"
)

func TestStragglersAreCancelledAtEightyPercent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownDelay: 2 * time.Second, ShutdownTimeout: 25 * time.Second})
		cut := make(chan struct{})
		p.Add(lifecycle.Actor{
			Name:   "slow",
			Drain:  func(context.Context) error { <-cut; p.note("slow drained"); return nil },
			Cancel: func() { p.note("slow cancelled"); close(cut) },
		})
		p.Add(p.actor("quick"))
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 1, 22*time.Second) // cut is not drained
		p.expectEvents(
			t,
			"2s quick stops accepting",
			"2s quick drained",
			"22s slow cancelled",
			"22s slow drained",
			"22s quick flushed",
			"22s quick ends",
		)
		p.expectLog(t, `msg="cancelling what is still in flight" actor=slow`)
	})
}

func TestADrainThatTakesLessThanEightyPercentIsNotCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.Add(lifecycle.Actor{
			Name:   "slow",
			Drain:  func(context.Context) error { time.Sleep(19 * time.Second); return nil },
			Cancel: func() { p.note("cancelled") },
		})
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 0, 19*time.Second)
		p.expectEvents(t)
	})
}

func TestADrainsContextEndsAtTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.Add(lifecycle.Actor{
			Name:  "stuck",
			Drain: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			Flush: func(context.Context) error { p.note("flushed"); return nil },
		})
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 1, 25*time.Second)
		p.expectEvents(t, "25s flushed")
	})
}

func TestWhatIgnoresItsContextCostsOneSecondAStepAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		release := make(chan struct{})
		p.Add(lifecycle.Actor{
			Name:  "deaf",
			Run:   func(context.Context) error { <-release; return nil },
			Drain: func(context.Context) error { <-release; return nil },
			Flush: func(context.Context) error { <-release; return nil },
		})
		p.Add(p.actor("web"))
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 1, 28*time.Second)
		p.expectEvents(t, "0s web stops accepting", "0s web drained", "26s web flushed", "27s web ends")
		p.expectLog(t, "drains did not end in time\" actors=[deaf]", "flush did not end in time\" actor=deaf", "actors did not end in time\" actors=[deaf]")
		close(release)
	})
}

func TestADrainThatFailsIsCancelledAndExitsWithOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.Add(lifecycle.Actor{
			Name:   "web",
			Drain:  func(context.Context) error { return errors.New("listener is stuck") },
			Cancel: func() { p.note("cancelled") },
		})
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 1, 0)
		p.expectEvents(t, "0s cancelled")
		p.expectLog(t, `error="listener is stuck"`)
	})
}

func TestAFlushThatFailsExitsWithOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.Add(lifecycle.Actor{Name: "access log", Flush: func(context.Context) error { return syscall.ENOSPC }})
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 1, 0)
		p.expectLog(t, `msg="cannot flush" actor="access log" error="no space left on device"`)
	})
}

func TestATimeoutOfZeroStillLetsIdleActorsEndCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.Add(p.actor("web"))
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 0, 0)
		p.expectEvents(t, "0s web stops accepting", "0s web drained", "0s web flushed", "0s web ends")
	})
}

func TestATimeoutOfZeroCutsWorkInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.Add(lifecycle.Actor{
			Name:   "web",
			Drain:  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
			Cancel: func() { p.note("cancelled") },
		})
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 1, 0)
		p.expectEvents(t, "0s cancelled")
	})
}

func TestSkipDelayStopsAtOnceAndCountsAsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownDelay: 10 * time.Second, ShutdownTimeout: 25 * time.Second})
		a := p.actor("web")
		a.Drain = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		p.Add(a)
		p.SkipDelay(func() bool { return true })
		p.run(t.Context())
		p.signals <- syscall.SIGTERM
		p.expectExit(t, 0, 0)
		p.expectEvents(t, "0s web stops accepting", "0s web cancelled", "0s web flushed", "0s web ends")
		if strings.Contains(p.log.String(), "WARN") {
			t.Errorf("it warns though nothing is lost:\n%s", p.log)
		}
	})
}

func TestSkipDelayThatSaysNoChangesNothing(t *testing.T) {
	for name, question := range map[string]func() bool{
		"no":    func() bool { return false },
		"panic": func() bool { panic("no idea") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProgram(lifecycle.Options{ShutdownDelay: 10 * time.Second, ShutdownTimeout: 25 * time.Second})
				p.SkipDelay(question)
				p.run(t.Context())
				p.signals <- syscall.SIGTERM
				p.expectExit(t, 0, 10*time.Second)
			})
		})
	}
}

func TestASecondSignalEndsTheProgramAtOnce(t *testing.T) {
	for name, after := range map[string]time.Duration{"in the delay": time.Second, "in the drain": 20 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProgram(lifecycle.Options{ShutdownDelay: 10 * time.Second, ShutdownTimeout: time.Minute})
				p.Add(lifecycle.Actor{Name: "web", Drain: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
				p.run(t.Context())
				p.signals <- syscall.SIGTERM
				time.Sleep(after)
				p.signals <- syscall.SIGTERM
				p.expectExit(t, 1, after)
			})
		})
	}
}

func TestTheSignalAfterAnotherStopIsNotTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownDelay: 10 * time.Second})
		p.run(t.Context())
		p.Stop("quit was asked for")
		time.Sleep(time.Second)
		p.signals <- syscall.SIGTERM // the kubelet, once the job's main container has ended
		p.expectExit(t, 0, 10*time.Second)
	})
}

func TestAPanicIsAnErrorWithItsStackInTheLog(t *testing.T) {
	boom := func() { panic("boom") }
	for name, a := range map[string]lifecycle.Actor{
		"Run":           {Run: func(context.Context) error { boom(); return nil }},
		"StopAccepting": {StopAccepting: boom},
		"Drain":         {Drain: func(context.Context) error { boom(); return nil }},
		"Cancel":        {Drain: func(context.Context) error { return errors.New("stuck") }, Cancel: boom},
		"Flush":         {Flush: func(context.Context) error { boom(); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProgram(lifecycle.Options{ShutdownTimeout: time.Second})
				a.Name = "faulty"
				p.Add(a)
				p.Add(p.actor("web"))
				p.run(t.Context())
				p.Stop("test")
				p.expectExit(t, 1, 0)
				p.expectEvents(t, "0s web stops accepting", "0s web drained", "0s web flushed", "0s web ends")
				p.expectLog(t, "level=ERROR msg=panic in=faulty panic=boom", "shutdown_test.go")
			})
		})
	}
}
