// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// load sends requests until it is stopped or the server has gone, over kept connections, as a strict client: it
// sends nothing on a connection that said Connection: close or GOAWAY, and counts whatever else goes wrong with a
// request as a failure. Over HTTP/1.1 it never tries again.
type load struct {
	addr     string
	config   *tls.Config
	requests []loadRequest
	leaving  atomic.Bool // the server was told to end: it may refuse new connections from now on
	stopped  atomic.Bool
	answered atomic.Int64
	workers  sync.WaitGroup

	mu       sync.Mutex
	failures []string
}

// loadRequest is a request and the only right answer.
type loadRequest struct{ method, path, body, want string }

// appRequests are for the application of startApp.
var appRequests = []loadRequest{
	{"GET", "/", "", "ok"},
	{"POST", "/upload", strings.Repeat("x", 100<<10), "102400"},
	{"GET", "/slow", "", "ok"},
	{"GET", "/", "", "ok"},
	{"POST", "/", "small", "5"},
	{"HEAD", "/", "", ""},
}

// startLoad starts so many workers of each protocol.
func startLoad(t *testing.T, p *proxy, http1, http2 int, requests []loadRequest) *load {
	t.Helper()
	return startLoadWith(t, p.WaitAddr("https"), p.ca.ClientConfig("localhost"), http1, http2, requests)
}

func startLoadWith(t *testing.T, addr string, config *tls.Config, http1, http2 int, requests []loadRequest) *load {
	t.Helper()
	l := &load{addr: addr, config: config, requests: requests}
	for worker := range http1 {
		l.workers.Go(func() { l.overHTTP1(t.Context(), worker) })
	}
	const streams = 3 // that share a connection
	for first := 0; first < http2; first += streams {
		transport := l.transport()
		for worker := first; worker < min(first+streams, http2); worker++ {
			l.workers.Go(func() {
				defer transport.CloseIdleConnections()
				l.overHTTP2(t.Context(), transport, worker)
			})
		}
	}
	t.Cleanup(func() {
		l.stopped.Store(true)
		l.workers.Wait()
	})
	return l
}

// reach waits until so many more requests were answered.
func (l *load) reach(t *testing.T, more int64) {
	t.Helper()
	goal := l.answered.Load() + more
	testkit.Eventually(t, "requests under load", func() error {
		if now := l.answered.Load(); now < goal {
			return fmt.Errorf("%d of %d were answered: %s", now, goal, l.report())
		}
		return nil
	})
}

// stop ends the load and fails the test for each request that failed.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.stopped.Store(true)
	l.end(t)
}

// end waits until the server has gone, as far as the workers can tell.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.workers.Wait()
	if report := l.report(); report != "" {
		t.Errorf("of %d requests these failed:\n%s", l.answered.Load(), report)
	}
}

func (l *load) report() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.failures[:min(len(l.failures), 20)], "\n")
}

func (l *load) fail(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, fmt.Sprintf(format, args...))
}

// dialError is a connection that was not made: no request was on it.
type dialError struct{ error }

func (l *load) dial(ctx context.Context, protocol string) (net.Conn, error) {
	config := l.config.Clone()
	config.NextProtos = []string{protocol}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", l.addr)
	if err != nil {
		return nil, dialError{err}
	}
	return conn, nil
}

// gone reports whether err means that the server, which was told to end, takes no connections any more.
func (l *load) gone(err error) bool {
	_, ok := errors.AsType[dialError](err)
	return ok && l.leaving.Load()
}

func (l *load) overHTTP1(ctx context.Context, worker int) {
	for n := worker; !l.stopped.Load(); {
		conn, err := l.dial(ctx, "http/1.1")
		if err != nil {
			if !l.gone(err) {
				l.fail("HTTP/1.1: cannot connect: %v", err)
			}
			return
		}
		_ = conn.SetDeadline(time.Now().Add(testkit.Patience))
		reader := bufio.NewReader(conn)
		for again := true; again && !l.stopped.Load(); n++ {
			if again, err = l.exchange(conn, reader, l.requests[n%len(l.requests)]); err != nil {
				l.fail("HTTP/1.1: request %d of worker %d: %v", n-worker+1, worker, err)
			}
		}
		_ = conn.Close()
	}
}

// exchange sends one request and reads its answer; again says whether the connection can carry another.
func (l *load) exchange(conn net.Conn, reader *bufio.Reader, r loadRequest) (again bool, err error) {
	req, err := http.NewRequest(r.method, "https://localhost"+r.path, strings.NewReader(r.body))
	if err != nil {
		return false, err
	}
	sent := make(chan error, 1)
	go func() { sent <- req.Write(conn) }()
	resp, err := http.ReadResponse(reader, req)
	if err != nil {
		return false, errors.Join(err, <-sent)
	}
	err = l.check(r, resp)
	return err == nil && <-sent == nil && !resp.Close, err
}

// check reads an answer whole and compares it.
func (l *load) check(r loadRequest, resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: the answer broke off after %d bytes: %w", r.method, r.path, len(body), err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s %s: %s %.200s", r.method, r.path, resp.Status, body)
	case !bytes.Equal(body, []byte(r.want)):
		return fmt.Errorf("%s %s: %d bytes came, want %d", r.method, r.path, len(body), len(r.want))
	}
	l.answered.Add(1)
	return nil
}

// transport speaks HTTP/2 alone.
func (l *load) transport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return &http.Transport{
		Protocols:      protocols,
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return l.dial(ctx, "h2") },
	}
}

func (l *load) overHTTP2(ctx context.Context, transport *http.Transport, worker int) {
	for n := worker; !l.stopped.Load(); n++ {
		r := l.requests[n%len(l.requests)]
		req, err := http.NewRequestWithContext(ctx, r.method, "https://localhost"+r.path, strings.NewReader(r.body))
		if err != nil {
			l.fail("HTTP/2: %v", err)
			return
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			err = l.check(r, resp)
		}
		switch {
		case err == nil:
		case l.gone(err):
			return
		default:
			l.fail("HTTP/2: request %d of worker %d: %v", n-worker+1, worker, err)
		}
	}
}
