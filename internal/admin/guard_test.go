// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// elsewhere is a listener whose connections say that they came in over the pod's address. The address is the machine's own
// where it has one beyond loopback, else only the connections' word for it.
func elsewhere(t *testing.T) net.Listener {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Is4() && !prefix.Addr().IsLoopback() {
			return listen(t, netip.AddrPortFrom(prefix.Addr(), 0).String())
		}
	}
	return relocated{listen(t, "127.0.0.1:0")}
}

type relocated struct{ net.Listener }

func (l relocated) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return relocatedConn{c}, err
}

type relocatedConn struct{ net.Conn }

func (relocatedConn) LocalAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 9911}
}

func TestPrivatePathsAnswerOnlyToLoopback(t *testing.T) {
	registry := prometheus.NewRegistry()
	o := Options{Registerer: registry, Gatherer: registry}
	_, local := serve(t, o)
	_, pod := serveOn(t, Options{}, elsewhere(t))
	_, port, _ := net.SplitHostPort(local)

	f := func(name, address string, want int, reason string, r request) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			var before float64
			if reason != "" && address == local {
				before = refusals(t, registry, reason)
			}
			for _, path := range []string{"/", "/status", "/-/config"} {
				r.path = path
				if got := ask(t, address, r); got.status != want {
					t.Errorf("GET %s: %d, want %d: %s", path, got.status, want, got.body)
				} else if want == 403 && (strings.Count(got.body, "\n") != 1 || !strings.Contains(got.body, "this path")) {
					t.Errorf("GET %s: not one sentence: %q", path, got.body)
				}
			}
			if reason != "" && address == local {
				if n := refusals(t, registry, reason) - before; n != 3 {
					t.Errorf("counted %v refusals for %q, want 3", n, reason)
				}
			}
		})
	}
	header := func(h ...string) request { return request{headers: h} }

	f("address itself", local, 200, "", request{})
	f("another loopback remote", local, 200, "", request{from: "127.0.0.6"})
	f("localhost", local, 200, "", header("Host: localhost:"+port))
	f("localhost, a forwarded port", local, 200, "", header("Host: LocalHost:12345"))
	f("localhost, no port", local, 200, "", header("Host: localhost"))
	f("IPv6 literal", local, 200, "", header("Host: [::1]:"+port))
	f("IPv6 literal, no port", local, 200, "", header("Host: [::1]"))
	f("mapped literal", local, 200, "", header("Host: [::ffff:127.0.0.1]:"+port))
	f("own page", local, 200, "", header("Host: localhost:"+port, "Origin: http://localhost:"+port, "Sec-Fetch-Site: same-origin"))
	f("typed into the browser", local, 200, "", header("Sec-Fetch-Site: none"))

	f("the mesh's address to the pod's", pod, 403, reasonAddress, request{headers: []string{"Host: localhost"}})
	f("the pod's own address", pod, 403, reasonAddress, request{})

	f("DNS rebinding", local, 403, reasonHost, header("Host: attacker.example:"+port))
	f("DNS rebinding below localhost", local, 403, reasonHost, header("Host: localhost.attacker.example"))
	f("a name below localhost", local, 403, reasonHost, header("Host: app.localhost"))
	f("rooted localhost", local, 403, reasonHost, header("Host: localhost."))
	f("pod address as Host", local, 403, reasonHost, header("Host: 10.1.2.3:"+port))
	f("short form", local, 403, reasonHost, header("Host: 127.1"))
	f("decimal form", local, 403, reasonHost, header("Host: 2130706433"))
	f("octal form", local, 403, reasonHost, header("Host: 0177.0.0.1"))
	f("wildcard", local, 403, reasonHost, header("Host: 0.0.0.0"))
	f("empty Host", local, 403, reasonHost, header("Host: "))
	f("user in Host", local, 400, "", header("Host: localhost@attacker.example"))

	f("another origin", local, 403, reasonBrowser, header("Origin: http://attacker.example"))
	f("another port's origin", local, 403, reasonBrowser, header("Host: localhost:"+port, "Origin: http://localhost:1"))
	f("https origin", local, 403, reasonBrowser, header("Host: localhost:"+port, "Origin: https://localhost:"+port))
	f("null origin", local, 403, reasonBrowser, header("Origin: null"))
	f("two origins", local, 403, reasonBrowser, header("Host: localhost", "Origin: http://localhost", "Origin: http://attacker.example"))
	f("cross-site", local, 403, reasonBrowser, header("Sec-Fetch-Site: cross-site"))
	f("same site, other port", local, 403, reasonBrowser, header("Sec-Fetch-Site: same-site"))

	f("forwarded for", local, 403, reasonForwarded, header("X-Forwarded-For: 127.0.0.1"))
	f("forwarded for, lower case", local, 403, reasonForwarded, header("x-forwarded-for: 127.0.0.1"))
	f("forwarded for, empty", local, 403, reasonForwarded, header("X-Forwarded-For: "))
	f("Forwarded", local, 403, reasonForwarded, header("Forwarded: for=127.0.0.1"))
	f("another proxy header", local, 403, reasonForwarded, header("X-Forwarded-Proto: https"))
	f("Via", local, 403, reasonForwarded, header("Via: 1.1 proxy"))
}

func TestTheMeshIsNotLoopback(t *testing.T) {
	_, pod := serveOn(t, Options{}, elsewhere(t))
	got := ask(t, pod, request{path: "/status", from: "127.0.0.6", headers: []string{"Host: localhost"}})
	if got.status != http.StatusForbidden {
		t.Fatalf("from 127.0.0.6 to the pod's address: %d %s", got.status, got.body)
	}
}

func TestAnyoneMayProbeAndScrape(t *testing.T) {
	_, pod := serveOn(t, Options{Control: Control{Off: true}}, elsewhere(t))
	for _, path := range []string{"/livez", "/healthz", "/readyz", "/startupz", "/readyz?verbose", "/metrics"} {
		got := ask(t, pod, request{path: path, headers: []string{"Host: my-pod.example", "X-Forwarded-For: 10.0.0.1", "Origin: https://grafana.example"}})
		if got.status != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, got.status, got.body)
		}
	}
}

func TestControlNeedsTheHeader(t *testing.T) {
	registry := prometheus.NewRegistry()
	called := 0
	s, local := serve(t, Options{Registerer: registry})
	s.Control("POST /-/drain", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }))
	f := func(want int, r request) {
		t.Helper()
		r.method, r.path = "POST", "/-/drain"
		if got := ask(t, local, r); got.status != want {
			t.Errorf("%v: %d, want %d: %s", r, got.status, want, got.body)
		}
	}
	f(403, request{})
	f(403, request{headers: []string{"X-Outrigger: 0"}})
	f(403, request{headers: []string{"X-Outrigger: 1", "Origin: http://attacker.example"}})
	f(403, request{headers: []string{"X-Outrigger: 1", "Host: attacker.example"}})
	f(403, request{headers: []string{"X-Outrigger: 1", "X-Forwarded-For: 127.0.0.1"}})
	if called != 0 {
		t.Fatalf("a refused request reached the handler")
	}
	f(200, request{headers: []string{"X-Outrigger: 1"}})
	if called != 1 {
		t.Fatalf("handler called %d times, want 1", called)
	}
	if n := refusals(t, registry, reasonHeader); n != 2 {
		t.Errorf("counted %v refusals for the header, want 2", n)
	}
	if got := ask(t, local, request{path: "/-/drain", headers: []string{"X-Outrigger: 1"}}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET of a control path: %d", got.status)
	}
}

func TestControlOffClosesThePrivatePaths(t *testing.T) {
	_, local := serve(t, Options{Control: Control{Off: true}, EnableQuit: true, EnablePprof: true, Quit: func() { t.Error("quit") }})
	for _, r := range []request{
		{path: "/"},
		{path: "/status"},
		{path: "/-/config"},
		{path: "/debug/pprof/"},
		{method: "POST", path: "/-/reload"},
		{method: "PUT", path: "/-/log-level"},
		{method: "POST", path: "/-/quit"},
		{method: "POST", path: "/quitquitquit"},
	} {
		r.headers = []string{"X-Outrigger: 1"}
		got := ask(t, local, r)
		if got.status != http.StatusForbidden || !strings.Contains(got.body, "--control=off") {
			t.Errorf("%s %s: %d %s", r.method, r.path, got.status, got.body)
		}
	}
}

func TestControlOnASocketIsNotOnTCP(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	s, local := serve(t, Options{Control: Control{Path: path}})
	called := false
	s.Control("POST /-/drain", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called = true }))
	drain := request{method: "POST", path: "/-/drain", headers: []string{"X-Outrigger: 1"}}
	for _, r := range []request{{path: "/"}, {path: "/status"}, {path: "/-/config"}, drain} {
		if got := ask(t, local, r); got.status != http.StatusForbidden || !strings.Contains(got.body, "socket") {
			t.Errorf("over TCP, %s %s: %d %s", r.method, r.path, got.status, got.body)
		}
	}
	if called {
		t.Fatal("control reached over TCP")
	}
	until(t, "the socket is there", func() bool { _, err := os.Lstat(path); return err == nil })
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the socket's mode is %o, want 600", mode)
	}
	for _, r := range []request{{path: "/"}, {path: "/status"}, {path: "/livez"}, {path: "/metrics"}, drain} {
		r.headers = append([]string{"Host: anything"}, r.headers...)
		if got := ask(t, path, r); got.status != http.StatusOK {
			t.Errorf("over the socket, %s %s: %d %s", r.method, r.path, got.status, got.body)
		}
	}
	if !called {
		t.Error("control did not reach the handler over the socket")
	}
}

func TestControlText(t *testing.T) {
	f := func(text string, want Control, wantError string) {
		t.Helper()
		var c Control
		err := c.UnmarshalText([]byte(text))
		switch {
		case wantError != "" && (err == nil || !strings.Contains(err.Error(), wantError)):
			t.Errorf("%q: error %v, want %q", text, err, wantError)
		case wantError == "" && (err != nil || c != want || c.String() != text):
			t.Errorf("%q: %+v (%s), %v", text, c, c, err)
		}
	}
	f("loopback", Control{}, "")
	f("off", Control{Off: true}, "")
	f("unix:/run/control", Control{Path: "/run/control"}, "")
	f("", Control{}, "use off, loopback or unix:/PATH")
	f("on", Control{}, "use off, loopback or unix:/PATH")
	f("unix:", Control{}, "use off, loopback or unix:/PATH")
	f("unix:run/control", Control{}, "unix:/PATH")
	f("unix:@control", Control{}, "abstract")
	f("unix:/"+strings.Repeat("x", 107), Control{}, "at most 107 bytes")
}

func FuzzLoopbackHost(f *testing.F) {
	for _, host := range []string{"localhost", "localhost:9911", "127.0.0.1:1", "[::1]:1", "[::1]", "::1", "[localhost]", "127.0.0.1:http", "a:b:c", "[", "]:1", "localhost:", "[127.0.0.1]:80"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !loopbackHost(host) {
			return
		}
		// What passes is localhost or a literal, then nothing or a port.
		name := host
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, ']') && strings.Trim(name[i+1:], "0123456789") == "" {
			name = name[:i]
		}
		if strings.EqualFold(name, "localhost") {
			return
		}
		if inner, ok := strings.CutPrefix(name, "["); ok {
			name = strings.TrimSuffix(inner, "]")
		}
		ip, err := netip.ParseAddr(name)
		if err != nil || !ip.Unmap().IsLoopback() {
			t.Fatalf("%q passes as loopback", host)
		}
	})
}

func FuzzRefuse(f *testing.F) {
	f.Add("localhost", "http://localhost", "none", "X-Forwarded-For", "1")
	f.Add("localhost", "", "", "X-Custom", "1")
	f.Fuzz(func(t *testing.T, host, origin, site, name, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		local := netip.MustParseAddr("127.0.0.1")
		r = r.WithContext(endpoint{local: local, remote: local}.in(r.Context()))
		r.Host = host
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if site != "" {
			r.Header.Set("Sec-Fetch-Site", site)
		}
		r.Header.Set(name, value)
		if refuse(r) != nil {
			return
		}
		for _, h := range []string{"Forwarded", "X-Forwarded-For", "Via"} {
			if r.Header.Values(h) != nil {
				t.Fatalf("%s passes", h)
			}
		}
		if o := r.Header.Get("Origin"); o != "" && !strings.EqualFold(o, "http://"+host) {
			t.Fatalf("origin %q passes for the host %q", o, host)
		}
	})
}
