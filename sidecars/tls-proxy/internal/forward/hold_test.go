// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

func hold(d time.Duration) func(*options) { return func(o *options) { o.forward.Hold = d } }

func TestRequestsWaitWhileTheAppRestarts(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	fault := testkit.NewFaultProxy(t, app.Addr())
	fault.Set(testkit.Fault{Refuse: true})
	p := newProxy(t, fault.Addr(), hold(testkit.Patience))
	var answers sync.WaitGroup
	for i := range 20 {
		protocol := protocols[i%2]
		answers.Go(func() {
			var req *http.Request
			if i%3 == 0 {
				req = p.request("POST", "/", strings.NewReader("body"))
			} else {
				req = p.request("GET", "/", nil)
			}
			if answer, err := p.do(p.client(protocol), req); err != nil || answer.Status != 200 || answer.Body != "ok" {
				t.Errorf("%v %v", answer, err)
			}
		})
	}
	testkit.Eventually(t, "20 requests to wait", func() error {
		if n := p.handler.Waiting(); n != 20 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	fault.Heal()
	answers.Wait()
	if n := p.metric("tls_proxy_target_held_requests_total", "result=served"); n != 20 || p.handler.Waiting() != 0 {
		t.Errorf("%v were served after a wait, %d still wait", n, p.handler.Waiting())
	}
	if n := len(app.Requests()); n != 20 {
		t.Errorf("%d requests reached the app", n)
	}
}

func TestAnUnixSocketThatIsNotThereYetIsWaitedFor(t *testing.T) {
	path := testkit.SocketPath(t)
	p := newProxy(t, "unix:"+path, hold(testkit.Patience))
	done := make(chan int)
	go func() { done <- p.get("/").Status() }()
	testkit.Eventually(t, "a request to wait", func() error {
		if p.handler.Waiting() == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(l) }()
	if status := <-done; status != 200 {
		t.Errorf("status %d", status)
	}
	_ = server.Close()
	<-served
}

func TestAFullQueueOfAUnixSocketIsWaitedFor(t *testing.T) {
	path := testkit.SocketPath(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	filler, err := net.Dial("unix", path) // the queue holds one
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	p := newProxy(t, "unix:"+path, hold(testkit.Patience))
	done := make(chan int)
	go func() { done <- p.get("/").Status() }()
	testkit.Eventually(t, "a request to wait", func() error {
		if p.handler.Waiting() == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	serving := true
	for serving { // the filler, probes, and the request
		conn, _, err := syscall.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		_ = syscall.SetsockoptTimeval(conn, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &syscall.Timeval{Usec: 100000})
		if n, _ := syscall.Read(conn, buf); n > 0 {
			_, _ = syscall.Write(conn, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
			serving = false
		}
		_ = syscall.Close(conn)
	}
	if status := <-done; status != 200 {
		t.Errorf("status %d", status)
	}
}

func TestBeyondTheHoldAClientIsAskedToComeBack(t *testing.T) {
	t.Parallel()
	p := newProxy(t, testkit.FreeAddr(t), hold(50*time.Millisecond))
	h2c := newProxy(t, "h2c://"+testkit.FreeAddr(t), hold(50*time.Millisecond))
	now := newProxy(t, testkit.FreeAddr(t))
	for _, to := range []*proxy{p, h2c, now} {
		r := to.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
		if r.Status() != 503 || r.Value("Retry-After") != "1" || r.Content() != "503 Service Unavailable: the application is not accepting connections\n" || r.Value("Cache-Control") != "no-store" {
			t.Errorf("answer: %q %q", r.Head, r.Body)
		}
		to.expectEnd(1, 503, "app_refused")
	}
	if n := p.metric("tls_proxy_target_held_requests_total", "result=failed"); n != 1 {
		t.Errorf("%v waited in vain", n)
	}
	if n := now.metric("tls_proxy_target_held_requests_total"); n != 0 {
		t.Errorf("%v waited without a hold", n)
	}
}

func TestAClientThatLeavesDoesNotWaitOn(t *testing.T) {
	t.Parallel()
	for _, target := range []string{testkit.FreeAddr(t), "h2c://" + testkit.FreeAddr(t)} {
		p := newProxy(t, target, hold(testkit.Patience))
		for n, protocol := range protocols {
			ctx, leave := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				_, err := p.do(p.client(protocol), p.request("GET", "/", nil).WithContext(ctx))
				done <- err
			}()
			testkit.Eventually(t, "the request to wait", func() error {
				if p.handler.Waiting() == 0 {
					return fmt.Errorf("it does not")
				}
				return nil
			})
			leave()
			if err := <-done; err == nil {
				t.Error("no error")
			}
			p.expectEnd(n+1, 499, "client_gone")
			if strings.HasPrefix(target, "h2c") {
				p.handler.Close() // the transport goes on to wait for whoever comes next
				break
			}
		}
		testkit.Eventually(t, "nobody to wait", func() error {
			if n := p.handler.Waiting(); n > 0 {
				return fmt.Errorf("%d do", n)
			}
			return nil
		})
	}
}

func TestTheEndOfTheProxyEndsTheWait(t *testing.T) {
	p := newProxy(t, testkit.FreeAddr(t), hold(testkit.Patience))
	done := make(chan int)
	go func() { done <- p.get("/").Status() }()
	testkit.Eventually(t, "the request to wait", func() error {
		if p.handler.Waiting() == 0 {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	p.handler.Close()
	if status := <-done; status != 503 {
		t.Errorf("status %d", status)
	}
}

func TestAnAppThatTakesNoConnectionInTimeIs504(t *testing.T) {
	t.Parallel()
	// A listener with a full queue that nobody accepts from: further connections get no answer.
	l := listenTCP(t)
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { _ = syscall.Listen(int(fd), 0) })
	var fillers []net.Conn
	defer func() {
		for _, c := range fillers {
			_ = c.Close()
		}
	}()
	for {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 200*time.Millisecond)
		if err != nil {
			break
		}
		fillers = append(fillers, c)
	}
	for _, scheme := range []string{"", "h2c://"} {
		p := newProxy(t, scheme+l.Addr().String(), func(o *options) { o.forward.ConnectTimeout = 100 * time.Millisecond })
		r := p.get("/")
		if r.Status() != 504 {
			t.Errorf("answer: %q", r.Head)
		}
		p.expectEnd(1, 504, "app_connect_timeout")
		if n := p.metric("tls_proxy_target_dials_total", "result=timeout"); n != 1 {
			t.Errorf("%v dials timed out", n)
		}
	}
}

func TestASocketThatIsNoServersIs502(t *testing.T) {
	t.Parallel()
	path := testkit.SocketPath(t)
	datagrams, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	p := newProxy(t, "unix:"+path, hold(testkit.Patience))
	r := p.get("/")
	if r.Status() != 502 || r.Content() != "502 Bad Gateway: the application cannot be reached\n" {
		t.Errorf("answer: %q", r.Head)
	}
	p.expectEnd(1, 502, "app_unreachable")
	if n := p.metric("tls_proxy_target_dials_total", "result=error"); n != 1 {
		t.Errorf("%v dials failed", n)
	}
}

func TestAnAppThatDoesNotAnswerInTimeIs504(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		x.ReadBody()
		_ = x.Send("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 ")
		<-x.Done()
	})
	var stuck atomic.Int32
	h2c := h2cApp(t, func(_ http.ResponseWriter, r *http.Request) {
		stuck.Add(1)
		<-r.Context().Done()
		stuck.Add(-1)
	})
	for _, target := range []string{app.Addr(), h2c} {
		p := newProxy(t, target, func(o *options) { o.forward.ResponseTimeout = 100 * time.Millisecond })
		for n, protocol := range protocols {
			answer, err := p.do(p.client(protocol), p.request("POST", "/", strings.NewReader("body")))
			if err != nil || answer.Status != 504 {
				t.Errorf("%s to %s: %v %v", protocol, target, answer, err)
			}
			p.expectEnd(n+1, 504, "app_timeout")
		}
	}
	testkit.Eventually(t, "the app to be told", func() error {
		if n := stuck.Load(); n > 0 {
			return fmt.Errorf("%d requests are under way there", n)
		}
		return nil
	})
}

func TestTheResponseTimeoutEndsWithTheHead(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
		_ = x.SendSlowly("abcde", 1, 50*time.Millisecond)
	})
	p := newProxy(t, app.Addr(), func(o *options) { o.forward.ResponseTimeout = 100 * time.Millisecond })
	for _, protocol := range protocols {
		if answer, err := p.do(p.client(protocol), p.request("GET", "/", nil)); err != nil || answer.Body != "abcde" {
			t.Errorf("%s: %v %v", protocol, answer, err)
		}
	}
}

func TestAStaleConnectionCostsAGETNothing(t *testing.T) {
	app := testkit.NewRawBackend(t)
	fault := testkit.NewFaultProxy(t, app.Addr())
	p := newProxy(t, fault.Addr(), hold(testkit.Patience), func(o *options) { o.forward.KeepAliveTime = time.Minute })
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} {
		p.ask(method + " /first HTTP/1.1\r\nHost: h\r\n\r\n")
		fault.ResetAll() // the app restarts
		if r := p.ask(method + " / HTTP/1.1\r\nHost: h\r\n\r\n"); r.Status() != 200 {
			t.Errorf("%s: %q", method, r.Head)
		}
	}
}

func TestAPOSTIsSentAgainOnlyWhereTheAppCannotHaveSeenIt(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), func(o *options) { o.forward.KeepAliveTime = time.Minute })
	app.Handle(func(x *testkit.RawExchange) {
		x.ReadBody()
		if x.Request().Target() == "/die" {
			x.Close()
			return
		}
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	for raw, want := range map[string]struct{ status, seen int }{
		"POST /die HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody":                           {502, 1},
		"POST /die HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":             {502, 1},
		"PATCH /die HTTP/1.1\r\nHost: h\r\n\r\n":                                                   {502, 1},
		"PUT /die HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n": {502, 1},
		"GET /die HTTP/1.1\r\nHost: h\r\n\r\n":                                                     {502, 2},
		"POST /die HTTP/1.1\r\nHost: h\r\nIdempotency-Key: 1\r\nContent-Length: 4\r\n\r\nbody":     {502, 2},
	} {
		p.get("/warm")
		app.Forget()
		if r := p.ask(raw); r.Status() != want.status {
			t.Errorf("%q: %q", raw, r.Head)
		}
		if n := len(app.Requests()); n != want.seen {
			t.Errorf("%q was sent %d times, want %d", raw, n, want.seen)
		}
	}
}

func TestAConnectionThatTheAppClosedIsNotGivenAPOST(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		x.ReadBody()
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if x.Request().Target() == "/close" {
			x.Close() // without a word, as applications do that have been idle for long
		}
	})
	p := newProxy(t, app.Addr(), func(o *options) { o.forward.KeepAliveTime = time.Minute })
	for range 10 {
		p.get("/close")
		testkit.Eventually(t, "the app to close", func() error {
			if n := app.Open(); n > 0 {
				return fmt.Errorf("%d connections are open", n)
			}
			return nil
		})
		if r := p.ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"); r.Status() != 200 {
			t.Errorf("answer: %q", r.Head)
		}
	}
}

func TestIdleConnectionsAreSharedAndGoAfterAWhile(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), func(o *options) { o.forward.KeepAliveTime = 300 * time.Millisecond })
	for range 5 {
		p.get("/")
	}
	if n := app.Accepted(); n != 1 {
		t.Errorf("%d connections for 5 requests in a row", n)
	}
	if open, idle := p.handler.Pool(); open != 1 || idle != 1 || p.handler.Busy() != 0 {
		t.Errorf("%d open, %d idle", open, idle)
	}
	testkit.Eventually(t, "the idle connection to be closed", func() error {
		if open, idle := p.handler.Pool(); open+idle+app.Open() > 0 {
			return fmt.Errorf("%d open, %d idle", open, idle)
		}
		return nil
	})
	none := newProxy(t, app.Addr(), func(o *options) { o.forward.KeepAlive = 0 })
	for range 3 {
		none.get("/")
	}
	if n := app.Accepted(); n != 4 {
		t.Errorf("%d connections, want one more for each request", n)
	}
}

func TestTheAppIsBusyFromTheRequestToTheEndOfItsResponse(t *testing.T) {
	app := testkit.NewRawBackend(t)
	step := make(chan struct{})
	wait := func(done <-chan struct{}) {
		select {
		case <-step:
		case <-done:
		}
	}
	app.Handle(func(x *testkit.RawExchange) {
		wait(x.Done())
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
		wait(x.Done())
		_ = x.Send("k")
	})
	h2c := h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		wait(r.Context().Done())
		_, _ = w.Write([]byte("o"))
		_ = http.NewResponseController(w).Flush()
		wait(r.Context().Done())
	})
	for _, target := range []string{app.Addr(), h2c} {
		p := newProxy(t, target)
		c := p.dial()
		c.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		busy := func(want int) {
			t.Helper()
			testkit.Eventually(t, "the app to be busy or not", func() error {
				if n := p.handler.Busy(); n != want {
					return fmt.Errorf("busy with %d, want %d", n, want)
				}
				return nil
			})
		}
		busy(1)
		step <- struct{}{}
		c.ReadUntil("o")
		busy(1)
		step <- struct{}{}
		busy(0)
	}
}
