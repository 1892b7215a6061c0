// SPDX-License-Identifier: Apache-2.0

// Package apptest is the conformance test of a program: what every program
// promises about its configuration, sub-commands, admin port, life cycle, log and
// metrics, as one table that each calls with one line.
//
//	func program(t testing.TB) apptest.Program {
//		return apptest.Program{
//			Spec:   spec,
//			Args:   []string{"--listen=127.0.0.1:0", "--target=127.0.0.1:1", "--self-signed"},
//			Binary: testkit.Binary(t, "tls-proxy"),
//		}
//	}
//
//	func TestConformance(t *testing.T) { apptest.Run(t, program(t)) }
//	func TestReadme(t *testing.T)      { apptest.Readme(t, program(t), "README.md") }
//
// Each sub-test's name is the promise. Most are made twice: of the program run
// inside the test process (where the race detector and the leak check see it) and
// of the built binary.
package apptest

import (
	"os"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/testkit"
)

// Program is a program under test.
type Program struct {
	// Spec describes it; called for each run.
	Spec func() app.Spec
	// Args are the least arguments that start it and make it ready, on free ports
	// (port 0). The admin port is added. Files that they name have to be readable
	// by every user (testkit.ShortDir): one run is as the image's user.
	Args []string
	// Env are the least variables, "NAME=value".
	Env []string
	// Binary is the path of the built program.
	Binary string
	// Use, if set, uses the running program before its metrics are looked at, so
	// that metrics which appear with their first event are there.
	Use func(t *testing.T, p Running)
}

// Running is a run of the program, inside the test process or as one of its own.
type Running interface {
	Stdout() string
	Stderr() string
	Logs() []testkit.LogLine
	Signal(sig os.Signal)
	// Wait waits for the end and returns the exit code.
	Wait() int
	// WaitLog waits for a log line with this message and attributes.
	WaitLog(msg string, attrs ...any) testkit.LogLine
	// WaitAddr waits for a listener and returns where to connect.
	WaitAddr(listener string) string
	// AdminURL is "http://HOST:PORT" of the admin port.
	AdminURL() string
	// WaitReady waits until /readyz answers 200.
	WaitReady()
}

// Run tests everything that the program has in common with all others.
func Run(t *testing.T, p Program) {
	t.Run("spec", p.testSpec)
	for _, way := range p.ways() {
		t.Run(way.name, func(t *testing.T) {
			t.Run("configuration", func(t *testing.T) { testConfiguration(t, way) })
			t.Run("commands", func(t *testing.T) { testCommands(t, way) })
			t.Run("admin", func(t *testing.T) { testAdmin(t, way) })
			t.Run("lifecycle", func(t *testing.T) { testLifecycle(t, way) })
			t.Run("observability", func(t *testing.T) { testObservability(t, way) })
		})
	}
	t.Run("abort", func(t *testing.T) { testAbort(t, p.ways()[1]) })
	t.Run("process", p.testProcess)
}

// way is one way to run the program.
type way struct {
	Program
	name  string
	spec  app.Spec
	start func(t *testing.T, args, env []string) Running
}

func (p Program) ways() []way {
	return []way{
		{p, "in process", p.Spec(), func(t *testing.T, args, env []string) Running {
			return startLocal(t, p.Spec(), args, env)
		}},
		{p, "binary", p.Spec(), func(t *testing.T, args, env []string) Running {
			return testkit.Start(t, p.Binary, args, env)
		}},
	}
}

// serve starts the program so that it serves, with more arguments, and waits
// until it is ready.
func (w way) serve(t *testing.T, more ...string) Running {
	t.Helper()
	r := w.start(t, w.serveArgs(more...), w.Env)
	r.WaitReady()
	return r
}

// serveArgs are the arguments that make it serve.
func (w way) serveArgs(more ...string) []string {
	args := append([]string{"--admin-listen=127.0.0.1:0"}, w.Args...)
	return append(args, more...)
}

// result is how a run ended.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the program to its end, with the least environment and more.
func (w way) run(t *testing.T, args []string, env ...string) result {
	t.Helper()
	r := w.start(t, args, append(w.Env[:len(w.Env):len(w.Env)], env...))
	code := r.Wait()
	return result{code, r.Stdout(), r.Stderr()}
}

// env is the variable of a flag.
func (w way) env(flag string) string {
	return w.spec.EnvPrefix() + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// want checks a run's end. Each text has to be in what it printed.
func (r result) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("%q is not in the output", text)
		}
	}
	for _, bad := range []string{"panic:", "goroutine ", "%!"} {
		if strings.Contains(r.stderr, bad) {
			t.Errorf("%q is in the output", bad)
		}
	}
	if t.Failed() {
		t.Logf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
}
