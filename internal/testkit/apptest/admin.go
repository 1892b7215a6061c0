// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// testAdmin checks the admin port, which is the same for every program.
func testAdmin(t *testing.T, w way) {
	t.Run("probes answer with reasons, one check at a time", func(t *testing.T) {
		url := w.serve(t).AdminURL()
		for _, path := range []string{"/livez", "/healthz", "/readyz", "/startupz"} {
			ask(t, "GET", url+path, nil).want(t, 200, "ok")
			ask(t, "GET", url+path+"?verbose", nil).want(t, 200, "[+]", " check passed\n")
		}
		ask(t, "GET", url+"/readyz/started", nil).want(t, 200, "ok")
		ask(t, "GET", url+"/readyz/no-such-check", nil).want(t, 404)
	})
	t.Run("status page, status and configuration answer to loopback", func(t *testing.T) { testStatus(t, w) })
	t.Run("control needs the header", func(t *testing.T) {
		url := w.serve(t).AdminURL()
		ask(t, "POST", url+"/-/reload", nil).want(t, 403, "X-Outrigger: 1")
		ask(t, "POST", url+"/-/reload", http.Header{"X-Outrigger": {"1"}}).want(t, 200)
		ask(t, "GET", url+"/-/reload", http.Header{"X-Outrigger": {"1"}}).want(t, 405)
	})
	t.Run("what only looks like loopback is refused", func(t *testing.T) {
		url := w.serve(t).AdminURL()
		for name, value := range map[string]string{
			"Host": "evil.example", "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site",
			"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1",
		} {
			header := http.Header{"X-Outrigger": {"1"}, name: {value}}
			for _, path := range []string{"GET /", "GET /status", "GET /-/config", "POST /-/reload"} {
				method, path, _ := strings.Cut(path, " ")
				ask(t, method, url+path, header).want(t, 403)
			}
			ask(t, "GET", url+"/livez", header).want(t, 200)
		}
	})
	t.Run("another address of this host gets probes and metrics alone", func(t *testing.T) { testForeign(t, w) })
	t.Run("the log level changes while it runs", func(t *testing.T) {
		r := w.serve(t)
		answer := send(t, "PUT", r.AdminURL()+"/-/log-level", http.Header{"X-Outrigger": {"1"}}, "debug")
		answer.want(t, 200, "debug")
		ask(t, "GET", r.AdminURL()+"/-/log-level", nil).want(t, 200, "debug")
	})
	t.Run("quit and pprof answer only where they are enabled", func(t *testing.T) {
		url := w.serve(t).AdminURL()
		ask(t, "POST", url+"/-/quit", nil).want(t, 403, "--enable-quit")
		ask(t, "POST", url+"/quitquitquit", nil).want(t, 403, "--enable-quit")
		ask(t, "GET", url+"/debug/pprof/", nil).want(t, 403, "--enable-pprof")
		r := w.serve(t, "--enable-quit", "--enable-pprof")
		ask(t, "GET", r.AdminURL()+"/debug/pprof/", nil).want(t, 200, "goroutine")
		ask(t, "POST", r.AdminURL()+"/quitquitquit", nil).want(t, 200)
		if code := r.Wait(); code != 0 {
			t.Errorf("exit code %d after quitting, want 0", code)
		}
	})
	t.Run("control may be off or on a socket", func(t *testing.T) { testControl(t, w) })
}

func testStatus(t *testing.T, w way) {
	r := w.serve(t)
	page := ask(t, "GET", r.AdminURL()+"/", nil)
	page.want(t, 200, "<html", w.spec.Name)
	for _, foreign := range []string{`src="http`, `href="http://`, "url(http", "@import"} {
		if strings.Contains(page.Body, foreign) {
			t.Errorf("the page loads something from elsewhere: %s", foreign)
		}
	}
	var status struct {
		Program, Phase string
		Ready          bool
		Settings       []struct{ Name, Value, Origin string }
	}
	answer := ask(t, "GET", r.AdminURL()+"/status", nil)
	if err := json.Unmarshal([]byte(answer.Body), &status); err != nil {
		t.Fatalf("cannot read %s: %v", answer.Body, err)
	}
	if status.Program != w.spec.Name || status.Phase != "running" || !status.Ready || len(status.Settings) == 0 {
		t.Errorf("got %s", answer.Body)
	}
	ask(t, "GET", r.AdminURL()+"/-/config", nil).want(t, 200, "--admin-listen", "127.0.0.1:0", "flag")
}

// testForeign asks over an address of this host that is not loopback, as the
// kubelet does. Where the host has none, nothing can ask so.
func testForeign(t *testing.T, w way) {
	ip := ownAddress(t)
	if ip == "" {
		return
	}
	r := w.serve(t, "--admin-listen="+net.JoinHostPort(ip, "0"))
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics"} {
		ask(t, "GET", r.AdminURL()+path, nil).want(t, 200)
	}
	for _, path := range []string{"/", "/status", "/-/config", "/debug/pprof/"} {
		ask(t, "GET", r.AdminURL()+path, nil).want(t, 403)
		ask(t, "GET", r.AdminURL()+path, http.Header{"Host": {"localhost"}}).want(t, 403)
	}
	ask(t, "POST", r.AdminURL()+"/-/reload", http.Header{"X-Outrigger": {"1"}, "Host": {"localhost"}}).want(t, 403)
}

// ownAddress returns an IPv4 address of this host beyond loopback, or "".
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

func testControl(t *testing.T, w way) {
	header := http.Header{"X-Outrigger": {"1"}}
	r := w.serve(t, "--control=off")
	ask(t, "POST", r.AdminURL()+"/-/reload", header).want(t, 403)
	ask(t, "GET", r.AdminURL()+"/status", nil).want(t, 403)
	ask(t, "GET", r.AdminURL()+"/readyz", nil).want(t, 200)

	socket := filepath.Join(testkit.ShortDir(t), "control")
	r = w.serve(t, "--control=unix:"+socket)
	ask(t, "POST", r.AdminURL()+"/-/reload", header).want(t, 403)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/-/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	got, err := testkit.Do(client, req)
	if err != nil {
		t.Fatal(err)
	}
	answer{got}.want(t, 200)
}

// answer is a response with checks.
type answer struct{ testkit.Answer }

func (a answer) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			t.Errorf("%q is not in %s", text, a.Body)
		}
	}
}

// ask sends a request without a body. A Host in the header is the request's.
func ask(t *testing.T, method, url string, header http.Header) answer {
	t.Helper()
	return send(t, method, url, header, "")
}

func send(t *testing.T, method, url string, header http.Header, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		if name == "Host" {
			req.Host = values[0]
			continue
		}
		req.Header[name] = values
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := testkit.Do(client, req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answer{got}
}
