// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/outrigger/outrigger/internal/testkit"
)

// echo starts an application whose WebSocket sends back what comes, and answers a close frame by the library's rules.
func echo(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"boat.v2"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(16 << 20)
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), kind, message); err != nil {
				return
			}
		}
	}))
	t.Cleanup(app.Close)
	return app.Listener.Addr().String()
}

// dialWebSocket opens a WebSocket through the proxy.
func dialWebSocket(t *testing.T, p *proxy) *websocket.Conn {
	t.Helper()
	conn, resp, err := websocket.Dial(t.Context(), "wss://"+p.addr+"/ws", &websocket.DialOptions{
		HTTPClient: p.ca.HTTPClient(), Host: "localhost", Subprotocols: []string{"boat.v1", "boat.v2"}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || conn.Subprotocol() != "boat.v2" {
		t.Errorf("status %d, subprotocol %q", resp.StatusCode, conn.Subprotocol())
	}
	conn.SetReadLimit(16 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func TestAWebSocketCarriesMessagesOfEverySizeAndKind(t *testing.T) {
	t.Parallel()
	p := startProxy(t, echo(t))
	conn := dialWebSocket(t, p)
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 5 << 20} {
		for _, kind := range []websocket.MessageType{websocket.MessageBinary, websocket.MessageText} {
			message := make([]byte, size)
			rand.Read(message)
			if kind == websocket.MessageText {
				for i := range message {
					message[i] = 'a' + message[i]%26
				}
			}
			if err := conn.Write(t.Context(), kind, message); err != nil {
				t.Fatal(err)
			}
			gotKind, got, err := conn.Read(t.Context())
			if err != nil || gotKind != kind || string(got) != string(message) {
				t.Fatalf("%v of %d bytes came back as %v of %d: %v", kind, size, gotKind, len(got), err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(conn.CloseRead(t.Context()), testkit.Patience)
	defer cancel()
	if err := conn.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	p.WaitMetric("tls_proxy_tunnels_open", func(v float64) bool { return v == 1 })
	_ = conn.CloseNow()
	p.WaitMetric("tls_proxy_tunnels_open", func(v float64) bool { return v == 0 })
}

// TestATerminationSaysGoodbyeToWebSockets with close code 1001, going away (RFC 6455, section 7.4.1).
func TestATerminationSaysGoodbyeToWebSockets(t *testing.T) {
	t.Parallel()
	p := startProxy(t, echo(t))
	conns := make([]*websocket.Conn, 5)
	for i := range conns {
		conns[i] = dialWebSocket(t, p)
		if err := conns[i].Write(t.Context(), websocket.MessageText, []byte("ahoy")); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conns[i].Read(t.Context()); err != nil || string(got) != "ahoy" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	stopped := make(chan int, 1)
	go func() { stopped <- p.Stop() }()
	for _, conn := range conns {
		ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
		_, _, err := conn.Read(ctx)
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("the connection ended with %v", err)
		}
		cancel()
	}
	if code := <-stopped; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// TestServerSentEventsComeOneByOne, each before the next is made.
func TestServerSentEventsComeOneByOne(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for n := 0; ; n++ {
			fmt.Fprintf(w, "data: %d\n\n", n)
			w.(http.Flusher).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(app.Close)
	p := startProxy(t, app.Listener.Addr().String())
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: p.ca.ClientConfig("localhost"), Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
		transport.Protocols.SetHTTP2(protocol == "HTTP/2.0")
		client := &http.Client{Transport: transport}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Proto != protocol {
			t.Errorf("it came over %s, want %s", resp.Proto, protocol)
		}
		buf := make([]byte, 100)
		for n := range 20 {
			if n > 0 {
				select {
				case next <- struct{}{}:
				case <-time.After(testkit.Patience):
					t.Fatal("the application has gone")
				}
			}
			read, err := resp.Body.Read(buf)
			if want := fmt.Sprintf("data: %d\n\n", n); err != nil || string(buf[:read]) != want {
				t.Fatalf("%s: got %q, want %q: %v", protocol, buf[:read], want, err)
			}
		}
		_ = resp.Body.Close()
		client.CloseIdleConnections()
	}
}
