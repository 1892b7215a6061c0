// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger/outrigger/internal/testkit"
)

// pausedBody reads as text, then waits until it is stopped.
type pausedBody struct {
	text    *strings.Reader
	once    sync.Once
	over    chan struct{}
	readers atomic.Int32
}

func newPausedBody(text string) *pausedBody {
	return &pausedBody{text: strings.NewReader(text), over: make(chan struct{})}
}

func (b *pausedBody) Read(p []byte) (int, error) {
	b.readers.Add(1)
	defer b.readers.Add(-1)
	if b.text.Len() > 0 {
		return b.text.Read(p)
	}
	<-b.over
	return 0, io.EOF
}

func (b *pausedBody) stop() { b.once.Do(func() { close(b.over) }) }

// inUse reports whether somebody waits for more.
func (b *pausedBody) inUse() bool { return b.readers.Load() > 0 }

func TestAStreamedBodyArrivesAsItIs(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	long := strings.Repeat("0123456789", 50_000)
	for i, body := range []string{"", "short", long} {
		req := post("/", strings.NewReader(body))
		mustAsk(t, client, req)
		if got := app.WaitRequest(2*i + 1).Content(); got != body {
			t.Errorf("chunked: %d bytes arrived, want %d", len(got), len(body))
		}
		wire := fmt.Appendf(nil, "PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n", len(body))
		mustAsk(t, client, &Request{Method: "PUT", Wire: wire, Body: strings.NewReader(body), Length: int64(len(body)), Header: make(http.Header)})
		if got := app.WaitRequest(2*i + 2).Body; got != body {
			t.Errorf("by length: %d bytes arrived, want %d", len(got), len(body))
		}
	}
	if got := app.Accepted(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestAStreamedRequestLeavesItsConnectionToTheNext(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	for range 300 { // the response may be there before the sender's last write has returned
		mustAsk(t, client, post("/", strings.NewReader("body")))
	}
	if got := app.Accepted(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestTrailersFollowAStreamedBody(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	req := post("/", strings.NewReader("body"))
	req.Trailer = func() http.Header {
		return http.Header{
			"Sum": {"1", "2"}, "Empty": nil,
			"Content-Length": {"9"}, "Transfer-Encoding": {"x"}, "Host": {"evil"}, "Connection": {"close"},
		}
	}
	mustAsk(t, client, req)
	if diff := cmp.Diff([]string{"Sum: 1", "Sum: 2"}, app.WaitRequest(1).Trailers()); diff != "" {
		t.Error(diff)
	}
}

func TestATrailerThatIsNoFieldBreaksTheRequestOff(t *testing.T) {
	for _, trailer := range []http.Header{{"A B": {"x"}}, {"": {"x"}}, {"A": {"x\r\nB: y"}}, {"Content-Length ": {"5"}}} {
		app := testkit.NewRawBackend(t)
		client := newClient(t, app)
		req := post("/", strings.NewReader("body"))
		req.Trailer = func() http.Header { return trailer }
		if _, err := ask(client, req); !isBodyError(err) {
			t.Errorf("%q: error = %v, want a RequestBodyError", trailer, err)
		}
		if got := app.WaitRequest(1); got.Err == nil {
			t.Errorf("%q: the server received a whole request: %q", trailer, got.Body)
		}
	}
}

func isBodyError(err error) bool {
	_, ok := errors.AsType[*RequestBodyError](err)
	return ok
}

func TestABodyThatBreaksOffIsTheSendersFault(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name string
		req  func() *Request
		want error
	}{
		{"chunked", func() *Request {
			return post("/", io.MultiReader(strings.NewReader("half"), errReader{broken}))
		}, broken},
		{"by length", func() *Request {
			return &Request{Method: "PUT", Wire: []byte("PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n"), Body: errReader{broken}, Length: 10, Header: make(http.Header)}
		}, broken},
		{"too short", func() *Request {
			return &Request{Method: "PUT", Wire: []byte("PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: 10\r\n\r\n"), Body: strings.NewReader("half"), Length: 10, Header: make(http.Header)}
		}, io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := testkit.NewRawBackend(t)
			client := newClient(t, app)
			_, err := ask(client, test.req())
			if !isBodyError(err) || !errors.Is(err, test.want) {
				t.Errorf("error = %v, want a RequestBodyError of %v", err, test.want)
			}
			if got := app.WaitRequest(1); got.Err == nil {
				t.Errorf("the server received a whole request: %q", got.Body)
			}
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestAServerThatClosesInTheMiddleIsNotTheSendersFault(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) { x.Reset() })
	body := newPausedBody("x")
	req := post("/", body)
	req.StopBody = body.stop
	if _, err := ask(client, req); err == nil || isBodyError(err) {
		t.Errorf("error = %v, want what the connection said", err)
	}
	if body.inUse() {
		t.Error("the body is still being read")
	}
}

func TestAnEarlyResponseIsReadWhileTheBodyIsSent(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) {
		x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		x.ReadBody()
		x.Send("5\r\nworld\r\n0\r\n\r\n")
	})
	body := newPausedBody("part")
	req := post("/", body)
	req.StopBody = body.stop
	resp, err := client.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Close()
	if part, err := resp.Next(); string(part) != "hello" || err != nil {
		t.Fatalf("%q, %v", part, err)
	}
	if resp.RequestRead() {
		t.Error("the request is said to have been read")
	}
	body.stop() // the request ends only now
	if rest, err := readAll(resp); rest != "world" || err != nil {
		t.Fatalf("%q, %v", rest, err)
	}
	if !resp.RequestRead() {
		t.Error("the request is said not to have been read")
	}
	if resp.Close(); client.Idle() != 1 {
		t.Error("the connection was not kept")
	}
}

// expecting is a POST that asks before it sends its body.
func expecting(body io.Reader) *Request {
	req := post("/", body)
	req.Wire = []byte("POST / HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	req.Length, req.ExpectContinue = 4, true
	return req
}

func TestABodyWaitsForLeaveToBeSent(t *testing.T) {
	readBody := func(c net.Conn) string {
		body := make([]byte, 4)
		io.ReadFull(c, body)
		return string(body)
	}
	const final = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	for _, test := range []struct {
		name  string
		serve func(c net.Conn) string // returns the body as the server saw it
		body  string
		after time.Duration
		kept  bool
	}{
		{"granted", func(c net.Conn) string {
			time.Sleep(500 * time.Millisecond)
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			body := readBody(c)
			io.WriteString(c, final)
			return body
		}, "body", 500 * time.Millisecond, true},
		{"refused", func(c net.Conn) string {
			io.WriteString(c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
			return readBody(c)
		}, "\x00\x00\x00\x00", 0, false},
		{"a silent server", func(c net.Conn) string {
			body := readBody(c)
			io.WriteString(c, final)
			return body
		}, "body", expectTimeout, true},
		{"another informational response, then silence", func(c net.Conn) string {
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\n\r\n")
			body := readBody(c)
			io.WriteString(c, final)
			return body
		}, "body", expectTimeout, true},
		{"half an answer, then silence", func(c net.Conn) string {
			io.WriteString(c, "HTTP/1.1 10")
			body := readBody(c)
			io.WriteString(c, "0 Continue\r\n\r\n"+final)
			return body
		}, "body", expectTimeout, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := make(chan string, 1)
				client := pipeClient(t, func(c net.Conn) {
					if readRequest(c) == nil {
						seen <- test.serve(c)
						readRequest(c) // until it is closed
					}
				})
				start := time.Now()
				resp, err := client.Do(t.Context(), expecting(strings.NewReader("body")))
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != test.after {
					t.Errorf("the response came after %s, want %s", took, test.after)
				}
				time.Sleep(time.Minute) // no deadline of the wait is left
				readAll(resp)
				resp.Close()
				if got := <-seen; got != test.body {
					t.Errorf("the server saw the body %q, want %q", got, test.body)
				}
				if kept := client.Idle() == 1; kept != test.kept {
					t.Errorf("kept = %v, want %v", kept, test.kept)
				}
				client.CloseIdle()
			})
		})
	}
}

func TestAServerThatDoesNotAnswerInTimeIsGivenUp(t *testing.T) {
	for _, test := range []struct {
		name  string
		req   func() *Request
		serve func(net.Conn)
		after time.Duration
	}{
		{"no body", func() *Request { return get("/") }, func(c net.Conn) { readRequest(c); readRequest(c) }, 10 * time.Second},
		{"half a head", func() *Request { return get("/") }, func(c net.Conn) {
			readRequest(c)
			time.Sleep(5 * time.Second)
			io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			readRequest(c)
		}, 10 * time.Second},
		{"only informational responses", func() *Request { return get("/") }, func(c net.Conn) {
			readRequest(c)
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 10 * time.Second},
		{"a streamed body, slowly taken", func() *Request { return post("/", strings.NewReader("0123456789")) }, func(c net.Conn) {
			readRequest(c)
			for range len("a\r\n0123456789\r\n0\r\n\r\n") {
				time.Sleep(3 * time.Second)
				c.Read(make([]byte, 1))
			}
			readRequest(c)
		}, 70 * time.Second}, // the time counts from the end of the request
		{"a body that is not taken", func() *Request { return post("/", strings.NewReader("0123456789")) }, func(c net.Conn) {
			readRequest(c)
			time.Sleep(time.Hour)
		}, time.Minute},
		{"a head that is not taken", func() *Request {
			req := get("/")
			req.Wire = AppendField([]byte("GET / HTTP/1.1\r\n"), "Cookie", strings.Repeat("x", smallBuffer))
			return req
		}, func(net.Conn) { time.Sleep(time.Hour) }, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := pipeClient(t, test.serve)
				client.ResponseTimeout, client.SendTimeout = 10*time.Second, time.Minute
				start := time.Now()
				if _, err := client.Do(t.Context(), test.req()); err != ErrResponseTimeout {
					t.Errorf("error = %v, want %v", err, ErrResponseTimeout)
				}
				if took := time.Since(start); took != test.after {
					t.Errorf("it took %s, want %s", took, test.after)
				}
				if client.Open() != 0 {
					t.Errorf("%d connections are open", client.Open())
				}
			})
		})
	}
}

func TestNoTimeoutCutsABodyOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const parts = 5
		client := pipeClient(t, func(c net.Conn) {
			readRequest(c)
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
			request := "4\r\nbody\r\n0\r\n\r\n"
			for range parts {
				time.Sleep(time.Hour)
				io.WriteString(c, "x")
			}
			io.ReadFull(c, make([]byte, len(request)))
			readRequest(c)
		})
		client.ResponseTimeout, client.SendTimeout = time.Second, time.Second
		got, err := ask(client, post("/", strings.NewReader("body")))
		if got.Body != "xxxxx" || err != nil {
			t.Errorf("%q, %v", got.Body, err)
		}
		client.CloseIdle()
	})
}

func TestAnAnswerIsReadAlthoughTheRequestCouldNotBeSent(t *testing.T) {
	// The server refuses the body, answers, and stays: the wait for what it says is bounded all the same.
	synctest.Test(t, func(t *testing.T) {
		client := pipeClient(t, nil)
		client.Dial = nil
		ours, theirs := net.Pipe()
		defer theirs.Close()
		conn := &deafConn{Conn: ours}
		cn := newConn(conn, client)
		client.pool.opened.Add(1)
		client.ResponseTimeout = time.Minute
		cn.reset(false)
		go readRequest(theirs)
		start := time.Now()
		if _, err := cn.roundTrip(t.Context(), post("/", strings.NewReader("body"))); err != ErrResponseTimeout {
			t.Errorf("error = %v, want %v", err, ErrResponseTimeout)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

// deafConn takes one write.
type deafConn struct {
	net.Conn
	wrote bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if c.wrote {
		return 0, errors.New("nobody listens")
	}
	c.wrote = true
	return c.Conn.Write(b)
}
