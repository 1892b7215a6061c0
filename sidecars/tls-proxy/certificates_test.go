// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestARenewedSecretIsServedWithoutASignal(t *testing.T) {
	t.Parallel()
	// The poll is far away: what is seen, the watch has seen.
	p := startProxy(t, "127.0.0.1:1", "--cert-poll=1h")
	for range 3 {
		renewed := p.ca.Issue("localhost")
		p.volume.Update(renewed.Files("tls"))
		p.waitSerial(t, renewed)
		if got := p.Metric(`tls_proxy_certificate_expiry_timestamp_seconds{file="` + p.volume.File("tls.crt") + `"}`); got != float64(renewed.Cert.NotAfter.Unix()) {
			t.Errorf("the metric says that it expires at %v, want %v", got, renewed.Cert.NotAfter.Unix())
		}
	}
	p.WaitMetric(`tls_proxy_certificate_loads_total{result="ok"}`, func(v float64) bool { return v == 4 })
}

func TestFilesReplacedByHandAreServedWithoutASignal(t *testing.T) {
	t.Parallel()
	ca, dir := testkit.NewCA(t), t.TempDir()
	cert, key := ca.Issue("localhost").Write(dir, "tls")
	p := &proxy{ca: ca, Process: testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=127.0.0.1:1", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--cert=" + cert, "--key=" + key,
	}, nil)}
	p.WaitReady()
	renewed := ca.Issue("localhost")
	renewed.Write(dir, "tls")
	p.waitSerial(t, renewed)
}

func TestAHangupLoadsCertificates(t *testing.T) {
	t.Parallel()
	// Whether the watch or the hangup comes first, the renewal is served once the reload is done.
	p := startProxy(t, "127.0.0.1:1", "--cert-poll=1h")
	renewed := p.ca.Issue("localhost")
	p.volume.Update(renewed.Files("tls"))
	p.Signal(syscall.SIGHUP)
	p.WaitLog("reloaded")
	if got := p.serial(t); got != renewed.Cert.SerialNumber.Text(16) {
		t.Errorf("after the reload serial %s is served, want %x", got, renewed.Cert.SerialNumber)
	}
}

func TestAMismatchedPairKeepsTheLastGoodOneAndSaysSo(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "127.0.0.1:1")
	before := p.serial(t)
	bad := p.ca.Issue("localhost").Mismatched(p.ca.Issue("localhost"))
	p.volume.Update(bad.Files("tls"))
	sentence := "cannot use key " + p.volume.File("tls.key") + ": it does not belong to certificate " + p.volume.File("tls.crt") +
		" (localhost); give the key that the certificate was issued for"

	line := p.WaitLog("cannot load certificates")
	if got := line.Attrs["error"]; got != sentence || line.Level != "ERROR" {
		t.Errorf("the log says %s %q, want %q", line.Level, got, sentence)
	}
	p.WaitMetric(`tls_proxy_certificate_loads_total{result="error"}`, func(v float64) bool { return v == 1 })
	p.WaitMetric("tls_proxy_certificate_files_valid", func(v float64) bool { return v == 0 })
	ready := p.readyz(t)
	if ready.Status != 200 || !strings.Contains(ready.Body, "[-]certificate-files failed: "+sentence) || !strings.Contains(ready.Body, "[+]certificate ok") {
		t.Errorf("/readyz?verbose says %d %s", ready.Status, ready.Body)
	}
	if after := p.serial(t); after != before {
		t.Errorf("serial %s is served, want the last good one, %s", after, before)
	}

	good := p.ca.Issue("localhost")
	p.volume.Update(good.Files("tls"))
	p.waitSerial(t, good)
	p.WaitMetric("tls_proxy_certificate_files_valid", func(v float64) bool { return v == 1 })
	if ready := p.readyz(t); !strings.Contains(ready.Body, "[+]certificate-files ok") {
		t.Errorf("after the repair /readyz?verbose says %s", ready.Body)
	}
}

func TestCertWaitAcceptsOnlyWhenTheCertificateIsThere(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	p := &proxy{ca: ca, volume: testkit.NewVolume(t, nil)}
	app := testkit.NewRawBackend(t)
	p.Process = testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--cert-wait", "--target=" + app.Addr(), "--cert-dir=" + p.volume.Path(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}, nil)
	probe := func(path string) testkit.Answer {
		answer, err := testkit.Get(p.AdminURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	p.WaitLog("waiting for a certificate")
	for path, want := range map[string]int{"/livez": 200, "/startupz": 503, "/readyz": 503} {
		testkit.Eventually(t, path, func() error {
			if got := probe(path); got.Status != want {
				return fmt.Errorf("%s answers %d, want %d: %s", path, got.Status, want, got.Body)
			}
			return nil
		})
	}
	// The port is bound: a client is in its queue, and its handshake begins when the certificate comes.
	early, err := net.Dial("tcp", p.WaitAddr("https"))
	if err != nil {
		t.Fatalf("the port is not bound: %v", err)
	}
	defer early.Close()
	secure := tls.Client(early, ca.ClientConfig("localhost"))
	shaken := make(chan error, 1)
	go func() { shaken <- secure.HandshakeContext(t.Context()) }()
	p.WaitMetric(`tls_proxy_tls_handshakes_total{result="ok"}`, func(v float64) bool { return v == 0 })
	select {
	case err := <-shaken:
		t.Fatalf("the handshake ended without a certificate: %v", err)
	default:
	}

	leaf := ca.Issue("localhost")
	p.volume.Update(leaf.Files("tls"))
	if err := <-shaken; err != nil {
		t.Errorf("the client that waited failed: %v", err)
	}
	p.WaitReady()
	if got := probe("/startupz"); got.Status != 200 {
		t.Errorf("/startupz answers %d: %s", got.Status, got.Body)
	}
	p.waitSerial(t, leaf)
}

func TestCertWaitEndsOnASignal(t *testing.T) {
	t.Parallel()
	p := testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--cert-wait", "--target=127.0.0.1:1", "--cert-dir=" + t.TempDir(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}, nil)
	p.WaitLog("waiting for a certificate")
	p.WaitAddr("https")
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestAnExpiredCertificateFailsReadinessAndARenewalMendsIt(t *testing.T) {
	t.Parallel()
	p := &proxy{ca: testkit.NewCA(t)}
	expired := p.ca.IssueExpired("localhost")
	p.volume = testkit.NewVolume(t, expired.Files("tls"))
	p.Process = testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=127.0.0.1:1", "--cert-dir=" + p.volume.Path(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}, nil)
	p.WaitReadyz(503)
	want := "[-]certificate failed: certificate " + p.volume.File("tls.crt") + " (localhost) expired at " + expired.Cert.NotAfter.UTC().Format(time.RFC3339)
	if got := p.readyz(t).Body; !strings.Contains(got, want) {
		t.Errorf("/readyz?verbose says %s, want %s", got, want)
	}
	p.volume.Update(p.ca.Issue("localhost").Files("tls"))
	p.WaitReady()
}

func TestCertExpiryUnreadyFailsReadinessEarlier(t *testing.T) {
	t.Parallel()
	p := &proxy{ca: testkit.NewCA(t)}
	soon := p.ca.Issue("localhost") // a day
	p.volume = testkit.NewVolume(t, soon.Files("tls"))
	p.Process = testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=127.0.0.1:1", "--cert-dir=" + p.volume.Path(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--cert-expiry-unready=48h",
	}, nil)
	p.WaitReadyz(503)
	if got := p.readyz(t).Body; !strings.Contains(got, "(localhost) expires at "+soon.Cert.NotAfter.UTC().Format(time.RFC3339)) {
		t.Errorf("/readyz?verbose says %s", got)
	}
	later := p.ca.IssueWith(testkit.Request{Names: []string{"localhost"}, NotAfter: time.Now().Add(72 * time.Hour)})
	p.volume.Update(later.Files("tls"))
	p.WaitReady()
}

func TestTheNameAskedForChoosesTheCertificate(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	files := map[string]string{}
	for name, names := range map[string][]string{"tls": {"localhost"}, "wild": {"*.example.test"}, "exact": {"a.example.test"}} {
		maps.Copy(files, ca.Issue(names...).Files(name))
	}
	p := &proxy{ca: ca, volume: testkit.NewVolume(t, files)}
	p.Process = testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=127.0.0.1:1", "--cert-dir=" + p.volume.Path(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}, nil)
	p.WaitReady()
	for asked, want := range map[string]string{
		"a.example.test": "a.example.test", "A.Example.Test": "a.example.test", "b.example.test": "*.example.test",
		"a.b.example.test": "localhost", "other.test": "localhost", "localhost": "localhost", "": "localhost",
	} {
		state, err := p.handshake(t, asked, func(c *tls.Config) { c.InsecureSkipVerify = true })
		if err != nil {
			t.Errorf("%q: %v", asked, err)
			continue
		}
		if got := state.PeerCertificates[0].DNSNames[0]; got != want {
			t.Errorf("who asks for %q gets the certificate for %s, want %s", asked, got, want)
		}
	}
}

func TestRSAAndECDSAServeTheSameName(t *testing.T) {
	t.Parallel()
	ca, dir := testkit.NewCA(t), t.TempDir()
	ecCert, ecKey := ca.Issue("localhost").Write(dir, "ec")
	rsaCert, rsaKey := ca.IssueWith(testkit.Request{Names: []string{"localhost"}, Key: testkit.RSA2048}).Write(dir, "rsa")
	p := &proxy{ca: ca, Process: testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=127.0.0.1:1", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
		"--cert=" + rsaCert, "--key=" + rsaKey, "--cert=" + ecCert, "--key=" + ecKey,
	}, nil)}
	p.WaitReady()
	for _, tt := range []struct {
		name  string
		suite uint16
		want  string
	}{
		{"a modern client", 0, "ECDSA"},
		{"a client of TLS 1.2 with ECDSA", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDSA"},
		{"a client of TLS 1.2 with RSA alone", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "RSA"},
	} {
		state, err := p.handshake(t, "localhost", func(c *tls.Config) {
			if tt.suite != 0 {
				c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tt.suite}
			}
		})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := state.PeerCertificates[0].PublicKeyAlgorithm.String(); got != tt.want {
			t.Errorf("%s gets %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTheProfileSetsTheOldestProtocol(t *testing.T) {
	t.Parallel()
	for profile, oldest := range map[string]uint16{"intermediate": tls.VersionTLS12, "modern": tls.VersionTLS13} {
		p := startProxy(t, "127.0.0.1:1", "--tls-profile="+profile)
		for version := uint16(tls.VersionTLS10); version <= tls.VersionTLS13; version++ {
			_, err := p.handshake(t, "localhost", func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
			if version >= oldest && err != nil || version < oldest && err == nil {
				t.Errorf("%s: %s: %v", profile, tls.VersionName(version), err)
			}
		}
		p.WaitMetric(`tls_proxy_tls_handshakes_total{result="unsupported_version"}`, func(v float64) bool { return v == float64(oldest-tls.VersionTLS10) })
	}
}

func TestTheKeyExchangeResistsQuantumComputersByDefault(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "127.0.0.1:1")
	for _, tt := range []struct {
		offered []tls.CurveID
		want    tls.CurveID
	}{
		{nil, tls.X25519MLKEM768}, // what Go's clients offer
		{[]tls.CurveID{tls.X25519, tls.X25519MLKEM768}, tls.X25519MLKEM768},
		{[]tls.CurveID{tls.X25519}, tls.X25519},
		{[]tls.CurveID{tls.CurveP256}, tls.CurveP256},
	} {
		state, err := p.handshake(t, "localhost", func(c *tls.Config) { c.CurvePreferences = tt.offered })
		if err != nil || state.CurveID != tt.want {
			t.Errorf("of %v the proxy chose %v (%v), want %v", tt.offered, state.CurveID, err, tt.want)
		}
	}
}

func TestNoKeyReachesTheLog(t *testing.T) {
	t.Parallel()
	p := &proxy{ca: testkit.NewCA(t)}
	leaf := p.ca.Issue("localhost")
	p.volume = testkit.NewVolume(t, leaf.Files("tls"))
	p.Process = testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=127.0.0.1:1", "--cert-dir=" + p.volume.Path(), "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--log-level=debug",
	}, nil)
	p.WaitReady()
	p.volume.Set(map[string]string{"tls.key": string(testkit.Truncated(leaf.KeyPEM))})
	p.WaitLog("cannot load certificates")
	status, err := testkit.Get(p.AdminURL() + "/status")
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(string(leaf.KeyPEM), "\n")[1][8:32]
	for where, text := range map[string]string{"the log": p.Stderr(), "stdout": p.Stdout(), "/status": status.Body} {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a part of the key", where)
		}
	}
}

// TestTheProcessHidesItsMemory: a sibling container of the same user in a shared process namespace must not read keys.
func TestTheProcessHidesItsMemory(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("this test starts programs as another user, which takes root")
	}
	p := testkit.StartCommand(t, testkit.Command{
		Path: readableBinary(t), User: &syscall.Credential{Uid: 65532, Gid: 65532},
		Args: []string{"--target=127.0.0.1:1", "--self-signed", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"},
	})
	p.WaitReady()
	for _, file := range []string{"environ", "maps", "mem"} {
		sibling := testkit.StartCommand(t, testkit.Command{
			Path: "/bin/cat", Args: []string{fmt.Sprintf("/proc/%d/%s", p.PID(), file)}, User: &syscall.Credential{Uid: 65532, Gid: 65532},
		})
		if code := sibling.Wait(); code == 0 || !strings.Contains(sibling.Stderr(), "Permission denied") {
			t.Errorf("a sibling reads /proc/PID/%s: exit %d, %s", file, code, sibling.Stderr())
		}
	}
}

func TestPlainHTTPIsToldToUseHTTPS(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "127.0.0.1:1")
	c := testkit.DialRaw(t, p.WaitAddr("https"))
	c.Send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	answer, err := c.ReadAll()
	if err != nil && !errors.Is(err, io.EOF) || !strings.HasPrefix(answer, "HTTP/1.1 400 ") || !strings.Contains(answer, "This port speaks HTTPS") {
		t.Errorf("got %q, %v", answer, err)
	}
	p.WaitMetric(`tls_proxy_tls_handshakes_total{result="plain_http"}`, func(v float64) bool { return v == 1 })
}
