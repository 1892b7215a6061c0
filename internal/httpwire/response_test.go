// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// framings are responses with what a reader has to make of them. reuse is whether another request may follow.
var framings = []struct {
	name   string
	method string // GET where empty
	raw    string
	body   string
	length int64
	reuse  bool
	err    string // part of the error's text; of Do or of the body
}{
	{name: "length", raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5, reuse: true},
	{name: "length 0", raw: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", reuse: true},
	{name: "no reason phrase", raw: "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", body: "x", length: 1, reuse: true},
	{name: "LF alone", raw: "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", body: "hello", length: 5, reuse: true},
	{name: "same length twice", raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5, reuse: true},
	{name: "two lengths", raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", err: "two different Content-Length"},
	{name: "list of lengths", raw: "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", err: "its Content-Length is"},
	{name: "signed length", raw: "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", err: "its Content-Length is"},
	{name: "negative length", raw: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", err: "its Content-Length is"},
	{name: "empty length", raw: "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello", err: "its Content-Length is"},
	{name: "length beyond all", raw: "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", err: "its Content-Length is"},
	{name: "short body", raw: "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", body: "hello", length: 50, err: "unexpected EOF"},
	{name: "body longer than said", raw: "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", body: "hell", length: 4, reuse: false},
	{name: "until close", raw: "HTTP/1.1 200 OK\r\n\r\nhello", body: "hello", length: Unknown},
	{name: "HTTP/1.0", raw: "HTTP/1.0 200 OK\r\n\r\nhello", body: "hello", length: Unknown},
	{name: "HTTP/1.0 with length", raw: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5},
	{name: "HTTP/1.0 keep-alive", raw: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5, reuse: true},
	{name: "close", raw: "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5},
	{name: "chunked", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", body: "hello world", length: Unknown, reuse: true},
	{name: "chunked in capitals", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", body: "0123456789", length: Unknown, reuse: true},
	{name: "chunked, empty", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", length: Unknown, reuse: true},
	{name: "chunked, LF alone", raw: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", body: "hello", length: Unknown, reuse: true},
	{name: "chunked with extensions", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 ; a=\"b\"\r\nhello\r\n0;last\r\n\r\n", body: "hello", length: Unknown, reuse: true},
	{name: "chunked with trailer", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 1\r\n\r\n", body: "hello", length: Unknown, reuse: true},
	{name: "chunked, more behind it", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", body: "hello", length: Unknown},
	{name: "chunked, cut in the data", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", body: "hel", length: Unknown, err: "unexpected EOF"},
	{name: "chunked, cut behind the data", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", body: "hello", length: Unknown, err: "unexpected EOF"},
	{name: "chunked, cut before the last", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", body: "hello", length: Unknown, err: "unexpected EOF"},
	{name: "chunked, cut in the trailer", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", body: "hello", length: Unknown, err: "unexpected EOF"},
	{name: "chunk longer than its size", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n", body: "hell", length: Unknown, err: "longer than its size"},
	{name: "chunk size no number", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", length: Unknown, err: "no number"},
	{name: "chunk size empty", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n", length: Unknown, err: "no number"},
	{name: "chunk size negative", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", length: Unknown, err: "no number"},
	{name: "chunk size too long", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", length: Unknown, err: "no number"},
	{name: "chunk line too long", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + strings.Repeat("x", 300) + "\r\nhello\r\n0\r\n\r\n", length: Unknown, err: "too long"},
	{name: "trailer no field", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nnonsense\r\n\r\n", length: Unknown, err: "no field"},
	{name: "chunked and length", raw: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", body: "hello", length: Unknown},
	{name: "chunked in HTTP/1.0", raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", body: "hello", length: Unknown},
	{name: "two codings", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", err: "only chunked is known"},
	{name: "chunked twice", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", err: "only chunked is known"},
	{name: "unknown coding", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n", err: "only chunked is known"},
	{name: "identity with length", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", body: "hello", length: 5},
	{name: "identity", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello", body: "hello", length: Unknown},
	{name: "HEAD", method: "HEAD", raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", reuse: true},
	{name: "HEAD chunked", method: "HEAD", raw: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", reuse: true},
	{name: "HEAD with a body", method: "HEAD", raw: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
	{name: "204", raw: "HTTP/1.1 204 No Content\r\n\r\n", reuse: true},
	{name: "204 with length 0", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", reuse: true},
	{name: "204 with length", raw: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"},
	{name: "204 chunked", raw: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{name: "304 with length", raw: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", reuse: true},
	{name: "304 chunked", raw: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{name: "101 that nobody took over", raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"},
	{name: "1xx first", raw: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", body: "ok", length: 2, reuse: true},
	{name: "cut head", raw: "HTTP/1.1 200 OK\r\nContent-Le", err: "unexpected EOF"},
	{name: "nothing", raw: "", err: "EOF"},
	{name: "another protocol", raw: "SSH-2.0-OpenSSH_9.2\r\n\r\n", err: "not with HTTP/1.1"},
	{name: "HTTP/2", raw: "HTTP/2 200\r\n\r\n", err: "not with HTTP/1.1"},
	{name: "empty line first", raw: "\r\nHTTP/1.1 200 OK\r\n\r\n", err: "not with HTTP/1.1"},
	{name: "status of two digits", raw: "HTTP/1.1 20 OK\r\n\r\n", err: "its status is"},
	{name: "status of four digits", raw: "HTTP/1.1 2000 OK\r\n\r\n", err: "its status is"},
	{name: "status below 100", raw: "HTTP/1.1 099 OK\r\n\r\n", err: "its status is"},
	{name: "signed status", raw: "HTTP/1.1 +20 OK\r\n\r\n", err: "its status is"},
	{name: "no status", raw: "HTTP/1.1\r\n\r\n", err: "its status is"},
	{name: "line without colon", raw: "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", err: "no field"},
	{name: "field without name", raw: "HTTP/1.1 200 OK\r\n: x\r\n\r\n", err: "no field"},
	{name: "name with a space", raw: "HTTP/1.1 200 OK\r\nA B: x\r\n\r\n", err: "no field"},
	{name: "fold before the first field", raw: "HTTP/1.1 200 OK\r\n A: x\r\n\r\n", err: "no field"},
	{name: "CR in a value", raw: "HTTP/1.1 200 OK\r\nA: x\rB: y\r\n\r\n", err: "no field"},
	{name: "NUL in a value", raw: "HTTP/1.1 200 OK\r\nA: x\x00y\r\n\r\n", err: "no field"},
}

func TestAResponseEndsWhereItsHeadSays(t *testing.T) {
	for _, test := range framings {
		for how, pieces := range splits(test.raw) {
			t.Run(test.name+"/"+how, func(t *testing.T) {
				client, conn := scripted(pieces...)
				req := get("/")
				req.Idempotent = false // the script is for one connection
				if test.method != "" {
					req.Method = test.method
				}
				got, err := ask(client, req)
				if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
					t.Fatalf("error = %v, want %q", err, test.err)
				}
				if got.Body != test.body || got.Length != test.length {
					t.Errorf("body %q of length %d, want %q of length %d", got.Body, got.Length, test.body, test.length)
				}
				if got.Header["Transfer-Encoding"] != nil || got.Length == Unknown && got.Header["Content-Length"] != nil {
					t.Errorf("the header still frames the body: %v", got.Header)
				}
				// A whole connection may only be idle where all that came was consumed.
				reused := client.Idle() == 1 && len(conn.pieces) == 0
				if reused != test.reuse || conn.closed == (client.Idle() == 1) || client.Open() != client.Idle() {
					t.Errorf("kept = %v, closed = %v, want kept = %v", reused, conn.closed, test.reuse)
				}
			})
		}
	}
}

func TestFieldsAreReadAsTheyAreMeant(t *testing.T) {
	for _, test := range []struct {
		name, fields string
		want         http.Header
	}{
		{"repeated", "A: 1\r\nB: 2\r\na: 3\r\n", http.Header{"A": {"1", "3"}, "B": {"2"}}},
		{"spaces around", "A:\t 1 \t\r\nB:2\r\n", http.Header{"A": {"1"}, "B": {"2"}}},
		{"space before the colon", "A : 1\r\n", http.Header{"A": {"1"}}},
		{"empty", "A:\r\n", http.Header{"A": {""}}},
		{"colons in the value", "A: b:c\r\n", http.Header{"A": {"b:c"}}},
		{"bytes beyond ASCII", "A: caf\xe9\r\n", http.Header{"A": {"caf\xe9"}}},
		{"folded", "A: 1\r\n 2\r\n\t 3 \r\nB: 4\r\n", http.Header{"A": {"1 2 3"}, "B": {"4"}}},
		{"folded, LF alone", "A: 1\n 2\nB: 4\n", http.Header{"A": {"1 2"}, "B": {"4"}}},
		{"folded to nothing", "A: 1\r\n \r\nB: 4\r\n", http.Header{"A": {"1"}, "B": {"4"}}},
		{"underscore and dots", "x_y.z: 1\r\n", http.Header{"X_y.z": {"1"}}},
		{"none", "", http.Header{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := make(http.Header)
			if err := parseFields(got, test.fields+"\r\n"); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestValuesOfOneNameDoNotGrowIntoAnother(t *testing.T) {
	header := make(http.Header)
	if err := parseFields(header, "A: 1\r\nB: 2\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	header["A"] = append(header["A"], "x")
	if got := header.Get("B"); got != "2" {
		t.Errorf("B = %q, want 2", got)
	}
}

func TestManyFoldedLinesCostNoMoreThanTheirBytes(t *testing.T) {
	block := "A: 1\r\n" + strings.Repeat(" x\r\n", 60_000) + "\r\n"
	header := make(http.Header)
	allocated := testing.AllocsPerRun(1, func() {
		if err := parseFields(header, block); err != nil {
			t.Fatal(err)
		}
	})
	if got := len(header.Get("A")); got != 1+2*60_000 {
		t.Errorf("the value has %d bytes", got)
	}
	if allocated > 200 {
		t.Errorf("%v allocations for one field", allocated)
	}
}

func TestAHeadMayBeAsLargeAsTheLimitAndNoLarger(t *testing.T) {
	head := func(size int) string {
		const frame = "HTTP/1.1 204 No Content\r\nA: \r\n\r\n"
		return strings.Replace(frame, "A: ", "A: "+strings.Repeat("x", size-len(frame)), 1)
	}
	for _, limit := range []int{1 << 10, smallBuffer, 20 << 10, largeBuffer, 200 << 10} {
		for how, piece := range map[string]int{"whole": 1 << 20, "pieces": 1000} {
			for _, test := range []struct {
				size int
				ok   bool
			}{{limit - 1, true}, {limit, true}, {limit + 1, false}, {limit + 10_000, false}} {
				t.Run(fmt.Sprintf("%d of %d in %s", test.size, limit, how), func(t *testing.T) {
					client, conn := scripted(cut(head(test.size), func() int { return piece })...)
					client.MaxHeaderBytes = limit
					_, err := ask(client, get("/"))
					if ok := err == nil; ok != test.ok || !ok && !IsProtocolError(err) {
						t.Fatalf("error = %v", err)
					}
					if left := strings.Join(conn.pieces, ""); !test.ok && test.size-len(left) > 3*limit+smallBuffer {
						t.Errorf("%d bytes were read of a head that may have %d", test.size-len(left), limit)
					}
				})
			}
		}
	}
}

func TestATrailerIsBoundedLikeAHead(t *testing.T) {
	client, _ := scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", strings.Repeat("A: x\r\n", 1000))
	client.MaxHeaderBytes = 1000
	if _, err := ask(client, get("/")); !errors.Is(err, errHeadTooLarge) {
		t.Errorf("error = %v, want %v", err, errHeadTooLarge)
	}
}

func TestTrailersAreThereAtTheEnd(t *testing.T) {
	for how, pieces := range splits("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nhi\r\n0\r\nA: 1\r\nb: 2\r\n\r\n") {
		client, _ := scripted(pieces...)
		got, err := ask(client, get("/"))
		if diff := cmp.Diff(http.Header{"A": {"1"}, "B": {"2"}}, got.Trailer); err != nil || diff != "" {
			t.Errorf("%s: %v %s", how, err, diff)
		}
	}
}

// A proxy flushes what it has when the next part is not there yet: an event stream whose events end with a chunk
// stood still for one event where the CRLF behind a chunk was taken for the next part.
func TestAnEventIsNotHeldBackByTheEndOfItsChunk(t *testing.T) {
	for _, event := range []string{"5\r\nhello\r\n", "5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n6", "5\r\nhello\r\n6\r\n"} {
		client, _ := scripted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", event)
		resp, err := client.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if part, err := resp.Next(); string(part) != "hello" || err != nil {
			t.Fatalf("part %q, %v", part, err)
		}
		if resp.Buffered() {
			t.Errorf("after %q the next part is said to be there", event)
		}
		resp.Close()
	}
}

func TestBufferedIsTrueExactlyWhereNextNeedsNoRead(t *testing.T) {
	for _, test := range framings {
		for how, pieces := range splits(test.raw) {
			client, conn := scripted(pieces...)
			resp, err := client.Do(t.Context(), get("/"))
			if err != nil {
				continue
			}
			for err == nil {
				buffered, before := resp.Buffered(), conn.reads
				_, err = resp.Next()
				if read := conn.reads > before; buffered == read && !resp.whole {
					t.Errorf("%s/%s: buffered = %v, but read = %v", test.name, how, buffered, read)
				}
			}
			resp.Close()
		}
	}
}

func TestTheEndOfAShortBodyComesWithItsLastPart(t *testing.T) {
	for _, raw := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	} {
		client, _ := scripted(raw)
		resp, err := client.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if part, err := resp.Next(); string(part) != "hello" || err != io.EOF {
			t.Errorf("%q, %v; want all with io.EOF", part, err)
		}
		if part, err := resp.Next(); len(part) != 0 || err != io.EOF {
			t.Errorf("after the end: %q, %v; want io.EOF", part, err)
		}
		resp.Close()
	}
}

func TestALongBodyUsesALargeBufferAndGivesItBack(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 64<<10)
	for _, raw := range []string{
		fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
		fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
		"HTTP/1.1 200 OK\r\n\r\n" + body,
	} {
		client, conn := scripted(raw)
		resp, err := client.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		cn := resp.conn
		if got, err := readAll(resp); err != nil || got != body {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(body))
		}
		if reads := conn.reads; reads > 2*len(body)/largeBuffer {
			t.Errorf("%d reads for %d bytes", reads, len(body))
		}
		resp.Close()
		if cn.large != nil || len(cn.buf) != smallBuffer {
			t.Error("the large buffer was not given back")
		}
		client.CloseIdle()
	}
}
