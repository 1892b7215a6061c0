// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Command is a program to start. Path is all it needs.
type Command struct {
	Path string
	Args []string
	// Env is added, as "NAME=value", to a minimal environment (PATH, HOME, TMPDIR
	// and what the race detector and coverage need): a variable that happens to be
	// set on this machine must not decide a test.
	Env   []string
	Dir   string
	Stdin io.Reader
	// User, if set, starts it with these numeric ids; that takes root.
	User *syscall.Credential
}

// Process is a started program. It is stopped when the test ends, and its output is
// printed if the test failed.
type Process struct {
	t              testing.TB
	name           string
	cmd            *exec.Cmd
	stdout, stderr output
	started        chan error    // the result of Start
	done           chan struct{} // closed when it has ended and its output is complete
}

// Start runs a program with arguments and, in addition to a minimal environment,
// env ("NAME=value").
//
//	p := testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{"--listen=127.0.0.1:0"}, nil)
//	addr := p.WaitAddr("https")
//	p.Signal(syscall.SIGTERM)
//	if code := p.Wait(); code != 0 { ... }
func Start(t testing.TB, path string, args, env []string) *Process {
	t.Helper()
	return StartCommand(t, Command{Path: path, Args: args, Env: env})
}

// StartCommand is [Start] with everything that can be set.
func StartCommand(t testing.TB, c Command) *Process {
	t.Helper()
	p := &Process{
		t: t, name: filepath.Base(c.Path), cmd: exec.Command(c.Path, c.Args...),
		started: make(chan error), done: make(chan struct{}),
	}
	p.cmd.Env = append(baseEnv(), c.Env...)
	p.cmd.Dir, p.cmd.Stdin = c.Dir, c.Stdin
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.WaitDelay = 2 * time.Second // a grandchild may hold the pipes open
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: c.User}
	go p.run()
	if err := <-p.started; err != nil {
		t.Fatalf("cannot start %s: %v", c.Path, err)
	}
	t.Cleanup(p.cleanup)
	return p
}

// Result is how a program ended and what it said.
type Result struct {
	Code           int // the exit code; 128 plus the signal's number where one ended it
	Stdout, Stderr string
}

// Run starts a program as [Start] does and waits for its end.
func Run(t testing.TB, path string, args, env []string) Result {
	t.Helper()
	p := Start(t, path, args, env)
	code := p.Wait()
	return Result{Code: code, Stdout: p.Stdout(), Stderr: p.Stderr()}
}

// run owns the process. It keeps its thread, because the kernel sends the parent-death
// signal when the thread that forked ends, not when the process does.
func (p *Process) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	p.started <- err
	if err == nil {
		_ = p.cmd.Wait() // the exit code is in ProcessState
	}
}

func baseEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GOCOVERDIR", "GORACE"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stdout is what it has written to standard output so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr is what it has written to standard error so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Logs are the JSON lines among its standard error so far.
func (p *Process) Logs() []LogLine { return ParseLog(p.Stderr()) }

// Signal sends sig.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("cannot send %v to %s: %v", sig, p.name, err)
	}
}

// Done is closed when it has ended and all its output is here.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether it has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for its end and returns the exit code: 128 plus the signal's number, as
// in a shell, where a signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.exitCode()
	case <-time.After(Patience):
		p.t.Fatalf("gave up waiting for %s to end after %s", p.name, Patience)
		return 0
	}
}

func (p *Process) exitCode() int {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop ends it with SIGTERM and returns the exit code.
func (p *Process) Stop() int {
	p.t.Helper()
	if p.Running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end by itself meanwhile
	}
	return p.Wait()
}

// Kill ends it with SIGKILL, as the kernel does when memory runs out, and waits.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// cleanup stops what still runs, kindly first, and shows the output of a failed test.
func (p *Process) cleanup() {
	if p.Running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			p.Kill()
		}
	}
	if !p.t.Failed() {
		return
	}
	p.t.Logf("%s ended with %d\nstdout:\n%s\nstderr:\n%s", strings.Join(p.cmd.Args, " "), p.exitCode(),
		p.stdout.tail(200), p.stderr.tail(200))
}

// wait polls f until it is satisfied, and fails at once when the program has ended, as
// nothing will change any more. What says for what it waits: "to log ...".
func (p *Process) wait(what string, f func() error) {
	p.t.Helper()
	var ended error
	Eventually(p.t, p.name+" "+what, func() error {
		running := p.Running() // before f, which sees the last words of one that ends now
		err := f()
		if err != nil && !running {
			ended = err
			return nil
		}
		return err
	})
	if ended != nil {
		p.t.Fatalf("%s ended with %d; waited for it %s: %v", p.name, p.exitCode(), what, ended)
	}
}

// WaitLog waits for a log line with this message and attributes (name, value, ...),
// compared as text, and returns the first.
//
//	p.WaitLog("certificate changed", "file", "/tls/tls.crt")
func (p *Process) WaitLog(msg string, attrs ...any) LogLine {
	p.t.Helper()
	return p.WaitLogs(1, msg, attrs...)[0]
}

// WaitLogs waits until n log lines have this message and attributes, and returns all
// that have.
func (p *Process) WaitLogs(n int, msg string, attrs ...any) []LogLine {
	p.t.Helper()
	var found []LogLine
	p.wait(fmt.Sprintf("to log %q %v", msg, attrs), func() error {
		found = found[:0]
		for _, line := range p.Logs() {
			if line.is(msg, attrs) {
				found = append(found, line)
			}
		}
		if len(found) < n {
			return fmt.Errorf("%d of %d such lines", len(found), n)
		}
		return nil
	})
	return found
}

// WaitAddr waits until the program says that a listener is bound (the log line
// "listening" with the attributes listener and addr) and returns an address to
// connect to: HOST:PORT, with 127.0.0.1 in place of a wildcard, or unix:PATH.
func (p *Process) WaitAddr(listener string) string {
	p.t.Helper()
	return dialable(p.WaitLog("listening", "listener", listener).Attrs["addr"])
}

// dialable is where to connect for an address that a listener has.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr // unix:PATH
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// AdminURL is the base URL of the admin listener, for example "http://127.0.0.1:9911".
func (p *Process) AdminURL() string {
	p.t.Helper()
	return "http://" + p.WaitAddr("admin")
}

// WaitReady waits until /readyz of the admin listener answers 200.
func (p *Process) WaitReady() {
	p.t.Helper()
	p.WaitReadyz(200)
}

// WaitReadyz waits until /readyz answers with the given status.
func (p *Process) WaitReadyz(status int) {
	p.t.Helper()
	url := p.AdminURL() + "/readyz?verbose"
	p.wait(fmt.Sprintf("to answer /readyz with %d", status), func() error {
		answer, err := Get(url)
		if err == nil && answer.Status != status {
			err = errors.New(answer.Body)
		}
		return err
	})
}
