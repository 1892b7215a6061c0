// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestAnApplicationThatCanBeReachedPastTheProxyIsWarnedAbout: it listens on all addresses, the mistake that makes TLS in
// front of it pointless.
func TestAnApplicationThatCanBeReachedPastTheProxyIsWarnedAbout(t *testing.T) {
	t.Parallel()
	for _, bind := range []struct{ network, address string }{{"tcp4", "0.0.0.0:0"}, {"tcp", "[::]:0"}} {
		app, err := net.Listen(bind.network, bind.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = app.Close() })
		_, port, _ := net.SplitHostPort(app.Addr().String())
		p := startProxy(t, "127.0.0.1:"+port)
		line := p.WaitLog("the application also listens beyond loopback, so clients can go past the proxy; bind it to 127.0.0.1")
		if line.Level != "WARN" || !strings.Contains(line.Raw, ":"+port) {
			t.Errorf("%s: the log says %s", bind.address, line.Raw)
		}
		p.WaitMetric("tls_proxy_target_exposed", func(v float64) bool { return v == 1 })
		ready := p.readyz(t)
		if ready.Status != 200 || !strings.Contains(ready.Body, "[-]target-exposure failed: the application also listens on ") {
			t.Errorf("%s: /readyz?verbose says %d %s", bind.address, ready.Status, ready.Body)
		}
	}
}

func TestAnApplicationOnLoopbackIsNotWarnedAbout(t *testing.T) {
	t.Parallel()
	p := startProxy(t, testkit.NewRawBackend(t).Addr())
	p.WaitMetric("tls_proxy_target_up", func(v float64) bool { return v == 1 })
	if got := p.Metric("tls_proxy_target_exposed"); got != 0 {
		t.Errorf("tls_proxy_target_exposed is %v", got)
	}
	if got := p.readyz(t).Body; !strings.Contains(got, "[+]target-exposure ok") {
		t.Errorf("/readyz?verbose says %s", got)
	}
}

func TestItForwardsToEveryKindOfLoopbackTarget(t *testing.T) {
	t.Parallel()
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatalf("this test needs IPv6 on loopback: %v", err)
	}
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") }))
	_ = app.Listener.Close()
	app.Listener = six
	app.Start()
	t.Cleanup(app.Close)
	_, port, _ := net.SplitHostPort(six.Addr().String())
	for _, target := range []string{
		testkit.NewRawUnixBackend(t).Addr(), testkit.NewRawBackend(t).Addr(), "[::1]:" + port,
		"localhost:" + port, // found on ::1 as nobody listens on 127.0.0.1
	} {
		p := startProxy(t, target)
		if got := p.mustGet(t, "/").Body; got != "ok" {
			t.Errorf("%s: got %q", target, got)
		}
		p.WaitMetric("tls_proxy_target_up", func(v float64) bool { return v == 1 })
	}
}

// TestAnHTTP2TargetServesClientsOfBothProtocols: h2c by prior knowledge, as gRPC servers speak it.
func TestAnHTTP2TargetServesClientsOfBothProtocols(t *testing.T) {
	t.Parallel()
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d %s", r.Proto, r.Method, len(body), r.RequestURI)
	}))
	app.Config.Protocols = new(http.Protocols)
	app.Config.Protocols.SetUnencryptedHTTP2(true)
	app.Start()
	t.Cleanup(app.Close)
	const path = "/a%2Fb?q=%41"
	requests := []loadRequest{
		{"GET", path, "", "HTTP/2.0 GET 0 " + path},
		{"POST", path, "12345", "HTTP/2.0 POST 5 " + path},
		{"POST", path, strings.Repeat("x", 1<<20), "HTTP/2.0 POST 1048576 " + path},
		{"HEAD", path, "", ""},
	}
	p := startProxy(t, "h2c://"+app.Listener.Addr().String())
	l := startLoad(t, p, 2, 2, requests)
	l.reach(t, 40)
	l.stop(t)
}
