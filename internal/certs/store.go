// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger/outrigger/internal/filewatch"
)

// Options configure a [Store]. Only Source is needed.
type Options struct {
	Source Source
	// Log takes what was loaded, warnings about it, and failures of the reloads that Run does; nil discards it.
	Log *slog.Logger
	// Poll is the time between two comparisons of the files, 60 s when zero.
	Poll time.Duration
	// OnSwap is called with each new set, the first included, OnError with each failed load; a retry that fails as the load
	// before it is not another failure. Both are called one at a time, under the store's lock: of its methods they may call
	// Set and GetCertificate only.
	OnSwap  func(*Set)
	OnError func(error)
}

// Store serves the certificates of a source and follows its files.
type Store struct {
	opts    Options
	log     *slog.Logger
	poll    time.Duration
	watcher *filewatch.Watcher // nil where the source names no file
	set     atomic.Pointer[Set]

	mu      sync.Mutex // one load at a time; guards what follows
	own     *entry     // the self-signed certificate
	err     error
	warned  []string      // of the last good load
	changed chan struct{} // closed at the next swap
}

// ErrNone is what a handshake fails with before the first certificate is there.
var ErrNone = errors.New("no certificate has been loaded yet")

// NewStore prepares a store; nothing is read but what is needed to notice changes from now on.
func NewStore(opts Options) *Store {
	s := &Store{opts: opts, log: opts.Log, poll: cmp.Or(opts.Poll, time.Minute), changed: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if paths := opts.Source.paths(); len(paths) > 0 {
		s.watcher = filewatch.New(filewatch.Options{Paths: paths, Poll: s.poll, Log: s.log})
	}
	return s
}

// paths are the files and directories of a source.
func (s Source) paths() []string {
	var paths []string
	for _, p := range s.Pairs {
		paths = append(paths, p.Cert)
		if p.Key != "" {
			paths = append(paths, p.Key)
		}
	}
	if s.Dir != "" {
		paths = append(paths, s.Dir)
	}
	return paths
}

// Load reads the source now. A set like the present one changes nothing; on an error the present one stays. It logs what was
// loaded and returns, not logs, the error, which Err gives as well.
func (s *Store) Load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watcher != nil {
		s.watcher.Doubt()
	}
	return s.load(false)
}

// Reload is Load for a reload hook. The context is not needed: files are local.
func (s *Store) Reload(context.Context) error { return s.Load() }

// load reads and swaps; s.mu is held. A retry returns an error only if it is not the one that it tries to overcome.
func (s *Store) load(retry bool) error {
	set, err := s.next()
	known := s.err
	s.err = err
	if err != nil {
		if retry && known != nil && known.Error() == err.Error() {
			return nil
		}
		if s.opts.OnError != nil {
			s.opts.OnError(err)
		}
		return err
	}
	if old := s.set.Load(); old != nil && old.fingerprint == set.fingerprint {
		s.warn(set.warnings)
		return nil
	}
	s.set.Store(set)
	close(s.changed)
	s.changed = make(chan struct{})
	s.log.Info("certificates loaded", "count", len(set.leaves), "default", set.leaves[0].File, "names", set.leaves[0].Names, "not_after", set.NotAfter())
	s.warn(set.warnings)
	if s.opts.OnSwap != nil {
		s.opts.OnSwap(set)
	}
	return nil
}

// warn logs what the last good load did not warn of: a file without its partner warns though what is served stays the same.
func (s *Store) warn(warnings []string) {
	for _, w := range warnings {
		if !slices.Contains(s.warned, w) {
			s.log.Warn("certificate needs attention", "warning", w)
		}
	}
	s.warned = warnings
}

// next makes the set that the source gives now, with a self-signed certificate that is renewed when its time comes.
func (s *Store) next() (*Set, error) {
	if names := s.opts.Source.SelfSigned; names != nil && (s.own == nil || !time.Now().Before(s.own.renewal())) {
		var key crypto.Signer
		if s.own != nil {
			key = s.own.cert.PrivateKey.(crypto.Signer)
		}
		own, err := generate(names, key, time.Now())
		if err != nil {
			return nil, err
		}
		s.own = own
	}
	return load(s.opts.Source, s.own)
}

// Set is what is served now, nil before the first load that succeeded.
func (s *Store) Set() *Set { return s.set.Load() }

// Err is why the last load failed, nil if it did not.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Changed returns a channel that is closed when the set is next replaced, the first one included.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Wait returns when there is a set to serve, or with the context's error. Run must be running for files that are to come.
func (s *Store) Wait(ctx context.Context) error {
	for {
		changed := s.Changed()
		if s.Set() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// GetCertificate is for tls.Config.GetCertificate: [Set.Certificate] of the present set, or ErrNone before there is one.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	set := s.set.Load()
	if set == nil {
		return nil, ErrNone
	}
	return set.Certificate(hello)
}

// Run follows the files and renews the self-signed certificate until ctx ends, and returns nil. What goes wrong is logged and
// tried again; the present set stays in use.
func (s *Store) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	if s.watcher != nil {
		wg.Go(func() { s.watcher.Run(ctx, func() { s.refresh(false) }) })
	}
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if s.due() {
				s.refresh(true)
			}
		}
	}
}

// due tells whether a load is worth while though no file changed: the last one failed, or the self-signed certificate ages.
func (s *Store) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil || s.own != nil && !time.Now().Before(s.own.renewal())
}

// refresh loads on the store's own account, so it is the one to log a failure.
func (s *Store) refresh(retry bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(retry); err != nil {
		s.log.Error("cannot load certificates", "error", err, "serving", s.set.Load() != nil)
	}
}
