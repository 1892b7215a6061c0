// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

// Leaf is a certificate with its key and, in CertPEM, its chain.
type Leaf struct {
	Cert    *x509.Certificate
	Key     crypto.Signer
	CertPEM []byte // the leaf first, then its intermediates
	KeyPEM  []byte // PKCS #8

	t testing.TB
}

// Files is the pair as file contents, NAME.crt and NAME.key, for [NewVolume]:
// cert-manager and Kubernetes call it "tls".
func (l Leaf) Files(name string) map[string]string {
	return map[string]string{name + ".crt": string(l.CertPEM), name + ".key": string(l.KeyPEM)}
}

// Write puts NAME.crt (0644) and NAME.key (0600) into dir and returns their paths.
func (l Leaf) Write(dir, name string) (cert, key string) {
	l.t.Helper()
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	if err := os.WriteFile(cert, l.CertPEM, 0o644); err != nil {
		l.t.Fatalf("cannot write the certificate: %v", err)
	}
	if err := os.WriteFile(key, l.KeyPEM, 0o600); err != nil {
		l.t.Fatalf("cannot write the key: %v", err)
	}
	return cert, key
}

// TLS is the pair for tls.Config.Certificates.
func (l Leaf) TLS() tls.Certificate {
	l.t.Helper()
	pair, err := tls.X509KeyPair(l.CertPEM, l.KeyPEM)
	if err != nil {
		l.t.Fatalf("cannot use the pair of %q: %v", l.Cert.Subject.CommonName, err)
	}
	return pair
}

// ServerConfig is a server's configuration that shows this certificate.
func (l Leaf) ServerConfig() *tls.Config {
	l.t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{l.TLS()}, MinVersion: tls.VersionTLS12}
}

// Mismatched is l with the key of other: each half is sound, the pair is not.
func (l Leaf) Mismatched(other Leaf) Leaf {
	l.Key, l.KeyPEM = other.Key, other.KeyPEM
	return l
}

// NotPEM is file content that holds no PEM block at all.
const NotPEM = "this is not a certificate\n"

// Truncated is the first half of a PEM file, as a writer leaves it that died: the
// block has no end.
func Truncated(pemFile []byte) []byte { return pemFile[:len(pemFile)/2] }

// Damaged is a PEM file whose blocks decode but whose DER inside is garbage.
func Damaged(pemFile []byte) []byte {
	out := bytes.Clone(pemFile)
	start := bytes.IndexByte(out, '\n') + 1 // the DER's first bytes: its outer tag and length
	copy(out[start:], "AAAAAAAA")
	return out
}
