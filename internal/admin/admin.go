// SPDX-License-Identifier: Apache-2.0

// Package admin is the admin port of every program: probes, metrics, a status page for people, and control for whoever may
// type on the same machine.
//
//	s := admin.New(admin.Options{Program: "tls-proxy", Version: version, Log: log, Gatherer: registry, Registerer: registry})
//	s.Ready("certificate", func() error { return store.Err() })  // part of /readyz
//	s.Note("app", func() error { return app.Err() })             // shown, never counted
//	beat := s.Pulse("watch", time.Minute)                        // part of /livez: call beat() in each turn of the loop
//	s.Figure(admin.Figure{Title: "Requests", Rate: true, Value: requests.Value})
//	s.Control("POST /-/drain", drain)
//	if err := s.Bind(ctx); err != nil { ... }                    // the control socket, where --control names one
//	go s.Serve(listener)
//	defer s.Shutdown(ctx)
//
// Anyone may ask /livez, /readyz, /startupz and /metrics: the kubelet and Prometheus come over the pod's address. Everything
// that tells more or changes something answers only to loopback connections, or to a Unix socket, see [Control].
package admin

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a Server is made of. The zero value of each field but Program means that the program has no such thing.
type Options struct {
	// Program is the program's name, "tls-proxy"; its metrics begin with it, "tls_proxy_".
	Program string
	// Version is shown on the status page.
	Version string
	// Log gets refused connections at level warn and control requests at level info. Nil discards them.
	Log *slog.Logger
	// Gatherer is what /metrics shows.
	Gatherer prometheus.Gatherer
	// Registerer gets the server's own metrics: PROGRAM_ready and PROGRAM_admin_refused_total.
	Registerer prometheus.Registerer
	// Control says where the control surface is; the zero value is "loopback".
	Control Control
	// EnableQuit allows POST /-/quit and POST /quitquitquit, EnablePprof /debug/pprof/.
	EnableQuit, EnablePprof bool
	// Settings returns the effective configuration with secrets already redacted.
	Settings func() []Setting
	// Reload is called by POST /-/reload; its error is the answer.
	Reload func(context.Context) error
	// Quit is called by POST /-/quit and must return at once.
	Quit func()
	// LogLevel is what PUT /-/log-level changes.
	LogLevel *slog.LevelVar
	// Phase is the lifecycle's phase in lower case: "starting", "running", "delaying", "draining" or "stopped". While it is
	// "starting", /startupz and /readyz fail; after "running", /readyz fails.
	Phase func() string
}

// Setting is one line of the effective configuration.
type Setting struct {
	Name   string `json:"name"`             // the flag's long name without dashes: "cert-dir"
	Env    string `json:"env,omitempty"`    // its environment variable: "TLS_PROXY_CERT_DIR"
	Value  string `json:"value"`            // redacted where it is a secret
	Origin string `json:"origin,omitempty"` // where the value comes from: "default", "flag", "env", a file's name
}

// Table is a table on the status page, such as the certificates in use.
type Table struct {
	Title string
	Head  []string
	// Rows is called for each view of the page and returns as many cells in a row as Head has.
	Rows func() [][]string
}

// Server answers on the admin port. Make it with New; all its methods are safe for concurrent use.
type Server struct {
	o       Options
	log     *slog.Logger
	start   time.Time
	host    string // the host's name
	mux     *http.ServeMux
	http    *http.Server
	conns   connections
	refused func(reason string)
	page    pageAssets

	mu       sync.Mutex // guards what follows
	checks   []check
	tables   []Table
	series   []*series
	own      []*series
	control  net.Listener // the bound control socket, nil where there is none
	closed   bool
	patterns []string // of Control, for the status page

	stopping atomic.Bool
	notReady atomic.Pointer[string]

	stop  chan struct{} // closed by Shutdown; ends the sampler and the wait after a failed accept
	tasks sync.WaitGroup
	once  sync.Once // starts the sampler
}

// New makes a server that nobody can reach before Bind and Serve.
func New(o Options) *Server {
	s := &Server{
		o:     o,
		log:   o.Log,
		start: time.Now(),
		mux:   http.NewServeMux(),
		stop:  make(chan struct{}),
		page:  newPageAssets(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.host, _ = os.Hostname() // only shown
	s.registerMetrics()
	s.conns.evicted = func() { s.refused(reasonConnections) }
	s.http = s.httpServer()
	s.ownFigures()
	s.routes()
	return s
}

// routes holds the whole admin port; a program adds its own with Control.
func (s *Server) routes() {
	s.mux.HandleFunc("GET /livez", s.serveProbe(probeLive))
	s.mux.HandleFunc("GET /healthz", s.serveProbe(probeLive))
	s.mux.HandleFunc("GET /readyz", s.serveProbe(probeReady))
	s.mux.HandleFunc("GET /startupz", s.serveProbe(probeStartup))
	s.mux.HandleFunc("GET /livez/{name}", s.serveProbe(probeLive))
	s.mux.HandleFunc("GET /healthz/{name}", s.serveProbe(probeLive))
	s.mux.HandleFunc("GET /readyz/{name}", s.serveProbe(probeReady))
	s.mux.HandleFunc("GET /startupz/{name}", s.serveProbe(probeStartup))
	s.mux.Handle("GET /metrics", s.metricsHandler())

	s.private("GET /{$}", http.HandlerFunc(s.servePage))
	s.private("GET /status", http.HandlerFunc(s.serveStatus))
	s.private("GET /-/config", http.HandlerFunc(s.serveConfig))
	s.private("GET /-/log-level", http.HandlerFunc(s.serveLogLevel))
	s.private("POST /-/quit", http.HandlerFunc(s.serveQuit))
	s.private("POST /quitquitquit", http.HandlerFunc(s.serveQuit))
	s.private("GET /debug/pprof/", s.pprofHandler())
	s.Control("POST /-/reload", http.HandlerFunc(s.serveReload))
	s.Control("PUT /-/log-level", http.HandlerFunc(s.setLogLevel))
}

// Table adds a table to the status page, below those added before.
func (s *Server) Table(t Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tables = append(s.tables, t)
}

// SetStopping makes /readyz answer 503 with the check "shutdown" from now on. It cannot be taken back.
func (s *Server) SetStopping() { s.stopping.Store(true) }

// SetNotReady makes /readyz fail with the check "drain" and this reason while everything else goes on: an operator takes the
// program out of service before it ends. An empty reason takes it back.
func (s *Server) SetNotReady(reason string) {
	if reason == "" {
		s.notReady.Store(nil)
		return
	}
	s.notReady.Store(&reason)
}

// phase is the lifecycle's phase, "running" where the program has none.
func (s *Server) phase() string {
	if s.o.Phase == nil {
		return phaseRunning
	}
	return s.o.Phase()
}

// ending tells that a stop was asked for, by SetStopping or by the lifecycle.
func (s *Server) ending() bool {
	return s.stopping.Load() || slices.Contains([]string{"delaying", "draining", "stopped"}, s.phase())
}

const (
	phaseStarting = "starting"
	phaseRunning  = "running"
)
