// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

func TestGuardRefusesWhatTwoReadersCouldReadDifferently(t *testing.T) {
	for _, test := range []struct {
		name   string
		raw    string
		reason string // "" where all of raw is delivered as it is
		given  string // what the server may see of the refused stream, the guard's own line not
	}{
		{"a plain request", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "", ""},
		{"bodies of both kinds", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n a\r\nbPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n a\r\nb\r\n0\r\nT: u\r\n\r\nGET / HTTP/1.1\r\n\r\n", "", ""},
		{"HTTP/1.0 with a length", "POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n\t\nGET / HTTP/1.1\r\n\r\n", "", ""},
		{"the same length twice", "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n \nGET / HTTP/1.1\r\n\r\n", "", ""},
		{"an empty line behind a POST", "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "", ""},
		{"names that only look alike", "GET / HTTP/1.1\r\nContent-Lengthy: x\r\nX-Transfer-Encoding: chunked\r\nTransfer-Encodin: x\r\n\r\n", "", ""},
		{"anything behind an upgrade", "GET / HTTP/1.1\r\nUpgrade: x\r\n\r\nGET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n folded\r\n", "", ""},
		{"a long header line", "GET / HTTP/1.1\r\nCookie: " + strings.Repeat("x", 10_000) + "\r\n\r\n", "", ""},

		{"length, then coding", "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n0\r\n\r\n", contentLengthAndTransferEncoding, "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"},
		{"coding, then length", "POST / HTTP/1.1\r\ntransfer-encoding:x\r\nX: y\r\nCONTENT-LENGTH:0\r\n\r\n", contentLengthAndTransferEncoding, "POST / HTTP/1.1\r\ntransfer-encoding:x\r\nX: y\r\nCONTENT-LENGTH:0\r\n"},
		{"in the second request", "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", contentLengthAndTransferEncoding, "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"},
		{"with an upgrade", "GET / HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", contentLengthAndTransferEncoding, "GET / HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", transferEncodingInHTTP10, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"},
		{"coding in HTTP/1.0, a long target", "POST /" + strings.Repeat("x", 5000) + " HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", transferEncodingInHTTP10, "POST /" + strings.Repeat("x", 5000) + " HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"},
		{"a folded line", "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", foldedHeader, "GET / HTTP/1.1\r\nA: b\r\n c\r\n"},
		{"a folded line with a tab", "GET / HTTP/1.1\nTransfer-Encoding:\n\tchunked\n\n", foldedHeader, "GET / HTTP/1.1\nTransfer-Encoding:\n\tchunked\n"},
		{"a line of a space alone", "GET / HTTP/1.1\r\n \r\n\r\n", foldedHeader, "GET / HTTP/1.1\r\n \r\n"},
		{"a folded trailer", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n", foldedHeader, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n"},
		{"a length that is no number", "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n", malformedContentLength, "POST / HTTP/1.1\r\nContent-Length: 5, 5\r\n"},
		{"a signed length", "POST / HTTP/1.1\r\nContent-Length: +5\r\n\r\n", malformedContentLength, "POST / HTTP/1.1\r\nContent-Length: +5\r\n"},
		{"no length", "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", malformedContentLength, "POST / HTTP/1.1\r\nContent-Length:\r\n"},
		{"a length beyond all", "POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n\r\n", malformedContentLength, "POST / HTTP/1.1\r\nContent-Length: 9223372036854775808\r\n"},
		{"a length behind zeros", "POST / HTTP/1.1\r\nContent-Length: " + strings.Repeat("0", 60) + "5\r\n\r\n", malformedContentLength, "POST / HTTP/1.1\r\nContent-Length: " + strings.Repeat("0", 60) + "5\r\n"},
		{"a length behind spaces", "POST / HTTP/1.1\r\nContent-Length: " + strings.Repeat(" ", 60) + "5\r\n\r\n", malformedContentLength, "POST / HTTP/1.1\r\nContent-Length: " + strings.Repeat(" ", 60) + "5\r\n"},
		{"a chunk size that is no number", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n", malformedChunk, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n"},
		{"a chunk longer than its size", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", malformedChunk, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n"},
	} {
		for how, pieces := range splits(test.raw) {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				var reason string
				guard := NewGuard(&scriptConn{pieces: pieces}, func(r string) { reason += r })
				got, err := io.ReadAll(guard)
				want := test.raw
				if test.reason != "" {
					want = test.given
				}
				if test.reason != "" && test.reason != malformedChunk && test.name != "a folded trailer" {
					want += "refused\n"
				}
				if string(got) != want || err != nil {
					t.Errorf("delivered %q, %v; want %q", got, err, want)
				}
				if reason != test.reason {
					t.Errorf("reason %q, want %q", reason, test.reason)
				}
			})
		}
	}
}

func TestGuardReadsOneByteAtATimeAfterARefusalToo(t *testing.T) {
	guard := NewGuard(&scriptConn{pieces: []string{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"}}, nil)
	var got bytes.Buffer
	for {
		var one [1]byte
		n, err := guard.Read(one[:])
		got.Write(one[:n])
		if err != nil {
			if err != io.EOF {
				t.Errorf("error = %v", err)
			}
			break
		}
	}
	if want := "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nrefused\n"; got.String() != want {
		t.Errorf("delivered %q, want %q", got.String(), want)
	}
}

func TestGuardPassesOnWhatItIsNotThereFor(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	guard := NewGuard(server, nil)
	if guard.NetConn() != server {
		t.Error("NetConn is another connection")
	}
	if err := guard.CloseWrite(); err != nil {
		t.Errorf("a connection that cannot half-close: %v", err)
	}
	half := &halfCloser{}
	if err := NewGuard(half, nil).CloseWrite(); err != io.ErrClosedPipe || !half.closed {
		t.Errorf("CloseWrite = %v, passed on = %v", err, half.closed)
	}
}

type halfCloser struct {
	net.Conn
	closed bool
}

func (h *halfCloser) CloseWrite() error { h.closed = true; return io.ErrClosedPipe }

func TestGuardKeepsLittleOfALine(t *testing.T) {
	for _, start := range []string{"GET /", "GET / HTTP/1.1\r\nA: ", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;"} {
		guard := NewGuard(&scriptConn{pieces: cut(start+strings.Repeat("x", 1<<20), func() int { return 4096 })}, nil)
		io.Copy(io.Discard, guard)
		if got := cap(guard.line); got > 4*maxGuardLine {
			t.Errorf("%q: %d bytes are kept", start, got)
		}
	}
}

// BenchmarkGuard is what following costs for each request.
func BenchmarkGuard(b *testing.B) {
	head := "GET /some/path?with=query HTTP/1.1\r\nHost: localhost:8443\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nConnection: keep-alive\r\n\r\n"
	body := strings.Repeat("x", 16<<10)
	for name, raw := range map[string]string{
		"get":     head,
		"length":  fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		"chunked": fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
	} {
		b.Run(name, func(b *testing.B) {
			guard := NewGuard(nil, nil)
			stream := []byte(raw)
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if guard.follow(stream) != len(stream) || guard.state != atRequestLine {
					b.Fatal("the guard lost its way")
				}
			}
		})
	}
}
