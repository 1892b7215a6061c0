// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger/outrigger/internal/testkit"
)

// forwarded sends a GET with the given field lines and returns what the app got, whose fields are sorted.
func forwarded(t *testing.T, p *proxy, app *testkit.RawBackend, fields ...string) testkit.RawRequest {
	t.Helper()
	app.Forget()
	raw := "GET / HTTP/1.1\r\nHost: shop.example\r\n" + strings.Join(fields, "\r\n") + "\r\n\r\n"
	if r := p.ask(strings.Replace(raw, "\r\n\r\n\r\n", "\r\n\r\n", 1)); r.Status() != 200 {
		t.Fatalf("%q: %q", fields, r.Head)
	}
	return app.WaitRequest(1)
}

// others are the field lines of a request but those that the proxy sets on every one, sorted.
func others(r testkit.RawRequest) []string {
	var lines []string
	for _, f := range r.Fields() {
		name, _, _ := strings.Cut(f, ":")
		if !slices.Contains([]string{"Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Request-Id"}, name) {
			lines = append(lines, f)
		}
	}
	slices.Sort(lines)
	return lines
}

// identity are the fields that say who asks, as "name: value".
func identity(r testkit.RawRequest) map[string]string {
	got := map[string]string{}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"} {
		got[name] = strings.Join(r.Values(name), " | ")
	}
	return got
}

func TestEndToEndFieldsPassAndHopByHopFieldsDoNot(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	got := forwarded(t, p, app,
		"Accept: a", "Accept: b", "Cookie: x=1; y=2", "Authorization: Basic eA==", "X-Empty:", "X-Sp:  a\tb  ", "X-Utf: \xc3\xa9\xff",
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate: a=b", "Baggage: c=d", "Via: 1.1 x",
		"Connection: keep-alive, X-Private, x-other", "Connection: X-Third", "X-Private: 1", "X-Other: 2", "X-Third: 3",
		"Keep-Alive: timeout=5", "Proxy-Connection: close", "Proxy-Authorization: Basic eA==", "Proxy-Authenticate: x",
		"TE: gzip, trailers", "Trailer: X-T", "Upgrade: foo", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "Proxy: http://evil.example",
		"User-Agent: u", "Range: bytes=0-1", "If-None-Match: \"x\"", "Max-Forwards: 3")
	want := []string{
		"Accept: a", "Accept: b", "Authorization: Basic eA==", "Baggage: c=d", "Cookie: x=1; y=2", "If-None-Match: \"x\"", "Max-Forwards: 3",
		"Range: bytes=0-1", "TE: trailers", "Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate: a=b",
		"User-Agent: u", "Via: 1.1 x", "X-Empty: ", "X-Sp: a\tb", "X-Utf: \xc3\xa9\xff",
	}
	if diff := cmp.Diff(want, others(got)); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsAddedBesideTheIdentityFields(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	got := forwarded(t, p, app)
	if left := others(got); len(left) > 0 {
		t.Errorf("the app also got %q", left)
	}
	want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "443"}
	if diff := cmp.Diff(want, identity(got)); diff != "" {
		t.Error(diff)
	}
	if id := got.Value("X-Request-Id"); len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
		t.Errorf("the request id is %q, want 32 hexadecimal digits", id)
	}
	if again := forwarded(t, p, app); again.Value("X-Request-Id") == got.Value("X-Request-Id") {
		t.Error("two requests have one id")
	}
}

func TestThePortIsTheOneThatTheClientUsed(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	for host, want := range map[string]string{"h": "443", "h:8443": "8443", "[::1]": "443", "[::1]:444": "444", "h:": "443", "": "443"} {
		app.Forget()
		p.ask("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
		if got := app.WaitRequest(1).Value("X-Forwarded-Port"); got != want {
			t.Errorf("host %q: port %q, want %s", host, got, want)
		}
	}
}

// forged are fields by which a client says that it is somebody else.
var forged = []string{
	"X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 6.6.6.7", "X-Forwarded-Proto: http", "X-Forwarded-Host: evil.example", "X-Forwarded-Port: 1",
	"X-Request-Id: forged", "Forwarded: for=6.6.6.6", "X-Real-IP: 6.6.6.6", "X-Client-IP: 6.6.6.6", "True-Client-IP: 6.6.6.6",
	"X-Cluster-Client-IP: 6.6.6.6", "X-Original-Forwarded-For: 6.6.6.6", "X-Forwarded-Server: x", "X-Forwarded-Prefix: /x", "X-Forwarded-Client-Cert: x",
	"X-Forwarded-Ssl: off", "Front-End-Https: off", "X-Url-Scheme: http", "X-Forwarded-Scheme: http",
}

// aliased are names that CGI and WSGI read as fields that the proxy sets or drops.
var aliased = []string{
	"X_Forwarded_For: 6.6.6.6", "x.forwarded.for: 6.6.6.6", "X-Forwarded_For: 6.6.6.6", "x_forwarded-proto: http", "X.Forwarded-Host: evil",
	"X_Request_Id: 1", "X_Real_IP: 6.6.6.6", "X_FORWARDED_PREFIX: /", "Transfer_Encoding: chunked", "Content_Length: 5", "Content.Length: 5",
	"Proxy_Authorization: x", "X~Forwarded~For: 6.6.6.6", "X!Forwarded*For: 6.6.6.6", "x_url_scheme: http", "Http2_Settings: x",
}

func TestWhatAClientSaysOfItselfIsOverwrittenOrDropped(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	got := forwarded(t, p, app, append(forged[:len(forged):len(forged)], aliased...)...)
	if left := others(got); len(left) > 0 {
		t.Errorf("the app also got %q", left)
	}
	want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "443"}
	if diff := cmp.Diff(want, identity(got)); diff != "" {
		t.Error(diff)
	}
	if id := got.Values("X-Request-Id"); len(id) != 1 || id[0] == "forged" {
		t.Errorf("the request id is %q", id)
	}
}

func TestOtherNamesWithUnderscoreAndDotPass(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	if diff := cmp.Diff([]string{"Api_key: 1", "X.y: 2"}, others(forwarded(t, p, app, "api_key: 1", "x.y: 2"))); diff != "" {
		t.Error(diff)
	}
}

func TestIdentityFieldsCannotBeNominatedAway(t *testing.T) {
	app := testkit.NewRawBackend(t)
	for name, tune := range map[string]func(*options){"by a stranger": func(*options) {}, "by a trusted proxy": trustLoopback} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, app.Addr(), tune)
			got := forwarded(t, p, app, "Connection: x-forwarded-for, X-FORWARDED-PROTO, X-Forwarded-Host, X-Forwarded-Port, X-Request-Id, Host, close",
				"X-Forwarded-For: 6.6.6.6")
			for name, value := range identity(got) {
				if value == "" {
					t.Errorf("%s is missing", name)
				}
			}
			if !strings.HasSuffix(got.Value("X-Forwarded-For"), "127.0.0.1") || got.Value("X-Request-Id") == "" || got.Value("Host") != "shop.example" {
				t.Errorf("the app got %q", got.Fields())
			}
		})
	}
}

func trustLoopback(o *options) {
	o.forward.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}
}

func TestATrustedProxyIsBelievedAndExtended(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), trustLoopback)
	got := forwarded(t, p, app, "X-Forwarded-For: 1.1.1.1, 2.2.2.2", "X-Forwarded-For: 3.3.3.3", "X-Forwarded-Proto: http", "X-Forwarded-Host: www.example",
		"X-Forwarded-Port: 80", "X-Request-Id: theirs", "Forwarded: for=1.1.1.1", "X-Real-IP: 1.1.1.1", "X-Forwarded-Prefix: /shop", "X_Forwarded_For: 6.6.6.6", "Proxy: x")
	want := map[string]string{
		"X-Forwarded-For": "1.1.1.1, 2.2.2.2, 3.3.3.3, 127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "www.example", "X-Forwarded-Port": "80",
	}
	if diff := cmp.Diff(want, identity(got)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Forwarded: for=1.1.1.1", "X-Forwarded-Prefix: /shop", "X-Real-Ip: 1.1.1.1"}, others(got)); diff != "" {
		t.Error(diff)
	}
	if id := got.Value("X-Request-Id"); id != "theirs" {
		t.Errorf("the request id is %q", id)
	}
}

func TestAClientThatCameToATrustedProxyByPlainHTTPStaysThere(t *testing.T) {
	backend := testkit.NewRawBackend(t)
	backend.Respond("HTTP/1.1 302 Found\r\nLocation: http://shop.test/x\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
	p := newProxy(t, backend.Addr(), trustLoopback, func(o *options) {
		o.forward.RewriteRedirects, o.forward.SecureCookies, o.forward.HSTS = true, true, "max-age=1"
	})
	for proto, want := range map[string][3]string{
		"http":  {"http://shop.test/x", "a=b", ""},
		"https": {"https://shop.test/x", "a=b; Secure", "max-age=1"},
	} {
		r := p.ask("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-Proto: " + proto + "\r\n\r\n")
		got := [3]string{r.Value("Location"), r.Value("Set-Cookie"), r.Value("Strict-Transport-Security")}
		if got != want {
			t.Errorf("%s: %q, want %q", proto, got, want)
		}
	}
}

func TestWhatATrustedProxyDoesNotSayIsSet(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr(), trustLoopback)
	got := forwarded(t, p, app, "X-Forwarded-Proto:", "X-Request-Id: "+strings.Repeat("x", 129))
	want := map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "443"}
	if diff := cmp.Diff(want, identity(got)); diff != "" {
		t.Error(diff)
	}
	if id := got.Value("X-Request-Id"); len(id) != 32 {
		t.Errorf("the request id is %q", id)
	}
}

func TestAPeerOfAUnixSocketIsTrustedWhereItIsSaidSo(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	for trust, want := range map[bool]map[string]string{
		false: {"X-Forwarded-For": "", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "443"},
		true:  {"X-Forwarded-For": "1.1.1.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "shop.example", "X-Forwarded-Port": "443"},
	} {
		p := newProxy(t, app.Addr(), func(o *options) {
			o.network, o.forward.TrustUnix = "unix", trust
			o.forward.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
		})
		if diff := cmp.Diff(want, identity(forwarded(t, p, app, "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: http"))); diff != "" {
			t.Errorf("trust %v: %s", trust, diff)
		}
		if e := p.line(1); e["client"] != nil {
			t.Errorf("the client is %v", e["client"])
		}
	}
}

func TestTheSameHeaderRulesHoldForHTTP2(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	seen := make(chan http.Header, 1)
	grpc := newProxy(t, h2cApp(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	for _, to := range []*proxy{p, grpc} {
		req := to.request("GET", "/", nil)
		for _, f := range append(append(forged[:len(forged):len(forged)], aliased...), "Te: trailers", "Proxy: x", "traceparent: 00-1-2-01", "Cookie: a=1") {
			name, value, _ := strings.Cut(f, ": ")
			req.Header.Add(name, value)
		}
		req.Header["User-Agent"] = nil
		if answer, err := to.do(to.client("h2"), req); err != nil || answer.Status != 200 {
			t.Fatalf("%v %v", answer, err)
		}
		var lines []string
		if to == p {
			lines = app.WaitRequest(1).Fields()
		} else {
			for name, values := range <-seen {
				for _, v := range values {
					lines = append(lines, name+": "+v)
				}
			}
		}
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Host:") || strings.HasPrefix(l, "X-Request-Id: ") })
		for i := range lines {
			lines[i] = strings.Replace(lines[i], "TE:", "Te:", 1)
		}
		slices.Sort(lines)
		_, port, _ := strings.Cut(to.addr, ":")
		want := []string{
			"Cookie: a=1", "Te: trailers", "Traceparent: 00-1-2-01",
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: " + to.addr, "X-Forwarded-Port: " + port, "X-Forwarded-Proto: https",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTrailersOfARequestCannotSayWhatItsHeaderCannot(t *testing.T) {
	app := testkit.NewRawBackend(t)
	p := newProxy(t, app.Addr())
	p.ask("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: X-Private\r\nTrailer: X-Sum, X-Private, X-Forwarded-For\r\n\r\n1\r\na\r\n0\r\n" +
		"X-Sum: 1\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Private: 1\r\nX-Late: 2\r\nProxy: x\r\nHost: evil\r\nForwarded: for=x\r\n\r\n")
	got := app.WaitRequest(1)
	trailers := got.Trailers()
	slices.Sort(trailers)
	if diff := cmp.Diff([]string{"X-Late: 2", "X-Sum: 1"}, trailers); diff != "" || got.Value("Trailer") != "X-Sum" {
		t.Errorf("announced %q: %s", got.Value("Trailer"), diff)
	}
}

func TestHopByHopFieldsOfAResponseStayBehind(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n" +
		"Proxy-Authenticate: x\r\nUpgrade: h2,h2c\r\nServer: legacy/1.0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Empty:\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n")
	p := newProxy(t, app.Addr())
	got := p.get("/").Fields()
	slices.Sort(got)
	want := []string{"Content-Length: 0", "Date: Thu, 01 Jan 1970 00:00:00 GMT", "Server: legacy/1.0", "Set-Cookie: a=1", "Set-Cookie: b=2", "X-Empty: "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoContentTypeIsGuessed(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Respond("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
	p := newProxy(t, app.Addr())
	for _, protocol := range protocols {
		answer, err := p.do(p.client(protocol), p.request("GET", "/", nil))
		if err != nil || answer.Body != "<html>" || answer.Header["Content-Type"] != nil {
			t.Errorf("%s: %v %v", protocol, answer, err)
		}
	}
}
