// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// smuggled is what an attacker wants the app to take for a request of its own.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

// desyncs are requests whose end two readers could see in different places, each with smuggled behind or inside it.
var desyncs = map[string]string{
	"CL and TE":               "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"TE and CL":               "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + smuggled,
	"TE and CL of 0":          "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n" + smuggled,
	"CL and TE with upgrade":  "POST / HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"TE in HTTP/1.0":          "POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"TE and CL in HTTP/1.0":   fmt.Sprintf("POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n%s", 5+len(smuggled), smuggled),
	"two CLs":                 "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 37\r\n\r\n" + smuggled,
	"a list of CLs":           "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 37\r\n\r\n" + smuggled,
	"signed CL":               "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n" + smuggled,
	"negative CL":             "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n" + smuggled,
	"empty CL":                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n" + smuggled,
	"space before the colon":  "POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 37\r\n\r\n" + smuggled,
	"space before TE":         "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"folded TE":               "POST / HTTP/1.1\r\nHost: h\r\nX: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 37\r\n\r\n" + smuggled,
	"folded value":            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"two codings":             "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
	"a list of codings":       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"chunked not last":        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + smuggled,
	"odd coding":              "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled,
	"coding with a tab":       "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + smuggled,
	"bare CR in a value":      "POST / HTTP/1.1\r\nHost: h\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"NUL in a name":           "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\x00: chunked\r\n\r\n0\r\n\r\n" + smuggled,
	"no colon":                "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\r\n\r\n" + smuggled,
	"negative chunk":          "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + smuggled,
	"chunk size with 0x":      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n" + smuggled,
	"chunk size overflow":     "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + smuggled,
	"chunk without size":      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\r\n" + smuggled,
	"chunk longer than size":  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n" + smuggled,
	"chunk line ending in LF": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;x\na\r\n0\r\n\r\n" + smuggled,
	"chunk data ending in LF": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\n0\r\n\r\n" + smuggled,
	"bare CR in a chunk line": "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;a\rb\r\na\r\n0\r\n\r\n" + smuggled,
}

func TestAnAmbiguousRequestIsRefusedAndNeverBecomesTwo(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for name, raw := range desyncs {
		t.Run(name, func(t *testing.T) {
			for _, piece := range []int{len(raw), 1} { // at once, and a byte at a time
				app.Forget()
				c := p.dial()
				for i := 0; i < len(raw); i += piece {
					if c.TrySend(raw[i:min(i+piece, len(raw))]) != nil {
						break
					}
				}
				answer, _ := c.ReadAll()
				if !strings.HasPrefix(answer, "HTTP/1.1 400") && !strings.HasPrefix(answer, "HTTP/1.1 501") && !strings.HasPrefix(answer, "HTTP/1.0 400") ||
					strings.Count(answer, "HTTP/1.") != 1 {
					t.Errorf("in pieces of %d: the answer is %q", piece, answer)
				}
				for i := range app.Requests() {
					r := app.WaitRequest(i + 1)
					if strings.Contains(r.Target(), "smuggled") || r.Err == nil {
						t.Errorf("in pieces of %d: the app got %q %q", piece, r.Head, r.Body)
					}
				}
			}
		})
	}
	if n := p.metric("tls_proxy_http_ambiguous_requests_total"); n == 0 {
		t.Error("no refusal is counted")
	}
}

func TestTheConnectionToTheAppOfABrokenRequestIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	p.get("/")
	c := p.dial()
	c.Send("POST /bad HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n")
	if r := c.ReadResponse("POST"); r.Status() != 400 || r.Value("Connection") != "close" {
		t.Errorf("answer: %q", r.Head)
	}
	p.expectEnd(2, 400, "bad_body")
	p.get("/")
	all := app.Requests()
	if len(all) != 3 || all[0].Conn != all[1].Conn || all[2].Conn == all[1].Conn || all[1].Err == nil {
		t.Errorf("the app got %v", all)
	}
}

func TestPipelinedRequestsAreAnsweredInTurn(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		r := x.ReadBody()
		body := r.Target() + "|" + r.Content()
		_ = x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	})
	p := newProxy(t, app.Addr())
	c := p.dial()
	var raw, want strings.Builder
	for i := range 20 {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&raw, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
			fmt.Fprintf(&want, "/%d| ", i)
		case 1:
			fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nbody%d", i, i%10)
			fmt.Fprintf(&want, "/%d|body%d ", i, i%10)
		case 2:
			fmt.Fprintf(&raw, "POST /%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n", i)
			fmt.Fprintf(&want, "/%d|abc ", i)
		case 3:
			big := strings.Repeat("x", inline+1)
			fmt.Fprintf(&raw, "PUT /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", i, len(big), big)
			fmt.Fprintf(&want, "/%d|%s ", i, big)
		}
	}
	c.Send(raw.String())
	var got strings.Builder
	for range 20 {
		got.WriteString(c.ReadResponse("GET").Content() + " ")
	}
	if got.String() != want.String() {
		t.Errorf("the answers are %.300q", got.String())
	}
	if n := len(app.Requests()); n != 20 {
		t.Errorf("%d requests reached the app", n)
	}
}

// inline is the size up to which a request body is read before the app is asked.
const inline = 16 << 10

func TestBodiesOfEverySizeAndFramingArriveWhole(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for _, size := range []int{0, 1, inline - 1, inline, inline + 1, 32 << 10, 1 << 20} {
		body := strings.Repeat("0123456789abcdef", size/16+1)[:size]
		for _, protocol := range protocols {
			for _, known := range []bool{true, false} {
				app.Forget()
				req := p.request("POST", "/", strings.NewReader(body))
				if !known {
					req.ContentLength = -1
				}
				if size == 0 && known {
					req.Body = nil
				}
				answer, err := p.do(p.client(protocol), req)
				got := app.WaitRequest(1)
				if err != nil || answer.Body != "ok" || got.Content() != body {
					t.Errorf("%s, %d bytes, known %v: %v %v, %d bytes came", protocol, size, known, answer, err, len(got.Content()))
				}
				if want := known || size == 0 && protocol == "h2"; got.Has("Content-Length") != want && size > 0 || got.Has("Content-Length") == got.Has("Transfer-Encoding") {
					t.Errorf("%s, %d bytes, known %v: framed by %q", protocol, size, known, got.Fields())
				}
			}
		}
	}
}

func TestARequestWithoutABodySaysSoOnlyWhereItMatters(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for raw, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n":                           "",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n":      "0",
		"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n":                        "",
		"POST / HTTP/1.1\r\nHost: h\r\n\r\n":                          "0",
		"PUT / HTTP/1.1\r\nHost: h\r\n\r\n":                           "0",
		"PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n":    "0",
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na":     "1",
		"POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 002\r\n\r\nab": "2",
	} {
		app.Forget()
		p.ask(raw)
		if got := strings.Join(app.WaitRequest(1).Values("Content-Length"), ","); got != want {
			t.Errorf("%q: the app got Content-Length %q, want %q", raw, got, want)
		}
	}
}

func TestAnHTTP10ClientIsServed(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n")
	p := newProxy(t, app.Addr())
	c := p.dial()
	c.Send("GET / HTTP/1.0\r\n\r\n")
	answer, err := c.ReadAll()
	if err != nil || !strings.HasPrefix(answer, "HTTP/1.0 200 OK\r\n") || !strings.HasSuffix(answer, "\r\n\r\nab") || strings.Contains(answer, "chunked") {
		t.Errorf("answer: %q %v", answer, err)
	}
	if r := app.WaitRequest(1); r.Line() != "GET / HTTP/1.1" || len(r.Values("Host")) != 1 {
		t.Errorf("the app got %q", r.Head)
	}
}
