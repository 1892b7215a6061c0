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

// expectReloads checks the counters.
func (p *program) expectReloads(t *testing.T, success, failure uint64) {
	t.Helper()
	if got, want := p.Reloads(), (lifecycle.ReloadCounts{Success: success, Failure: failure}); got != want {
		t.Errorf("reloads %+v, want %+v", got, want)
	}
}

// end stops the program.
func (p *program) end(t *testing.T) {
	t.Helper()
	p.begin()
	p.Stop("test")
	p.expectExit(t, 0, 0)
}

func TestSIGHUPReloadsEveryPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.OnReload("certificates", func(context.Context) error { p.note("certificates"); return nil })
		p.OnReload("rules", func(context.Context) error { p.note("rules"); return nil })
		p.run(t.Context())
		p.signals <- syscall.SIGHUP
		synctest.Wait()
		p.expectEvents(t, "0s certificates", "0s rules")
		p.expectReloads(t, 1, 0)
		p.end(t)
	})
}

func TestAPartThatFailsIsLoggedOnceCountedAndKeepsNoOtherFromReloading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.OnReload("certificates", func(context.Context) error { return errors.New("tls.crt is no PEM file") })
		p.OnReload("panicking", func(context.Context) error { panic("boom") })
		p.OnReload("rules", func(context.Context) error { p.note("rules"); return nil })
		p.run(t.Context())
		err := p.Reload(t.Context())
		if want := "cannot reload certificates: tls.crt is no PEM file\ncannot reload panicking: panic: boom"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		p.expectEvents(t, "0s rules")
		p.expectReloads(t, 0, 1)
		if n := strings.Count(p.log.String(), "tls.crt is no PEM file"); n != 1 {
			t.Errorf("the failure is logged %d times, want once:\n%s", n, p.log)
		}
		p.end(t)
	})
}

func TestReloadsRunOneAtATimeAndSignalsInBetweenAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		p.OnReload("slow", func(context.Context) error {
			p.note("begin")
			time.Sleep(time.Second)
			p.note("end")
			return nil
		})
		p.run(t.Context())
		for range 5 {
			p.signals <- syscall.SIGHUP
			synctest.Wait()
		}
		if err := p.Reload(t.Context()); err != nil {
			t.Errorf("Reload: %v", err)
		}
		time.Sleep(10 * time.Second)
		p.expectEvents(t, "0s begin", "1s end", "1s begin", "2s end", "2s begin", "3s end")
		p.expectReloads(t, 3, 0)
		p.end(t)
	})
}

func TestAReloadThatWaitsForAnotherGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{})
		release := make(chan struct{})
		p.OnReload("stuck", func(context.Context) error { <-release; return nil })
		p.run(t.Context())
		p.signals <- syscall.SIGHUP
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Reload(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Reload: %v, want the context's error", err)
		}
		close(release)
		synctest.Wait()
		p.expectReloads(t, 1, 0)
		p.end(t)
	})
}

func TestReloadIsIgnoredWhileShuttingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownDelay: 5 * time.Second})
		p.OnReload("rules", func(context.Context) error { p.note("rules"); return nil })
		p.run(t.Context())
		p.signals <- syscall.SIGTERM
		p.signals <- syscall.SIGHUP // neither reloads nor counts as the second signal
		if err := p.Reload(t.Context()); !errors.Is(err, lifecycle.ErrStopping) {
			t.Errorf("Reload: %v, want ErrStopping", err)
		}
		p.expectExit(t, 0, 5*time.Second)
		p.expectEvents(t)
		p.expectReloads(t, 0, 0)
		p.expectLog(t, "reload ignored while shutting down")
	})
}

func TestAReloadThatHangsDoesNotKeepTheProgramFromStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram(lifecycle.Options{ShutdownTimeout: 25 * time.Second})
		p.OnReload("stuck", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		p.run(t.Context())
		p.signals <- syscall.SIGHUP
		synctest.Wait()
		p.signals <- syscall.SIGTERM
		p.expectExit(t, 0, 0)
	})
}
