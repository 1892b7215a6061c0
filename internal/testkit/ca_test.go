// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// handshake connects a client and a server of the given configurations.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	result := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			result <- err
			return
		}
		defer conn.Close()
		result <- tls.Server(conn, server).Handshake()
	}()
	conn, err := tls.Dial("tcp", l.Addr().String(), client)
	serverErr := <-result
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), serverErr
}

func TestEveryKeyTypeMakesAPairThatClientsTrust(t *testing.T) {
	ca := NewCA(t)
	for _, kind := range []KeyType{ECDSAP256, ECDSAP384, RSA2048, Ed25519} {
		t.Run(string(kind), func(t *testing.T) {
			leaf := ca.IssueWith(Request{Names: []string{"localhost", "*.example.com", "127.0.0.1", "::1"}, Key: kind})
			for _, name := range []string{"localhost", "a.example.com", "127.0.0.1", "::1"} {
				if _, err := handshake(t, leaf.ServerConfig(), ca.ClientConfig(name)); err != nil {
					t.Errorf("as %s: %v", name, err)
				}
			}
			if _, err := handshake(t, leaf.ServerConfig(), ca.ClientConfig("b.org")); err == nil {
				t.Error("it was good for a foreign name")
			}
		})
	}
}

func TestKeysAreOfTheTypeAskedFor(t *testing.T) {
	ca := NewCA(t)
	if k, ok := ca.Issue("a").Key.(*ecdsa.PrivateKey); !ok || k.Params().BitSize != 256 {
		t.Error("the default is not P-256")
	}
	if k, ok := ca.IssueWith(Request{Key: ECDSAP384}).Key.(*ecdsa.PrivateKey); !ok || k.Params().BitSize != 384 {
		t.Error("not P-384")
	}
	if k, ok := ca.IssueWith(Request{Key: RSA2048}).Key.(*rsa.PrivateKey); !ok || k.N.BitLen() != 2048 {
		t.Error("not RSA 2048")
	}
	if _, ok := ca.IssueWith(Request{Key: Ed25519}).Key.(ed25519.PrivateKey); !ok {
		t.Error("not Ed25519")
	}
	f := failure(t, func(tb testing.TB) { NewCA(tb).IssueWith(Request{Key: "dsa"}) })
	wantText(t, f.message, `unknown key type "dsa"`)
}

func TestAnIntermediateIsSentInTheChainAndTheRootIsNot(t *testing.T) {
	root := NewCA(t)
	leaf := root.Intermediate().Issue("localhost")
	state, err := handshake(t, leaf.ServerConfig(), root.ClientConfig("localhost"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(state.PeerCertificates); n != 2 {
		t.Errorf("%d certificates were sent, want 2", n)
	}
}

func TestExpiredAndFutureCertificatesAreRefused(t *testing.T) {
	ca := NewCA(t)
	for name, leaf := range map[string]Leaf{"expired": ca.IssueExpired("localhost"), "future": ca.IssueFuture("localhost")} {
		if _, err := handshake(t, leaf.ServerConfig(), ca.ClientConfig("localhost")); err == nil {
			t.Errorf("the %s certificate was taken", name)
		}
	}
	if now := time.Now(); ca.IssueExpired("a").Cert.NotAfter.After(now) || ca.IssueFuture("a").Cert.NotBefore.Before(now) {
		t.Error("the validities are not in the past and the future")
	}
}

func TestAClientCertificateIsOneForClientsOnly(t *testing.T) {
	ca := NewCA(t)
	server := ca.Issue("localhost").ServerConfig()
	server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, ca.Pool()
	if _, err := handshake(t, server, ca.ClientConfig("localhost", ca.IssueClient("alice"))); err != nil {
		t.Errorf("with it: %v", err)
	}
	if _, err := handshake(t, server, ca.ClientConfig("localhost", ca.Issue("alice"))); err == nil {
		t.Error("a server's certificate passed as a client's")
	}
}

func TestTheHTTPClientSpeaksHTTP2AndFollowsNoRedirect(t *testing.T) {
	ca := NewCA(t)
	s := httptest.NewUnstartedServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	s.TLS = ca.Issue("127.0.0.1").ServerConfig()
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	resp, err := ca.HTTPClient().Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound || resp.ProtoMajor != 2 {
		t.Errorf("%s %s, want a 302 over HTTP/2", resp.Proto, resp.Status)
	}
}

func TestWrittenFilesLoadAsAPairAndKeysAreClosedToOthers(t *testing.T) {
	ca := NewCA(t)
	cert, key := ca.Issue("localhost").Write(t.TempDir(), "tls")
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 || filepath.Base(key) != "tls.key" {
		t.Errorf("the key is %s with mode %v (%v)", key, info.Mode(), err)
	}
	pem, err := os.ReadFile(ca.File())
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(pem) {
		t.Errorf("the CA file holds no certificate (%v)", err)
	}
}

func TestBrokenPairsAreBrokenInTheWayTheyClaim(t *testing.T) {
	ca := NewCA(t)
	a, b := ca.Issue("a"), ca.Issue("b")
	mismatch := a.Mismatched(b)
	broken := map[string]struct{ cert, key []byte }{
		"mismatched": {mismatch.CertPEM, mismatch.KeyPEM},
		"not PEM":    {[]byte(NotPEM), a.KeyPEM},
		"truncated":  {Truncated(a.CertPEM), a.KeyPEM},
		"damaged":    {Damaged(a.CertPEM), a.KeyPEM},
		"bad key":    {a.CertPEM, Damaged(a.KeyPEM)},
	}
	for name, pair := range broken {
		if _, err := tls.X509KeyPair(pair.cert, pair.key); err == nil {
			t.Errorf("the %s pair loads", name)
		}
	}
	if _, err := tls.X509KeyPair(a.CertPEM, a.KeyPEM); err != nil {
		t.Errorf("breaking copies broke the original: %v", err)
	}
}

func TestARenewalMayKeepItsKey(t *testing.T) {
	ca := NewCA(t)
	old := ca.Issue("a")
	renewed := ca.IssueWith(Request{Names: []string{"a"}, Signer: old.Key})
	if string(old.KeyPEM) != string(renewed.KeyPEM) || old.Cert.SerialNumber.Cmp(renewed.Cert.SerialNumber) == 0 {
		t.Error("the renewal has another key or the same serial number")
	}
}
