// SPDX-License-Identifier: Apache-2.0

// Package forward is the application's side of the proxy: an http.Handler that passes each request on to the
// one application behind it and its response back, byte for byte where that is right, mended where an old
// application behind HTTPS would go wrong.
//
//	handler := forward.New(forward.Options{Target: target, Log: log, AccessLog: lines, Metrics: metrics})
//
// The way of a request: ServeHTTP (exchange.go) -> header policy (headers.go) -> the application over HTTP/1.1
// (http1.go) or cleartext HTTP/2 (http2.go), by a dial that waits while the application restarts (dial.go) ->
// response mended (mend.go) and copied; an upgrade becomes a tunnel (upgrade.go). Failures become a status and a
// reason in failure.go.
package forward

import (
	"cmp"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/httpwire"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/accesslog"
)

// Options configure a Handler. Target, Log, AccessLog and Metrics are needed.
type Options struct {
	Target    address.Target
	Log       *slog.Logger
	AccessLog *accesslog.Log
	Metrics   *Metrics

	TrustedProxies   []netip.Prefix // peers whose X-Forwarded-* and X-Request-Id are believed
	TrustUnix        bool           // the peers of unix sockets are such
	RewriteRedirects bool
	SecureCookies    bool
	HSTS             string // value of Strict-Transport-Security, "" for none

	Hold            time.Duration // how long requests wait for an application that refuses connections; 0: not at all
	ConnectTimeout  time.Duration // 5s
	ResponseTimeout time.Duration // for the response head; 0: as long as the client waits
	IdleTimeout     time.Duration // without a byte of a request body that the client owes, or the application takes; 60s
	TunnelTimeout   time.Duration // without a byte in an upgraded connection; 1h
	KeepAlive       int           // idle connections to the application that are kept
	KeepAliveTime   time.Duration // how long; 4s, below what applications do themselves

	// Draining reports whether connections are to end with their response. nil: never.
	Draining func() bool
}

// Handler forwards requests. Make one with New.
type Handler struct {
	opts      Options
	dialer    *dialer
	http1     *httpwire.Client
	http2     *http.Transport // nil unless the target speaks h2c
	streams   atomic.Int64    // responses that are being read from http2
	redirects redirects
	tunnels   tunnels
	exchanges sync.Pool
}

// New prepares a handler.
func New(o Options) *Handler {
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 5*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 60*time.Second)
	o.TunnelTimeout = cmp.Or(o.TunnelTimeout, time.Hour)
	o.KeepAliveTime = cmp.Or(o.KeepAliveTime, 4*time.Second)
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	h := &Handler{opts: o, redirects: redirectsTo(o.Target)}
	h.dialer = newDialer(o)
	h.tunnels.metrics = o.Metrics
	h.http1 = &httpwire.Client{
		Dial:            h.dialer.dial,
		MaxIdle:         o.KeepAlive,
		IdleTimeout:     o.KeepAliveTime,
		ResponseTimeout: o.ResponseTimeout,
		SendTimeout:     o.IdleTimeout,
	}
	if o.Target.Scheme == "h2c" {
		h.http2 = h2cTransport(h.dialer, o)
	}
	h.exchanges.New = func() any { return &exchange{wire: make([]byte, 0, 4<<10)} }
	return h
}

// Busy is the number of requests and tunnels that the application is at work on.
func (h *Handler) Busy() int {
	return max(h.http1.Open()-h.http1.Idle(), 0) + int(h.streams.Load())
}

// Waiting is the number of requests that wait for the application to accept connections.
func (h *Handler) Waiting() int { return int(h.dialer.waiting.Load()) }

// Pool tells how many connections to the application exist and how many of them are idle.
func (h *Handler) Pool() (open, idle int) { return h.http1.Open(), h.http1.Idle() }

// GoAway asks the peers of WebSocket tunnels to leave, close code 1001 (RFC 6455, section 7.4.1).
func (h *Handler) GoAway() { h.tunnels.goAway() }

// WaitTunnels returns when no tunnel is left, or when done is closed.
func (h *Handler) WaitTunnels(done <-chan struct{}) { h.tunnels.wait(done) }

// Settle waits, within a bound, until every request has been counted and logged. Closing a server's connections ends
// its handlers a moment later.
func (h *Handler) Settle(within time.Duration) {
	for end := time.Now().Add(within); h.opts.Metrics.inFlight.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

// Close ends every tunnel and closes the idle connections to the application.
func (h *Handler) Close() {
	h.dialer.stop()
	h.tunnels.closeAll()
	h.http1.CloseIdle()
	if h.http2 != nil {
		h.http2.CloseIdleConnections()
	}
}
