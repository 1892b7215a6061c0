// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificate is the one that all peers serve: ECDSA P-256, self-signed, good for the day.
type certificate struct {
	leaf []byte // DER
	// Files: the certificate, its key, and both in one as HAProxy wants it.
	cert, key, both string
}

func newCertificate(dir, host string) (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, fmt.Errorf("cannot make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leaf, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return certificate{}, fmt.Errorf("cannot make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return certificate{}, fmt.Errorf("cannot encode the key: %w", err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	c := certificate{
		leaf: leaf,
		cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"), both: filepath.Join(dir, "both.pem"),
	}
	return c, errors.Join(
		os.WriteFile(c.cert, certPEM, 0o600),
		os.WriteFile(c.key, keyPEM, 0o600),
		os.WriteFile(c.both, append(certPEM, keyPEM...), 0o600))
}
