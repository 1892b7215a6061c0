// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

// kind is the type of a certificate's key, as far as it decides which clients can use it.
type kind struct {
	name  string
	rank  int // the lowest is preferred: what costs the least per handshake
	curve tls.CurveID
	// scheme13 is the one signature scheme of TLS 1.3 for a curve (RFC 8446, section 4.2.3); zero for RSA.
	scheme13 tls.SignatureScheme
	// schemes12 are those of TLS 1.2, where any hash goes with any curve (RFC 5246, section 7.4.1.4.1).
	schemes12 []tls.SignatureScheme
}

// kindOf tells the kind of a public key, or why it cannot serve TLS.
func kindOf(key crypto.PublicKey) (kind, error) {
	ecdsa12 := []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return kind{"ECDSA P-256", 0, tls.CurveP256, tls.ECDSAWithP256AndSHA256, ecdsa12}, nil
		case elliptic.P384():
			return kind{"ECDSA P-384", 2, tls.CurveP384, tls.ECDSAWithP384AndSHA384, ecdsa12}, nil
		case elliptic.P521():
			return kind{"ECDSA P-521", 3, tls.CurveP521, tls.ECDSAWithP521AndSHA512, ecdsa12}, nil
		}
		return kind{}, fmt.Errorf("no TLS client supports the curve %s; have it issued for P-256", key.Params().Name)
	case ed25519.PublicKey:
		return kind{"Ed25519", 1, 0, tls.Ed25519, []tls.SignatureScheme{tls.Ed25519}}, nil
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		if bits < 1024 {
			return kind{}, fmt.Errorf("its RSA key of %d bits cannot be used; have it issued for at least 2048", bits)
		}
		return kind{name: fmt.Sprintf("RSA %d", bits), rank: 4}, nil
	}
	return kind{}, errors.New("its key is neither RSA, ECDSA nor Ed25519; have it issued for one of these")
}

// offeredBy tells whether the client can use a certificate of this kind. It is never asked about RSA, which is what remains for
// clients that can use nothing else. It does not allocate.
func (k *kind) offeredBy(hello *tls.ClientHelloInfo) bool {
	if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) {
		return slices.Contains(hello.SignatureSchemes, k.scheme13)
	}
	if k.curve != 0 && !slices.Contains(hello.SupportedCurves, k.curve) {
		return false
	}
	return slices.ContainsFunc(hello.CipherSuites, signedByECDSA) &&
		slices.ContainsFunc(hello.SignatureSchemes, func(s tls.SignatureScheme) bool { return slices.Contains(k.schemes12, s) })
}

// signedByECDSA tells whether a TLS 1.2 cipher suite goes with an ECDSA or Ed25519 certificate (RFC 8422, section 5.10). The CBC
// suites do not count: a server may have switched them off, and a client with nothing better is safer with RSA.
func signedByECDSA(suite uint16) bool {
	switch suite {
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return true
	}
	return false
}
