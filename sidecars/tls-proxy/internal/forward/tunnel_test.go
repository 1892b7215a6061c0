// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/outrigger/outrigger/internal/testkit"
)

// switching are the heads of an upgrade to a protocol.
func switching(protocol string) (request, response string) {
	request = "GET /chat?x=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: " + protocol + "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	response = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade, X-Private\r\nX-Private: 1\r\nUpgrade: " + protocol + "\r\nSec-WebSocket-Accept: x\r\nSet-Cookie: a=b\r\n\r\n"
	return request, response
}

// tunnelled starts an upgrade to a protocol and returns both ends; app serves the application's.
func tunnelled(t *testing.T, p *proxy, app *testkit.RawBackend, protocol string, serve func(*testkit.RawExchange)) *testkit.RawConn {
	t.Helper()
	request, response := switching(protocol)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send(response)
		serve(x)
		x.Close()
	})
	c := p.dial()
	c.Send(request)
	c.ReadUntil("\r\n\r\n")
	return c
}

// frame is a WebSocket frame; mask is the client's key, nil towards a client.
func frame(opcode byte, payload string, mask []byte) string {
	header := []byte{0x80 | opcode}
	bit := byte(0)
	if mask != nil {
		bit = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		header = append(header, bit|byte(n))
	case n < 1<<16:
		header = binary.BigEndian.AppendUint16(append(header, bit|126), uint16(n))
	default:
		header = binary.BigEndian.AppendUint64(append(header, bit|127), uint64(n))
	}
	body := []byte(payload)
	for i := range body {
		if mask != nil {
			body[i] ^= mask[i%4]
		}
	}
	return string(append(append(header, mask...), body...))
}

// goodbye is the proxy's close frame to a client.
var goodbye = frame(8, "\x03\xe9", nil)

var key = []byte{1, 2, 3, 4}

func TestAWebSocketIsATunnel(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		conn.SetReadLimit(-1)
		for {
			kind, data, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), kind, data); err != nil {
				return
			}
		}
	}))
	t.Cleanup(backend.Close)
	p := newProxy(t, strings.TrimPrefix(backend.URL, "http://"))
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, p.url("/chat"), &websocket.DialOptions{
		HTTPClient: p.client("http/1.1"), Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatalf("%v %v", resp, err)
	}
	conn.SetReadLimit(-1)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20} {
		message := bytes.Repeat([]byte{'x'}, size)
		if err := conn.Write(ctx, websocket.MessageBinary, message); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(ctx); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes came back as %d, %v", size, len(got), err)
		}
	}
	if conn.Subprotocol() != "chat" {
		t.Errorf("subprotocol %q", conn.Subprotocol())
	}
	p.awaitMetric(1, "tls_proxy_tunnels_open")
	if err := conn.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Error(err)
	}
	p.awaitMetric(0, "tls_proxy_tunnels_open")
	if e := p.line(1); e["status"] != 101.0 || e["end"] != "ok" || e["bytes"].(float64) < 1000 || e["request_bytes"].(float64) < 1000 {
		t.Errorf("log line %v", e)
	}
}

func TestAnUpgradePassesItsHeadsAndWhatComesEarly(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), func(o *options) { o.forward.SecureCookies, o.forward.HSTS = true, "max-age=1" })
	for _, protocol := range []string{"websocket", "tcp", "SPDY/3.1", "foo/2"} {
		app.Forget()
		request, response := switching(protocol)
		app.Handle(func(x *testkit.RawExchange) {
			_ = x.Send(response + "early from the app")
			got := make([]byte, len("early from the client"))
			_, _ = io.ReadFull(x.Reader, got)
			_ = x.Send("|" + string(got))
			x.Close()
		})
		c := p.dial()
		c.Send(request + "early from the client")
		answer, err := c.ReadAll()
		head, rest, _ := strings.Cut(answer, "\r\n\r\n")
		if err != nil || rest != "early from the app|early from the client" {
			t.Errorf("%s: %q %v", protocol, rest, err)
		}
		for _, line := range []string{"HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: " + protocol, "Sec-Websocket-Accept: x", "Set-Cookie: a=b; Secure", "Strict-Transport-Security: max-age=1"} {
			if !strings.Contains(head+"\r\n", line+"\r\n") {
				t.Errorf("%s: no %q in %q", protocol, line, head)
			}
		}
		if strings.Contains(head, "X-Private") {
			t.Errorf("%s: %q", protocol, head)
		}
		got := app.WaitHead(1)
		if got.Line() != "GET /chat?x=1 HTTP/1.1" || got.Value("Connection") != "Upgrade" || got.Value("Upgrade") != protocol ||
			got.Value("Sec-WebSocket-Key") == "" || got.Value("X-Forwarded-Proto") != "https" || got.Has("Content-Length") {
			t.Errorf("%s: the app got %q", protocol, got.Head)
		}
	}
}

func TestAnUpgradeMayHaveASmallBody(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		body := make([]byte, 4)
		_, _ = io.ReadFull(x.Reader, body)
		_ = x.Send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + string(body))
		x.Close()
	})
	p := newProxy(t, app.Addr())
	c := p.dial()
	c.Send("POST /exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 4\r\n\r\nbody")
	answer, _ := c.ReadAll()
	if !strings.HasPrefix(answer, "HTTP/1.1 101") || !strings.HasSuffix(answer, "\r\n\r\nbody") {
		t.Errorf("answer: %q", answer)
	}
	c.Close()
	if e := p.line(1); e["request_bytes"] != 4.0 {
		t.Errorf("log line %v", e)
	}
}

func TestAnUpgradeWishThatCannotBePassedOnIsDropped(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for name, raw := range map[string]string{
		"h2c":             "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
		"H2C in a list":   "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket, H2C\r\n\r\n",
		"not nominated":   "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.0":        "GET / HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"a chunked body":  "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"a long body":     fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n", inline+1) + strings.Repeat("x", inline+1),
		"nominated alone": "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n",
	} {
		app.Forget()
		c := p.dial()
		c.Send(raw)
		r := c.ReadResponse("GET")
		if r.Status() != 200 {
			t.Errorf("%s: %q", name, r.Head)
		}
		if got := app.WaitRequest(1); got.Has("Upgrade") || got.Has("Connection") || got.Has("HTTP2-Settings") {
			t.Errorf("%s: the app got %q", name, got.Head)
		}
		if name == "nominated alone" {
			continue
		}
		// Behind a request with an Upgrade field nothing is read as a request, since it may be another protocol.
		_ = c.TrySend("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
		if rest, _ := c.ReadAll(); rest != "" || len(app.Requests()) != 1 {
			t.Errorf("%s: behind the answer came %q, %d requests", name, rest, len(app.Requests()))
		}
	}
}

func TestARefusedUpgradeIsTheConnectionsLastRequest(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
	p := newProxy(t, app.Addr())
	request, _ := switching("websocket")
	c := p.dial()
	c.Send(request + "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := c.ReadResponse("GET"); r.Status() != 403 || r.Content() != "no" || r.Value("Connection") != "close" {
		t.Errorf("answer: %q %q", r.Head, r.Body)
	}
	if rest, err := c.ReadAll(); rest != "" || err != nil {
		t.Errorf("behind the answer came %q %v", rest, err)
	}
	p.expectEnd(1, 403, "ok")
	if n := len(app.Requests()); n != 1 {
		t.Errorf("%d requests reached the app", n)
	}
}

func TestASwitchToAnotherProtocolThanAskedIsRefused(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	request, _ := switching("websocket")
	for _, upgrade := range []string{"Upgrade: h2c\r\n", "Upgrade: websocket, foo\r\n", ""} {
		app.Respond("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + upgrade + "\r\n")
		if r := p.ask(request); r.Status() != 502 || r.Value("Connection") != "close" || r.Has("Upgrade") {
			t.Errorf("%q: %q", upgrade, r.Head)
		}
	}
	app.Respond("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: b\r\n\r\n")
	if r := p.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: a, b\r\n\r\n"); r.Status() != 101 || r.Value("Upgrade") != "b" {
		t.Errorf("one of a list: %q", r.Head)
	}
}

func TestAHalfClosedTunnelStillCarriesTheOtherWay(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for _, protocol := range []string{"tcp", "websocket"} {
		c := tunnelled(t, p, app, protocol, func(x *testkit.RawExchange) {
			got, _ := io.ReadAll(x.Reader) // ends where the client has ended its stream
			_ = x.Send("got " + string(got))
		})
		c.Send("\x82\x03all")
		c.CloseWrite()
		if answer, err := c.ReadAll(); answer != "got \x82\x03all" || err != nil {
			t.Errorf("%s: %q %v", protocol, answer, err)
		}
		finished := make(chan string, 1)
		c = tunnelled(t, p, app, protocol, func(x *testkit.RawExchange) {
			_ = x.Send("\x82\x03bye")
			_ = x.Conn.(interface{ CloseWrite() error }).CloseWrite()
			got, _ := io.ReadAll(x.Reader)
			finished <- string(got)
		})
		if answer, err := c.ReadAll(); answer != "\x82\x03bye" || err != nil {
			t.Errorf("%s: %q %v", protocol, answer, err)
		}
		c.Send("\x82\x04last")
		c.CloseWrite()
		if got := <-finished; got != "\x82\x04last" {
			t.Errorf("%s: the app got %q", protocol, got)
		}
	}
}

func TestAnIdleTunnelEnds(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), func(o *options) { o.forward.TunnelTimeout = 100 * time.Millisecond })
	ended := make(chan struct{})
	c := tunnelled(t, p, app, "tcp", func(x *testkit.RawExchange) {
		_, _ = io.ReadAll(x.Reader)
		close(ended)
	})
	if rest, _ := c.ReadAll(); rest != "" {
		t.Errorf("the client got %q", rest)
	}
	<-ended
	p.expectEnd(1, 101, "tunnel_idle")
}

func TestABusyTunnelOutlivesTheIdleTimeout(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), func(o *options) {
		o.forward.TunnelTimeout, o.frontend.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond
	})
	c := tunnelled(t, p, app, "tcp", func(x *testkit.RawExchange) { _, _ = io.Copy(x.Conn, x.Reader) })
	for range 15 {
		pace(30 * time.Millisecond)
		c.Send("x")
		c.ReadN(1)
	}
	c.Close()
	p.expectEnd(1, 101, "ok")
}

func TestEitherEndOfATunnelEndsIt(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	ended := make(chan struct{}, 1)
	c := tunnelled(t, p, app, "tcp", func(x *testkit.RawExchange) {
		_, _ = io.ReadAll(x.Reader)
		ended <- struct{}{}
	})
	c.Reset()
	<-ended
	if e := p.line(1); e["end"] != "client_gone" {
		t.Errorf("log line %v", e)
	}
	c = tunnelled(t, p, app, "tcp", func(x *testkit.RawExchange) { x.Reset() })
	_, _ = c.ReadAll()
	if e := p.line(2); e["end"] != "app_closed" {
		t.Errorf("log line %v", e)
	}
	p.awaitMetric(0, "tls_proxy_tunnels_open")
}

func TestADrainSaysGoodbyeToBothEndsOfAWebSocket(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	toApp := make(chan string, 1)
	c := tunnelled(t, p, app, "websocket", func(x *testkit.RawExchange) {
		got := make([]byte, 2+4+2)
		_, _ = io.ReadFull(x.Reader, got)
		toApp <- string(got)
		_ = x.Send(frame(8, "\x03\xe9", nil)) // the app's answer, which the client must not see: it had a close frame
	})
	p.awaitMetric(1, "tls_proxy_tunnels_open")
	p.handler.GoAway()
	if got, err := c.ReadAll(); got != goodbye || err != nil {
		t.Errorf("the client got %q %v", got, err)
	}
	c.Send(frame(8, "\x03\xe9", key))
	c.Close()
	got := <-toApp
	if got[0] != 0x88 || got[1] != 0x82 || got[6]^got[2] != 0x03 || got[7]^got[3] != 0xe9 {
		t.Errorf("the app got %x", got)
	}
	p.handler.WaitTunnels(t.Context().Done())
	p.expectEnd(1, 101, "drained")
}

func TestAGoodbyeWaitsForTheEndOfAFrame(t *testing.T) {
	app := testkit.NewRawBackend(t)
	next := make(chan struct{})
	for _, cut := range []int{1, 2, 3, 100} { // inside the header, behind it, inside the payload
		p := newProxy(t, app.Addr())
		message := frame(2, strings.Repeat("x", 200), nil)
		c := tunnelled(t, p, app, "websocket", func(x *testkit.RawExchange) {
			_ = x.Send(message[:cut])
			select {
			case <-next:
			case <-x.Done():
			}
			_ = x.Send(message[cut:] + frame(2, "last", nil))
			_, _ = io.ReadAll(x.Reader)
		})
		if got := c.ReadN(cut); got != message[:cut] {
			t.Fatalf("the client got %q", got)
		}
		p.handler.GoAway()
		next <- struct{}{}
		// The goodbye is on its way by then, or comes one frame later.
		got := c.ReadUntil(goodbye)
		if got != message[cut:]+goodbye && got != message[cut:]+frame(2, "last", nil)+goodbye {
			t.Errorf("cut at %d: the client got %q", cut, got)
		}
		c.Send(frame(8, "\x03\xe9", key))
		c.CloseWrite()
		if rest, _ := c.ReadAll(); rest != "" {
			t.Errorf("cut at %d: behind the goodbye came %q", cut, rest)
		}
	}
}

func TestTunnelsOpenedDuringADrainHearOfIt(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	p.handler.GoAway()
	c := tunnelled(t, p, app, "websocket", func(x *testkit.RawExchange) { _, _ = io.ReadAll(x.Reader) })
	if got := c.ReadN(len(goodbye)); got != goodbye {
		t.Errorf("the client got %q", got)
	}
}

func TestTheDeadlineOfADrainEndsTunnels(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	var conns []*testkit.RawConn
	for _, protocol := range []string{"tcp", "websocket"} {
		conns = append(conns, tunnelled(t, p, app, protocol, func(x *testkit.RawExchange) { _, _ = io.ReadAll(x.Reader) }))
	}
	p.awaitMetric(2, "tls_proxy_tunnels_open")
	p.handler.GoAway()
	over := make(chan struct{})
	close(over)
	p.handler.WaitTunnels(over) // does not wait any longer
	p.handler.Close()
	for _, c := range conns {
		_, _ = c.ReadAll()
	}
	p.handler.WaitTunnels(nil)
	p.expectEnd(1, 101, "drained")
	late := tunnelled(t, p, app, "tcp", func(x *testkit.RawExchange) { _, _ = io.ReadAll(x.Reader) })
	if rest, _ := late.ReadAll(); rest != "" {
		t.Errorf("a tunnel opened after the deadline carried %q", rest)
	}
}
