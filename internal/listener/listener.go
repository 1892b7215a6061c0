// SPDX-License-Identifier: Apache-2.0

// Package listener makes accepting outlive the shortages that end a plain accept loop: no descriptors left, no memory, a
// firewall's refusal. A tolerant listener waits and tries again; a server on it ends only when the listener is closed.
//
//	ln, err := config.Listen.Bind(ctx)
//	ln = listener.Tolerant(ln, listener.Options{Name: "https", Log: log, OnError: acceptErrors.Inc})
//	err = server.Serve(ln)
package listener

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// The waits between tries: doubled from first to longest, as in net/http.
const (
	firstWait   = 5 * time.Millisecond
	longestWait = time.Second
)

// logEvery is how often a lasting shortage is logged.
const logEvery = 30 * time.Second

// Options of a tolerant listener. All are optional.
type Options struct {
	// Name is what the log calls the listener.
	Name string
	// Log is told of errors, at most once in 30 s with their number.
	Log *slog.Logger
	// OnError is called for each failed Accept, for a metric.
	OnError func()
}

// Tolerant returns a listener on ln whose Accept fails only when it is closed, or ln is beyond use.
func Tolerant(ln net.Listener, o Options) net.Listener {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnError == nil {
		o.OnError = func() {}
	}
	return &tolerant{Listener: ln, Options: o, closed: make(chan struct{})}
}

type tolerant struct {
	net.Listener
	Options
	closed chan struct{}
	once   sync.Once

	mu     sync.Mutex
	errs   int       // since it was last logged
	logged time.Time // when that was
}

// Accept waits for a connection, through any error that may pass.
func (t *tolerant) Accept() (net.Conn, error) {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		conn, err := t.Listener.Accept()
		if err == nil {
			return conn, nil
		}
		if t.ended() {
			return nil, net.ErrClosed
		}
		if beyondUse(err) {
			return nil, err
		}
		t.OnError()
		t.report(err, wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-t.closed:
			timer.Stop()
			return nil, net.ErrClosed
		}
	}
}

// Close closes the listener and ends an Accept that waits.
func (t *tolerant) Close() error {
	t.once.Do(func() { close(t.closed) })
	return t.Listener.Close()
}

func (t *tolerant) ended() bool {
	select {
	case <-t.closed:
		return true
	default:
		return false
	}
}

// beyondUse reports whether no later Accept can succeed: the socket is closed or not a listening one. What else accept(2)
// returns is about one connection or about a shortage.
func beyondUse(err error) bool {
	for _, fatal := range []error{net.ErrClosed, io.EOF, syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		if errors.Is(err, fatal) {
			return true
		}
	}
	return false
}

// report logs an error, unless one was logged a short while ago: then it is only counted.
func (t *tolerant) report(err error, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs++
	now := time.Now()
	if !t.logged.IsZero() && now.Sub(t.logged) < logEvery {
		return
	}
	t.Log.Warn("cannot accept connections, trying again", "listener", t.Name, "error", err, "errors", t.errs, "wait", wait.String())
	t.errs, t.logged = 0, now
}
