// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestRequestsInTurnShareOneConnection(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	for range 10 {
		if got := mustAsk(t, client, get("/")); got.Status != 200 || got.Body != "ok" {
			t.Fatalf("answer %+v", got)
		}
		if client.Open() != 1 || client.Idle() != 1 {
			t.Fatalf("%d open, %d idle; want one idle connection", client.Open(), client.Idle())
		}
	}
	if got := app.Accepted(); got != 1 {
		t.Errorf("%d connections, want 1", got)
	}
}

func TestARequestGoesOutByteForByte(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	const head = "POST /%2f?a=\xe9|b HTTP/1.1\r\nhost: App\r\nx_Odd:  spaced\r\nContent-Length: 4\r\n\r\n"
	mustAsk(t, client, &Request{Method: "POST", Wire: []byte(head + "body"), Header: make(http.Header)})
	if got := app.WaitRequest(1); got.Head != head || got.Body != "body" {
		t.Errorf("the server received %q and %q", got.Head, got.Body)
	}
}

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
	time.Sleep(2 * probeAfter) // else the connection is trusted; however long this takes, the test holds
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

func TestANewConnectionThatDiesIsNotTriedAgain(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) { x.Close() })
	if _, err := ask(client, get("/")); err != io.EOF {
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

func TestNobodyListensIsADialError(t *testing.T) {
	refusal := errors.New("refused")
	client := &Client{Dial: func(context.Context) (net.Conn, error) { return nil, refusal }}
	_, err := client.Do(t.Context(), get("/"))
	if dial, ok := errors.AsType[*DialError](err); !ok || dial.Err != refusal {
		t.Errorf("error = %v, want a DialError", err)
	}
	if client.Open() != 0 {
		t.Errorf("%d connections are open", client.Open())
	}
}

func TestACallersReasonToGiveUpIsTheError(t *testing.T) {
	reason := errors.New("the client has gone")
	for _, test := range []struct {
		name string
		do   func(ctx context.Context, c *Client) error
	}{
		{"while dialling", func(ctx context.Context, c *Client) error {
			c.Dial = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
			_, err := c.Do(ctx, get("/"))
			return err
		}},
		{"while the response is awaited", func(ctx context.Context, c *Client) error {
			_, err := c.Do(ctx, get("/"))
			return err
		}},
		{"while the body is sent", func(ctx context.Context, c *Client) error {
			body := newPausedBody("x")
			req := post("/", body)
			req.StopBody = body.stop
			_, err := c.Do(ctx, req)
			if body.inUse() {
				return errors.New("the body is still being read")
			}
			return err
		}},
		{"while the server is asked to continue", func(ctx context.Context, c *Client) error {
			req := post("/", strings.NewReader("x"))
			req.ExpectContinue = true
			_, err := c.Do(ctx, req)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := testkit.NewRawBackend(t)
			client := newClient(t, app)
			app.Handle(func(x *testkit.RawExchange) { <-x.Done() })
			ctx, cancel := context.WithCancelCause(t.Context())
			result := make(chan error)
			go func() { result <- test.do(ctx, client) }()
			if test.name != "while dialling" {
				app.WaitHead(1)
			}
			cancel(reason)
			if err := <-result; err != reason {
				t.Errorf("error = %v, want %v", err, reason)
			}
		})
	}
}

func TestGivingUpEndsABody(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) {
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
		<-x.Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := client.Do(ctx, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	if part, err := resp.Next(); string(part) != "hel" || err != nil {
		t.Fatalf("%q, %v", part, err)
	}
	cancel()
	if _, err := resp.Next(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error = %v, want %v", err, net.ErrClosed)
	}
	resp.Close()
}

func TestInformationalResponsesAreHandedOn(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Respond("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nok")
	req := get("/")
	var got []string
	req.Informational = func(status int, header http.Header) error {
		got = append(got, fmt.Sprint(status, header["Link"]))
		return nil
	}
	if a := mustAsk(t, client, req); a.Status != 200 || len(a.Header["Link"]) > 0 || a.Header.Get("X") != "y" {
		t.Errorf("the final response is %+v", a)
	}
	if want := "[100 [] 103 [</a>]]"; fmt.Sprint(got) != want {
		t.Errorf("informational responses %v, want %s", got, want)
	}
	refusal := errors.New("no")
	req = get("/")
	req.Informational = func(int, http.Header) error { return refusal }
	if _, err := ask(client, req); err != refusal {
		t.Errorf("error = %v, want %v", err, refusal)
	}
}

func TestASwitchedConnectionIsHandedOverWithWhatCameEarly(t *testing.T) {
	app := testkit.NewRawBackend(t)
	client := newClient(t, app)
	app.Handle(func(x *testkit.RawExchange) {
		x.Send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\n\r\nearly")
		io.Copy(x.Conn, x.Reader)
		x.Close()
	})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := client.Do(ctx, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status != 101 || resp.Header.Get("Upgrade") != "echo" {
		t.Errorf("status %d, header %v", resp.Status, resp.Header)
	}
	conn, early := resp.Hijack()
	resp.Close() // has no say any more
	cancel()     // nor has the request's context
	conn.SetDeadline(time.Now().Add(testkit.Patience))
	io.WriteString(conn, "ping")
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(conn)
	if got := string(early) + string(rest); got != "earlyping" || err != nil {
		t.Errorf("received %q, %v", got, err)
	}
	if client.Open() != 1 || client.Idle() != 0 {
		t.Errorf("%d open, %d idle; want the one that was handed over", client.Open(), client.Idle())
	}
	conn.Close()
	if client.Open() != 0 {
		t.Errorf("%d open after it was closed", client.Open())
	}
}

func TestIdleConnectionsAgeOutOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := pipeClient(t, func(c net.Conn) {
			for readRequest(c) == nil {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})
		client.MaxIdle, client.IdleTimeout = 2, 10*time.Second
		// Three at once, of which two are kept.
		var open [3]*Response
		for i := range open {
			resp, err := client.Do(t.Context(), get("/"))
			if err != nil {
				t.Fatal(err)
			}
			open[i] = resp
		}
		for _, resp := range open {
			readAll(resp)
			resp.Close()
			time.Sleep(time.Second)
		}
		expect := func(when string, openWant, idleWant int) {
			t.Helper()
			synctest.Wait()
			if client.Open() != openWant || client.Idle() != idleWant {
				t.Errorf("%s: %d open, %d idle; want %d, %d", when, client.Open(), client.Idle(), openWant, idleWant)
			}
		}
		expect("after three at once", 2, 2)
		for range 5 { // one after the other needs one connection: the other ages
			mustAsk(t, client, get("/"))
			time.Sleep(2 * time.Second)
		}
		expect("under a low load", 1, 1)
		time.Sleep(20 * time.Second)
		expect("without a load", 0, 0)
		mustAsk(t, client, get("/"))
		expect("after another request", 1, 1)
		client.CloseIdle()
		expect("after CloseIdle", 0, 0)
		mustAsk(t, client, get("/"))
		time.Sleep(20 * time.Second)
		expect("a while after CloseIdle", 0, 0)
	})
}

// pipeClient returns a client of a server whose connections are pipes, for tests in a bubble of their own time.
func pipeClient(t *testing.T, serve func(net.Conn)) *Client {
	var servers sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		servers.Wait()
	})
	return &Client{MaxIdle: 16, Dial: func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, ours, theirs)
		servers.Go(func() { serve(theirs); theirs.Close() })
		return ours, nil
	}}
}

// readRequest reads a request head from c, byte by byte so that it takes nothing of what follows.
func readRequest(c net.Conn) error {
	var head strings.Builder
	var one [1]byte
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := c.Read(one[:]); err != nil {
			return err
		}
		head.Write(one[:])
	}
	return nil
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
