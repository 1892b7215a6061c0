// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

func TestWebSocketEchoesToARealClient(t *testing.T) {
	server := startServer(t, options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, _, err := websocket.Dial(ctx, server.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	client.SetReadLimit(maxMessage)
	for kind, message := range map[websocket.MessageType]string{
		websocket.MessageText:   "ahoy, Kittiwake ⛵",
		websocket.MessageBinary: strings.Repeat("\x00\xff", 100_000),
	} {
		if err := client.Write(ctx, kind, []byte(message)); err != nil {
			t.Fatal(err)
		}
		gotKind, got, err := client.Read(ctx)
		if err != nil || gotKind != kind || string(got) != message {
			t.Fatalf("%v of %d bytes came back as %v of %d bytes: %v", kind, len(message), gotKind, len(got), err)
		}
	}
	reading := client.CloseRead(ctx) // Ping needs a reader for the pong
	if err := client.Ping(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	_ = reading
	if err := client.Close(websocket.StatusNormalClosure, "bye"); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestWebSocketAnswersAPingBetweenFragments(t *testing.T) {
	conn, in := dialWebSocket(t, startServer(t, options{}))
	conn.Write(clientFrame(false, opText, []byte("ahoy, ")))
	conn.Write(clientFrame(true, opPing, []byte("still there?")))
	conn.Write(clientFrame(false, opContinuation, nil))
	conn.Write(clientFrame(true, opContinuation, []byte("Heron")))
	expect(t, in, appendFrame(nil, opPong, []byte("still there?")))
	expect(t, in, appendFrame(nil, opText, []byte("ahoy, Heron")))
	conn.Write(clientFrame(true, opClose, []byte{0x03, 0xE8}))
	expect(t, in, appendFrame(nil, opClose, []byte{0x03, 0xE8}))
	expectEnd(t, in)
}

func TestWebSocketClosesWithTheCodeForTheFault(t *testing.T) {
	server := startServer(t, options{})
	f := func(name, want string, frames ...[]byte) {
		t.Helper()
		conn, in := dialWebSocket(t, server)
		conn.Write(bytes.Join(frames, nil))
		head := make([]byte, 2)
		if _, err := io.ReadFull(in, head); err != nil || head[0] != 0x80|opClose {
			t.Fatalf("%s: got % x, %v, want a close frame", name, head, err)
		}
		payload := make([]byte, head[1])
		io.ReadFull(in, payload)
		if !strings.HasPrefix(string(payload), want) {
			t.Errorf("%s: closed with % x, want % x", name, payload, want)
		}
		expectEnd(t, in)
	}
	f("continuation of nothing", "\x03\xEA", clientFrame(true, opContinuation, []byte("x")))
	f("message inside a message", "\x03\xEA", clientFrame(false, opText, []byte("x")), clientFrame(true, opText, nil))
	f("text that is not UTF-8", "\x03\xEF", clientFrame(true, opText, []byte("\xff")))
	f("fragments too big together", "\x03\xF1",
		clientFrame(false, opBinary, make([]byte, maxMessage)), clientFrame(true, opContinuation, []byte("x")))
	f("empty close", "", clientFrame(true, opClose, nil))
}

func TestWebSocketRefusesABadHandshake(t *testing.T) {
	server := startServer(t, options{})
	f := func(name string, want int, header http.Header) {
		t.Helper()
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/ws", nil)
		request.Header = header
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", name, response.StatusCode, want)
		}
	}
	f("no upgrade", 426, http.Header{})
	f("old version", 426, http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"8"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	})
	f("short key", 400, http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"c2hvcnQ="},
	})
}

// dialWebSocket opens a WebSocket with the nonce of RFC 6455, section 1.3, and checks its answer.
func dialWebSocket(t *testing.T, server *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: boathouse\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := response.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("status %d, Sec-WebSocket-Accept %q", response.StatusCode, got)
	}
	return conn, in
}

func expect(t *testing.T, in io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got % x, %v, want % x", got[:n], err, want)
	}
}

func expectEnd(t *testing.T, in io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Errorf("after the close frame: % x, %v, want the end", rest, err)
	}
}
