// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

// TestScripts runs what an operator does, as scripts whose names are claims.
func TestScripts(t *testing.T) {
	testkit.Scripts(t, "testdata/script", testkit.Programs{"tls-proxy"})
}

// proxy is a running tls-proxy on free ports, its certificate for localhost and 127.0.0.1 in a volume as the kubelet
// mounts it.
type proxy struct {
	*testkit.Process
	ca     *testkit.CA
	volume *testkit.Volume
}

// startProxy starts the built binary in front of target and waits until it is ready.
func startProxy(t *testing.T, target string, more ...string) *proxy {
	t.Helper()
	p := &proxy{ca: testkit.NewCA(t)}
	p.volume = testkit.NewVolume(t, p.ca.Issue("localhost", "127.0.0.1").Files("tls"))
	args := []string{"--target=" + target, "--cert-dir=" + p.volume.Path(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"}
	p.Process = testkit.Start(t, testkit.Binary(t, "tls-proxy"), append(args, more...), nil)
	p.WaitReady()
	return p
}

// url is that of a path of the first HTTPS listener.
func (p *proxy) url(path string) string { return "https://" + p.WaitAddr("https") + path }

// handshake shakes hands as a client that trusts the proxy's authority, and returns what was settled.
func (p *proxy) handshake(t *testing.T, serverName string, change func(*tls.Config)) (tls.ConnectionState, error) {
	t.Helper()
	config := p.ca.ClientConfig(serverName)
	if change != nil {
		change(config)
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: config}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", p.WaitAddr("https"))
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}

// serial is the serial number of the certificate that a client gets which asks for localhost.
func (p *proxy) serial(t *testing.T) string {
	t.Helper()
	state, err := p.handshake(t, "localhost", nil)
	if err != nil {
		t.Fatalf("cannot shake hands: %v", err)
	}
	return state.PeerCertificates[0].SerialNumber.Text(16)
}

// waitSerial waits until leaf is the certificate that is served.
func (p *proxy) waitSerial(t *testing.T, leaf testkit.Leaf) {
	t.Helper()
	want := leaf.Cert.SerialNumber.Text(16)
	testkit.EventuallyWithin(t, 10*time.Second, "the renewed certificate", func() error {
		if got := p.serial(t); got != want {
			return fmt.Errorf("serial %s is served, want %s", got, want)
		}
		return nil
	})
}

// get fetches a page through a client that trusts the proxy's authority.
func (p *proxy) get(t *testing.T, path string) (testkit.Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.Do(p.ca.HTTPClient(), req)
}

// mustGet is get for what has to be 200.
func (p *proxy) mustGet(t *testing.T, path string) testkit.Answer {
	t.Helper()
	answer, err := p.get(t, path)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("GET %s: status %d, %v: %s", path, answer.Status, err, answer.Body)
	}
	return answer
}

// readyz is the verbose answer of the admin port.
func (p *proxy) readyz(t *testing.T) testkit.Answer {
	t.Helper()
	answer, err := testkit.Get(p.AdminURL() + "/readyz?verbose")
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// startApp starts an application inside the test: /slow takes its time, /big is a mebibyte, everything else "ok".
// POST answers with the number of bytes that came.
func startApp(t *testing.T) string {
	t.Helper()
	big := make([]byte, 1<<20)
	for i := range big {
		big[i] = byte(i % 251)
	}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n)
		case r.URL.Path == "/slow":
			select {
			case <-time.After(300 * time.Millisecond):
			case <-r.Context().Done():
			}
			io.WriteString(w, "ok")
		case r.URL.Path == "/forever":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case r.URL.Path == "/big":
			w.Write(big)
		default:
			io.WriteString(w, "ok")
		}
	}))
	t.Cleanup(func() {
		app.CloseClientConnections()
		app.Close()
	})
	return app.Listener.Addr().String()
}
