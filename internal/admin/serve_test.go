// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// log is where a test reads what was logged.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// failing is a listener whose accept fails while told to.
type failing struct {
	net.Listener
	fail atomic.Bool
}

func (l *failing) Accept() (net.Conn, error) {
	if l.fail.Load() {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestServingSurvivesErrorsOfAccept(t *testing.T) {
	registry, out := prometheus.NewRegistry(), new(log)
	l := &failing{Listener: listen(t, "127.0.0.1:0")}
	l.fail.Store(true)
	_, local := serveOn(t, Options{Registerer: registry, Log: slog.New(slog.NewTextHandler(out, nil))}, l)
	until(t, "several accepts fail", func() bool { return refusals(t, registry, reasonAccept) > 3 })
	l.fail.Store(false)
	if got := ask(t, local, request{path: "/livez"}); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if n := strings.Count(out.String(), "cannot accept admin connections"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, out)
	}
}

func TestShutdownEndsAFailingListener(t *testing.T) {
	l := &failing{Listener: listen(t, "127.0.0.1:0")}
	l.fail.Store(true)
	serveOn(t, Options{}, l) // the cleanup waits for Serve
}

// Clients that connect and send nothing, or half a request, hold every place; a probe still gets through at once.
func TestSilentClientsDoNotKeepProbesOut(t *testing.T) {
	registry := prometheus.NewRegistry()
	_, local := serve(t, Options{Registerer: registry})
	for i := range 2 * maxConns {
		c, err := net.Dial("tcp", local)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ") // the server may have closed it
		}
	}
	until(t, "connections lose their place", func() bool { return refusals(t, registry, reasonConnections) >= maxConns })
	if got := ask(t, local, request{path: "/livez"}); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestAnIdleConnectionLosesItsPlaceBeforeABusyOne(t *testing.T) {
	now := time.Now()
	cs := &connections{open: map[*conn]struct{}{}}
	add := func(busy bool, age time.Duration) *conn {
		c := &conn{busy: busy, since: now.Add(-age)}
		cs.open[c] = struct{}{}
		return c
	}
	busy := add(true, time.Hour)
	add(false, time.Second)
	idle := add(false, time.Minute)
	if got := cs.oldest(); got != idle {
		t.Errorf("closed %+v", got)
	}
	cs.open = map[*conn]struct{}{busy: {}}
	young := add(true, time.Second)
	if got := cs.oldest(); got != busy || got == young {
		t.Errorf("closed %+v", got)
	}
}

func TestATooLargeHeaderIsRefused(t *testing.T) {
	_, local := serve(t, Options{})
	c, err := net.Dial("tcp", local)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: "+strings.Repeat("x", 2*maxHeader)) // may be cut off
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || line != "HTTP/1.1 431 Request Header Fields Too Large\r\n" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestShutdownWaitsForRequests(t *testing.T) {
	s := New(Options{Program: "p"})
	started, finish := make(chan struct{}), make(chan struct{})
	s.Control("POST /-/slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-finish
		plain(w, http.StatusOK, "done")
	}))
	l := listen(t, "127.0.0.1:0")
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	answers := make(chan Answer, 1)
	go func() {
		a, err := Client(l.Addr().String(), Control{}).Post(context.Background(), "/-/slow", "")
		if err != nil {
			t.Error(err)
		}
		answers <- a
	}()
	<-started
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	until(t, "the listener closes", func() bool {
		c, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(finish)
	if a := <-answers; a.Body != "done" {
		t.Errorf("the request under way got %+v", a)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestShutdownEndsAtItsDeadline(t *testing.T) {
	s := New(Options{Program: "p"})
	started := make(chan struct{})
	s.Control("POST /-/slow", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}))
	l := listen(t, "127.0.0.1:0")
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	asked := make(chan struct{})
	go func() {
		_, _ = Client(l.Addr().String(), Control{}).Post(context.Background(), "/-/slow", "") // is cut off
		close(asked)
	}()
	<-started
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	<-asked
}

func TestServeAfterShutdownReturns(t *testing.T) {
	s := New(Options{Program: "p"})
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := s.Serve(listen(t, "127.0.0.1:0")); err != nil {
		t.Error(err)
	}
}

func TestTheSocketOfADeadProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	s := New(Options{Program: "p", Control: Control{Path: path}})
	if err := s.Bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := New(Options{Program: "p", Control: Control{Path: path}})
	if err := second.Bind(t.Context()); err == nil || !strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("a live socket: %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestBindNamesTheFlagAndTheFix(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(path, want string) {
		t.Helper()
		err := New(Options{Program: "p", Control: Control{Path: path}}).Bind(t.Context())
		if err == nil || err.Error() != "cannot listen on unix:"+path+": "+want {
			t.Errorf("%v", err)
		}
	}
	f(filepath.Join(dir, "missing", "control"), "no such file or directory; make its directory first")
	f(file, "address already in use; something that is no socket of ours is there: remove it or use another path")
	if text, err := os.ReadFile(file); err != nil || len(text) != 0 {
		t.Errorf("the file is gone: %v", err)
	}
}
