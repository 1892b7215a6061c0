// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestNothingGrowsOverConnectionsAndReloads compares the process with itself after a warm-up.
func TestNothingGrowsOverConnectionsAndReloads(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startApp(t), "--access-log=off")
	settled := func() { p.WaitMetric("tls_proxy_connections_open", func(v float64) bool { return v == 0 }) }

	p.connect(t, 1000)
	p.reload(t, 20)
	settled()
	goroutines, descriptors, memory := p.Metric("go_goroutines"), testkit.FDCount(t, p.PID()), testkit.UsageOf(t, p.PID()).RSSAnon
	p.connect(t, 2000)
	p.reload(t, 200)
	settled()
	// A few more may come and go: a look at the application, connections to it that are kept.
	testkit.Eventually(t, "goroutines and descriptors as before", func() error {
		g, d := p.Metric("go_goroutines"), testkit.FDCount(t, p.PID())
		if g > goroutines+5 || d > descriptors+5 {
			return fmt.Errorf("goroutines %v -> %v, descriptors %d -> %d: %s", goroutines, g, descriptors, d, strings.Join(testkit.FDs(t, p.PID()), " "))
		}
		return nil
	})
	if now := testkit.UsageOf(t, p.PID()).RSSAnon; now > memory+8<<20 {
		t.Errorf("anonymous memory grew from %d to %d KiB", memory>>10, now>>10)
	}
}

// connect makes n connections, some at once: of four, two are used and ended as they should, one speaks HTTP/2 and
// leaves without a word, one does not shake hands.
func (p *proxy) connect(t *testing.T, n int) {
	t.Helper()
	addr := p.WaitAddr("https")
	var clients sync.WaitGroup
	for first := range 8 {
		clients.Go(func() {
			for i := first; i < n; i += 8 {
				if err := p.connectOnce(addr, i/8%4); err != nil {
					t.Errorf("connection %d: %v", i, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

func (p *proxy) connectOnce(addr string, kind int) error {
	config := p.ca.ClientConfig("localhost")
	switch kind {
	case 2:
		config.NextProtos = []string{"h2"}
	case 3:
		config.MaxVersion, config.MinVersion = tls.VersionTLS11, tls.VersionTLS11
	}
	conn, err := tls.Dial("tcp", addr, config)
	if kind == 3 {
		if err == nil {
			err = errors.Join(errors.New("TLS 1.1 was accepted"), conn.Close())
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if kind == 2 {
		return nil
	}
	if _, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err == nil {
		_, err = io.Copy(io.Discard, conn)
	}
	return err
}

// reload has n renewals loaded, each by request, so that none is passed over.
func (p *proxy) reload(t *testing.T, n int) {
	t.Helper()
	const loads = `tls_proxy_certificate_loads_total{result="ok"}`
	before := p.Metric(loads)
	for range n {
		p.volume.Update(p.ca.Issue("localhost").Files("tls"))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.AdminURL()+"/-/reload", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Outrigger", "1")
		req.Close = true
		if answer, err := testkit.Do(http.DefaultClient, req); err != nil || answer.Status != http.StatusOK {
			t.Fatalf("POST /-/reload: %d %s, %v", answer.Status, answer.Body, err)
		}
	}
	if got := p.Metric(loads) - before; got != float64(n) {
		t.Errorf("%v loads, want %d", got, n)
	}
}
