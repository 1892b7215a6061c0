// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// framings are responses that end in every way there is, with the body that they hold.
var framings = map[string]struct{ raw, body string }{
	"length":             {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", "body"},
	"length 0":           {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
	"chunked":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nbo\r\n02\r\ndy\r\n0\r\n\r\n", "body"},
	"chunked, empty":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
	"chunked and length": {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", "body"},
	"by the end":         {"HTTP/1.1 200 OK\r\n\r\nbody", "body"},
	"HTTP/1.0":           {"HTTP/1.0 200 OK\r\n\r\nbody", "body"},
	"HTTP/1.0, length":   {"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody", "body"},
	"HTTP/1.0, kept":     {"HTTP/1.0 200 OK\r\nContent-Length: 4\r\nConnection: keep-alive\r\n\r\nbody", "body"},
	"line feeds alone":   {"HTTP/1.1 200 OK\nContent-Length: 4\nX: y\n\nbody", "body"},
	"no reason phrase":   {"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody", "body"},
	"large, length":      {"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000), strings.Repeat("x", 1000000)},
	"large, by the end":  {"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 1000000), strings.Repeat("x", 1000000)},
}

func TestResponsesOfEveryFramingArriveWhole(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	clients := map[string]*http.Client{}
	for _, protocol := range protocols {
		clients[protocol] = p.client(protocol)
	}
	for name, f := range framings {
		app.Handle(func(x *testkit.RawExchange) {
			_ = x.Send(f.raw)
			if !strings.Contains(f.raw, "Content-Length") && !strings.Contains(f.raw, "chunked") || strings.Contains(f.raw, "1.0") {
				x.Close()
			}
		})
		for _, protocol := range protocols {
			for range 2 {
				answer, err := p.do(clients[protocol], p.request("GET", "/", nil))
				if err != nil || answer.Status != 200 || answer.Body != f.body {
					t.Errorf("%s to %s: status %d, %d bytes, %v", name, protocol, answer.Status, len(answer.Body), err)
				}
			}
		}
	}
}

func TestResponsesWithoutABodyHaveNone(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for raw, want := range map[string]string{ // by method and response: the Content-Length that the client sees
		"HEAD HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nETag: \"x\"\r\n\r\n":        "5000",
		"HEAD HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"x\"\r\n\r\n":  "",
		"HEAD HTTP/1.1 200 OK\r\nETag: \"x\"\r\n\r\n":                                "",
		"GET HTTP/1.1 204 No Content\r\nETag: \"x\"\r\n\r\n":                         "",
		"GET HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n":                       "",
		"GET HTTP/1.1 304 Not Modified\r\nContent-Length: 70\r\nETag: \"x\"\r\n\r\n": "",
	} {
		method, response, _ := strings.Cut(raw, " ")
		app.Respond(response)
		c := p.dial()
		for range 2 { // the second shows that the first left nothing behind
			c.Send(method + " / HTTP/1.1\r\nHost: h\r\n\r\n")
			r := c.ReadResponse(method)
			if got := r.Value("Content-Length"); got != want || r.Has("Transfer-Encoding") || r.Value("Etag") != `"x"` || !strings.Contains(response, fmt.Sprint(r.Status())) {
				t.Errorf("%q: %q", raw, r.Head)
			}
		}
		answer, err := p.do(p.client("h2"), p.request(method, "/", nil))
		if got := answer.Header.Get("Content-Length"); err != nil || got != want || answer.Body != "" {
			t.Errorf("%q over h2: %v %v", raw, answer, err)
		}
	}
}

func TestATruncatedResponseNeverLooksWhole(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	n := 0
	for name, raw := range map[string]string{
		"length":         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nbody",
		"large length":   "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 500000),
		"in a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbody",
		"between chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
		"in the trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: y\r\n",
		"a bad chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nzz\r\n",
	} {
		for _, reset := range []bool{false, true} {
			app.Handle(func(x *testkit.RawExchange) {
				_ = x.Send(raw)
				if reset {
					x.Pause(20 * time.Millisecond) // a reset overtakes what has not been read
					x.Reset()
				} else {
					x.Close()
				}
			})
			for _, protocol := range protocols {
				if answer, err := p.do(p.client(protocol), p.request("GET", "/", nil)); err == nil {
					t.Errorf("%s to %s: %d bytes and no error", name, protocol, len(answer.Body))
				}
				n++
			}
		}
	}
	for i := range n {
		if e := p.line(i + 1); e["status"] != 200.0 || e["end"] != "app_closed" && e["end"] != "app_malformed" {
			t.Errorf("log line %v", e)
		}
	}
}

func TestATruncatedResponseNeverLooksWholeToHTTP10(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
		x.Close()
	})
	p := newProxy(t, app.Addr())
	c := p.dial()
	c.Send("GET / HTTP/1.0\r\n\r\n")
	if answer, err := c.ReadAll(); err == nil {
		t.Errorf("the connection ended well after %q", answer)
	}
}

func TestAnAnswerDuringAnUploadReachesTheClient(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo big\n")
		x.Close()
	})
	p := newProxy(t, app.Addr())
	const size = 8 << 20
	for _, length := range []string{fmt.Sprint("Content-Length: ", size), "Transfer-Encoding: chunked"} {
		c := p.dial()
		c.Send("POST / HTTP/1.1\r\nHost: h\r\n" + length + "\r\n\r\n")
		if strings.HasPrefix(length, "T") {
			c.Send(fmt.Sprintf("%x\r\n", size))
		}
		sent := make(chan struct{})
		go func() { // keeps sending whatever is answered, as curl does for a while
			defer close(sent)
			_ = c.TrySend(strings.Repeat("x", size))
		}()
		r := c.ReadResponse("POST")
		if r.Status() != 413 || r.Content() != "too big\n" || r.Value("Connection") != "close" {
			t.Errorf("%s: %q %q", length, r.Head, r.Body)
		}
		if rest, _ := c.ReadAll(); rest != "" {
			t.Errorf("%s: behind the answer came %q", length, rest)
		}
		c.Close()
		<-sent
	}
	for range 3 {
		answer, err := p.do(p.client("h2"), p.request("POST", "/", io.LimitReader(zeros{}, size)))
		if err != nil || answer.Status != 413 || answer.Body != "too big\n" {
			t.Errorf("h2: %v %v", answer, err)
		}
	}
	if got := app.Requests(); len(got) != app.Accepted() {
		t.Errorf("%d requests on %d connections", len(got), app.Accepted())
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAnAppThatKeepsTheConnectionAfterAnEarlyAnswerGetsNoOtherRequestOnIt(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
	})
	p := newProxy(t, app.Addr())
	for range 3 {
		c := p.dial()
		c.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 50000))
		if r := c.ReadResponse("POST"); r.Content() != "early" || r.Value("Connection") != "close" {
			t.Errorf("answer: %q", r.Head)
		}
		if rest, err := c.ReadAll(); rest != "" || err != nil {
			t.Errorf("behind the answer: %q %v", rest, err)
		}
	}
	if app.Accepted() != 3 {
		t.Errorf("%d connections for 3 requests", app.Accepted())
	}
}

func TestUploadsLeaveTheConnectionsUsable(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	c := p.dial()
	const rounds = 200
	for i := range rounds {
		c.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5000\r\n" + strings.Repeat("x", 0x5000) + "\r\n0\r\n\r\n")
		if r := c.ReadResponse("POST"); r.Status() != 200 || r.Has("Connection") {
			t.Fatalf("request %d: %q", i, r.Head)
		}
	}
	p.awaitMetric(rounds, "tls_proxy_http_requests_total", "method=POST", "code=200")
	if n := app.Accepted(); n > rounds/10 {
		t.Errorf("%d connections to the app for %d uploads, want about one", n, rounds)
	}
}

func TestMalformedAnswersBecome502(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	var ends []string
	for raw, want := range map[string]string{
		"SSH-2.0-OpenSSH_9.2\r\n":                                                       "app_closed",
		"SSH-2.0-OpenSSH_9.2\r\n\r\n":                                                   "app_malformed",
		"HTTP/2 200 OK\r\n\r\n":                                                         "app_malformed",
		"HTTP/1.1 xyz\r\n\r\n":                                                          "app_malformed",
		"HTTP/1.1 2000 OK\r\n\r\n":                                                      "app_malformed",
		"HTTP/1.1 200 OK\r\nno field\r\n\r\n":                                           "app_malformed",
		"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n":                                          "app_malformed",
		"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n":                       "app_malformed",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n":                                  "app_malformed",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n":             "app_malformed",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n":                            "app_malformed",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n":            "app_malformed",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n": "app_switched",
		"HTTP/1.1 200 OK\r\nContent-Len":                                                "app_closed",
		"":                                                                              "app_closed",
	} {
		app.Handle(func(x *testkit.RawExchange) {
			_ = x.Send(raw)
			x.Close()
		})
		ends = append(ends, want)
		r := p.get("/")
		if r.Status() != 502 || r.Value("X-Request-Id") == "" || r.Value("Server") != "" {
			t.Errorf("%.60q: %q", raw, r.Head)
		}
		expectDiscreet(t, r.Head+r.Body, app)
	}
	for i, end := range ends {
		p.expectEnd(i+1, 502, end)
	}
}

// expectDiscreet fails where an answer of the proxy's own names what is inside.
func expectDiscreet(t *testing.T, answer string, app *testkit.RawBackend) {
	t.Helper()
	_, port, _ := strings.Cut(app.Addr(), ":")
	for _, internal := range []string{port, "127.0.0.1", "dial", "tcp", "unix", "EOF", "refused", "goroutine", "tls-proxy", "Go"} {
		if strings.Contains(answer, internal) {
			t.Errorf("the answer %q names %q", answer, internal)
		}
	}
}

func TestAConnectionThatSwitchedUnaskedIsNotUsedAgain(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	p := newProxy(t, app.Addr())
	for range 3 {
		if r := p.get("/"); r.Status() != 502 {
			t.Errorf("answer: %q", r.Head)
		}
	}
	if n := app.Accepted(); n != 3 {
		t.Errorf("%d connections for 3 requests", n)
	}
}

func TestAClientThatLeavesEndsTheRequestAtTheApp(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	gone := make(chan error, 1)
	app.Handle(func(x *testkit.RawExchange) {
		x.ReadBody()
		if x.Request().Target() == "/streaming" {
			_ = x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
		}
		_, err := x.Reader.ReadByte() // waits for the proxy to close
		gone <- err
		x.Close()
	})
	p := newProxy(t, app.Addr())
	n := 0
	for _, path := range []string{"/waiting", "/streaming"} {
		for _, body := range []string{"Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"} {
			app.Forget()
			c := p.dial()
			c.Send("POST " + path + " HTTP/1.1\r\nHost: h\r\n" + body)
			app.WaitRequest(1)
			if path == "/streaming" {
				c.ReadUntil("x\r\n")
			}
			c.Close()
			if err := <-gone; err == nil {
				t.Errorf("%s: the app got more bytes", path)
			}
			n++
		}
	}
	for _, path := range []string{"/waiting", "/streaming"} {
		app.Forget()
		c := p.client("h2")
		req := p.request("POST", path, strings.NewReader("body"))
		ctx, leave := context.WithCancel(req.Context())
		go func() {
			app.WaitRequest(1)
			leave()
		}()
		if resp, err := c.Do(req.WithContext(ctx)); err == nil {
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil {
				t.Error("the response ended well")
			}
		} else if !errors.Is(err, ctx.Err()) {
			t.Error(err)
		}
		if err := <-gone; err == nil {
			t.Errorf("%s: the app got more bytes", path)
		}
		n++
	}
	for i := range n {
		if e := p.line(i + 1); e["end"] != "client_gone" {
			t.Errorf("log line %v", e)
		}
	}
	p.awaitMetric(0, "tls_proxy_http_requests_in_flight")
}
