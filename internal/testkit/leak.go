// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// CheckLeaks fails the test if goroutines that it started still run after its other
// cleanups. Call it first, so that it is judged last; not for parallel tests, whose
// goroutines cannot be told apart (see [VerifyMain]).
func CheckLeaks(t testing.TB) {
	t.Helper()
	checkLeaks(t, Patience)
}

// checkLeaks gives goroutines that long to end: they were told to, but on a loaded
// machine have not had their turn.
func checkLeaks(t testing.TB, within time.Duration) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		err := poll(within, func() error { return goleak.Find(before) })
		if err != nil {
			t.Errorf("goroutines leak: %v", err)
		}
	})
}

// VerifyMain runs a package's tests and fails them if goroutines are left at the
// end, parallel tests included:
//
//	func TestMain(m *testing.M) { testkit.VerifyMain(m) }
func VerifyMain(m *testing.M) {
	goleak.VerifyTestMain(leakFreeMain{m})
}

// leakFreeMain closes the connections that tests left idle in http.DefaultClient.
type leakFreeMain struct{ m *testing.M }

func (l leakFreeMain) Run() int {
	code := l.m.Run()
	http.DefaultClient.CloseIdleConnections()
	return code
}

// CheckFDs fails the test if this process holds descriptors after the test's other
// cleanups that it did not hold before. Call it first; not for parallel tests.
func CheckFDs(t testing.TB) {
	t.Helper()
	checkFDs(t, Patience)
}

func checkFDs(t testing.TB, within time.Duration) {
	t.Helper()
	before := FDs(t, os.Getpid())
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		err := poll(within, func() error {
			if left := added(before, FDs(t, os.Getpid())); len(left) > 0 {
				return fmt.Errorf("still open: %s", strings.Join(left, ", "))
			}
			return nil
		})
		if err != nil {
			t.Errorf("descriptors leak: %v", err)
		}
	})
}

// added is what after holds more often than before. Counting all would not do: what
// an earlier test left to be closed may hide what this one leaks. The runtime's own
// poller, which comes with the first socket, is not counted.
func added(before, after []string) []string {
	held := map[string]int{"anon_inode:[eventpoll]": 1, "anon_inode:[eventfd]": 1}
	for _, fd := range before {
		held[fd]++
	}
	var more []string
	for _, fd := range after {
		if held[fd]--; held[fd] < 0 {
			more = append(more, fd)
		}
	}
	return more
}

// FDCount is the number of descriptors that a process holds.
func FDCount(t testing.TB, pid int) int {
	t.Helper()
	return len(FDs(t, pid))
}

// FDs is what the descriptors of a process refer to, for example
// "/var/log/app.log" or "socket:[4711]". The programs here are not dumpable once they
// run, so reading another user's or such a program's list takes root.
func FDs(t testing.TB, pid int) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatalf("cannot list the descriptors of process %d: %v", pid, err)
	}
	var out []string
	for _, e := range entries {
		target, err := os.Readlink(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // closed meanwhile: also the one this listing used
		}
		if err != nil {
			t.Fatalf("cannot read a descriptor of process %d: %v", pid, err)
		}
		out = append(out, target)
	}
	return out
}

// Usage is what a process holds of the machine.
type Usage struct {
	RSS     int64 // resident bytes (VmRSS)
	RSSAnon int64 // resident bytes that no file backs (RssAnon)
	Threads int
}

// UsageOf reads /proc/PID/status of a process.
func UsageOf(t testing.TB, pid int) Usage {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatalf("cannot read the state of process %d: %v", pid, err)
	}
	u, err := parseUsage(string(data))
	if err != nil {
		t.Fatalf("cannot read the state of process %d: %v", pid, err)
	}
	return u
}

// parseUsage reads the "VmRSS:  1234 kB" lines of a status file (proc_pid_status(5)).
func parseUsage(status string) (Usage, error) {
	var u Usage
	want := map[string]func(int64){
		"VmRSS":   func(n int64) { u.RSS = n * 1024 },
		"RssAnon": func(n int64) { u.RSSAnon = n * 1024 },
		"Threads": func(n int64) { u.Threads = int(n) },
	}
	for line := range strings.Lines(status) {
		name, rest, _ := strings.Cut(line, ":")
		set, fields := want[name], strings.Fields(rest)
		if set == nil || len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("cannot parse %s: %w", name, err)
		}
		set(n)
		delete(want, name)
	}
	if len(want) > 0 {
		return Usage{}, fmt.Errorf("the status file lacks lines: %d of VmRSS, RssAnon, Threads", len(want))
	}
	return u, nil
}
