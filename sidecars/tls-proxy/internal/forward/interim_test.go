// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestInformationalResponsesPassInOrder(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nLink: </b.js>\r\nConnection: X-Private\r\nX-Private: 1\r\n\r\n" +
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-Final: 1\r\nContent-Length: 2\r\n\r\nok")
	p := newProxy(t, app.Addr())
	for _, protocol := range protocols {
		var interim []string
		req := p.request("GET", "/", nil)
		req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				interim = append(interim, fmt.Sprint(code, header))
				return nil
			},
		}))
		answer, err := p.do(p.client(protocol), req)
		if err != nil || answer.Status != 200 || answer.Body != "ok" || answer.Header.Get("X-Final") != "1" || answer.Header.Get("Link") != "" {
			t.Errorf("%s: %v %v", protocol, answer, err)
		}
		want := []string{"102 map[]", "103 map[Link:[</a.css> </b.js>]]", "100 map[]"}
		if diff := cmp.Diff(want, interim); diff != "" {
			t.Errorf("%s: %s", protocol, diff)
		}
	}
}

func TestAnInterimHeadIsSentAtOnce(t *testing.T) {
	app := testkit.NewRawBackend(t)
	gate := make(chan struct{})
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		x.Wait(gate)
		_ = x.Send("HTTP/1.1 204 No Content\r\n\r\n")
	})
	p := newProxy(t, app.Addr())
	c := p.dial()
	c.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := c.ReadResponse("GET"); r.Status() != 103 || r.Value("Link") != "</a>" {
		t.Errorf("first: %q", r.Head)
	}
	close(gate)
	if r := c.ReadResponse("GET"); r.Status() != 204 || r.Has("Link") {
		t.Errorf("then: %q", r.Head)
	}
}

func TestAnExpectationIsTheAppsToAccept(t *testing.T) {
	app := testkit.NewRawBackend(t)
	gate := make(chan struct{})
	app.Handle(func(x *testkit.RawExchange) {
		if x.Request().Value("Expect") != "100-continue" {
			t.Errorf("the app got %q", x.Request().Head)
		}
		x.Wait(gate)
		_ = x.Send("HTTP/1.1 100 Continue\r\n\r\n")
		_ = x.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(x.ReadBody().Content()), x.ReadBody().Content()))
	})
	p := newProxy(t, app.Addr())
	c := p.dial()
	c.Send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	app.WaitHead(1)
	close(gate)
	if r := c.ReadResponse("PUT"); r.Status() != 100 {
		t.Fatalf("first: %q", r.Head)
	}
	c.Send("body")
	if r := c.ReadResponse("PUT"); r.Status() != 200 || r.Content() != "body" || r.Has("Connection") {
		t.Errorf("then: %q %q", r.Head, r.Body)
	}
	c.Send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-Continue\r\n\r\nbody") // one that does not wait
	if r := c.ReadResponse("PUT"); r.Status() != 100 && r.Status() != 200 {
		t.Errorf("the connection's next answer: %q", r.Head)
	}
}

func TestAnExpectationIsTheAppsToRefuse(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")
		_, _ = io.ReadAll(x.Conn) // whatever comes: it must be nothing
		x.Close()
	})
	p := newProxy(t, app.Addr())
	for range 2 {
		c := p.dial()
		c.Send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		if r := c.ReadResponse("PUT"); r.Status() != 417 || r.Content() != "no" || r.Value("Connection") != "close" {
			t.Errorf("answer: %q", r.Head)
		}
		// Also where the client neither sends the body nor leaves, as it may.
		if rest, err := c.ReadAll(); rest != "" || err != nil {
			t.Errorf("behind the answer: %q %v", rest, err)
		}
	}
	if app.WaitHead(1).Conn == app.WaitHead(2).Conn {
		t.Error("the connection to the app was used again")
	}
}

func TestAnExpectationIsAnHTTP2AppsToAcceptAndRefuse(t *testing.T) {
	p := newProxy(t, h2cApp(t, acceptOrRefuse))
	for path, want := range map[string]int{"/yes": 200, "/no": 417} {
		c := p.dial()
		c.Send("PUT " + path + " HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		r := c.ReadResponse("PUT")
		if want == 200 && r.Status() == 100 {
			c.Send("body")
			r = c.ReadResponse("PUT")
		}
		if r.Status() != want {
			t.Errorf("%s: %q", path, r.Head)
		}
	}
}

func acceptOrRefuse(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/no" {
		w.WriteHeader(417)
		return
	}
	_, _ = io.Copy(w, r.Body)
}

// net/http accepts expectations over HTTP/2 itself; what the app says of the request still reaches the client.
func TestARefusalReachesAnHTTP2ClientThatExpectsLeave(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")
		x.Close()
	})
	p := newProxy(t, app.Addr())
	grpc := newProxy(t, h2cApp(t, acceptOrRefuse))
	for _, to := range []*proxy{p, grpc} {
		req := to.request("PUT", "/no", strings.NewReader("body"))
		req.Header.Set("Expect", "100-continue")
		if answer, err := to.do(to.client("h2"), req); err != nil || answer.Status != 417 {
			t.Errorf("%v %v", answer, err)
		}
	}
}

func TestAnAppThatIgnoresAnExpectationGetsTheBodyAfterAMoment(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	c := p.dial()
	c.Send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	if r := c.ReadResponse("PUT"); r.Status() != 100 {
		t.Fatalf("first: %q", r.Head)
	}
	c.Send("body")
	if r := c.ReadResponse("PUT"); r.Status() != 200 || app.WaitRequest(1).Content() != "body" {
		t.Errorf("then: %q", r.Head)
	}
}

func TestTrailersPassBothWays(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Late: 2\r\nX-Late: 3\r\nConnection: close\r\n\r\n")
	echo := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
		w.Header().Set("X-Sum", "1")
		w.Header()[http.TrailerPrefix+"X-Late"] = []string{"2", "3"}
		w.Header().Set(http.TrailerPrefix+"X-Got", r.Trailer.Get("X-Req"))
	}
	for name, to := range map[string]*proxy{"HTTP/1.1": newProxy(t, app.Addr()), "h2c": newProxy(t, h2cApp(t, echo))} {
		for _, protocol := range protocols {
			req := to.request("POST", "/", strings.NewReader("body"))
			req.ContentLength = -1
			req.Trailer = http.Header{"X-Req": {"9"}}
			req.Header.Set("Te", "trailers")
			resp, err := to.client(protocol).Do(req)
			if err != nil {
				t.Errorf("%s to %s: %v", protocol, name, err)
				continue
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || string(body) != "ok" || resp.Trailer.Get("X-Sum") != "1" || !slices.Equal(resp.Trailer["X-Late"], []string{"2", "3"}) || resp.Trailer["Connection"] != nil {
				t.Errorf("%s to %s: %q %v, trailers %v", protocol, name, body, err, resp.Trailer)
			}
			if name == "h2c" {
				if got := resp.Trailer.Get("X-Got"); got != "9" {
					t.Errorf("%s to h2c: the app's trailer is %q", protocol, got)
				}
				continue
			}
			if got := app.WaitRequest(1); got.Value("Trailer") != "X-Req" || !slices.Equal(got.Trailers(), []string{"X-Req: 9"}) {
				t.Errorf("%s: the app got trailers %q", protocol, got.Trailers())
			}
			app.Forget()
		}
	}
}

func TestTrailersWithoutABodyPass(t *testing.T) {
	p := newProxy(t, h2cApp(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.WriteHeader(200)
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "5")
	}))
	resp, err := p.client("h2").Do(p.request("POST", "/x.Y/Z", http.NoBody))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if got := resp.Trailer.Get("Grpc-Status") + resp.Header.Get("Grpc-Status"); got != "5" {
		t.Errorf("trailers %v, header %v", resp.Trailer, resp.Header)
	}
}
