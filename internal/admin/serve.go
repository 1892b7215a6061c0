// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// What a client may take. A probe and a scrape need a fraction of it; more would let a slow or hostile client hurt the pod.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 15 * time.Second
	idleTimeout   = 2 * time.Minute // longer than the usual scrape interval, so that a scraper's connection lives on
	maxHeader     = 16 << 10
	maxConns      = 64
)

func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s.mux,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withEndpoint,
		ConnState:         s.conns.observe,
		ErrorLog:          slog.NewLogLogger(detailHandler{s.log.Handler()}, slog.LevelWarn),
	}
}

// Bind opens the socket that --control names, if it names one. Serve does so too; calling Bind before tells a failure before
// anything runs.
func (s *Server) Bind(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.o.Control.Path == "" || s.control != nil {
		return nil
	}
	l, err := bindSocket(ctx, s.o.Control.Path)
	if err != nil {
		return err
	}
	s.control = l
	return nil
}

// Serve answers on the listener, and on the control socket where there is one, until Shutdown; it then returns nil. Errors of
// accept, such as having no descriptor left, are logged and counted and never end it.
func (s *Server) Serve(l net.Listener) error {
	if err := s.Bind(context.Background()); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return l.Close()
	}
	s.tasks.Add(1)
	defer s.tasks.Done()
	s.once.Do(func() {
		s.tasks.Go(s.sample)
		if s.control != nil {
			s.tasks.Go(func() { s.serve(s.control, true) })
		}
	})
	s.mu.Unlock()
	s.serve(l, false)
	return nil
}

func (s *Server) serve(l net.Listener, control bool) {
	// Its errors are those of Shutdown: our Accept passes on no other.
	_ = s.http.Serve(&listener{Listener: l, server: s, control: control})
}

// Shutdown stops accepting, lets requests finish until ctx ends, closes every connection and waits for Serve.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	control := s.control
	s.mu.Unlock()
	// net/http waits seconds for a connection that has sent nothing yet.
	s.conns.closeIdle()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	if control != nil {
		_ = control.Close() // serves no more, or never did
	}
	s.tasks.Wait()
	return err
}

// listener hands out tracked connections and survives what accept may say.
type listener struct {
	net.Listener
	server   *Server
	control  bool
	failures int
	lastLog  time.Time
}

func (l *listener) Accept() (net.Conn, error) {
	var pause time.Duration
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			return l.server.conns.track(nc, l.control), nil
		}
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		l.failed(err)
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		select {
		case <-l.server.stop:
			return nil, net.ErrClosed
		case <-time.After(pause):
		}
	}
}

// failed counts every failure and logs one each ten seconds at most.
func (l *listener) failed(err error) {
	l.server.refused(reasonAccept)
	l.failures++
	if time.Since(l.lastLog) < 10*time.Second {
		return
	}
	l.server.log.Warn("cannot accept admin connections", "error", err, "failures", l.failures)
	l.failures, l.lastLog = 0, time.Now()
}

// connections are the open ones, at most maxConns. One more does not wait, for then a handful of idle clients would keep the
// kubelet out: it takes the place of the connection that has gone longest without sending a request.
type connections struct {
	evicted func() // called for each connection that lost its place

	mu   sync.Mutex
	open map[*conn]struct{}
}

// conn is a connection with what the guard and the tracker need to know.
type conn struct {
	net.Conn
	control bool
	owner   *connections

	// Guarded by owner.mu.
	busy  bool      // a request is being answered
	since time.Time // when busy was set or cleared
}

func (cs *connections) track(nc net.Conn, control bool) net.Conn {
	c := &conn{Conn: nc, control: control, owner: cs, since: time.Now()}
	cs.mu.Lock()
	var victim *conn
	if len(cs.open) >= maxConns {
		victim = cs.oldest()
	}
	if cs.open == nil {
		cs.open = make(map[*conn]struct{})
	}
	cs.open[c] = struct{}{}
	cs.mu.Unlock()
	if victim != nil {
		_ = victim.Close()
		cs.evicted()
	}
	return c
}

// oldest is the connection to close: an idle one before a busy one, the longest in its state first.
func (cs *connections) oldest() *conn {
	var oldest *conn
	for c := range cs.open {
		if oldest == nil || (oldest.busy && !c.busy) || (oldest.busy == c.busy && c.since.Before(oldest.since)) {
			oldest = c
		}
	}
	return oldest
}

// observe is the http.Server's ConnState.
func (cs *connections) observe(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.busy, c.since = state == http.StateActive, time.Now()
}

// closeIdle closes the connections that no request is being answered on.
func (cs *connections) closeIdle() {
	cs.mu.Lock()
	var idle []*conn
	for c := range cs.open {
		if !c.busy {
			idle = append(idle, c)
		}
	}
	cs.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}

func (c *conn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// bindSocket opens a Unix socket of mode 0600, in place of one that a dead process left behind.
func bindSocket(ctx context.Context, path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if nc, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path); err == nil {
			_ = nc.Close()
			return nil, errors.New("cannot listen on unix:" + path + ": another process listens there; use another path")
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(path) // if this fails, so does what follows, with a better error
		}
	}
	// The socket's mode before bind is the file's mode (unix_bind in the kernel), so that it is never open to others.
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }), err)
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, socketError(path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(socketError(path, err), l.Close())
	}
	return l, nil
}

// socketError names the flag and, where it is known, the fix.
func socketError(path string, err error) error {
	fix := ""
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		fix = "; name a directory that this user may write, such as an emptyDir volume"
	case errors.Is(err, fs.ErrNotExist):
		fix = "; make its directory first"
	case errors.Is(err, syscall.EADDRINUSE):
		fix = "; something that is no socket of ours is there: remove it or use another path"
	}
	// The cause alone: net.OpError repeats the path.
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		err = cause
	}
	return errors.New("cannot listen on unix:" + path + ": " + err.Error() + fix)
}

// detailHandler turns what net/http logs as text into a constant message with an attribute.
type detailHandler struct{ slog.Handler }

func (h detailHandler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, "admin server trouble", r.PC)
	out.AddAttrs(slog.String("detail", strings.TrimSpace(r.Message)))
	return h.Handler.Handle(ctx, out)
}
