// SPDX-License-Identifier: Apache-2.0

package listener_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/outrigger/outrigger/internal/listener"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is a listener whose Accept returns the errors it was given, one after the other, and then a connection.
type script struct {
	net.Listener
	errs []error
}

func (s *script) Accept() (net.Conn, error) {
	if len(s.errs) == 0 {
		client, server := net.Pipe()
		_ = client.Close()
		return server, nil
	}
	err := s.errs[0]
	s.errs = s.errs[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
}

func (s *script) Close() error { return nil }

func TestAcceptOutlivesEveryErrorThatMayPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		failed := 0
		ln := listener.Tolerant(&script{errs: []error{
			syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO,
			syscall.EPERM, syscall.ENETDOWN, syscall.EHOSTUNREACH, errors.New("unheard of"),
		}}, listener.Options{
			Name:    "https",
			Log:     slog.New(slog.NewTextHandler(&log, nil)),
			OnError: func() { failed++ },
		})
		start := time.Now()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if failed != 10 {
			t.Errorf("%d errors were counted, want 10", failed)
		}
		// 5, 10, 20, ... 640 ms, then one second at a time
		if got, want := time.Since(start), 1275*time.Millisecond+2*time.Second; got != want {
			t.Errorf("Accept took %s, want %s", got, want)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), `listener=https error="accept tcp: too many open files"`) {
			t.Errorf("the log has %d lines, want one:\n%s", n, &log)
		}
	})
}

func TestAShortageThatLastsIsLoggedTwiceAMinuteWithTheNumberOfErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var errs []error
		for range 60 {
			errs = append(errs, syscall.EMFILE)
		}
		ln := listener.Tolerant(&script{errs: errs}, listener.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "errors=1 ") || !strings.Contains(log.String(), "errors=37 ") {
			t.Errorf("log:\n%s", &log)
		}
	})
}

func TestAnErrorThatCannotPassEndsAccept(t *testing.T) {
	for _, fatal := range []error{net.ErrClosed, syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK} {
		ln := listener.Tolerant(&script{errs: []error{fatal}}, listener.Options{})
		if _, err := ln.Accept(); !errors.Is(err, fatal) {
			t.Errorf("Accept: %v, want %v", err, fatal)
		}
	}
}

func TestCloseEndsAnAcceptThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := listener.Tolerant(&script{errs: make([]error, 100)}, listener.Options{})
		done := make(chan error)
		go func() {
			_, err := ln.Accept()
			done <- err
		}()
		time.Sleep(10 * time.Second)
		for range 2 {
			if err := ln.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v, want net.ErrClosed", err)
		}
	})
}

// TestAcceptWaitsForADescriptor takes all descriptors from this very process.
func TestAcceptWaitsForADescriptor(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", inner.Addr().String()) // waits in the backlog
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	var failed atomic.Int32
	again := make(chan struct{}, 1)
	ln := listener.Tolerant(inner, listener.Options{OnError: func() {
		if failed.Add(1) == 3 {
			again <- struct{}{}
		}
	}})
	defer ln.Close()
	accepted := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_ = conn.Close()
		}
		accepted <- err
	}()
	select {
	case <-again:
	case err := <-accepted:
		t.Fatalf("Accept returned without descriptors: %v", err)
	}
	restore()
	if err := <-accepted; err != nil {
		t.Error(fmt.Errorf("after %d errors: %w", failed.Load(), err))
	}
}

func TestFinishTakesEverybodyWhoHasConnectedAndThenEnds(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = t.TempDir() + "/s"
			}
			inner, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			l := listener.Tolerant(inner, listener.Options{})
			defer l.Close()
			const clients = 20
			for range clients {
				c, err := net.Dial(network, inner.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			l.Finish(0) // the time is over before the first Accept, as on a machine that is too busy
			for n := range clients {
				c, err := l.Accept()
				if err != nil {
					t.Fatalf("client %d is turned away: %v", n, err)
				}
				c.Close()
			}
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("behind the last client: %v", err)
			}
		})
	}
}
