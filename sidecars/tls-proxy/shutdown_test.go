// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestATerminationUnderLoadFailsNoRequest is the one promise of draining. Every answer also has its access log line.
func TestATerminationUnderLoadFailsNoRequest(t *testing.T) {
	for _, tt := range []struct {
		name         string
		http1, http2 int
		flags        []string
	}{
		{"HTTP/1.1", 12, 0, nil},
		{"HTTP/2", 0, 12, nil},
		{"a mixture", 6, 6, nil},
		{"a mixture with a delay", 6, 6, []string{"--shutdown-delay=500ms"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, startApp(t), tt.flags...)
			l := startLoad(t, p, tt.http1, tt.http2, appRequests)
			l.reach(t, 300)
			l.leaving.Store(true)
			p.Signal(syscall.SIGTERM)
			code := p.Wait()
			l.end(t)
			if code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if lines := okLines(p.Stdout()); lines != l.answered.Load() {
				t.Errorf("%d access log lines say 200, %d requests were answered so", lines, l.answered.Load())
			}
		})
	}
}

// okLines counts the access log lines of requests that went well.
func okLines(stdout string) (n int64) {
	for text := range strings.Lines(stdout) {
		var line struct {
			Status int
			End    string
		}
		if json.Unmarshal([]byte(text), &line) == nil && line.Status == 200 && line.End == "ok" {
			n++
		}
	}
	return n
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startApp(t), "--shutdown-timeout=1h")
	c := testkit.DialRawTLS(t, p.WaitAddr("https"), p.ca.ClientConfig("localhost"))
	c.Send("GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.ReadUntil("\r\n\r\n")
	p.Signal(syscall.SIGTERM)
	p.WaitLog("shutting down")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}

func TestAStragglerIsCutOffAndTheExitCodeSaysSo(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startApp(t), "--shutdown-timeout=1s")
	c := testkit.DialRawTLS(t, p.WaitAddr("https"), p.ca.ClientConfig("localhost"))
	c.Send("GET /forever HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.ReadUntil("\r\n\r\n")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if rest, _ := c.ReadAll(); strings.HasSuffix(rest, "0\r\n\r\n") {
		t.Error("the response that was cut looks whole")
	}
	if log := p.Stdout(); !strings.Contains(log, `"path":"/forever"`) || !strings.Contains(log, `"end":"stopping"`) {
		t.Errorf("the request that was cut is not in the access log: %s", log)
	}
}

func TestAHangupUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startApp(t))
	l := startLoad(t, p, 4, 4, appRequests)
	const rounds = 20
	for n := range rounds {
		l.reach(t, 20)
		p.volume.Update(p.ca.Issue("localhost").Files("tls"))
		p.Signal(syscall.SIGHUP)
		p.WaitLogs(n+1, "reloaded")
	}
	l.stop(t)
	if got := p.Metric(`tls_proxy_certificate_loads_total{result="ok"}`); got != rounds+1 {
		t.Errorf("%v loads, want %d", got, rounds+1)
	}
}

// legacy starts the legacy application on a port that stays the same when it is started again.
func legacy(t *testing.T, addr string) *testkit.Process {
	t.Helper()
	app := testkit.Start(t, testkit.Binary(t, "legacy-app"), []string{"-addr=" + addr, "-log-dir=" + t.TempDir()}, nil)
	testkit.Eventually(t, "the application", func() error {
		if !strings.Contains(app.Stdout(), "legacy-app listens on ") {
			return errors.New("it does not listen yet")
		}
		return nil
	})
	return app
}

func TestWithoutTheApplicationATerminationEndsAtOnce(t *testing.T) {
	t.Parallel()
	addr := testkit.FreeAddr(t)
	app := legacy(t, addr)
	p := startProxy(t, addr, "--shutdown-delay=1h", "--shutdown-timeout=1h")
	// A client that keeps its connection must not keep the proxy.
	c := testkit.DialRawTLS(t, p.WaitAddr("https"), p.ca.ClientConfig("localhost"))
	c.Send("GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n")
	c.ReadResponse("GET")
	app.Kill()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	p.WaitLog("nothing to wait for, stopping at once")
}

func TestDuringTheShutdownDelayItServesButIsNotReady(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startApp(t), "--shutdown-delay=2s")
	p.Signal(syscall.SIGTERM)
	p.WaitReadyz(503)
	if live, err := testkit.Get(p.AdminURL() + "/livez"); err != nil || live.Status != 200 {
		t.Errorf("/livez: %d, %v", live.Status, err)
	}
	p.mustGet(t, "/") // over a new connection
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestDrainMakesItNotReadyAndKeepsServing(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startApp(t))
	admin := "--admin-listen=" + p.WaitAddr("admin")
	drained := testkit.Run(t, testkit.Binary(t, "tls-proxy"), []string{"drain", admin, "--wait=100ms"}, nil)
	if drained.Code != 0 || drained.Stdout != "not ready from now on; still serving\n" {
		t.Errorf("drain: exit %d, %q, %q", drained.Code, drained.Stdout, drained.Stderr)
	}
	p.WaitReadyz(503)
	if got := p.readyz(t).Body; !strings.Contains(got, "drained by request") {
		t.Errorf("/readyz?verbose says %s", got)
	}
	p.mustGet(t, "/")
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	gone := testkit.Run(t, testkit.Binary(t, "tls-proxy"), []string{"drain", admin}, nil)
	if gone.Code != 1 || !strings.HasPrefix(gone.Stderr, "tls-proxy: cannot reach the running program: ") {
		t.Errorf("drain without a program: exit %d, %q", gone.Code, gone.Stderr)
	}
}

// TestWhoKeepsAConnectionIsAskedToLeave: an idle kept connection is closed, one with a request ends with its answer.
func TestWhoKeepsAConnectionIsAskedToLeave(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startApp(t))
	idle := testkit.DialRawTLS(t, p.WaitAddr("https"), p.ca.ClientConfig("localhost"))
	busy := testkit.DialRawTLS(t, p.WaitAddr("https"), p.ca.ClientConfig("localhost"))
	for _, c := range []*testkit.RawConn{idle, busy} {
		c.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if got := c.ReadResponse("GET"); got.Status() != 200 || got.Has("Connection") {
			t.Fatalf("got %s, %v", got.Line(), got.Fields())
		}
	}
	p.Signal(syscall.SIGTERM)
	p.WaitLog("shutting down")
	testkit.Eventually(t, "the port to be closed", func() error {
		conn, err := net.DialTimeout("tcp", p.WaitAddr("https"), time.Second)
		if err == nil {
			_ = conn.Close()
			return errors.New("a new connection is accepted")
		}
		return nil
	})
	busy.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") // it may still bring one
	if got := busy.ReadResponse("GET"); got.Status() != 200 || got.Value("Connection") != "close" {
		t.Errorf("got %s, %v; want 200 with Connection: close", got.Line(), got.Fields())
	}
	if _, err := idle.ReadAll(); err != nil {
		t.Errorf("the idle connection ended with %v, want a proper end", err)
	}
	if code := p.Wait(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
