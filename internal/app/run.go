// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/admin"
	"github.com/outrigger/outrigger/internal/lifecycle"
	"github.com/outrigger/outrigger/internal/logging"
)

// How long the admin port may take to finish its answers, after everything else
// has ended, in order or by force.
const (
	adminShutdown = time.Second
	adminAbort    = 100 * time.Millisecond
)

// Main runs the program and exits with its code. It is the only caller of
// os.Exit in the project.
func Main(spec Spec) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	// Without a receiver the end of whoever reads stdout or stderr would be the
	// program's end. Not ignored, as commands that it starts would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	p := process{}
	p.tune()
	r := runner{spec: spec, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, signals: signals, started: p.hide}
	os.Exit(r.run(context.Background(), os.Args[1:], os.Environ()))
}

// Run is Main for tests: it takes everything from its arguments, changes nothing
// in the process and returns the exit code. args are without the program's name.
// It ends when a signal arrives or ctx is cancelled.
func Run(ctx context.Context, spec Spec, args, environ []string, stdin io.Reader, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	r := runner{spec: spec, stdin: stdin, stdout: stdout, stderr: stderr, signals: signals, started: func() error { return nil }}
	return r.run(ctx, args, environ)
}

// runner is one run of a program.
type runner struct {
	spec           Spec
	stdin          io.Reader
	stdout, stderr io.Writer
	signals        <-chan os.Signal
	started        func() error // what the process does to itself once it runs
}

// run is the way of every program from its arguments to its exit code.
func (r *runner) run(ctx context.Context, args, environ []string) int {
	parsed, err := Parse(r.spec, args, environ)
	if parsed != nil && r.answer(parsed) {
		return exitOK
	}
	if parsed != nil && err == nil && parsed.Command != "" {
		return r.command(ctx, parsed)
	}
	if parsed != nil && parsed.Command == "" {
		err = parsed.Check() // with what Parse found: all errors at once
	}
	if err != nil {
		if parsed != nil {
			r.printWarnings(parsed) // a misspelt variable is why another is missing
		}
		return r.fail(err)
	}
	if parsed.Common.CheckConfig {
		r.printWarnings(parsed)
		return exitOK
	}
	if parsed.Common.PrintConfig {
		r.printWarnings(parsed)
		if err := parsed.writeConfig(r.stdout); err != nil {
			return r.fail(err)
		}
		return exitOK
	}
	return r.serve(ctx, parsed)
}

// answer handles the flags that only print, whatever else is wrong.
func (r *runner) answer(p *Parsed) bool {
	switch {
	case p.Common.Help:
		p.parser.writeHelp(r.stdout)
	case p.Common.Version:
		fmt.Fprintln(r.stdout, versionLine(r.spec.Name))
	default:
		return false
	}
	return true
}

// fail prints the errors that ended the start and returns the exit code.
func (r *runner) fail(err error) int {
	printError(r.stderr, r.spec.Name, err)
	return exitCode(err)
}

func (r *runner) printWarnings(p *Parsed) {
	for _, w := range p.Warnings {
		printError(r.stderr, r.spec.Name, errors.New("warning: "+w))
	}
}

// serve runs the program itself.
func (r *runner) serve(ctx context.Context, p *Parsed) int {
	began := time.Now()
	env, level := r.newEnv(ctx, p)
	env.Admin = admin.New(r.adminOptions(env, level))
	logStart(env)

	adminListener, err := env.Listen("admin", p.Common.AdminListen)
	if err != nil {
		return r.fail(env.Errorf("admin-listen", "%w", err))
	}
	defer func() { _ = adminListener.Close() }()
	if err := env.Admin.Bind(ctx); err != nil {
		return r.fail(env.Errorf("control", "%w", &BindError{Err: err}))
	}
	if err := r.spec.Setup(env); err != nil {
		r.stopAdmin(env, exitError)
		return r.fail(err)
	}
	if err := r.started(); err != nil {
		env.Log.Warn("cannot hide the process from its siblings", "error", err)
	}

	var tasks sync.WaitGroup
	stop := make(chan struct{})
	tasks.Go(func() { serveAdmin(env, adminListener) })
	tasks.Go(func() { announce(env, began, stop) })
	code := env.Life.Run(ctx, r.signals)
	close(stop)
	r.stopAdmin(env, code)
	tasks.Wait()
	return code
}

// newEnv makes what the program works with, but for the admin port.
func (r *runner) newEnv(ctx context.Context, p *Parsed) (*Env, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(p.Common.LogLevel)
	log := logging.New(r.stderr, p.Common.LogFormat, level)
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(runtimeCollectors()...)
	metrics.MustRegister(buildInfo(r.spec))
	life := lifecycle.New(lifecycle.Options{
		Log:             log,
		ShutdownDelay:   p.Common.ShutdownDelay,
		ShutdownTimeout: p.Common.ShutdownTimeout,
	})
	metrics.MustRegister(reloadCounters(r.spec, life)...)
	return &Env{Log: log, Metrics: metrics, Life: life, Stdout: r.stdout, Version: Version(), Parsed: p, ctx: ctx}, level
}

func (r *runner) adminOptions(env *Env, level *slog.LevelVar) admin.Options {
	c := env.Parsed.Common
	return admin.Options{
		Program: r.spec.Name, Version: env.Version, Log: env.Log,
		Gatherer: env.Metrics, Registerer: env.Metrics,
		Control: c.Control, EnableQuit: c.EnableQuit, EnablePprof: c.EnablePprof,
		Settings: env.Parsed.Settings,
		Reload:   env.Life.Reload,
		Quit:     func() { env.Life.Stop("quit endpoint") },
		LogLevel: level,
		Phase:    func() string { return env.Life.Phase().String() },
	}
}

// logStart logs the first line: what runs, and every setting that is not a
// default.
func logStart(env *Env) {
	attrs := []any{"version", env.Version}
	if env.Parsed.File != "" {
		attrs = append(attrs, "file", env.Parsed.File)
	}
	var changed []any
	for _, s := range env.Parsed.Settings() {
		if s.Origin != "default" {
			changed = append(changed, slog.String(s.Name, s.Value))
		}
	}
	env.Log.Info("starting", append(attrs, slog.Group("settings", changed...))...)
	for _, w := range env.Parsed.Warnings {
		env.Log.Warn("questionable setting", "reason", w)
	}
}

// serveAdmin answers on the admin port until stopAdmin.
func serveAdmin(env *Env, ln net.Listener) {
	if err := env.Admin.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
		env.Log.Error("admin port failed", "error", err)
		env.Life.Stop("admin port failed")
	}
}

// stopAdmin ends the admin port: the last thing that a program does. After a
// forced end it does not wait for a slow answer.
func (r *runner) stopAdmin(env *Env, code int) {
	timeout := adminShutdown
	if code != exitOK {
		timeout = adminAbort
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), timeout)
	defer cancel()
	if err := env.Admin.Shutdown(ctx); err != nil {
		env.Log.Debug("admin port cut off", "error", err)
	}
}

// announce logs `ready` the first time the program is, with the time since it
// began, and turns /readyz to 503
// on the first request to stop.
func announce(env *Env, began time.Time, stop <-chan struct{}) {
	const slowest = 500 * time.Millisecond
	wait := time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-env.Life.Stopping():
			env.Admin.SetStopping()
			return
		case <-timer.C:
		}
		if ready, _ := env.Admin.IsReady(); ready {
			env.Log.Info("ready", "after", time.Since(began).Round(time.Microsecond))
			timer.Stop()
			continue
		}
		timer.Reset(wait)
		wait = min(wait*2, slowest)
	}
}
