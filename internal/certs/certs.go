// SPDX-License-Identifier: Apache-2.0

// Package certs loads server certificates from files, picks one for each TLS handshake and replaces them when the files change.
//
//	store := certs.NewStore(certs.Options{Source: certs.Source{Dir: "/tls"}, Log: log})
//	if err := store.Load(); err != nil { ... } // each line names a file and the fix
//	go store.Run(ctx)                          // follows the files from now on
//	config := &tls.Config{GetCertificate: store.GetCertificate}
//
// All certificates of one load form a [Set], which never changes: a handshake sees either the old set or the new one. A load
// that fails in any part leaves the last good set in place. Keys stay in memory and are in no message.
package certs

import (
	"errors"
	"fmt"
	"time"
)

// Pair names a certificate chain and its key, both PEM. Key may be empty where the certificate's file holds the key as well.
type Pair struct{ Cert, Key string }

// Source says where certificates come from. The first one found, in the order Pairs, Dir, SelfSigned, is the default
// certificate: it answers clients that name no server, an address, or a name no certificate covers.
type Source struct {
	// Pairs are certificates named one by one.
	Pairs []Pair
	// Dir is a directory with tls.crt and tls.key, with further pairs NAME.crt and NAME.key, NAME.pem and NAME.key,
	// NAME.pem holding both, and with sub-directories of tls.crt and tls.key. tls.crt is the first, the others follow by name.
	Dir string
	// SelfSigned asks for a generated certificate for localhost, 127.0.0.1, ::1, the host's name and these DNS names and IP
	// addresses. Nil means none; an empty list means one without further names.
	SelfSigned []string
}

// empty tells that the source names nothing at all.
func (s Source) empty() bool { return len(s.Pairs) == 0 && s.Dir == "" && s.SelfSigned == nil }

// Limits that no honest set of certificates meets.
const (
	maxFile  = 1 << 20 // bytes of one file
	maxPairs = 1000
)

// attempts is how often a load starts again because the files changed while it read them.
const attempts = 10

// Load reads every certificate of the source. The error joins one sentence for each thing that is wrong, each naming its file
// and the fix. All files of one Kubernetes volume come from the same generation: a load during a swap starts again.
func Load(src Source) (*Set, error) {
	return load(src, nil)
}

// load is Load with a self-signed certificate made before, which may be nil.
func load(src Source, own *entry) (*Set, error) {
	if src.empty() {
		return nil, errors.New("cannot load certificates: none are named; give a certificate directory, a certificate and its key, or ask for a self-signed one")
	}
	for range attempts {
		r := newReader()
		set, err := loadOnce(r, src, own)
		if r.settled() {
			return set, err
		}
	}
	return nil, fmt.Errorf("cannot load certificates: the files changed %d times while they were read", attempts)
}

// loadOnce reads the source through r. The result counts only if r has settled.
func loadOnce(r *reader, src Source, own *entry) (*Set, error) {
	var (
		entries  []*entry
		warnings []string
		failed   []error
	)
	pairs := src.Pairs
	if src.Dir != "" {
		found, notes, err := pairsIn(r, src.Dir)
		pairs = append(pairs[:len(pairs):len(pairs)], found...)
		warnings = append(warnings, notes...)
		failed = appendError(failed, err)
	}
	if len(pairs) > maxPairs {
		return nil, fmt.Errorf("cannot load certificates: there are %d pairs, more than %d", len(pairs), maxPairs)
	}
	now := time.Now()
	for _, p := range pairs {
		e, err := loadPair(r, p)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		e.warnings = append(e.warnings, concerns(e, now)...)
		entries = append(entries, e)
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	if src.SelfSigned != nil {
		if own == nil {
			var err error
			if own, err = generate(src.SelfSigned, nil, now); err != nil {
				return nil, err
			}
		}
		entries = append(entries, own)
	}
	return newSet(entries, warnings, now), nil
}

func appendError(errs []error, err error) []error {
	if err != nil {
		errs = append(errs, err)
	}
	return errs
}
