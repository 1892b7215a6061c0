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
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The waits between tries: doubled from first to longest, as in net/http.
const (
	firstWait   = 5 * time.Millisecond
	longestWait = time.Second
)

// enough is more than it takes to accept a client that is there.
const enough = time.Second

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
func Tolerant(ln net.Listener, o Options) *Listener {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnError == nil {
		o.OnError = func() {}
	}
	return &Listener{Listener: ln, opts: o, closed: make(chan struct{})}
}

// Listener is a tolerant listener, see Tolerant.
type Listener struct {
	net.Listener
	opts   Options
	closed chan struct{}
	once   sync.Once
	last   atomic.Bool // Finish was called

	mu     sync.Mutex
	errs   int       // since it was last logged
	logged time.Time // when that was
}

// Accept waits for a connection, through any error that may pass.
func (l *Listener) Accept() (net.Conn, error) {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		conn, err := l.Listener.Accept()
		if err == nil {
			return conn, nil
		}
		if l.ended() {
			return nil, net.ErrClosed
		}
		if l.last.Load() && errors.Is(err, os.ErrDeadlineExceeded) {
			if !l.pending() {
				return nil, net.ErrClosed
			}
			// The time is over, and yet somebody waits: on a busy machine this goroutine may not have run at all.
			l.deadline(time.Now().Add(enough))
			conn, err := l.Listener.Accept()
			l.deadline(time.Now())
			if err == nil {
				return conn, nil
			}
			continue
		}
		if beyondUse(err) {
			return nil, err
		}
		l.opts.OnError()
		l.report(err, wait)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return nil, net.ErrClosed
		}
	}
}

// Close closes the listener and ends an Accept that waits.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Finish ends Accept after a while, for a shutdown, and not before everybody has been accepted who had connected by
// then: closing resets the connections that clients have completed and nobody has accepted yet. The listener is still
// to be closed. It returns at once.
func (l *Listener) Finish(after time.Duration) {
	l.last.Store(true)
	if !l.deadline(time.Now().Add(after)) {
		l.Close()
	}
}

// deadline sets the deadline of Accept and reports whether the listener has such a thing.
func (l *Listener) deadline(t time.Time) bool {
	d, ok := l.Listener.(interface{ SetDeadline(time.Time) error })
	return ok && d.SetDeadline(t) == nil
}

// pending reports whether a client waits to be accepted.
func (l *Listener) pending() bool {
	sc, ok := l.Listener.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	waits := false
	err = raw.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		waits = err == nil && n == 1
	})
	return err == nil && waits
}

func (l *Listener) ended() bool {
	select {
	case <-l.closed:
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
func (l *Listener) report(err error, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs++
	now := time.Now()
	if !l.logged.IsZero() && now.Sub(l.logged) < logEvery {
		return
	}
	l.opts.Log.Warn("cannot accept connections, trying again", "listener", l.opts.Name, "error", err, "errors", l.errs, "wait", wait.String())
	l.errs, l.logged = 0, now
}
