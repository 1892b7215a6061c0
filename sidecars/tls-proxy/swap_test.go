// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestASecretSwappedTenTimesASecondFailsNoHandshake: two authorities take turns, each with an intermediate of its own and
// another type of key, so that a pair or a chain put together from both would fail the client's verification.
func TestASecretSwappedTenTimesASecondFailsNoHandshake(t *testing.T) {
	t.Parallel()
	var roots [2]*x509.CertPool
	var leaves [2]testkit.Leaf
	both := x509.NewCertPool()
	for i, key := range []testkit.KeyType{testkit.ECDSAP256, testkit.RSA2048} {
		ca := testkit.NewCA(t)
		roots[i] = ca.Pool()
		both.AddCert(ca.Cert)
		leaves[i] = ca.Intermediate().IssueWith(testkit.Request{Names: []string{"localhost"}, Key: key})
	}
	volume := testkit.NewVolume(t, leaves[0].Files("tls"))
	p := &proxy{Process: testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=" + startApp(t), "--cert-dir=" + volume.Path(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--access-log=off",
	}, nil)}
	p.WaitReady()
	addr := p.WaitAddr("https")

	var served [2]atomic.Int64
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				which, err := servedBy(addr, both, roots, leaves)
				if err != nil {
					t.Errorf("a handshake failed: %v", err)
					return
				}
				served[which].Add(1)
			}
		})
	}
	// Kept connections live through every swap as well.
	kept := startLoadWith(t, addr, &tls.Config{RootCAs: both, ServerName: "localhost"}, 1, 3, appRequests)

	swaps := p.swapUnderHangups(volume, leaves)
	close(done)
	clients.Wait()
	kept.stop(t)
	t.Logf("%d swaps, %d and %d handshakes", swaps, served[0].Load(), served[1].Load())
	if swaps < 50 || served[0].Load() == 0 || served[1].Load() == 0 {
		t.Errorf("%d swaps, %d and %d handshakes by the two authorities: nothing was proved", swaps, served[0].Load(), served[1].Load())
	}
	testkit.Eventually(t, "what the volume holds in the end", func() error {
		if which, err := servedBy(addr, both, roots, leaves); err != nil || which != swaps%2 {
			return fmt.Errorf("authority %d is served, want %d (%v)", which, swaps%2, err)
		}
		return nil
	})
	if failed := p.Metric(`tls_proxy_certificate_loads_total{result="error"}`); failed != 0 {
		t.Errorf("%v loads failed: a half was taken for the whole", failed)
	}
	if loads := p.Metric(`tls_proxy_certificate_loads_total{result="ok"}`); loads < 20 {
		t.Errorf("%v loads in %d swaps prove little", loads, swaps)
	}
}

// swapUnderHangups swaps the two pairs for ten seconds and returns how often. Left to itself the watch waits for quiet
// and looks once a second: hangups have files read at every moment of a swap.
func (p *proxy) swapUnderHangups(volume *testkit.Volume, leaves [2]testkit.Leaf) (swaps int) {
	const (
		lasts = 10 * time.Second
		every = 100 * time.Millisecond
	)
	swap, hangup := time.NewTicker(every), time.NewTicker(every*3/10)
	defer swap.Stop()
	defer hangup.Stop()
	for end := time.After(lasts); end != nil; {
		select {
		case <-swap.C:
			swaps++
			volume.Update(leaves[swaps%2].Files("tls"))
		case <-hangup.C:
			p.Signal(syscall.SIGHUP)
		case <-end:
			end = nil
		}
	}
	return swaps
}

// servedBy shakes hands and tells which of the two authorities the server showed.
func servedBy(addr string, both *x509.CertPool, roots [2]*x509.CertPool, leaves [2]testkit.Leaf) (int, error) {
	dialer := &net.Dialer{Timeout: testkit.Patience}
	conn, err := tls.DialWithDialer(dialer, "tcp", addr, &tls.Config{RootCAs: both, ServerName: "localhost"})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	chain := conn.ConnectionState().PeerCertificates
	for i, leaf := range leaves {
		if !chain[0].Equal(leaf.Cert) {
			continue
		}
		between := x509.NewCertPool()
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots[i], Intermediates: between, DNSName: "localhost"})
		return i, err
	}
	return 0, fmt.Errorf("an unknown certificate was served, serial %x", chain[0].SerialNumber)
}
