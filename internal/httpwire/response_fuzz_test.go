// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzResponse holds the response reader to three things, whatever a server sends and however it is split: the split
// makes no difference; where net/http's client reads a whole response as well, both read the same one; and a
// connection is only kept where all of what came is accounted for.
func FuzzResponse(f *testing.F) {
	for _, test := range framings {
		f.Add([]byte(test.raw), []byte{}, test.method == "HEAD")
		f.Add([]byte(test.raw), []byte{1}, test.method == "HEAD")
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 5000)+"\r\n\r\n"), []byte{200}, false)
	f.Fuzz(func(t *testing.T, raw, sizes []byte, head bool) {
		const limit = 4 << 10
		read := func(pieces []string) (answer, error, bool) {
			client, conn := scripted(pieces...)
			client.MaxHeaderBytes = limit
			req := get("/")
			if head {
				req.Method = "HEAD"
			}
			resp, err := client.Do(t.Context(), req)
			if err != nil {
				if client.Open() != 0 || !conn.closed {
					t.Fatalf("after %v the connection is open", err)
				}
				return answer{}, err, false
			}
			cn := resp.conn
			a := answer{Status: resp.Status, Minor: resp.Minor, Length: resp.Length, Header: resp.Header}
			a.Body, err = readAll(resp)
			a.Trailer = resp.Trailer
			if cap(cn.buf) > largeBuffer {
				t.Fatalf("the buffer has %d bytes", cap(cn.buf))
			}
			resp.Close()
			if client.Open() != client.Idle() || conn.closed == (client.Idle() == 1) {
				t.Fatal("the connection is neither closed nor kept")
			}
			return a, err, client.Idle() == 1 && len(conn.pieces) == 0
		}
		whole, err, kept := read(cut(string(raw), sizesOf(nil)))
		pieces, piecesErr, piecesKept := read(cut(string(raw), sizesOf(sizes)))
		if whole.Status != pieces.Status || whole.Body != pieces.Body || (err == nil) != (piecesErr == nil) || kept != piecesKept {
			t.Fatalf("whole: %+v, %v, kept %v; in pieces: %+v, %v, kept %v", whole, err, kept, pieces, piecesErr, piecesKept)
		}
		if err == nil {
			checkAgainstNetHTTP(t, raw, head, whole, kept)
		}
	})
}

func checkAgainstNetHTTP(t *testing.T, raw []byte, head bool, got answer, kept bool) {
	reader := bufio.NewReaderSize(strings.NewReader(string(raw)), 1<<20)
	req := &http.Request{Method: "GET"}
	if head {
		req.Method = "HEAD"
	}
	for {
		want, err := http.ReadResponse(reader, req)
		if err != nil {
			return
		}
		if want.StatusCode < 200 && want.StatusCode != 101 {
			continue
		}
		if want.ProtoMajor == 1 && want.ProtoMinor == 0 && strings.Contains(strings.ToLower(string(raw)), "transfer-encoding") {
			return // which net/http ignores there
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			return
		}
		if got.Status != want.StatusCode || got.Body != string(body) {
			t.Fatalf("status %d, body %q; net/http reads %d, %q", got.Status, got.Body, want.StatusCode, body)
		}
		if kept && (reader.Buffered() > 0 || want.Close) {
			t.Fatalf("the connection was kept; for net/http %d bytes are left, close = %v", reader.Buffered(), want.Close)
		}
		for name := range want.Header {
			if !isToken(name) {
				return // net/http leaves the space before a colon in the name
			}
		}
		for name, values := range got.Header {
			switch name {
			case "Content-Length", "Trailer", "Connection", "Cache-Control":
				continue
			}
			if strings.Join(values, "\n") != strings.Join(want.Header[name], "\n") {
				t.Fatalf("%s: %q; net/http reads %q", name, values, want.Header[name])
			}
		}
		return
	}
}

func FuzzChunkSize(f *testing.F) {
	for _, seed := range []string{"0", "5", "fF;x=y", "10 ", " 5", "0x5", "", "-1", "100000000000000000", "7fffffffffffffff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		size, ok := parseChunkSize(line)
		if size < 0 || !ok && size != 0 {
			t.Fatalf("%q is %d, %v", line, size, ok)
		}
	})
}
