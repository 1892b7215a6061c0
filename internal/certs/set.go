// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Set is the certificates of one load. It never changes; its methods may be called from any goroutine.
type Set struct {
	exact       map[string][]*entry // lower-case name -> its certificates, the preferred kind first
	wildcard    map[string][]*entry // ".example.com" for *.example.com
	fallback    []*entry
	leaves      []Leaf
	warnings    []string
	fingerprint string
	loaded      time.Time
}

// Leaf describes one server certificate of a set.
type Leaf struct {
	// File is the certificate's file as it was named, or "self-signed".
	File string
	// Names are the DNS names and IP addresses it is valid for, or its common name where it has none.
	Names []string
	// KeyType is for example "ECDSA P-256", "RSA 2048", "Ed25519".
	KeyType             string
	NotBefore, NotAfter time.Time
	// Serial is the serial number in hexadecimal.
	Serial string
	// SPKI is the pin of the public key, see [SPKIPin].
	SPKI string
	// Default tells that clients get it which name no server or one no certificate covers.
	Default bool
}

// Expired tells whether clients refuse the certificate at this time as expired.
func (l Leaf) Expired(now time.Time) bool { return now.After(l.NotAfter) }

// SPKIPin is the base64 of the SHA-256 of a certificate's public key (RFC 7469, section 2.4), as curl --pinnedpubkey takes it
// after "sha256//". It stays the same when a certificate is renewed for the same key.
func SPKIPin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// newSet indexes the entries; there is at least one, and the first is the default.
func newSet(entries []*entry, warnings []string, now time.Time) *Set {
	s := &Set{exact: map[string][]*entry{}, wildcard: map[string][]*entry{}, warnings: warnings, loaded: now}
	hash := sha256.New()
	seen := map[string]bool{}
	for _, e := range entries {
		if seen[string(e.chain[0].Raw)] {
			continue // the same certificate under two names
		}
		seen[string(e.chain[0].Raw)] = true
		for _, c := range e.chain {
			fmt.Fprintf(hash, "%d ", len(c.Raw))
			hash.Write(c.Raw)
		}
		hash.Write([]byte("|"))
		s.add(e)
	}
	s.fallback = []*entry{entries[0]}
	for _, twin := range s.candidates(firstName(entries[0])) {
		if twin.kind.rank != entries[0].kind.rank {
			s.fallback = append(s.fallback, twin)
		}
	}
	s.fallback = preferred(s.fallback)
	s.fingerprint = hex.EncodeToString(hash.Sum(nil))
	return s
}

func (s *Set) add(e *entry) {
	leaf := e.chain[0]
	for _, name := range namesOf(leaf) {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if address(name) {
			continue // no client may ask for one as its server name (RFC 6066, section 3); who does gets the default
		}
		if suffix, ok := strings.CutPrefix(name, "*."); ok {
			s.wildcard["."+suffix] = preferred(append(s.wildcard["."+suffix], e))
		} else {
			s.exact[name] = preferred(append(s.exact[name], e))
		}
	}
	s.warnings = append(s.warnings, e.warnings...)
	s.leaves = append(s.leaves, Leaf{
		File: e.file, Names: namesOf(leaf), KeyType: e.kind.name, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Serial: leaf.SerialNumber.Text(16), SPKI: SPKIPin(leaf), Default: len(s.leaves) == 0,
	})
}

// address tells whether a name is, or a wildcard is for, an IP address: no top-level domain is a number.
func address(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	return strings.Contains(last, ":") || strings.Trim(last, "0123456789") == ""
}

// preferred keeps the longest valid certificate of each kind, or of several the one named first, the cheapest kind first.
func preferred(entries []*entry) []*entry {
	slices.SortStableFunc(entries, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.kind.rank, b.kind.rank), b.chain[0].NotAfter.Compare(a.chain[0].NotAfter))
	})
	return slices.CompactFunc(entries, func(a, b *entry) bool { return a.kind.rank == b.kind.rank })
}

func firstName(e *entry) string {
	if names := namesOf(e.chain[0]); len(names) > 0 {
		return strings.ToLower(names[0])
	}
	return ""
}

// Certificate picks the certificate for a handshake: one that has the name the client asks for, else one with a wildcard for its
// first label, else the default; among several for that name the cheapest that the client can use. It has the shape of
// tls.Config.GetCertificate, never fails, and does not allocate.
func (s *Set) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	found := s.candidates(hello.ServerName)
	if found == nil {
		found = s.fallback
	}
	last := len(found) - 1
	for _, e := range found[:last] {
		if e.kind.offeredBy(hello) {
			return e.cert, nil
		}
	}
	// The last is RSA if there is one, for clients that support nothing else. If not even that helps, crypto/tls says why.
	return found[last].cert, nil
}

// candidates finds the certificates for a name in any case, nil if there are none.
func (s *Set) candidates(name string) []*entry {
	if len(name) == 0 || len(name) > 255 {
		return nil
	}
	// A copy in lower case on the stack: looking up string(bytes) in a map does not allocate.
	var buf [255]byte
	lower := buf[:len(name)]
	dot := -1
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '.' && dot < 0:
			dot = i
		}
		lower[i] = c
	}
	if found, ok := s.exact[string(lower)]; ok {
		return found
	}
	if dot <= 0 {
		return nil
	}
	return s.wildcard[string(lower[dot:])]
}

// Leaves describes the certificates, the default first.
func (s *Set) Leaves() []Leaf { return slices.Clone(s.leaves) }

// NotAfter is the time at which the first of the certificates expires.
func (s *Set) NotAfter() time.Time {
	return slices.MinFunc(s.leaves, func(a, b Leaf) int { return a.NotAfter.Compare(b.NotAfter) }).NotAfter
}

// Expiring returns nil unless a certificate expires within the given time from now (0: has expired); then a sentence naming all
// of them.
func (s *Set) Expiring(now time.Time, within time.Duration) error {
	return expiring(s.leaves, now, within)
}

// DefaultExpiring is Expiring for the default certificates alone: one name's expired certificate among many is that name's
// trouble, not a reason to take all of them out of service.
func (s *Set) DefaultExpiring(now time.Time, within time.Duration) error {
	return expiring(slices.DeleteFunc(slices.Clone(s.leaves), func(l Leaf) bool { return !l.Default }), now, within)
}

func expiring(leaves []Leaf, now time.Time, within time.Duration) error {
	var late []string
	for _, l := range leaves {
		switch {
		case l.Expired(now):
			late = append(late, fmt.Sprintf("%s (%s) expired at %s", l.File, strings.Join(l.Names, ", "), l.NotAfter.UTC().Format(time.RFC3339)))
		case l.Expired(now.Add(within)):
			late = append(late, fmt.Sprintf("%s (%s) expires at %s", l.File, strings.Join(l.Names, ", "), l.NotAfter.UTC().Format(time.RFC3339)))
		}
	}
	if late == nil {
		return nil
	}
	return fmt.Errorf("certificate %s", strings.Join(late, "; certificate "))
}

// Warnings are sentences on what clients will object to, each beginning with the file: an expired certificate, one without
// names, a chain out of order, a file without a key.
func (s *Set) Warnings() []string { return slices.Clone(s.warnings) }

// Fingerprint is the same for two sets that serve the same chains with the same default. It tells nothing of the keys.
func (s *Set) Fingerprint() string { return s.fingerprint }

// Loaded is when the set was read.
func (s *Set) Loaded() time.Time { return s.loaded }
