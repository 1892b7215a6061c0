// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"errors"
	"fmt"
	"io"
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

func TestOnlyWhatCanStandInARequestLineIsValid(t *testing.T) {
	for target, want := range map[string]bool{
		"/": true, "*": true, "/%zz?a|b": true, "/caf\xe9": true,
		"": false, "/a b": false, "/a\r\nb": false, "/a\tb": false, "/\x00": false, "/\x7f": false,
	} {
		if got := ValidTarget(target); got != want {
			t.Errorf("ValidTarget(%q) = %v", target, got)
		}
	}
	for method, want := range map[string]bool{"GET": true, "M-SEARCH": true, "get": true, "": false, "G T": false, "G:T": false, "G\r\n": false} {
		if got := ValidMethod(method); got != want {
			t.Errorf("ValidMethod(%q) = %v", method, got)
		}
	}
}
