// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/testkit"
)

// local is a run of a program inside the test process.
type local struct {
	t              *testing.T
	stdout, stderr buffer
	signals        chan os.Signal
	done           chan struct{}
	code           int
}

// startLocal runs the program until a signal ends it or the test does.
func startLocal(t *testing.T, spec app.Spec, args, env []string) *local {
	l := &local{t: t, signals: make(chan os.Signal, 8), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		l.code = app.Run(context.Background(), spec, args, env, strings.NewReader(""), &l.stdout, &l.stderr, l.signals)
	}()
	t.Cleanup(func() {
		l.Signal(syscall.SIGTERM)
		l.Wait()
		if t.Failed() {
			t.Logf("stderr:\n%s", l.Stderr())
		}
	})
	return l
}

func (l *local) Stdout() string          { return l.stdout.String() }
func (l *local) Stderr() string          { return l.stderr.String() }
func (l *local) Logs() []testkit.LogLine { return testkit.ParseLog(l.Stderr()) }
func (l *local) AdminURL() string        { return "http://" + l.WaitAddr("admin") }

func (l *local) Signal(sig os.Signal) {
	select {
	case l.signals <- sig:
	case <-l.done:
	}
}

func (l *local) Wait() int {
	l.t.Helper()
	select {
	case <-l.done:
		return l.code
	case <-time.After(testkit.Patience):
		l.t.Errorf("the program did not end")
		return -1
	}
}

func (l *local) WaitLog(msg string, attrs ...any) testkit.LogLine {
	l.t.Helper()
	var found testkit.LogLine
	testkit.Eventually(l.t, "log line "+msg, func() error {
		for _, line := range l.Logs() {
			if line.Msg == msg && hasAttrs(line, attrs) {
				found = line
				return nil
			}
		}
		return fmt.Errorf("not among:\n%s", l.Stderr())
	})
	return found
}

func hasAttrs(line testkit.LogLine, attrs []any) bool {
	for i := 0; i+1 < len(attrs); i += 2 {
		if line.Attrs[fmt.Sprint(attrs[i])] != fmt.Sprint(attrs[i+1]) {
			return false
		}
	}
	return true
}

func (l *local) WaitAddr(listener string) string {
	l.t.Helper()
	addr := l.WaitLog("listening", "listener", listener).Attrs["addr"]
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

func (l *local) WaitReady() {
	l.t.Helper()
	url := l.AdminURL() + "/readyz?verbose"
	testkit.Eventually(l.t, "readiness", func() error {
		answer, err := testkit.Get(url)
		if err == nil && answer.Status != 200 {
			err = errors.New(answer.Body)
		}
		return err
	})
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
