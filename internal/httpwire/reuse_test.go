// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// incomplete are ways of leaving a connection that can carry no other request.
var incomplete = []struct {
	name string
	do   func(*testing.T, *Client, *testkit.RawBackend)
}{
	{"the body was not read", func(t *testing.T, c *Client, app *testkit.RawBackend) {
		app.Respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		resp, err := c.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Close()
		resp.Close() // a second time does nothing
	}},
	{"a chunked body was read but for its end", func(t *testing.T, c *Client, app *testkit.RawBackend) {
		app.Handle(func(x *testkit.RawExchange) {
			x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
			<-x.Done()
		})
		resp, err := c.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if part, err := resp.Next(); string(part) != "hello" || err != nil {
			t.Fatalf("%q, %v", part, err)
		}
		resp.Close()
	}},
	{"the server closes and does not say so", func(t *testing.T, c *Client, app *testkit.RawBackend) {
		app.Handle(func(x *testkit.RawExchange) {
			x.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
			x.Close()
		})
		mustAsk(t, c, get("/"))
		testkit.Eventually(t, "the server to close", func() error {
			if app.Open() > 0 {
				return errors.New("it has not")
			}
			return nil
		})
	}},
	{"the server switched protocols unasked", func(t *testing.T, c *Client, app *testkit.RawBackend) {
		app.Respond("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		mustAsk(t, c, get("/"))
	}},
	{"the server answered before it took the request", func(t *testing.T, c *Client, app *testkit.RawBackend) {
		app.Handle(func(x *testkit.RawExchange) {
			x.Send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
			<-x.Done()
		})
		body := newPausedBody("the beginning")
		req := post("/", body)
		req.StopBody = body.stop
		mustAsk(t, c, req)
		if body.inUse() {
			t.Error("the body is still being read")
		}
	}},
	{"the caller gave up", func(t *testing.T, c *Client, app *testkit.RawBackend) {
		app.Respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := c.Do(ctx, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readAll(resp); err != nil {
			t.Fatal(err)
		}
		cancel()
		resp.Close()
	}},
}

func TestNoRequestFollowsAnIncompleteExchange(t *testing.T) {
	for _, test := range incomplete {
		t.Run(test.name, func(t *testing.T) {
			app := testkit.NewRawBackend(t)
			client := newClient(t, app)
			test.do(t, client, app)
			app.Respond("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
			if got := mustAsk(t, client, get("/second")); got.Body != "second" {
				t.Errorf("the second request got %+v", got)
			}
			if got := app.WaitRequest(2).Conn; got != 2 {
				t.Errorf("the second request came on connection %d, want a new one", got)
			}
		})
	}
}

// A server whose Content-Length is too small sends bytes that nobody asked for; they must not become the response to
// somebody else's request.
func TestBytesThatNobodyAskedForAreNobodysResponse(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	late := make(chan struct{})
	sent := make(chan struct{})
	app.Handle(func(x *testkit.RawExchange) {
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		if x.Wait(late) {
			x.Send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
			close(sent)
		}
	})
	mustAsk(t, client, get("/"))
	if client.Idle() != 1 {
		t.Fatal("the connection was not kept")
	}
	close(late)
	<-sent
	client.pool.idle[0].idleSince = time.Now().Add(-2 * probeAfter) // else the connection is trusted
	app.Respond("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nproper")
	if got := mustAsk(t, client, get("/")); got.Body != "proper" {
		t.Errorf("the second request got %q", got.Body)
	}
}

// closing answers once, then closes each connection as soon as it has another request on it.
func closing(app *testkit.RawBackend) {
	var mu sync.Mutex
	seen := make(map[int]bool)
	app.Handle(func(x *testkit.RawExchange) {
		conn := x.ReadBody().Conn
		mu.Lock()
		again := seen[conn]
		seen[conn] = true
		mu.Unlock()
		if again {
			x.Close()
			return
		}
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
}

func TestARequestThatMayBeRepeatedIsWhereAKeptConnectionDies(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	closing(app)
	for range 3 {
		mustAsk(t, client, get("/"))
	}
	if got := len(app.Requests()); got != 5 {
		t.Errorf("%d requests reached the server, want 5: two of three were sent twice", got)
	}
}

// A server that closes after each response and does not say so would cost each request its way to a dead connection.
func TestAfterOneDeadConnectionTheOthersAreLookedAt(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) {
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		x.Close()
	})
	usable := func() bool {
		t.Helper()
		testkit.Eventually(t, "the server to close", func() error {
			if app.Open() > 0 {
				return errors.New("it has not")
			}
			return nil
		})
		cn := client.pool.take(0)
		defer client.pool.put(cn, client.MaxIdle, client.IdleTimeout)
		cn.idleFor = 0
		return cn.alive(true)
	}
	mustAsk(t, client, get("/"))
	if !usable() {
		t.Fatal("a connection that was idle for a moment is not trusted")
	}
	client.pool.idle[0].idleSince = time.Now()
	mustAsk(t, client, get("/"))
	if client.pool.wary() && usable() {
		t.Error("a closed connection is trusted although the one before it was dead")
	}
	client.pool.death.Add(-int64(waryFor))
	if client.pool.wary() {
		t.Error("one dead connection is never forgotten")
	}
}

func TestARequestThatMayNotBeRepeatedIsSentOnce(t *testing.T) {
	for _, test := range []struct {
		name string
		req  func() *Request
	}{
		{"not idempotent", func() *Request {
			return &Request{Method: "POST", Wire: []byte("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\nbody"), Header: make(http.Header)}
		}},
		{"its body was read", func() *Request {
			req := post("/", strings.NewReader("body"))
			req.Idempotent = true
			return req
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := testkit.NewRawBackend(t)
			client := newClient(t, app)
			closing(app)
			mustAsk(t, client, get("/"))
			if got, err := ask(client, test.req()); err == nil {
				t.Errorf("answer %+v", got)
			}
			if got := len(app.Requests()); got != 2 {
				t.Errorf("%d requests reached the server, want 2", got)
			}
		})
	}
}

// A server that was killed ends the connection that it just took as well, and is asked again on another.
func TestARequestThatMayBeRepeatedIsSentAgainOnceWhereANewConnectionDies(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) { x.Close() })
	if _, err := ask(client, get("/")); err != io.EOF {
		t.Errorf("error = %v, want %v", err, io.EOF)
	}
	if got := len(app.Requests()); got != 2 {
		t.Errorf("%d requests reached the server, want 2", got)
	}
}

func TestANewConnectionThatDiesEndsARequestThatMayNotBeRepeated(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) { x.Close() })
	req := get("/")
	req.Idempotent = false
	if _, err := ask(client, req); err != io.EOF {
		t.Errorf("error = %v, want %v", err, io.EOF)
	}
	if got := len(app.Requests()); got != 1 {
		t.Errorf("%d requests reached the server, want 1", got)
	}
}

func TestARequestIsNotRepeatedOnceAByteOfItsResponseHasCome(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	mustAsk(t, client, get("/"))
	app.Handle(func(x *testkit.RawExchange) {
		x.Send("HTTP/1.1 200")
		x.Close()
	})
	if _, err := ask(client, get("/")); err != io.ErrUnexpectedEOF {
		t.Errorf("error = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got := len(app.Requests()); got != 2 {
		t.Errorf("%d requests reached the server, want 2", got)
	}
}

// A server that closes right after its response and does not say so is common; what cannot be repeated must not be
// lost to it.
func TestAPostDoesNotGoToAClosedConnection(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) {
		x.ReadBody()
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		x.Close()
	})
	for range 5 {
		mustAsk(t, client, post("/", strings.NewReader("body")))
		testkit.Eventually(t, "the server to close", func() error {
			if app.Open() > 0 {
				return errors.New("it has not")
			}
			return nil
		})
	}
}

// TestResponsesAreNeverMixedUp has many clients at work on a server that breaks off, closes, sends too much and
// answers early, while requests are cancelled at any time: whoever gets a whole response gets their own.
func TestResponsesAreNeverMixedUp(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	client.MaxIdle = 4
	app.Handle(func(x *testkit.RawExchange) {
		id := strings.TrimPrefix(x.Request().Target(), "/")
		switch rand.IntN(10) {
		case 0:
			x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id)) // before the body
		case 1:
			x.ReadBody()
			x.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + id)
			x.Close()
		case 2:
			x.ReadBody()
			x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!", len(id), id))
		case 3:
			x.ReadBody()
			x.Reset()
		case 4:
			x.ReadBody()
			x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id))
			x.Close()
		default:
			x.ReadBody()
			x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(id), id))
		}
	})
	var wg sync.WaitGroup
	var good int
	var mu sync.Mutex
	for worker := range 8 {
		wg.Go(func() {
			for i := range 60 {
				id := fmt.Sprintf("%d-%d", worker, i)
				req := get("/" + id)
				if i%2 == 0 {
					body := newPausedBody(strings.Repeat("b", rand.IntN(40_000)))
					body.stop() // ends instead of pausing
					req = post("/"+id, body)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if i%5 == 0 {
					time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
				}
				resp, err := client.Do(ctx, req)
				if err == nil {
					body, err := readAll(resp)
					if err == nil && body != id {
						t.Errorf("request %s got the response %q", id, body)
					}
					mu.Lock()
					good++
					mu.Unlock()
					resp.Close()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if good == 0 {
		t.Error("no request got a response")
	}
	if client.Open() != client.Idle() {
		t.Errorf("%d open, %d idle after all is done", client.Open(), client.Idle())
	}
}
