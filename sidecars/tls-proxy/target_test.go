// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
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
