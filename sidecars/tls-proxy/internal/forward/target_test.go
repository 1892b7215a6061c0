// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// targets are request targets that libraries like to clean, decode or refuse, as what the application must see.
var targets = []string{
	"/",
	"/a%2Fb", "/a%2fb", "/%2e%2e/x", "/a/../b", "/./a/.", "//", "//a//b", "///", "/a//", "/..%5c..",
	"/a;b=1/c;d", "/a?x=1;y=2", "/a?x=%20+%2B&&y&=z", "/?", "/a?", "/a??", "/a?b?c#d", "/a#frag",
	"/%", "/%zz", "/a?%zz", "/:80/x", "/http://other/x", "/a b"[:2] + "%20b", "/a\\b", "/\"<>^`{|}", "/*", "/~user/!$&'()+,=@",
}

func TestTheTargetsBytesReachTheAppAsTheyCame(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	all := append(targets[:len(targets):len(targets)],
		"/caf\xc3\xa9", "/caf\xe9?q=\xff\xfe", "/"+strings.Repeat("x", 20<<10), "/?"+strings.Repeat("%2f", 8<<10))
	c := p.dial()
	for _, target := range all {
		c.Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
		status := c.ReadResponse("GET").Status()
		requests := app.Requests()
		app.Forget()
		switch {
		case status == 400 && len(requests) == 0 && strings.Contains(target, "%") && malformedEscape(target):
			c = p.dial() // net/http's own judgement, before any handler
		case status != 200 || len(requests) != 1:
			t.Errorf("%.60q: status %d, %d requests at the app", target, status, len(requests))
			c = p.dial()
		case requests[0].Target() != target:
			t.Errorf("the app saw %.60q, want %.60q", requests[0].Target(), target)
		}
	}
}

// malformedEscape reports whether a path holds a % that no two hexadecimal digits follow: net/http refuses such,
// wherever the path came from (a query may hold what it likes).
func malformedEscape(target string) bool {
	path, _, _ := strings.Cut(target, "?")
	for i := range len(path) {
		if path[i] == '%' && (i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2])) {
			return true
		}
	}
	return false
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func TestTheTargetsBytesReachTheAppOverHTTP2AsWell(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	seen := make(chan string, 1)
	p2 := newProxy(t, h2cApp(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Host + " " + r.RequestURI }))
	for _, target := range targets {
		if malformedEscape(target) || strings.Contains(target, "#") {
			continue // the client's library would not send it
		}
		for _, protocol := range protocols {
			for _, to := range []*proxy{p, p2} {
				req := to.request("GET", "/", nil)
				req.Host = "shop.example:8443"
				req.URL.Opaque = target
				if strings.HasPrefix(target, "//") {
					req.URL.Opaque = "//shop.example:8443" + target // the transport cuts it off again
					req.URL.Host = "shop.example:8443"
				}
				var got string
				client := dialing(to, protocol)
				if answer, err := to.do(client, req); err != nil || answer.Status != 200 {
					t.Errorf("%s %q: %v %v", protocol, target, answer, err)
					continue
				}
				if to == p {
					got = app.WaitRequest(1).Value("Host") + " " + app.WaitRequest(1).Target()
					app.Forget()
				} else {
					got = <-seen
				}
				if want := "shop.example:8443 " + target; got != want {
					t.Errorf("%s: the app saw %q, want %q", protocol, got, want)
				}
			}
		}
	}
}

func TestOfAnAbsoluteTargetTheAppGetsPathAndHost(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for sent, want := range map[string]string{
		"http://shop.example/a%2Fb?x=;":     "shop.example /a%2Fb?x=;",
		"https://shop.example:444//b/../c?": "shop.example:444 //b/../c?",
		"HTTP://shop.example":               "shop.example /",
		"http://shop.example?q":             "shop.example /?q",
		"http://u:p@shop.example/x":         "shop.example /x",
		"http://[::1]:8080/":                "[::1]:8080 /",
	} {
		status := p.ask("GET " + sent + " HTTP/1.1\r\nHost: ignored.example\r\n\r\n").Status()
		if status != 200 {
			t.Errorf("%s: status %d", sent, status)
			continue
		}
		got := app.WaitRequest(1)
		app.Forget()
		if got.Value("Host")+" "+got.Target() != want || len(got.Values("Host")) != 1 {
			t.Errorf("%s: the app saw %q of host %q, want %s", sent, got.Target(), got.Values("Host"), want)
		}
	}
}

func TestOptionsOfTheServerAsAWholeReachTheApp(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 204 No Content\r\nAllow: GET, BREW\r\n\r\n")
	p := newProxy(t, app.Addr())
	if r := p.ask("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"); r.Status() != 204 || r.Value("Allow") != "GET, BREW" {
		t.Errorf("answer: %q", r.Head)
	}
	if got := app.WaitRequest(1).Line(); got != "OPTIONS * HTTP/1.1" {
		t.Errorf("the app saw %q", got)
	}
}

func TestOptionsOfTheServerAsAWholeReachAnHTTP2App(t *testing.T) {
	p := newProxy(t, h2cApp(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Saw", r.Method+" "+r.RequestURI) }))
	if r := p.ask("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"); r.Status() != 200 || r.Value("X-Saw") != "OPTIONS *" {
		t.Errorf("answer: %q", r.Head)
	}
}

func TestTheHostReachesTheAppAsItCame(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for _, host := range []string{"localhost", "LocalHost:8443", "shop.example.", "127.0.0.1:80", "[::1]:443", "a_b.example", ""} {
		if status := p.ask("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").Status(); status != 200 {
			t.Errorf("host %q: status %d", host, status)
			continue
		}
		got := app.WaitRequest(1).Values("Host")
		app.Forget()
		if len(got) != 1 || got[0] != host {
			t.Errorf("the app saw host %q, want %q", got, host)
		}
	}
}

func TestWhatCannotBeForwardedIsRefusedAndNothingReachesTheApp(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for request, want := range map[string]int{
		"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n": 405,
		"CONNECT /x HTTP/1.1\r\nHost: h\r\n\r\n":                                405,
		"GET x HTTP/1.1\r\nHost: h\r\n\r\n":                                     400,
		"GET http:x HTTP/1.1\r\nHost: h\r\n\r\n":                                400,
		"GET mailto:x@y HTTP/1.1\r\nHost: h\r\n\r\n":                            400,
		"GET  / HTTP/1.1\r\nHost: h\r\n\r\n":                                    400,
		"GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n":                                 400,
		"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n":                                 400,
		"GET / HTTP/1.1\r\n\r\n":                                                400,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                          400,
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n":                                   400,
		"G(T / HTTP/1.1\r\nHost: h\r\n\r\n":                                     400,
		"GET / HTTP/3.0\r\nHost: h\r\n\r\n":                                     505,
		"GET / HTTP/1.1\r\nHost: h\r\nExpect: more\r\n\r\n":                     417,
	} {
		if got := p.ask(request).Status(); got != want {
			t.Errorf("%q: status %d, want %d", request, got, want)
		}
	}
	if n := len(app.Requests()); n != 0 {
		t.Errorf("%d requests reached the app", n)
	}
}

func TestUnusualMethodsReachTheAppAndAreOneSeriesInMetrics(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for _, method := range []string{"PROPFIND", "TRACE", "get", "X!#$%&'*+.^_`|~"} {
		p.ask(method + " / HTTP/1.1\r\nHost: h\r\n\r\n")
		if got := app.WaitRequest(1).Method(); got != method {
			t.Errorf("the app saw method %q, want %q", got, method)
		}
		app.Forget()
	}
	p.awaitMetric(4, "tls_proxy_http_requests_total", "method=other", "code=200")
}
