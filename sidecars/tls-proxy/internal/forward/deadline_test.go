// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// idle is the idle timeout of these tests; what survives it goes on for several times as long.
const idle = 400 * time.Millisecond

func impatient(o *options) { o.forward.IdleTimeout, o.frontend.IdleTimeout = idle, idle }

func TestASlowButSteadyUploadSurvives(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), impatient)
	h2c := newProxy(t, h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}), impatient)
	const size = 12
	var uploads sync.WaitGroup
	for _, to := range []*proxy{p, h2c} {
		for _, protocol := range protocols {
			for _, length := range []int64{-1, size} { // streamed, and gathered before the app is asked
				uploads.Go(func() {
					req := to.request("POST", "/", io.LimitReader(readerFunc(func(b []byte) (int, error) {
						pace(idle / 3)
						b[0] = 'x'
						return 1, nil
					}), size))
					req.ContentLength = length
					answer, err := to.do(to.client(protocol), req)
					if err != nil || answer.Body != "ok" {
						t.Errorf("%s, %d bytes: %v %v", protocol, length, answer, err)
					}
				})
			}
		}
	}
	uploads.Wait()
}

func TestAStalledUploadEndsIn408(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), impatient)
	bodies := []string{"Content-Length: 4\r\n\r\nbo", "Content-Length: 100000\r\n\r\nbo", "Transfer-Encoding: chunked\r\n\r\n4\r\nbo"}
	var conns []*testkit.RawConn
	for _, body := range bodies {
		c := p.dial()
		c.Send("POST / HTTP/1.1\r\nHost: h\r\n" + body)
		conns = append(conns, c)
	}
	for i, c := range conns {
		body := bodies[i]
		r := c.ReadResponse("POST")
		if r.Status() != 408 || r.Value("Connection") != "close" || r.Content() != "408 Request Timeout: the request body did not arrive in time\n" {
			t.Errorf("%q: %q %q", body, r.Head, r.Body)
		}
		if rest, err := c.ReadAll(); rest != "" || err != nil {
			t.Errorf("%q: behind the answer: %q %v", body, rest, err)
		}
		p.expectEnd(i+1, 408, "client_timeout")
	}
	body, write := io.Pipe()
	go func() { _, _ = io.WriteString(write, "bo") }()
	answer, err := p.do(p.client("h2"), p.request("POST", "/", body))
	_ = write.Close()
	if err != nil || answer.Status != 408 {
		t.Errorf("h2: %v %v", answer, err)
	}
	p.expectEnd(4, 408, "client_timeout")
}

func TestAnAppThatTakesItsTimeWithAnUploadDoesNotEndIt(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	slowly := func(r io.Reader) {
		buf := make([]byte, 1<<20)
		for range 4 {
			pace(idle * 2 / 3)
			if _, err := io.ReadFull(r, buf); err != nil {
				return
			}
		}
	}
	app.Handle(func(x *testkit.RawExchange) {
		slowly(x.Reader)
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	h2c := h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		slowly(r.Body)
		_, _ = io.WriteString(w, "ok")
	})
	var uploads sync.WaitGroup
	for _, target := range []string{app.Addr(), h2c} {
		p := newProxy(t, target, impatient)
		for _, protocol := range protocols {
			uploads.Go(func() {
				req := p.request("POST", "/", bytes.NewReader(make([]byte, 4<<20)))
				if answer, err := p.do(p.client(protocol), req); err != nil || answer.Body != "ok" {
					t.Errorf("%s to %s: %v %v", protocol, target, answer, err)
				}
			})
		}
	}
	uploads.Wait()
}

func TestAQuietStreamSurvives(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
		x.Pause(3 * idle)
		_ = x.Send("data: 2\n\n")
		x.Close()
	})
	h2c := h2cApp(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		pace(3 * idle)
		_, _ = io.WriteString(w, "data: 2\n\n")
	})
	var streams sync.WaitGroup
	for _, target := range []string{app.Addr(), h2c} {
		p := newProxy(t, target, impatient)
		for _, protocol := range protocols {
			for _, method := range []string{"GET", "POST"} {
				streams.Go(func() {
					var body io.Reader
					if method == "POST" { // a request stream that is as quiet, as gRPC has it
						open, write := io.Pipe()
						defer write.Close()
						body = open
					}
					answer, err := p.do(p.client(protocol), p.request(method, "/", body))
					if err != nil || answer.Body != "data: 1\n\ndata: 2\n\n" {
						t.Errorf("%s %s to %s: %q %v", method, protocol, target, answer.Body, err)
					}
				})
			}
		}
	}
	streams.Wait()
}

// large is a response that no buffer on the way holds.
const large = 24 << 20

func largeApp(t *testing.T) *testkit.RawBackend {
	app := testkit.NewRawBackend(t)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", large)
	body := strings.Repeat("x", large)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send(head)
		_ = x.Send(body)
	})
	return app
}

func TestASlowButSteadyDownloadSurvives(t *testing.T) {
	t.Parallel()
	p := newProxy(t, largeApp(t).Addr(), impatient)
	var downloads sync.WaitGroup
	for _, protocol := range protocols {
		downloads.Go(func() {
			resp, err := p.client(protocol).Do(p.request("GET", "/", nil))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			read := int64(0)
			for range 12 { // far longer than the idle timeout, far less than all of it
				pace(idle / 3)
				n, err := io.CopyN(io.Discard, resp.Body, 1<<20)
				if read += n; err != nil {
					t.Errorf("%s: %v after %d bytes", protocol, err, read)
					return
				}
			}
			if n, err := io.Copy(io.Discard, resp.Body); err != nil || read+n != large {
				t.Errorf("%s: %d bytes, %v", protocol, read+n, err)
			}
		})
	}
	downloads.Wait()
}

func TestAStalledDownloadEnds(t *testing.T) {
	t.Parallel()
	app := largeApp(t)
	p := newProxy(t, app.Addr(), impatient)
	for _, protocol := range protocols {
		client := p.client(protocol)
		client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(4 << 10) // else the kernel goes on reading for the client for a while
			}
			return conn, err
		}
		resp, err := client.Do(p.request("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() // before a byte of the body is read
	}
	for n := range protocols {
		p.expectEnd(n+1, 200, "client_timeout")
	}
	testkit.Eventually(t, "the app's connections to end", func() error {
		if n := app.Open(); n > 0 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})
}

func TestAnHTTP2ClientThatNeverOpensItsWindowEnds(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	h2c := h2cApp(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	for _, target := range []string{app.Addr(), h2c, testkit.FreeAddr(t)} { // nobody at the last: the proxy's own answer
		p := newProxy(t, target, impatient)
		c := testkit.DialRawTLS(t, p.addr, h2Config(p))
		c.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
			h2Frame(h2Settings, 0, 0, "\x00\x04\x00\x00\x00\x00") + // an initial window of 0
			h2Frame(h2Headers, h2EndStream|h2EndHeaders, 1, "\x82\x87\x84\x41\x01h")) // GET https://h/
		for kind := byte(0); kind != h2RSTStream; {
			head := c.ReadN(9)
			kind = head[3]
			payload := c.ReadN(int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
			ack := head[4] & h2Ack
			switch {
			case kind == h2Settings && ack == 0:
				c.Send(h2Frame(h2Settings, h2Ack, 0, ""))
			case kind == h2Ping && ack == 0: // the connection is alive, it is the stream that is stuck
				c.Send(h2Frame(h2Ping, h2Ack, 0, payload))
			case kind == h2Data && payload != "":
				t.Fatal("data in spite of a closed window")
			}
		}
	}
}

// Frames of HTTP/2 (RFC 9113, section 6) and their flags.
const (
	h2Data, h2Headers, h2RSTStream, h2Settings, h2Ping = 0x0, 0x1, 0x3, 0x4, 0x6
	h2Ack, h2EndStream, h2EndHeaders                   = 0x1, 0x1, 0x4
)

// h2Frame is a frame with a short payload.
func h2Frame(kind, flags, stream byte, payload string) string {
	return string([]byte{0, 0, byte(len(payload)), kind, flags, 0, 0, 0, stream}) + payload
}

func h2Config(p *proxy) *tls.Config {
	config := p.ca.ClientConfig("localhost")
	config.NextProtos = []string{"h2"}
	return config
}

func TestABodyThatNobodyReadsIsNotWaitedFor(t *testing.T) {
	p := newProxy(t, testkit.FreeAddr(t))
	for _, raw := range []string{
		"POST x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n",        // a target that is refused
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc",  // nobody there to take it
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", // the same, of unknown length
		"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n",
	} {
		c := p.dial()
		c.Send(raw)
		if r := c.ReadResponse("POST"); r.Status() < 400 || r.Value("Connection") != "close" {
			t.Errorf("%q: %q", raw, r.Head)
		}
		if rest, err := c.ReadAll(); rest != "" || err != nil {
			t.Errorf("%q: behind the answer: %q %v", raw, rest, err)
		}
	}
}
