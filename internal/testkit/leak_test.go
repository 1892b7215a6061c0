// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"os"
	"testing"
	"time"
)

func TestCheckFDsSeesADescriptorLeftOpen(t *testing.T) {
	var left *os.File
	f := failure(t, func(tb testing.TB) {
		checkFDs(tb, time.Millisecond)
		left, _ = os.Open(os.DevNull)
	})
	_ = left.Close()
	wantText(t, f.message, "descriptors leak", os.DevNull)
}

func TestCheckLeaksSeesAGoroutineLeftRunning(t *testing.T) {
	stop := make(chan struct{})
	f := failure(t, func(tb testing.TB) {
		checkLeaks(tb, time.Millisecond)
		go func() { <-stop }()
	})
	close(stop)
	wantText(t, f.message, "goroutines leak", "TestCheckLeaksSeesAGoroutineLeftRunning")
}

func TestUsageOfAProcessIsItsOwn(t *testing.T) {
	u := UsageOf(t, os.Getpid())
	if u.RSS < 1<<20 || u.RSSAnon < 1<<18 || u.RSSAnon > u.RSS || u.Threads < 2 {
		t.Errorf("the usage is %+v", u)
	}
	path, env := self(t)
	p := Start(t, path, nil, env)
	p.WaitReady()
	if n := FDCount(t, p.PID()); n < 4 || n > 20 {
		t.Errorf("it holds %d descriptors: %q", n, FDs(t, p.PID()))
	}
}

func TestAStatusFileWithoutItsLinesIsAnError(t *testing.T) {
	for _, status := range []string{"", "VmRSS: x kB\n", "VmRSS: 1 kB\nThreads: 1\n"} {
		if _, err := parseUsage(status); err == nil {
			t.Errorf("%q was taken", status)
		}
	}
}
