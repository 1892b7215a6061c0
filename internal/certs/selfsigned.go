// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"slices"
	"time"
)

// Life of a generated certificate: short, as it is for development, and longer than a computer sleeps over a weekend.
const (
	selfSignedLife  = 7 * 24 * time.Hour
	selfSignedRenew = 2 * 24 * time.Hour // before its end
	clockSkew       = time.Hour
)

// generate makes a self-signed certificate for localhost, the host and the names given; with a key it renews one, which keeps
// the SPKI pin.
func generate(names []string, key crypto.Signer, now time.Time) (*entry, error) {
	if key == nil {
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("cannot make a key for the self-signed certificate: %w", err)
		}
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("cannot make a serial number for the self-signed certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "self-signed"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	all := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "" {
		all = append(all, host)
	}
	for _, name := range append(all, names...) {
		if ip := net.ParseIP(name); ip != nil {
			if !slices.ContainsFunc(template.IPAddresses, ip.Equal) {
				template.IPAddresses = append(template.IPAddresses, ip)
			}
		} else if !slices.Contains(template.DNSNames, name) {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("cannot make the self-signed certificate for %q: %w; give DNS names or IP addresses", names, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot make the self-signed certificate for %q: %w; give DNS names or IP addresses", names, err)
	}
	kind, err := kindOf(leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return &entry{file: "self-signed", cert: cert, kind: kind, chain: []*x509.Certificate{leaf}}, nil
}

// renewal is when a generated certificate should be replaced.
func (e *entry) renewal() time.Time { return e.chain[0].NotAfter.Add(-selfSignedRenew) }
