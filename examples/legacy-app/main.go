// SPDX-License-Identifier: Apache-2.0

// Command legacy-app is Boathouse, a small application with the habits of an old one: the demo, the
// example pods and the tests put a sidecar beside it instead of changing it.
//
//	legacy-app -addr 127.0.0.1:8080 -config boathouse.conf -log-dir logs
//
// Its habits: plain HTTP on loopback, redirects to an absolute http:// address, a session cookie
// without Secure, a WebSocket and an event stream, log files by level that it rotates itself,
// counters as nested JSON at /stats, a status page that answers 200 even when it says DOWN, a
// configuration file that it reads again on SIGHUP, and an abrupt end on SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	addr       string
	configFile string // "" uses the defaults of defaultConfig
	logDir     string // "" writes every log line to standard error
	logBytes   int64  // a log file is rotated before it grows beyond this
	logKeep    int    // how many rotated files stay: app.log.1 to app.log.N
	pidFile    string // "" writes none
	jobEvery   time.Duration
}

func main() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM)
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr, signals))
}

// run is main with everything it touches handed in. It returns the exit code: 2 for bad usage, 1 for
// a failed start, 128 plus the signal that ended it otherwise.
func run(args []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	opts, err := parse(args, stderr)
	if err != nil {
		return 2
	}
	app, err := newApp(opts, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "legacy-app: %v\n", err)
		return 1
	}
	defer app.logs.Close()
	listener, err := net.Listen("tcp", opts.addr)
	if err != nil {
		fmt.Fprintf(stderr, "legacy-app: cannot listen on -addr %s: %v\n", opts.addr, err)
		return 1
	}
	if err := writePID(opts.pidFile); err != nil {
		listener.Close()
		fmt.Fprintf(stderr, "legacy-app: %v\n", err)
		return 1
	}
	fmt.Fprintf(stdout, "legacy-app listens on http://%s\n", listener.Addr())
	return app.serve(listener, opts.jobEvery, signals)
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("legacy-app", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "where to listen; port 0 takes a free one")
	flags.StringVar(&o.configFile, "config", "", "`file` of key = value lines, read again on SIGHUP")
	flags.StringVar(&o.logDir, "log-dir", "", "`directory` for app.log, error.log and access.log (default: standard error)")
	flags.Int64Var(&o.logBytes, "log-bytes", 1<<20, "rotate a log file before it grows beyond this")
	flags.IntVar(&o.logKeep, "log-keep", 3, "rotated files to keep of each log")
	flags.StringVar(&o.pidFile, "pid-file", "", "`file` to write the process id to")
	flags.DurationVar(&o.jobEvery, "job-every", 10*time.Second, "how often the housekeeping job runs")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.jobEvery <= 0:
		err = errors.New("-job-every must be above zero")
	case o.logBytes <= 0 || o.logKeep < 1:
		err = errors.New("-log-bytes and -log-keep must be above zero")
	}
	if err != nil {
		fmt.Fprintf(stderr, "legacy-app: %v\n", err)
	}
	return o, err
}

// serve runs until a signal ends it, the old way: whoever has a request in flight is cut off.
func (a *app) serve(listener net.Listener, jobEvery time.Duration, signals <-chan os.Signal) int {
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { a.housekeeping(ctx, jobEvery) })
	running.Go(func() { failed <- server.Serve(listener) })
	defer func() {
		cancel()
		server.Close()
		running.Wait()
	}()
	a.logs.Info("Main", "Boathouse %s started on %s", version, listener.Addr())
	for {
		select {
		case err := <-failed:
			a.logs.Error("Main", "server ended: %v", err)
			return 1
		case s := <-signals:
			if s == syscall.SIGHUP {
				a.reload()
				continue
			}
			a.logs.Warn("Main", "got %v, exit", s)
			if number, ok := s.(syscall.Signal); ok {
				return 128 + int(number)
			}
			return 1
		}
	}
}

func writePID(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("cannot write -pid-file: %w", err)
	}
	return nil
}
