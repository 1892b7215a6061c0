// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func fails(reason string) Check { return func() error { return errors.New(reason) } }

func passes() error { return nil }

func TestProbesAnswerAsKubernetesDoes(t *testing.T) {
	var o Options
	fill := func(s *Server) {
		s.Live("loop", passes)
		s.Ready("certificate", fails("expired\nlong ago\x1b[31m"))
		s.Ready("listeners", passes)
		s.Note("app", fails("connection refused"))
		s.Startup("listeners", passes)
	}
	s, local := serve(t, o)
	fill(s)
	far, pod := serveOn(t, o, elsewhere(t))
	fill(far)

	f := func(address, path string, status int, want string) {
		t.Helper()
		got := ask(t, address, request{path: path})
		if got.status != status || got.body != want {
			t.Errorf("GET %s: %d\n%s\nwant %d\n%s", path, got.status, got.body, status, want)
		}
		if kind := got.header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
			t.Errorf("GET %s: Content-Type %q", path, kind)
		}
	}
	f(local, "/livez", 200, "ok")
	f(local, "/healthz", 200, "ok")
	f(local, "/livez?verbose", 200, "[+]ping ok\n[+]loop ok\nlivez check passed\n")
	f(local, "/startupz", 200, "ok")
	f(local, "/startupz?verbose", 200, "[+]started ok\n[+]listeners ok\nstartupz check passed\n")

	lines := "[+]started ok\n[+]shutdown ok\n[-]certificate failed: %1\n[+]listeners ok\n[-]app failed: %2 (not counted)\nreadyz check failed\n"
	near := strings.NewReplacer("%1", "expired; long ago [31m", "%2", "connection refused").Replace(lines)
	withheld := strings.NewReplacer("%1", "reason withheld", "%2", "reason withheld").Replace(lines)
	f(local, "/readyz", 503, near)
	f(local, "/readyz?verbose", 503, near)
	f(local, "/readyz?verbose=1", 503, near)
	f(pod, "/readyz", 503, withheld)
	f(pod, "/readyz?verbose", 503, withheld)

	f(local, "/readyz/listeners", 200, "ok")
	f(local, "/readyz/certificate", 503, "[-]certificate failed: expired; long ago [31m\nreadyz check failed\n")
	f(pod, "/readyz/certificate", 503, "[-]certificate failed: reason withheld\nreadyz check failed\n")
	f(local, "/readyz/app", 503, "[-]app failed: connection refused\nreadyz check failed\n")
	f(local, "/livez/loop", 200, "ok")
	f(local, "/readyz/loop", 404, "/readyz has no check of that name; /readyz?verbose lists them\n")
}

func TestANoteNeverCounts(t *testing.T) {
	s, local := serve(t, Options{})
	s.Note("app", fails("connection refused"))
	if ok, reasons := s.IsReady(); !ok || reasons != nil {
		t.Errorf("ready %v, %q", ok, reasons)
	}
	if got := ask(t, local, request{path: "/readyz"}); got.status != 200 || got.body != "ok" {
		t.Errorf("%d %s", got.status, got.body)
	}
	got := ask(t, local, request{path: "/readyz?verbose"})
	if want := "[+]started ok\n[+]shutdown ok\n[-]app failed: connection refused (not counted)\nreadyz check passed\n"; got.body != want {
		t.Errorf("%s", got.body)
	}
}

func TestReadinessFollowsTheLifecycle(t *testing.T) {
	var phase atomic.Value
	phase.Store("starting")
	s := New(Options{Program: "p", Phase: func() string { return phase.Load().(string) }})
	s.Ready("listeners", passes)
	f := func(ready bool, reasons ...string) {
		t.Helper()
		if ok, got := s.IsReady(); ok != ready || !slices.Equal(got, reasons) {
			t.Errorf("ready %v %q, want %v %q", ok, got, ready, reasons)
		}
	}
	f(false, "started: the program is starting")
	phase.Store("running")
	f(true)
	s.SetNotReady("drained by an operator")
	f(false, "drain: drained by an operator")
	s.SetNotReady("")
	f(true)
	phase.Store("delaying")
	f(false, "shutdown: the program is shutting down")
	phase.Store("draining")
	f(false, "shutdown: the program is shutting down")
	phase.Store("running")
	s.SetStopping()
	f(false, "shutdown: the program is shutting down")
	if ok, reasons := verdict(s.results(probeLive)); !ok {
		t.Errorf("not live while shutting down: %q", reasons)
	}
}

func TestACheckOfTheSameNameTakesThePlace(t *testing.T) {
	s := New(Options{Program: "p"})
	s.Ready("certificate", fails("missing"))
	s.Ready("certificate", passes)
	if ok, reasons := s.IsReady(); !ok {
		t.Errorf("%q", reasons)
	}
}

func TestPulseTellsALoopThatStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Program: "p"})
		beat := s.Pulse("watch", time.Minute)
		live := func() []string {
			_, reasons := verdict(s.results(probeLive))
			return reasons
		}
		time.Sleep(time.Minute)
		if got := live(); got != nil {
			t.Errorf("after a minute: %q", got)
		}
		time.Sleep(20 * time.Second)
		if got := live(); !slices.Equal(got, []string{"watch: no progress for 1 min 20 s, at most 1 min expected"}) {
			t.Errorf("after more than a minute: %q", got)
		}
		beat()
		if got := live(); got != nil {
			t.Errorf("after a beat: %q", got)
		}
		time.Sleep(time.Hour)
		s.SetStopping()
		if got := live(); got != nil {
			t.Errorf("while shutting down: %q", got)
		}
	})
}
