// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
)

const version = "2.3.1"

// app is the running application.
type app struct {
	opts     options
	config   atomic.Pointer[config]
	logs     *logFiles
	stats    *stats
	sessions *sessions
}

func newApp(opts options, stderr io.Writer) (*app, error) {
	c, err := readConfig(opts.configFile)
	if err != nil {
		return nil, err
	}
	logs, err := openLogs(opts.logDir, opts.logBytes, opts.logKeep, stderr)
	if err != nil {
		return nil, err
	}
	a := &app{opts: opts, logs: logs, stats: newStats(), sessions: newSessions()}
	a.use(c)
	return a, nil
}

// handler is the table of pages.
func (a *app) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("GET /whoami", a.whoami)
	mux.HandleFunc("/login", a.login)
	mux.HandleFunc("/logout", a.logout)
	mux.HandleFunc("GET /ledger", a.ledger)
	mux.HandleFunc("GET /download", a.download)
	mux.HandleFunc("POST /upload", a.upload)
	mux.HandleFunc("GET /slow", a.slow)
	mux.HandleFunc("GET /fail", a.fail)
	mux.HandleFunc("GET /events", a.events)
	mux.HandleFunc("GET /ws", a.websocket)
	mux.HandleFunc("GET /config", a.showConfig)
	mux.HandleFunc("GET /status", a.status)
	mux.HandleFunc("GET /stats", a.showStats)
	return a.observe(mux)
}

// observe counts and logs every request, and turns a panic into a 500 with its stack in error.log.
func (a *app) observe(pages *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		a.stats.inFlight.Add(1)
		seen := &recorder{ResponseWriter: w}
		defer func() {
			if cause := recover(); cause != nil {
				a.logs.Error("Web", "%s %s: %v\n%s", r.Method, r.URL.Path, cause, debug.Stack())
				http.Error(seen, "Internal Server Error", http.StatusInternalServerError)
			}
			a.stats.inFlight.Add(-1)
			a.stats.request(r.Pattern, seen.code(), time.Since(began))
			a.logs.Access(believed(r).Client, r.Method+" "+r.RequestURI+" "+r.Proto, seen.code(), seen.bytes)
		}()
		w.Header().Set("Server", "Boathouse/"+version)
		pages.ServeHTTP(seen, r)
	})
}

// recorder remembers what was answered. Flush and Hijack are found through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

func (r *recorder) code() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}

// belief is what the application takes for the truth about who asks, and how.
type belief struct {
	Scheme, Client, Host string
}

// believed trusts X-Forwarded-* from anybody, as old applications do: what stands in front has to
// overwrite what a client invents.
func believed(r *http.Request) belief {
	b := belief{Scheme: "http", Host: r.Host}
	b.Client, _, _ = net.SplitHostPort(r.RemoteAddr)
	if proto := r.Header.Get("X-Forwarded-Proto"); proto != "" {
		b.Scheme = proto
	}
	if host := r.Header.Get("X-Forwarded-Host"); host != "" {
		b.Host = host
	}
	if first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ","); first != "" {
		b.Client = strings.TrimSpace(first)
	}
	return b
}

// housekeeping is the job old applications run beside their pages: it ends idle sessions and says so.
func (a *app) housekeeping(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			began := time.Now()
			idle := time.Duration(a.config.Load().SessionMinutes) * time.Minute
			ended := a.sessions.sweep(began.Add(-idle))
			a.stats.job(time.Since(began))
			a.logs.Info("Housekeeping", "ended %d idle sessions, %d open", ended, a.sessions.open())
		}
	}
}
