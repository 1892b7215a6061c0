// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// blocks decodes all PEM blocks of a file; text between them is ignored (RFC 7468, section 2). A block that does not decode is
// an error and not skipped: a file seen half-written must not pass as a shorter chain.
func blocks(data []byte) ([]*pem.Block, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // a byte order mark would hide the first line
	trimmed := bytes.TrimSpace(data)
	if len(trimmed) == 0 {
		return nil, errors.New("it is empty; whoever writes it has not done so yet, or wrote nothing")
	}
	begun := bytes.Count(data, []byte("\n-----BEGIN "))
	if bytes.HasPrefix(data, []byte("-----BEGIN ")) {
		begun++
	}
	var found []*pem.Block
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		found = append(found, block)
	}
	switch {
	case begun > len(found):
		return nil, fmt.Errorf("%d of its %d PEM blocks are cut off or damaged; write the whole file again", begun-len(found), begun)
	case len(found) == 0:
		return nil, notPEM(trimmed)
	}
	return found, nil
}

// notPEM says what a file without any PEM block is instead, as far as it can be told.
func notPEM(data []byte) error {
	switch {
	case bytes.HasPrefix(data, []byte("LS0tLS1CRUdJTi")): // "-----BEGIN" in base64
		return errors.New("it is PEM encoded once more in base64; decode it with base64 -d")
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return errors.New("its PEM lines do not start at the beginning of a line; remove what stands before them")
	case data[0] == 0x30: // an ASN.1 sequence
		return errors.New("it is binary (DER or PKCS#12), not PEM; convert it with openssl x509, openssl pkey or openssl pkcs12")
	}
	return errors.New("it is not PEM; name a file with -----BEGIN lines")
}

// chainOf returns the certificates among the blocks, in the file's order.
func chainOf(found []*pem.Block) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for _, b := range found {
		if b.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it cannot be read (%w); write the whole file again", len(chain)+1, err)
		}
		chain = append(chain, cert)
	}
	if len(chain) > 0 {
		return chain, nil
	}
	switch held := found[0].Type; {
	case strings.HasSuffix(held, "PRIVATE KEY"):
		return nil, errors.New("it holds a private key and no certificate; the certificate and the key may be swapped")
	case strings.HasSuffix(held, "CERTIFICATE REQUEST"):
		return nil, errors.New("it holds a signing request; name the certificate that the authority made of it")
	default:
		return nil, fmt.Errorf("it holds %q and no certificate; name a file with -----BEGIN CERTIFICATE-----", held)
	}
}

// keyOf returns the first private key among the blocks: PKCS#1, PKCS#8 or SEC 1.
func keyOf(file string, found []*pem.Block) (crypto.Signer, *pem.Block, error) {
	for _, b := range found {
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, nil, fmt.Errorf("the key is encrypted with a passphrase; decrypt it with openssl pkey -in %s", file)
		case b.Type == "OPENSSH PRIVATE KEY":
			return nil, nil, errors.New("it holds an SSH key; name the key of the certificate")
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			key, err := parseKey(b.Bytes)
			return key, b, err
		}
	}
	if found[0].Type == "CERTIFICATE" {
		return nil, nil, errors.New("it holds a certificate and no private key; the certificate and the key may be swapped")
	}
	return nil, nil, fmt.Errorf("it holds %q and no private key; name a file with -----BEGIN PRIVATE KEY-----", found[0].Type)
}

// parseKey reads a key by its content, as tools disagree on the names of the blocks.
func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The reason stays out: it could quote the key.
		return nil, errors.New("the key cannot be read as PKCS#1, PKCS#8 or EC; write the whole file again")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fmt.Errorf("a key of type %T cannot sign TLS handshakes; use RSA, ECDSA or Ed25519", key)
}
