// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	get  = "GET /a%2Fb/../c?x=%20+;&y HTTP/1.1\r\nhost: h\r\nX-Two: 1\r\nx-two:  2 \r\nEmpty:\r\n\r\n"
	post = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\nwiki\r\n3\r\n\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"
)

func TestTheBackendRecordsTheExactBytes(t *testing.T) {
	for name, b := range map[string]*RawBackend{"tcp": NewRawBackend(t), "unix": NewRawUnixBackend(t)} {
		t.Run(name, func(t *testing.T) {
			c := DialRaw(t, b.Addr())
			c.Send(get + post) // pipelined, as a proxy must not do but a test may
			for range 2 {
				if r := c.ReadResponse("GET"); r.Status() != 200 || r.Content() != "ok" {
					t.Errorf("the answer is %+v", r)
				}
			}
			one, two := b.WaitRequest(1), b.WaitRequest(2)
			if one.Head != get || one.Body != "" || one.Method() != "GET" || one.Target() != "/a%2Fb/../c?x=%20+;&y" || one.Conn != 1 {
				t.Errorf("the first request is %+v", one)
			}
			if diff := cmp.Diff([]string{"1", "2"}, one.Values("X-TWO")); diff != "" || one.Value("Host") != "h" || !one.Has("empty") || one.Has("X") {
				t.Errorf("the fields are %q", one.Fields())
			}
			if two.Head+two.Body != post || two.Content() != "wiki\r\nx" || two.Err != nil {
				t.Errorf("the second request is %+v", two)
			}
			if diff := cmp.Diff([]string{"X-Sum: 1"}, two.Trailers()); diff != "" {
				t.Error(diff)
			}
			b.Forget()
			if n := len(b.Requests()); n != 0 || b.Accepted() != 1 || b.Open() != 1 {
				t.Errorf("%d requests after Forget, %d connections", n, b.Accepted())
			}
		})
	}
}

func TestScriptedAnswersGoOutAsTheyAre(t *testing.T) {
	b := NewRawBackend(t)
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	const odd = "HTTP/1.1 200 Fine\r\nTRAILER: x\r\ntransfer-encoding: Chunked\r\n\r\n00005 ; a=b\r\nhello\r\n0\r\nx: y\r\n\r\n"
	b.Respond(hints + odd)
	c := DialRaw(t, b.Addr())
	c.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := c.ReadResponse("GET"); r.Status() != 103 || r.Head != hints {
		t.Errorf("the interim response is %+v", r)
	}
	if r := c.ReadResponse("GET"); r.Head+r.Body != odd || r.Content() != "hello" || strings.Join(r.Trailers(), "") != "x: y" {
		t.Errorf("the response is %+v", r)
	}
}

func TestAHandlerMayAnswerEarlySlowlyOrNotAtAll(t *testing.T) {
	b := NewRawBackend(t)
	gate := make(chan struct{})
	b.Handle(func(x *RawExchange) {
		switch x.Request().Target() {
		case "/early":
			_ = x.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			x.Close()
		case "/slow":
			x.Wait(gate)
			_ = x.SendSlowly("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!", 7, time.Millisecond)
		case "/cut":
			_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
			x.Close()
		case "/reset":
			x.Reset()
		case "/hang":
			<-x.Done()
		}
	})
	ask := func(target, more string) *RawConn {
		c := DialRaw(t, b.Addr())
		c.Send("POST " + target + " HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n" + more)
		return c
	}
	if r := ask("/early", "").ReadResponse("POST"); r.Status() != 413 {
		t.Errorf("the early answer is %+v", r)
	}
	slow := ask("/slow", "body")
	silence(t, slow)
	close(gate)
	if r := slow.ReadResponse("POST"); r.Body != "!" {
		t.Errorf("the slow answer is %+v", r)
	}
	if r := ask("/cut", "body").ReadResponse("POST"); r.Body != "half" || !errors.Is(r.Err, io.EOF) {
		t.Errorf("the cut answer is %+v", r)
	}
	if _, err := ask("/reset", "body").ReadAll(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the reset is %v", err)
	}
	silence(t, ask("/hang", "body"))
}

func TestABrokenRequestIsRecordedWithItsError(t *testing.T) {
	b := NewRawBackend(t)
	c := DialRaw(t, b.Addr())
	c.Send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nfour")
	if r := b.WaitHead(1); r.Body != "" {
		t.Errorf("the head came with %q", r.Body)
	}
	c.Close()
	if r := b.WaitRequest(1); r.Body != "four" || r.Err == nil {
		t.Errorf("the request is %+v", r)
	}
	c = DialRaw(t, b.Addr())
	c.Send("GET / HTTP/1.1\r\nHos")
	c.CloseWrite()
	if r := b.WaitRequest(2); r.Err == nil || r.Head != "GET / HTTP/1.1\r\nHos" {
		t.Errorf("the broken head is %+v", r)
	}
}

func TestARawTLSClientSendsAndReadsExactBytes(t *testing.T) {
	ca := NewCA(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.Issue("localhost").ServerConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "220 ready\r\n12345")
		data, _ := io.ReadAll(conn)
		got <- string(data)
	}()
	c := DialRawTLS(t, l.Addr().String(), ca.ClientConfig("localhost"))
	if v := c.State().Version; v != tls.VersionTLS13 {
		t.Errorf("the version is %x", v)
	}
	if line := c.ReadUntil("\r\n"); line != "220 ready\r\n" {
		t.Errorf("the line is %q", line)
	}
	if n := c.ReadN(5); n != "12345" {
		t.Errorf("the rest is %q", n)
	}
	c.SendSlowly("exact\x00bytes", 3, time.Millisecond)
	c.CloseWrite()
	if rest, err := c.ReadAll(); rest != "" || err != nil {
		t.Errorf("the end is %q, %v", rest, err)
	}
	if s := <-got; s != "exact\x00bytes" {
		t.Errorf("the server got %q", s)
	}
}

func TestAResetOfTheClientIsSeenByTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := DialRaw(t, l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c.Reset()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("it saw %v", err)
	}
}

func TestResponsesAreFramedByTheirRequestAndStatus(t *testing.T) {
	for _, c := range []struct{ method, raw, body, rest string }{
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", "ok", "more"},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nnext", "", "next"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nnext", "", "next"},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\nnext", "", "next"},
		{"GET", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end", ""},
	} {
		r := bufio.NewReader(strings.NewReader(c.raw))
		head, err := readHead(r)
		if err != nil {
			t.Fatal(err)
		}
		resp := RawResponse{rawMessage{Head: head}}
		body, err := resp.readBody(r, c.method)
		rest, _ := io.ReadAll(r)
		if body != c.body || string(rest) != c.rest || err != nil {
			t.Errorf("%s %q: body %q, rest %q, %v", c.method, c.raw, body, rest, err)
		}
	}
}

func FuzzRawMessagesNeverPanicAndLoseNoByte(f *testing.F) {
	for _, seed := range []string{get, post, "HTTP/1.1 200 OK\r\n\r\n", "\r\n\r\n", "X / \nContent-Length: 99999999999\n\nx"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		r := bufio.NewReader(strings.NewReader(raw))
		head, err := readHead(r)
		m := rawMessage{Head: head}
		if err == nil {
			m.Body, m.Err = m.readFramed(r, true)
		}
		rest, _ := io.ReadAll(r)
		if m.Head+m.Body+string(rest) != raw {
			t.Errorf("head %q, body %q and rest %q are not %q", m.Head, m.Body, rest, raw)
		}
		_, _, _, _ = m.Line(), m.Fields(), m.Content(), m.Trailers()
		_, _ = RawRequest{rawMessage: m}.Target(), RawResponse{m}.Status()
	})
}
