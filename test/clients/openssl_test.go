// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// sClient runs `openssl s_client`, which sends input and then leaves.
func sClient(t *testing.T, p *proxy, input string, args ...string) testkit.Result {
	t.Helper()
	in, out := io.Pipe()
	go func() {
		_, _ = io.WriteString(out, input)
		_ = out.Close()
	}()
	c := testkit.StartCommand(t, testkit.Command{
		Path:  testkit.Tool(t, "openssl", "openssl"),
		Args:  append([]string{"s_client", "-connect", p.addr, "-servername", "localhost", "-CAfile", p.caFile, "-verify_return_error"}, args...),
		Stdin: in,
	})
	code := c.Wait()
	_ = in.Close()
	return testkit.Result{Code: code, Stdout: c.Stdout(), Stderr: c.Stderr()}
}

// TestOpensslNegotiatesWhatTheProfileAllows: old protocols and suites are offered to the proxy with every brake of the
// client's own taken off.
func TestOpensslNegotiatesWhatTheProfileAllows(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t).Addr()
	proxies := map[string]*proxy{
		"ECDSA":        startProxy(t, app),
		"RSA":          startProxyWith(t, testkit.Request{Key: testkit.RSA2048}, app),
		"ECDSA modern": startProxy(t, app, "--tls-profile=modern"),
	}
	const legacy = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
	for _, tt := range []struct {
		proxy string
		args  []string
		want  string // a line of the session, or "" where the handshake has to fail
	}{
		{"ECDSA", []string{"-tls1_3"}, "New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256"},
		{"ECDSA", []string{"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"}, "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"},
		{"ECDSA", []string{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, "New, TLSv1.3, Cipher is TLS_CHACHA20_POLY1305_SHA256"},
		{"ECDSA", []string{"-tls1_2"}, "New, TLSv1.2, Cipher is ECDHE-ECDSA-"},
		{"RSA", []string{"-tls1_2"}, "New, TLSv1.2, Cipher is ECDHE-RSA-"},
		{"RSA", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"}, "New, TLSv1.2, Cipher is ECDHE-RSA-AES256-GCM-SHA384"},
		{"ECDSA", []string{"-tls1_1", "-cipher", legacy}, ""},
		{"ECDSA", []string{"-tls1", "-cipher", legacy}, ""},
		{"RSA", []string{"-tls1_1", "-cipher", legacy}, ""},
		{"RSA", []string{"-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"}, ""},         // no forward secrecy
		{"RSA", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256:@SECLEVEL=0"}, ""},   // CBC
		{"RSA", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"}, ""},      // CBC, SHA-1
		{"RSA", []string{"-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"}, ""}, // finite fields
		{"ECDSA modern", []string{"-tls1_3"}, "New, TLSv1.3, Cipher is "},
		{"ECDSA modern", []string{"-tls1_2"}, ""},
	} {
		t.Run(fmt.Sprint(tt.proxy, tt.args), func(t *testing.T) {
			r := sClient(t, proxies[tt.proxy], "Q\n", tt.args...)
			if tt.want == "" {
				if r.Code == 0 || !strings.Contains(r.Stdout, "Cipher is (NONE)") {
					t.Errorf("exit code %d: it was accepted: %s", r.Code, r.Stdout)
				}
				return
			}
			if r.Code != 0 || !strings.Contains(r.Stdout, tt.want) || !strings.Contains(r.Stdout, "Verify return code: 0 (ok)") {
				t.Errorf("exit code %d, want %q:\n%s%s", r.Code, tt.want, r.Stdout, r.Stderr)
			}
		})
	}
}

func TestOpensslGetsTheProtocolItAsksForByALPN(t *testing.T) {
	t.Parallel()
	p := startProxy(t, testkit.NewRawBackend(t).Addr())
	for offer, want := range map[string]string{
		"h2": "ALPN protocol: h2", "h2,http/1.1": "ALPN protocol: h2", "http/1.1,h2": "ALPN protocol: h2", "http/1.1": "ALPN protocol: http/1.1",
	} {
		if r := sClient(t, p, "Q\n", "-alpn", offer); r.Code != 0 || !strings.Contains(r.Stdout, want+"\n") {
			t.Errorf("%s: exit code %d, want %q:\n%s", offer, r.Code, want, r.Stdout)
		}
	}
	if r := sClient(t, p, "Q\n", "-alpn", "spdy/3"); r.Code == 0 {
		t.Errorf("a protocol that nobody speaks was agreed on (RFC 7301, section 3.2):\n%s", r.Stdout)
	}
	if r := sClient(t, p, "Q\n"); r.Code != 0 || !strings.Contains(r.Stdout, "No ALPN negotiated") {
		t.Errorf("a client without ALPN: exit code %d\n%s", r.Code, r.Stdout)
	}
}

// TestRenegotiationIsRefused: "R" on a line has s_client ask for it, which TLS 1.2 still knows.
func TestRenegotiationIsRefused(t *testing.T) {
	t.Parallel()
	app := testkit.NewRawBackend(t)
	p := startProxy(t, app.Addr())
	r := sClient(t, p, "R\nGET / HTTP/1.1\nHost: localhost\n\n", "-tls1_2", "-crlf")
	if !strings.Contains(r.Stderr, "RENEGOTIATING") || !strings.Contains(r.Stderr, "no renegotiation") && !strings.Contains(r.Stderr, "unexpected message") {
		t.Errorf("exit code %d:\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
	if n := len(app.Requests()); n != 0 {
		t.Errorf("%d requests went through after it", n)
	}
}

// TestASessionIsResumedWithoutEarlyData: tickets save a full handshake; 0-RTT, which can be replayed, is never on offer.
func TestASessionIsResumedWithoutEarlyData(t *testing.T) {
	t.Parallel()
	p := startProxy(t, testkit.NewRawBackend(t).Addr())
	session := t.TempDir() + "/session.pem"
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	first := sClient(t, p, request, "-tls1_3", "-ign_eof", "-sess_out", session)
	if first.Code != 0 || !strings.Contains(first.Stdout, "Max Early Data: 0") {
		t.Errorf("exit code %d, want a ticket without early data:\n%s", first.Code, first.Stdout)
	}
	if again := sClient(t, p, request, "-tls1_3", "-ign_eof", "-sess_in", session); again.Code != 0 || !strings.Contains(again.Stdout, "Reused, TLSv1.3") {
		t.Errorf("exit code %d, want the session resumed:\n%s", again.Code, again.Stdout)
	}
	p.WaitMetric(`tls_proxy_tls_connections_total{resumed="true",version="TLS 1.3"}`, func(v float64) bool { return v == 1 })
}
