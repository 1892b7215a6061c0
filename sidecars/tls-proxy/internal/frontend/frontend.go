// SPDX-License-Identifier: Apache-2.0

// Package frontend is the client's side of the proxy: it accepts connections, does the TLS handshake, and serves
// HTTP/1.1 and HTTP/2 to one handler.
//
//	front := frontend.New(frontend.Options{TLS: config, Handler: handler, Log: log, Metrics: metrics})
//	go front.Serve(listener)
//	...
//	front.StopAccepting()      // listeners closed, GOAWAY sent, responses say Connection: close
//	err := front.Drain(ctx)    // every connection done
//
// The way of a connection: accept -> Conn (deadlines that reset on progress) -> TLS handshake -> by ALPN to one of
// two http.Servers, HTTP/1.1 behind an httpwire.Guard. A handler finds the connection of a request with ConnOf.
package frontend

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger/outrigger/internal/listener"
)

// Options configure a Frontend. TLS, Handler, Log and Metrics are needed; times of 0 mean the defaults.
type Options struct {
	TLS              *tls.Config
	Handler          http.Handler
	Log              *slog.Logger
	Metrics          *Metrics
	HandshakeTimeout time.Duration // for a TLS handshake; 10s
	HeaderTimeout    time.Duration // for a whole request head, which is small; 10s
	IdleTimeout      time.Duration // without a request, or without progress towards the client; 60s
	MaxHeaderBytes   int           // 32 KiB
	MaxStreams       int           // concurrent HTTP/2 streams of a connection; 100
}

func (o *Options) setDefaults() {
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, 10*time.Second)
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 60*time.Second)
	o.MaxHeaderBytes = cmp.Or(o.MaxHeaderBytes, 32<<10)
	o.MaxStreams = cmp.Or(o.MaxStreams, 100)
}

// Frontend serves any number of listeners. Make one with New.
type Frontend struct {
	opts   Options
	http1  *http.Server
	http2  *http.Server
	queue1 *queue // handshaken connections on their way to http1
	queue2 *queue

	draining  atomic.Bool
	ctx       context.Context // of every request; ends with Cancel
	cancel    context.CancelCauseFunc
	listeners sync.WaitGroup // accept loops
	shaking   sync.WaitGroup // handshakes
	servers   sync.WaitGroup // http1.Serve, http2.Serve, and lingering closes

	mu      sync.Mutex
	bound   []*listener.Listener
	serving map[*Conn]bool // connections of http1 and http2, without those taken over by an upgrade
	settled bool           // draining, and no handshake is awaited any more
	empty   chan struct{}  // closed when settled and serving is empty
}

// New prepares a frontend; it starts with the first Serve.
func New(o Options) *Frontend {
	o.setDefaults()
	f := &Frontend{opts: o, queue1: newQueue(), queue2: newQueue(), serving: make(map[*Conn]bool), empty: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancelCause(context.Background())
	f.http1 = f.server()
	f.http1.Protocols = new(http.Protocols)
	f.http1.Protocols.SetHTTP1(true)
	f.http1.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateActive {
			c.(*http1Conn).raw.asked.Store(true)
		}
	}
	f.http2 = f.server()
	f.http2.Protocols = new(http.Protocols)
	f.http2.Protocols.SetHTTP2(true)
	f.http2.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: o.MaxStreams,
		// The protocol's own default. net/http's is 1 MiB, which one client could have buffered for each connection,
		// and which most clients make no use of.
		MaxReadFrameSize: 16 << 10,
		SendPingTimeout:  o.IdleTimeout,
		CountError:       o.Metrics.countHTTP2Error,
	}
	f.servers.Go(func() { _ = f.http1.Serve(f.queue1) })
	f.servers.Go(func() { _ = f.http2.Serve(f.queue2) })
	return f
}

func (f *Frontend) server() *http.Server {
	return &http.Server{
		Handler:           f.opts.Handler,
		ReadHeaderTimeout: f.opts.HeaderTimeout,
		IdleTimeout:       f.opts.IdleTimeout,
		MaxHeaderBytes:    f.opts.MaxHeaderBytes,
		// OPTIONS * asks the application, not the proxy.
		DisableGeneralOptionsHandler: true,
		// What clients do wrong is counted; here it would be a line per port scan.
		ErrorLog:    slog.NewLogLogger(f.opts.Log.Handler(), slog.LevelDebug),
		ConnContext: withConn,
		BaseContext: func(net.Listener) context.Context { return f.ctx },
	}
}

// Draining reports whether StopAccepting was called: responses then end their connections.
func (f *Frontend) Draining() bool { return f.draining.Load() }

// sweep is how long a listener that is to be closed still takes connections that clients completed before.
const sweep = 20 * time.Millisecond

// StopAccepting closes the listeners and asks clients to leave: HTTP/2 by GOAWAY, HTTP/1.1 by Connection: close
// on their next response. Connections between requests stay open for a while yet, see Drain.
func (f *Frontend) StopAccepting() {
	f.mu.Lock()
	first := !f.draining.Swap(true)
	bound := f.bound
	f.mu.Unlock()
	if !first {
		return
	}
	for _, l := range bound {
		l.Finish(sweep)
	}
	f.listeners.Wait()
}

// idleGrace is how long a kept HTTP/1.1 connection may still bring a request after StopAccepting: closing it at
// once would race with a request that is on its way.
const idleGrace = time.Second

// Drain waits until every connection has ended or ctx is done, and returns ctx's error then.
func (f *Frontend) Drain(ctx context.Context) error {
	f.settle(ctx)
	// GOAWAY lets the streams that are open, or on their way, finish (RFC 9113, section 6.8).
	f.servers.Go(func() { _ = f.http2.Shutdown(ctx) })
	select {
	case <-f.empty:
	case <-ctx.Done():
	case <-time.After(idleGrace):
		f.servers.Go(func() { _ = f.http1.Shutdown(ctx) })
		f.closeUnasked()
		select {
		case <-f.empty:
		case <-ctx.Done():
		}
	}
	select {
	case <-f.empty:
		f.Close()
		return nil
	default:
		return context.Cause(ctx)
	}
}

// closeUnasked closes HTTP/1.1 connections that never brought a request; http.Server.Shutdown would give each of
// them five seconds.
func (f *Frontend) closeUnasked() {
	f.mu.Lock()
	var unasked []*Conn
	for c := range f.serving {
		if c.ALPN != "h2" && !c.asked.Load() {
			unasked = append(unasked, c)
		}
	}
	f.mu.Unlock()
	for _, c := range unasked {
		c.Close()
	}
}

// settle gives clients in the middle of their handshake a moment to become connections, then lets the end of the
// last connection end the drain.
func (f *Frontend) settle(ctx context.Context) {
	done := make(chan struct{})
	f.servers.Go(func() {
		f.shaking.Wait()
		close(done)
	})
	select {
	case <-done:
	case <-time.After(idleGrace):
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled = true
	f.signalEmpty()
}

// ErrCancelled is the cause of a request's context that Cancel has ended.
var ErrCancelled = errors.New("the time to drain is over")

// Cancel ends every request that is still running and closes every connection.
func (f *Frontend) Cancel() {
	f.cancel(ErrCancelled)
	f.http1.Close()
	f.http2.Close()
}

// Close cancels what is left and waits for every goroutine of the frontend.
func (f *Frontend) Close() {
	f.StopAccepting()
	f.Cancel()
	f.shaking.Wait()
	f.servers.Wait()
}

// enter counts a connection that goes to a server.
func (f *Frontend) enter(c *Conn) {
	f.mu.Lock()
	f.serving[c] = true
	f.mu.Unlock()
	f.opts.Metrics.open.Add(1)
}

// leave takes it out, once: when it closes, or when an upgrade takes it over.
func (f *Frontend) leave(c *Conn) {
	f.opts.Metrics.open.Add(-1)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.serving, c)
	f.signalEmpty()
}

// signalEmpty ends a drain where nothing is left. Called with mu held.
func (f *Frontend) signalEmpty() {
	if len(f.serving) > 0 || !f.settled {
		return
	}
	select {
	case <-f.empty:
	default:
		close(f.empty)
	}
}
