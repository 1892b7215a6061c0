// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestTheAccessLogHasEveryField(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	before := time.Now()
	r := p.ask("POST /a%2Fb?password=secret HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 4\r\n\r\nbody")
	if r.Status() != 200 {
		t.Fatal(r.Head)
	}
	e := p.line(1)
	at, err := time.Parse("2006-01-02T15:04:05.000Z", e["time"].(string))
	if err != nil || at.Before(before.Add(-time.Millisecond)) || time.Since(at) > testkit.Patience {
		t.Errorf("time %v: %v", e["time"], err)
	}
	for _, name := range []string{"duration_ms", "upstream_ms"} {
		if d, ok := e[name].(float64); !ok || d <= 0 {
			t.Errorf("%s is %v", name, e[name])
		}
	}
	if e["upstream_ms"].(float64) > e["duration_ms"].(float64) {
		t.Errorf("upstream %v of %v", e["upstream_ms"], e["duration_ms"])
	}
	want := map[string]any{
		"method": "POST", "path": "/a%2Fb", "host": "shop.example", "proto": "HTTP/1.1", "status": 200.0, "bytes": 2.0, "request_bytes": 4.0, "end": "ok",
		"client": "127.0.0.1", "tls_version": "TLS 1.3", "curve": "X25519MLKEM768", "sni": "localhost", "resumed": false,
		"request_id": app.WaitRequest(1).Value("X-Request-Id"),
	}
	for _, name := range []string{"time", "duration_ms", "upstream_ms"} {
		delete(e, name)
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(p.lines.String(), "secret") {
		t.Error("the query was logged")
	}
}

func TestTheAccessLogTellsProtocolAndResumption(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	if _, err := p.do(p.client("h2"), p.request("GET", "/?x", nil)); err != nil {
		t.Fatal(err)
	}
	if e := p.line(1); e["proto"] != "HTTP/2.0" || e["alpn"] != "h2" {
		t.Errorf("h2: %v", e)
	}
	config := p.ca.ClientConfig("localhost")
	config.NextProtos, config.MaxVersion, config.CurvePreferences = []string{"http/1.1"}, tls.VersionTLS12, []tls.CurveID{tls.CurveP256}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for n, resumed := range []bool{false, true} {
		c := testkit.DialRawTLS(t, p.addr, config)
		c.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		c.ReadResponse("GET")
		c.Close()
		if e := p.line(n + 2); e["tls_version"] != "TLS 1.2" || e["alpn"] != "http/1.1" || e["resumed"] != resumed || !resumed && e["curve"] != "CurveP256" {
			t.Errorf("resumed %v: %v", resumed, e)
		}
	}
}

func TestNoQueryAndNoPasswordIsLoggedHoweverARequestEnds(t *testing.T) {
	t.Parallel()
	p := newProxy(t, testkit.FreeAddr(t))
	for _, raw := range []string{
		"GET /a?secret HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://u:secret@h/a?secret HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://h?secret HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET mailto:x?secret HTTP/1.1\r\nHost: h\r\n\r\n",
		"CONNECT /a?secret HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /?secret HTTP/1.1\r\nHost: h\r\nAuthorization: secret\r\nCookie: secret\r\nReferer: http://x/?secret\r\n\r\n",
	} {
		if p.ask(raw).Status() < 400 {
			t.Errorf("%q was served", raw)
		}
	}
	p.line(5) // net/http answers the fourth itself, before any handler
	if strings.Contains(p.lines.String()+p.log.String(), "secret") {
		t.Error(p.lines.String(), p.log.String())
	}
}

func TestBytesAreThoseOfBodies(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
	p := newProxy(t, app.Addr())
	p.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n")
	if e := p.line(1); e["bytes"] != 6.0 || e["request_bytes"] != 2.0 {
		t.Errorf("log line %v", e)
	}
	p.awaitMetric(6, "tls_proxy_http_response_bytes_total")
	p.awaitMetric(2, "tls_proxy_http_request_bytes_total")
}

func TestAPanicCostsOneRequest(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	var broken atomic.Bool
	p := newProxy(t, app.Addr(), func(o *options) {
		o.forward.Draining = func() bool {
			if broken.Load() {
				panic("a bug")
			}
			return false
		}
	})
	other := p.dial()
	other.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	other.ReadResponse("GET")
	broken.Store(true)
	c := p.dial()
	c.Send("GET /boom HTTP/1.1\r\nHost: h\r\n\r\n")
	if got, _ := c.ReadAll(); got != "" {
		t.Errorf("the client got %q", got)
	}
	p.expectEnd(2, 500, "panic")
	if log := p.log.String(); !strings.Contains(log, "BUG: a request panicked") || !strings.Contains(log, "a bug") || !strings.Contains(log, "exchange.go") {
		t.Error(log)
	}
	broken.Store(false)
	other.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := other.ReadResponse("GET"); r.Status() != 200 {
		t.Errorf("another connection: %q", r.Head)
	}
	p.awaitMetric(1, "tls_proxy_http_failures_total", "reason=panic")
	p.awaitMetric(0, "tls_proxy_http_requests_in_flight")
}

func TestEveryReasonOfAFailureIsASeriesFromTheStart(t *testing.T) {
	p := newProxy(t, testkit.FreeAddr(t))
	families, err := p.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, f := range families {
		if f.GetName() == "tls_proxy_http_failures_total" {
			for _, m := range f.GetMetric() {
				reasons = append(reasons, m.GetLabel()[0].GetValue())
			}
		}
	}
	want := []string{
		"app_closed", "app_connect_timeout", "app_malformed", "app_refused", "app_switched", "app_timeout", "app_unreachable", "bad_body", "bad_target",
		"client_gone", "client_timeout", "drained", "hold_full", "method_not_allowed", "panic", "stopping", "tunnel_idle",
	}
	slices.Sort(reasons)
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
}

func TestSecurityHeadersAreAddedWhereAskedFor(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		own := ""
		if x.Request().Target() == "/own" {
			own = "Strict-Transport-Security: max-age=0\r\n"
		}
		_ = x.Send("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + own + "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2; Secure\r\nLocation: http://" + x.Request().Value("Host") + "/x\r\n\r\n")
	})
	on := newProxy(t, app.Addr(), func(o *options) { o.forward.HSTS, o.forward.SecureCookies = "max-age=60", true })
	off := newProxy(t, app.Addr(), func(o *options) { o.forward.RewriteRedirects = false })
	for _, protocol := range protocols {
		answer, err := on.do(on.client(protocol), on.request("GET", "/", nil))
		if err != nil || answer.Header.Get("Strict-Transport-Security") != "max-age=60" || answer.Header.Get("Location") != "https://"+on.addr+"/x" ||
			!slices.Equal(answer.Header["Set-Cookie"], []string{"a=1; Path=/; Secure", "b=2; Secure"}) {
			t.Errorf("%s: %v %v", protocol, answer, err)
		}
		answer, err = on.do(on.client(protocol), on.request("GET", "/own", nil))
		if got := answer.Header["Strict-Transport-Security"]; err != nil || !slices.Equal(got, []string{"max-age=0"}) {
			t.Errorf("%s, the app's own: %v %v", protocol, got, err)
		}
		answer, err = off.do(off.client(protocol), off.request("GET", "/", nil))
		if err != nil || answer.Header.Get("Strict-Transport-Security") != "" || answer.Header.Get("Location") != "http://"+off.addr+"/x" ||
			!slices.Equal(answer.Header["Set-Cookie"], []string{"a=1; Path=/", "b=2; Secure"}) {
			t.Errorf("%s, off: %v %v", protocol, answer, err)
		}
	}
}

func TestADrainFinishesWhatIsUnderWayAndAsksClientsToLeave(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	gate := make(chan struct{})
	app.Handle(func(x *testkit.RawExchange) {
		if x.Request().Target() == "/slow" {
			_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
			x.Wait(gate)
			_ = x.Send("cd")
			return
		}
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	})
	p := newProxy(t, app.Addr())
	kept := p.dial()
	kept.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := kept.ReadResponse("GET"); r.Has("Connection") {
		t.Errorf("before the drain: %q", r.Head)
	}
	slow := p.dial()
	slow.Send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	slow.ReadUntil("ab")
	h2, err := p.client("h2").Do(p.request("GET", "/slow", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer h2.Body.Close()

	p.front.StopAccepting()
	p.handler.GoAway()
	drained := make(chan error)
	go func() { drained <- p.front.Drain(t.Context()) }()
	kept.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n") // one that was on its way
	if r := kept.ReadResponse("GET"); r.Status() != 200 || r.Value("Connection") != "close" {
		t.Errorf("during the drain: %q", r.Head)
	}
	close(gate)
	if rest := slow.ReadN(2); rest != "cd" {
		t.Errorf("under way over HTTP/1.1: %q", rest)
	}
	if body, err := io.ReadAll(h2.Body); string(body) != "abcd" || err != nil {
		t.Errorf("under way over HTTP/2: %q %v", body, err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if _, err := p.client("http/1.1").Do(p.request("GET", "/", nil)); err == nil {
		t.Error("a connection was accepted after the drain")
	}
}

func TestTheDeadlineOfADrainCancelsRequests(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		if x.Request().Target() == "/begun" {
			_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
		}
		_, _ = io.ReadAll(x.Reader)
		x.Close()
	})
	p := newProxy(t, app.Addr())
	ends := make(chan error)
	for _, protocol := range protocols {
		for _, path := range []string{"/begun", "/waiting"} {
			go func() {
				answer, err := p.do(p.client(protocol), p.request("GET", path, nil))
				if answer.Status == 503 {
					err = errors.New("the service is stopping")
				}
				ends <- err
			}()
		}
	}
	app.WaitHead(4)
	p.front.StopAccepting()
	p.front.Cancel()
	for range 4 {
		if err := <-ends; err == nil {
			t.Error("a request that was cancelled ended well")
		}
	}
	for n := range 4 {
		if e := p.line(n + 1); e["end"] != "stopping" {
			t.Errorf("log line %v", e)
		}
	}
	testkit.Eventually(t, "the app's connections to end", func() error {
		if n := app.Open(); n > 0 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})
	if p.handler.Busy() != 0 {
		t.Error("busy after the end")
	}
}
