// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the tests, or, where a test starts this binary again, the little
// program that the tests of processes and scripts observe.
func TestMain(m *testing.M) {
	if os.Getenv("TESTKIT_PROGRAM") != "" {
		os.Exit(program(os.Args[1:]))
	}
	VerifyMain(m)
}

// program behaves as the programs of this module do, as far as the testkit sees: it
// logs its listener, answers /readyz (503 until SIGHUP if told "unready") and
// /metrics, ends with 0 on SIGTERM, and with its argument's code on "exit=N".
func program(args []string) int {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	fmt.Println("args", strings.Join(args, " "), "greeting", os.Getenv("GREETING"))
	var ready atomic.Bool
	ready.Store(true)
	for _, arg := range args {
		switch {
		case strings.HasPrefix(arg, "exit="):
			fmt.Fprintln(os.Stderr, "cannot go on")
			return int(arg[len("exit=")] - '0')
		case arg == "unready":
			ready.Store(false)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Error("cannot listen", "err", err)
		return 1
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	log.Info("listening", "listener", "admin", "addr", "[::]:"+port)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	go func() { _ = http.Serve(l, pages(&ready)) }()
	for sig := range signals {
		if sig == syscall.SIGTERM {
			break
		}
		ready.Store(true)
		log.Info("reloaded", "files", 2, slog.Group("cert", "name", "a.example"), "big", int64(9007199254740993))
	}
	log.Info("stopped")
	return 0
}

func pages(ready *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	var scrapes atomic.Int64
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE scrapes_total counter\nscrapes_total{code=\"200\",path=\"/a\"} %d\n"+
			"scrapes_total{code=\"200\",path=\"/b\"} 10\nscrapes_total{code=\"500\",path=\"/a\"} 7\n"+
			"# TYPE wait_seconds histogram\nwait_seconds_bucket{le=\"1\"} 3\nwait_seconds_bucket{le=\"+Inf\"} 4\n"+
			"wait_seconds_sum 2.5\nwait_seconds_count 4\n", scrapes.Add(1))
	})
	return mux
}

// self starts this test binary as the little program.
func self(t testing.TB) (path string, env []string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path, []string{"TESTKIT_PROGRAM=1", "GORACE=atexit_sleep_ms=0"}
}

// failing is a testing.TB for a test of what the testkit says when it fails one.
type failing struct {
	testing.TB

	mu       sync.Mutex
	message  string
	log      string
	cleanups []func()
}

func (f *failing) Fatalf(format string, args ...any) {
	f.mu.Lock()
	f.message = fmt.Sprintf(format, args...)
	f.mu.Unlock()
	runtime.Goexit()
}

func (f *failing) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.message = fmt.Sprintf(format, args...)
}

func (f *failing) Logf(format string, args ...any) { f.log += fmt.Sprintf(format, args...) + "\n" }
func (f *failing) Failed() bool                    { return f.message != "" }
func (f *failing) Cleanup(g func())                { f.cleanups = append(f.cleanups, g) }

// failure runs f, which has to fail the TB it is given, with its cleanups, and
// returns the sentence that it failed with.
func failure(t *testing.T, f func(testing.TB)) *failing {
	t.Helper()
	tb := &failing{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { f(tb) })
	wg.Wait()
	for i := len(tb.cleanups) - 1; i >= 0; i-- {
		tb.cleanups[i]()
	}
	if tb.message == "" {
		t.Fatal("it did not fail")
	}
	return tb
}

func wantText(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%q lacks %q", got, w)
		}
	}
}

func TestEventuallyGivesUpWithTheLastError(t *testing.T) {
	calls := 0
	f := failure(t, func(tb testing.TB) {
		EventuallyWithin(tb, 20*time.Millisecond, "the moon", func() error { calls++; return fmt.Errorf("no moon yet (%d)", calls) })
	})
	wantText(t, f.message, "gave up waiting for the moon", fmt.Sprintf("no moon yet (%d)", calls))
}

func TestFreePortsAreDistinctAndCanBeBound(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port := FreePort(t)
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	}
}

func TestAHeldPortIsBusyUntilItIsReleased(t *testing.T) {
	b := HoldPort(t)
	if _, err := net.Listen("tcp", b.Addr()); err == nil {
		t.Error("a held port could be bound")
	}
	b.Release()
	l, err := net.Listen("tcp", b.Addr())
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	_ = l.Close()
}

func TestASocketPathIsShortWhateverTheTestIsCalled(t *testing.T) {
	t.Run(strings.Repeat("long", 40), func(t *testing.T) {
		l, err := net.Listen("unix", SocketPath(t))
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	})
}

func TestAMissingToolNamesItsPackage(t *testing.T) {
	f := failure(t, func(tb testing.TB) { Tool(tb, "no-such-tool", "no-such-package") })
	wantText(t, f.message, "cannot find no-such-tool", "install Debian's package no-such-package")
	if path := Tool(t, "sh", "dash"); filepath.Base(path) != "sh" {
		t.Errorf("sh is at %s", path)
	}
}
