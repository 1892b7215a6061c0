// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// request is one request, as the server or the guard sees it.
type request struct {
	line  string
	head  string
	body  string
	whole bool // the body ended as it should
	open  bool // an upgrade: where its body ends is not known
}

// FuzzGuardAgreesWithTheServer is the guard's promise: whatever the bytes and however they are split into reads,
// each request that net/http's server serves from under the guard begins, has the body and ends where the guard
// thought, and none is served that two readers could read differently.
func FuzzGuardAgreesWithTheServer(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nA: b\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:" + strings.Repeat(" ", 70) + "5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + strings.Repeat("0", 70) + "5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\r\nhello\r\n0\r\n\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhiHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.2\r\nHost: a\r\n\r\n",
	} {
		f.Add([]byte(seed), []byte{})
		f.Add([]byte(seed), []byte{1})
		f.Add([]byte(seed), []byte{70, 3, 19})
	}
	f.Fuzz(func(t *testing.T, raw, sizes []byte) {
		pieces := cut(string(raw), sizesOf(sizes))
		checkSplit(t, raw, pieces)
		known := followed(raw)
		for i, got := range served(pieces) {
			if i >= len(known) {
				t.Fatalf("request %d was served, %q; the guard saw %d", i+1, got.line, len(known))
			}
			want := known[i]
			if got.line != want.line {
				t.Fatalf("request %d: %q was served, the guard saw %q", i+1, got.line, want.line)
			}
			if ambiguous(want.head) {
				t.Fatalf("request %d was served: %q", i+1, want.head)
			}
			switch {
			case want.open:
			case got.whole && (got.body != want.body || !want.whole):
				t.Fatalf("request %d: the body %q was served, the guard saw %q (whole: %v)", i+1, got.body, want.body, want.whole)
			case !strings.HasPrefix(want.body, got.body):
				t.Fatalf("request %d: the beginning of a body %q was served, the guard saw %q", i+1, got.body, want.body)
			}
		}
	})
}

// sizesOf returns the sizes in turn, over and over.
func sizesOf(sizes []byte) func() int {
	i := 0
	return func() int {
		if len(sizes) == 0 {
			return 1 << 20
		}
		i++
		return int(sizes[(i-1)%len(sizes)])
	}
}

// checkSplit checks that a guard ends up in the same state however the bytes are split.
func checkSplit(t *testing.T, raw []byte, pieces []string) {
	feed := func(pieces [][]byte) (*Guard, int) {
		g, n := NewGuard(nil, nil), 0
		for _, p := range pieces {
			n += g.follow(p)
			if g.state == ended {
				break
			}
		}
		return g, n
	}
	inBytes := slices.Collect(slices.Chunk(raw, 1))
	var inPieces [][]byte
	for _, p := range pieces {
		inPieces = append(inPieces, []byte(p))
	}
	a, an := feed(inBytes)
	b, bn := feed(inPieces)
	if a.state != b.state || a.left != b.left || an != bn || a.pending != b.pending {
		t.Fatalf("byte by byte the guard ends in state %d with %d left after %d, in pieces in %d with %d after %d",
			a.state, a.left, an, b.state, b.left, bn)
	}
}

// followed returns the requests in raw as a guard sees them.
func followed(raw []byte) []request {
	var all []request
	guard := NewGuard(nil, nil)
	start := 0
	for i := range raw {
		before := guard.state
		guard.follow(raw[i : i+1])
		after := guard.state
		switch {
		case before == atRequestLine && after == atRequestLine && raw[i] == '\n':
			start = i + 1 // an empty line
		case before == inHead && after == ended:
			return all
		case before == inHead && after != inHead:
			head := string(raw[start : i+1])
			line, _, _ := strings.Cut(head, "\n")
			all = append(all, request{line: strings.Trim(line, "\r"), head: head, open: after == passing})
		case before == inBody || before == inChunk:
			all[len(all)-1].body += string(raw[i : i+1])
		}
		if after == passing || after == ended {
			return all
		}
		if before != atRequestLine && after == atRequestLine {
			all[len(all)-1].whole = true
			start = i + 1
		}
	}
	return all
}

// ambiguous judges a request head by other means than the guard's.
func ambiguous(head string) bool {
	lines := strings.Split(strings.ReplaceAll(strings.TrimLeft(head, "\r\n"), "\r", ""), "\n")
	var length, coding bool
	for _, line := range lines[1:] {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			return true
		}
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		length = length || strings.TrimSpace(name) == "content-length"
		coding = coding || strings.TrimSpace(name) == "transfer-encoding"
	}
	return coding && (length || strings.HasSuffix(lines[0], "HTTP/1.0"))
}

// served returns the requests that net/http's server serves when it reads the pieces through a guard.
func served(pieces []string) []request {
	var all []request
	over := make(chan struct{})
	server := &http.Server{
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				close(over)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			all = append(all, request{line: r.Method + " " + r.RequestURI + " " + r.Proto, body: string(body), whole: err == nil})
			if len(r.Header["Upgrade"]) > 0 {
				w.Header().Set("Connection", "close")
			}
		}),
	}
	conn := &addressed{scriptConn{pieces: pieces}}
	listener := &oneConn{conns: make(chan net.Conn, 1), over: over}
	listener.conns <- NewGuard(conn, nil)
	_ = server.Serve(listener)
	return all
}

// oneConn is a listener with one connection that closes when that is over.
type oneConn struct {
	conns chan net.Conn
	over  chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

type addressed struct{ scriptConn }

func (*addressed) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (*addressed) RemoteAddr() net.Addr { return &net.TCPAddr{} }

func TestTheFuzzersJudgeFindsWhatIsThere(t *testing.T) {
	raw := "\r\nPOST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi" +
		"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nho\r\n1\r\n!\r\n0\r\n\r\n" +
		"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
	want := []request{
		{line: "POST /1 HTTP/1.1", body: "hi", whole: true},
		{line: "POST /2 HTTP/1.1", body: "ho!", whole: true},
		{line: "GET /3 HTTP/1.1", whole: true},
	}
	for _, got := range [][]request{followed([]byte(raw)), served([]string{strings.TrimPrefix(raw, "\r\n")})} {
		for i := range got {
			got[i].head = ""
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if !ambiguous("GET / HTTP/1.1\r\nContent-Length: 1\r\ntransfer-encoding: x\r\n\r\n") || !ambiguous("GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n") ||
		!ambiguous("GET / HTTP/1.0\r\nTransfer-Encoding: x\r\n\r\n") || ambiguous("GET / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n") {
		t.Error("the judge of heads is wrong")
	}
	if bytes.Contains([]byte(raw), []byte("refused")) {
		t.Error("the seed holds the guard's own line")
	}
}
