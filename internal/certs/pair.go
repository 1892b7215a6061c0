// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// entry is one certificate ready to be served.
type entry struct {
	file     string // the certificate's file as named, "self-signed" for a generated one
	cert     *tls.Certificate
	kind     kind
	chain    []*x509.Certificate // as served, leaf first
	warnings []string
}

// loadPair reads and checks one pair. Each sentence of its error names the file that has to be mended.
func loadPair(r *reader, p Pair) (*entry, error) {
	chain, certErr := readChain(r, p.Cert)
	if p.Key == "" {
		p.Key = p.Cert
		if certErr != nil {
			return nil, certErr
		}
	}
	key, block, keyErr := readKey(r, p.Key)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	return pairUp(p.Cert, p.Key, chain, key, block)
}

func readChain(r *reader, file string) ([]*x509.Certificate, error) {
	found, err := readBlocks(r, file)
	if err != nil {
		return nil, fmt.Errorf("cannot use certificate %s: %w", file, err)
	}
	chain, err := chainOf(found)
	if err != nil {
		return nil, fmt.Errorf("cannot use certificate %s: %w", file, err)
	}
	return chain, nil
}

func readBlocks(r *reader, file string) ([]*pem.Block, error) {
	data, err := r.read(file)
	if err != nil {
		return nil, err
	}
	return blocks(data)
}

func readKey(r *reader, file string) (crypto.Signer, *pem.Block, error) {
	found, err := readBlocks(r, file)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot use key %s: %w", file, err)
	}
	key, block, err := keyOf(file, found)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot use key %s: %w", file, err)
	}
	return key, block, nil
}

// pairUp puts the chain in the order of RFC 5246, section 7.4.2, starting with the certificate of the key, and has crypto/tls
// check the two as a pair.
func pairUp(certFile, keyFile string, chain []*x509.Certificate, key crypto.Signer, block *pem.Block) (*entry, error) {
	at := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return samePublicKey(c.PublicKey, key.Public()) })
	if at < 0 {
		return nil, fmt.Errorf("cannot use key %s: it does not belong to certificate %s (%s); give the key that the certificate was issued for",
			keyFile, certFile, describe(chain[0]))
	}
	served := ordered(chain, at)
	var chainPEM []byte
	for _, c := range served {
		chainPEM = append(chainPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	cert, err := tls.X509KeyPair(chainPEM, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes}))
	if err != nil {
		return nil, fmt.Errorf("cannot use certificate %s with key %s: %w", certFile, keyFile, err)
	}
	cert.Leaf = served[0]
	kind, err := kindOf(served[0].PublicKey)
	if err != nil {
		return nil, fmt.Errorf("cannot use certificate %s: %w", certFile, err)
	}
	e := &entry{file: certFile, cert: &cert, kind: kind, chain: served}
	if at > 0 {
		e.warnings = append(e.warnings, fmt.Sprintf("%s: its first certificate is not the server's, the one at place %d is; it is served first", certFile, at+1))
	} else if !slices.EqualFunc(chain, served, (*x509.Certificate).Equal) {
		e.warnings = append(e.warnings, certFile+": its chain is out of order; it is served in order")
	}
	return e, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// ordered returns chain with the certificate at place leaf first, each issuer after what it issued, and the rest as it came.
func ordered(chain []*x509.Certificate, leaf int) []*x509.Certificate {
	rest := slices.Delete(slices.Clone(chain), leaf, leaf+1)
	served := []*x509.Certificate{chain[leaf]}
	for len(rest) > 0 {
		last := served[len(served)-1]
		next := slices.IndexFunc(rest, func(c *x509.Certificate) bool { return issued(c, last) })
		if next < 0 {
			return append(served, rest...)
		}
		served = append(served, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	return served
}

// issued tells whether one certificate signed another. The names alone would not tell an authority from its re-keyed successor.
func issued(issuer, c *x509.Certificate) bool {
	if !bytes.Equal(issuer.RawSubject, c.RawIssuer) {
		return false
	}
	err := c.CheckSignatureFrom(issuer)
	_, outdated := errors.AsType[x509.InsecureAlgorithmError](err)
	return err == nil || outdated // a SHA-1 signature cannot be checked, and need not be here
}

// concerns lists what clients will object to in a certificate that can be served nevertheless.
func concerns(e *entry, now time.Time) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, e.file+": "+fmt.Sprintf(format, args...)) }
	leaf := e.chain[0]
	switch {
	case now.After(leaf.NotAfter):
		say("the certificate expired at %s; renew it", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		say("the certificate is valid only from %s; check the clock", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	if len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0 {
		say("the certificate has no subject alternative name for a host, which clients require; have it issued with one")
	}
	if len(leaf.ExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		say("the certificate is not made for servers (extended key usage); have it issued with serverAuth")
	}
	for i, c := range e.chain[1:] {
		if now.After(c.NotAfter) {
			say("certificate %d of its chain (%s) expired at %s; replace the chain", i+2, describe(c), c.NotAfter.UTC().Format(time.RFC3339))
		}
		if !issued(c, e.chain[i]) {
			say("certificate %d of its chain (%s) did not issue the one before it; give leaf and intermediates only", i+2, describe(c))
		}
	}
	return found
}

// describe names a certificate for an operator: its names, else its subject.
func describe(c *x509.Certificate) string {
	if names := namesOf(c); len(names) > 0 {
		if len(names) > 3 {
			names = append(names[:3:3], "...")
		}
		return strings.Join(names, ", ")
	}
	if s := c.Subject.String(); s != "" {
		return s
	}
	return "without a name"
}

// namesOf lists the DNS names and IP addresses of a certificate, or where it has neither its common name.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = append(names, c.Subject.CommonName)
	}
	return names
}
