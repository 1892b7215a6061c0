// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// KeyType is an algorithm and size of a private key.
type KeyType string

// The key types that certificates in the field have.
const (
	ECDSAP256 KeyType = "ecdsa-p256"
	ECDSAP384 KeyType = "ecdsa-p384"
	RSA2048   KeyType = "rsa-2048"
	Ed25519   KeyType = "ed25519"
)

// CA is a certificate authority that lives as long as its test.
//
//	ca := testkit.NewCA(t)
//	leaf := ca.Issue("localhost", "127.0.0.1")
//	cert, key := leaf.Write(t.TempDir(), "tls")
//	client := ca.HTTPClient()
type CA struct {
	// Cert is the authority's own certificate.
	Cert *x509.Certificate

	key    crypto.Signer
	parent *CA // nil for a root
	t      testing.TB
}

// Request says what a certificate is to hold. Its zero value is valid: a nameless
// ECDSA P-256 server certificate, good from an hour ago for a day.
type Request struct {
	// Names are DNS names (also "*.example.com"), IP addresses or URIs with "://".
	Names []string
	// CommonName is the subject's name; empty means the first of Names.
	CommonName string
	// Key is the type of the new key; empty means ECDSAP256.
	Key KeyType
	// Signer is a key to certify instead of a new one: for renewals that keep it.
	Signer crypto.Signer
	// NotBefore and NotAfter bound the validity; zero means an hour ago and in a day.
	NotBefore, NotAfter time.Time
	// Client makes a client certificate in place of a server one.
	Client bool
}

// NewCA makes a root authority with an ECDSA P-256 key.
func NewCA(t testing.TB) *CA {
	t.Helper()
	return newCA(t, nil)
}

// Intermediate makes an authority below this one. What it issues carries the chain
// up to, and without, the root.
func (ca *CA) Intermediate() *CA {
	ca.t.Helper()
	return newCA(ca.t, ca)
}

func newCA(t testing.TB, parent *CA) *CA {
	t.Helper()
	name := "testkit root"
	if parent != nil {
		name = "testkit intermediate"
	}
	key := newKey(t, ECDSAP256)
	template := &x509.Certificate{
		SerialNumber:          serialNumber(t),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-10 * 365 * 24 * time.Hour), // before any expired leaf
		NotAfter:              time.Now().Add(10 * 365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	ca := &CA{key: key, parent: parent, t: t}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.Cert, parent.key
	}
	ca.Cert = sign(t, template, issuer, key.Public(), signer)
	return ca
}

// Issue makes a server certificate for names: ECDSA P-256, good for a day.
func (ca *CA) Issue(names ...string) Leaf {
	ca.t.Helper()
	return ca.IssueWith(Request{Names: names})
}

// IssueExpired makes a server certificate that ended an hour ago.
func (ca *CA) IssueExpired(names ...string) Leaf {
	ca.t.Helper()
	now := time.Now()
	return ca.IssueWith(Request{Names: names, NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(-time.Hour)})
}

// IssueFuture makes a server certificate that becomes valid in an hour.
func (ca *CA) IssueFuture(names ...string) Leaf {
	ca.t.Helper()
	now := time.Now()
	return ca.IssueWith(Request{Names: names, NotBefore: now.Add(time.Hour), NotAfter: now.Add(48 * time.Hour)})
}

// IssueClient makes a client certificate with the given common name.
func (ca *CA) IssueClient(commonName string) Leaf {
	ca.t.Helper()
	return ca.IssueWith(Request{CommonName: commonName, Client: true})
}

// IssueWith makes the certificate that r describes.
func (ca *CA) IssueWith(r Request) Leaf {
	ca.t.Helper()
	key := r.Signer
	if key == nil {
		key = newKey(ca.t, r.Key)
	}
	template := r.template(ca.t)
	cert := sign(ca.t, template, ca.Cert, key.Public(), ca.key)
	return Leaf{Cert: cert, Key: key, CertPEM: ca.chainPEM(cert), KeyPEM: keyPEM(ca.t, key), t: ca.t}
}

// template is r as x509 wants it.
func (r Request) template(t testing.TB) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: serialNumber(t),
		Subject:      pkix.Name{CommonName: r.CommonName},
		NotBefore:    r.NotBefore,
		NotAfter:     r.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if c.Subject.CommonName == "" && len(r.Names) > 0 {
		c.Subject.CommonName = r.Names[0]
	}
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(24 * time.Hour)
	}
	if r.Client {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	for _, name := range r.Names {
		addName(t, c, name)
	}
	return c
}

func addName(t testing.TB, c *x509.Certificate, name string) {
	t.Helper()
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = append(c.IPAddresses, ip)
		return
	}
	if !strings.Contains(name, "://") {
		c.DNSNames = append(c.DNSNames, name)
		return
	}
	u, err := url.Parse(name)
	if err != nil {
		t.Fatalf("cannot issue a certificate for %q: %v", name, err)
	}
	c.URIs = append(c.URIs, u)
}

// PEM is the authority's own certificate; for an intermediate, the root's: what a
// client has to trust.
func (ca *CA) PEM() []byte {
	return certPEM(ca.root().Cert)
}

// File writes PEM into a temporary file and returns its path.
func (ca *CA) File() string {
	ca.t.Helper()
	path := filepath.Join(ca.t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, ca.PEM(), 0o644); err != nil {
		ca.t.Fatalf("cannot write the CA file: %v", err)
	}
	return path
}

// Pool holds the root, for RootCAs and ClientCAs.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.root().Cert)
	return pool
}

// ClientConfig is a client's configuration that trusts this authority alone, expects
// serverName, and shows the given client certificates.
func (ca *CA) ClientConfig(serverName string, client ...Leaf) *tls.Config {
	c := &tls.Config{RootCAs: ca.Pool(), ServerName: serverName, MinVersion: tls.VersionTLS12}
	for _, leaf := range client {
		c.Certificates = append(c.Certificates, leaf.TLS())
	}
	return c
}

// HTTPClient is a client that trusts this authority alone, speaks HTTP/1.1 and
// HTTP/2, follows no redirect, and closes its connections when the test ends.
func (ca *CA) HTTPClient(client ...Leaf) *http.Client {
	transport := &http.Transport{TLSClientConfig: ca.ClientConfig("", client...), ForceAttemptHTTP2: true}
	ca.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (ca *CA) root() *CA {
	for ca.parent != nil {
		ca = ca.parent
	}
	return ca
}

// chainPEM is the leaf followed by the intermediates, as servers send them.
func (ca *CA) chainPEM(leaf *x509.Certificate) []byte {
	out := certPEM(leaf)
	for ; ca.parent != nil; ca = ca.parent {
		out = append(out, certPEM(ca.Cert)...)
	}
	return out
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func keyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("cannot encode the key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func newKey(t testing.TB, kind KeyType) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case ECDSAP256, "":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("unknown key type %q", kind)
	}
	if err != nil {
		t.Fatalf("cannot make a key: %v", err)
	}
	return key
}

func serialNumber(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatalf("cannot make a serial number: %v", err)
	}
	return n.Add(n, big.NewInt(1))
}

func sign(t testing.TB, template, issuer *x509.Certificate, public any, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, public, signer)
	if err != nil {
		t.Fatalf("cannot sign the certificate for %q: %v", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("cannot read back the certificate for %q: %v", template.Subject.CommonName, err)
	}
	return cert
}
