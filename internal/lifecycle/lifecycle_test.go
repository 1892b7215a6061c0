// SPDX-License-Identifier: Apache-2.0

package lifecycle_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/outrigger/outrigger/internal/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program is a group in a test, with what happened to it.
type program struct {
	*lifecycle.Group
	signals chan os.Signal
	log     *bytes.Buffer
	exit    chan int

	mu     sync.Mutex
	start  time.Time // of the stop
	events []string
}

// newProgram returns a program that has not been started. It is made inside a synctest bubble.
func newProgram(o lifecycle.Options) *program {
	p := &program{signals: make(chan os.Signal), log: new(bytes.Buffer), exit: make(chan int, 1), start: time.Now()}
	o.Log = slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	p.Group = lifecycle.New(o)
	return p
}

// note records an event and when it happened.
func (p *program) note(event string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, fmt.Sprintf("%s %s", time.Since(p.start), event))
}

// actor returns an actor that notes everything that is asked of it and obeys.
func (p *program) actor(name string) lifecycle.Actor {
	return lifecycle.Actor{
		Name: name,
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			p.note(name + " ends")
			return ctx.Err()
		},
		StopAccepting: func() { p.note(name + " stops accepting") },
		Drain:         func(context.Context) error { p.note(name + " drained"); return nil },
		Cancel:        func() { p.note(name + " cancelled") },
		Flush:         func(context.Context) error { p.note(name + " flushed"); return nil },
	}
}

// run starts the program and returns once everything in it waits.
func (p *program) run(ctx context.Context) {
	go func() { p.exit <- p.Run(ctx, p.signals) }()
	synctest.Wait()
}

// begin marks the moment from which events are timed.
func (p *program) begin() { p.start = time.Now() }

// expectExit waits for the exit and checks its code and how long after begin it came.
func (p *program) expectExit(t *testing.T, code int, after time.Duration) {
	t.Helper()
	if got := <-p.exit; got != code {
		t.Errorf("exit code %d, want %d; log:\n%s", got, code, p.log)
	}
	if got := time.Since(p.start); got != after {
		t.Errorf("exit after %s, want %s; log:\n%s", got, after, p.log)
	}
	if got := p.Phase(); got != lifecycle.Stopped {
		t.Errorf("phase %s after the exit, want stopped", got)
	}
}

// expectEvents checks what happened, in order.
func (p *program) expectEvents(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.events, want) {
		t.Errorf("events:\n  %s\nwant:\n  %s", strings.Join(p.events, "\n  "), strings.Join(want, "\n  "))
	}
}

func (p *program) expectLog(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.log.String(), text) {
			t.Errorf("the log lacks %q:\n%s", text, p.log)
		}
	}
}

func TestStopGoesThroughThePhasesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownDelay: 5 * time.Second, ShutdownTimeout: 25 * time.Second})
		a := p.actor("web")
		a.StopAccepting = func() { p.note("stops accepting while " + p.Phase().String()) }
		a.Drain = func(context.Context) error { time.Sleep(3 * time.Second); p.note("drained"); return nil }
		p.Add(a)
		if got := p.Phase(); got != lifecycle.Starting {
			t.Errorf("phase %s before Run, want starting", got)
		}
		p.run(t.Context())
		if got := p.Phase(); got != lifecycle.Running {
			t.Errorf("phase %s, want running", got)
		}

		time.Sleep(time.Hour)
		p.begin()
		p.signals <- syscall.SIGTERM
		<-p.Stopping()
		p.note("stopping while " + p.Phase().String())
		p.expectExit(t, 0, 8*time.Second)
		p.expectEvents(
			t,
			"0s stopping while delaying",
			"5s stops accepting while draining",
			"8s drained",
			"8s web flushed",
			"8s web ends",
		)
		p.expectLog(t, "reason=\"signal terminated\"", "msg=stopped exit_code=0")
	})
}

func TestEveryKindOfStopDrainsAndExitsWithZero(t *testing.T) {
	for name, stop := range map[string]func(p *program, end context.CancelFunc){
		"SIGTERM":            func(p *program, _ context.CancelFunc) { p.signals <- syscall.SIGTERM },
		"SIGINT":             func(p *program, _ context.CancelFunc) { p.signals <- os.Interrupt },
		"Stop":               func(p *program, _ context.CancelFunc) { p.Stop("quit was asked for") },
		"Stop twice":         func(p *program, _ context.CancelFunc) { p.Stop("one"); p.Stop("two") },
		"end of the context": func(_ *program, end context.CancelFunc) { end() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, end := context.WithCancel(t.Context())
				defer end()
				p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
				p.Add(p.actor("web"))
				p.run(ctx)
				stop(p, end)
				p.expectExit(t, 0, 0)
				p.expectEvents(t, "0s web stops accepting", "0s web drained", "0s web flushed", "0s web ends")
			})
		})
	}
}

func TestAllStopAcceptingBeforeAnyDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		for _, name := range []string{"first", "second"} {
			p.Add(lifecycle.Actor{
				Name:          name,
				StopAccepting: func() { p.note("stop accepting") },
				Drain:         func(context.Context) error { time.Sleep(time.Second); p.note("drained"); return nil },
				Flush:         func(context.Context) error { p.note("flushed"); return nil },
			})
		}
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 0, time.Second)
		p.expectEvents(t, "0s stop accepting", "0s stop accepting", "1s drained", "1s drained", "1s flushed", "1s flushed")
	})
}

func TestAnActorThatFailsDrainsTheOthersAndExitsWithOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.Add(p.actor("web"))
		p.Add(lifecycle.Actor{Name: "relay", Run: func(context.Context) error {
			time.Sleep(time.Minute)
			return os.ErrClosed
		}})
		p.run(t.Context())
		p.expectExit(t, 1, time.Minute)
		p.expectEvents(t, "1m0s web stops accepting", "1m0s web drained", "1m0s web flushed", "1m0s web ends")
		p.expectLog(t, `msg="actor failed" actor=relay error="file already closed"`, `reason="actor relay failed"`)
	})
}

func TestAnActorThatReturnsNilIsDoneAndTheProgramGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.Add(lifecycle.Actor{Name: "once", Run: func(context.Context) error { return nil }})
		p.run(t.Context())
		time.Sleep(time.Hour)
		if got := p.Phase(); got != lifecycle.Running {
			t.Errorf("phase %s, want running", got)
		}
		p.begin()
		p.Stop("test")
		p.expectExit(t, 0, 0)
	})
}

func TestAnErrorOfTheContextCountsWhileTheProgramRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.Add(lifecycle.Actor{Name: "odd", Run: func(context.Context) error { return context.Canceled }})
		p.run(t.Context())
		p.expectExit(t, 1, 0)
	})
}

func TestAFailureDuringTheDrainExitsWithOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.Add(lifecycle.Actor{Name: "relay", Run: func(ctx context.Context) error {
			<-ctx.Done()
			return os.ErrClosed
		}})
		p.run(t.Context())
		p.Stop("test")
		p.expectExit(t, 1, 0)
		p.expectLog(t, `msg="actor failed" actor=relay`)
	})
}

func TestStopBeforeRunEndsTheProgramInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.Add(p.actor("web"))
		p.Stop("quit")
		p.run(t.Context())
		p.expectExit(t, 0, 0)
		p.expectEvents(t, "0s web stops accepting", "0s web drained", "0s web flushed", "0s web ends")
	})
}

func TestAddAfterRunIsAMistakeThatShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.run(t.Context())
		defer func() {
			if got := fmt.Sprint(recover()); got != "lifecycle: actor late added while running" {
				t.Errorf("Add panicked with %q", got)
			}
			p.Stop("test")
			p.expectExit(t, 0, 0)
		}()
		p.Add(lifecycle.Actor{Name: "late"})
	})
}

func TestAClosedSignalChannelIsNoSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownDelay: time.Second})
		p.run(t.Context())
		close(p.signals)
		synctest.Wait()
		if got := p.Phase(); got != lifecycle.Running {
			t.Fatalf("phase %s, want running", got)
		}
		p.Stop("test")
		p.expectExit(t, 0, time.Second)
	})
}

func TestPhasesHaveNames(t *testing.T) {
	var names []string
	for p := lifecycle.Starting; p <= lifecycle.Stopped+1; p++ {
		names = append(names, p.String())
	}
	if got := strings.Join(names, " "); got != "starting running delaying draining stopped unknown" {
		t.Errorf("phases: %s", got)
	}
}
