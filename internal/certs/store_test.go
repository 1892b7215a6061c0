// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// run starts the store and ends it with the test.
func run(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func served(s *Store) string {
	cert, err := s.GetCertificate(modern(""))
	if err != nil {
		return err.Error()
	}
	return cert.Leaf.DNSNames[0]
}

func serves(t *testing.T, s *Store, want string) {
	t.Helper()
	testkit.Eventually(t, "the store to serve "+want, func() error {
		if got := served(s); got != want {
			return fmt.Errorf("it serves %s, last error %w", got, s.Err())
		}
		return nil
	})
}

func TestRunningStoreFollowsTheVolumeAndKeepsTheLastGood(t *testing.T) {
	testkit.CheckFDs(t)
	ca := testkit.NewCA(t)
	good := ca.Issue("a.test")
	v := testkit.NewVolume(t, good.Files("tls"))
	var swaps, failures atomic.Int64
	s := NewStore(Options{Source: Source{Dir: v.Path()}, OnSwap: func(*Set) { swaps.Add(1) }, OnError: func(error) { failures.Add(1) }})
	must(t, s.Load())
	run(t, s)
	serves(t, s, "a.test")
	v.Update(ca.Issue("b.test").Files("tls"))
	serves(t, s, "b.test")
	v.Update(good.Mismatched(ca.Issue("x.test")).Files("tls"))
	testkit.Eventually(t, "the failure", func() error {
		if s.Err() == nil {
			return errors.New("there is none")
		}
		return nil
	})
	if got := served(s); got != "b.test" {
		t.Errorf("after a bad reload it serves %s", got)
	}
	v.Update(ca.Issue("c.test").Files("tls"))
	serves(t, s, "c.test")
	if s.Err() != nil || swaps.Load() != 3 || failures.Load() != 1 {
		t.Errorf("error %v, %d swaps, %d failures; want none, 3, 1", s.Err(), swaps.Load(), failures.Load())
	}
}

func TestStoreWaitsForACertificateThatIsToCome(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	s := NewStore(Options{Source: Source{Dir: dir}})
	if err := s.Load(); err == nil || s.Set() != nil || s.Err() == nil {
		t.Fatalf("load of nothing: %v, set %v", err, s.Set())
	}
	if _, err := s.GetCertificate(modern("")); !errors.Is(err, ErrNone) {
		t.Errorf("a handshake without a certificate fails with %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting ended with %v", err)
	}
	run(t, s)
	must(t, os.Mkdir(dir, 0o755))
	testkit.NewCA(t).Issue("a.test").Write(dir, "tls")
	must(t, s.Wait(t.Context()))
	serves(t, s, "a.test")
}

func TestEqualContentIsNotSwapped(t *testing.T) {
	ca := testkit.NewCA(t)
	leaf := ca.Issue("a.test")
	src := pairOf(t, leaf.CertPEM, leaf.KeyPEM)
	swaps := 0
	s := NewStore(Options{Source: src, OnSwap: func(*Set) { swaps++ }})
	must(t, s.Load())
	before, changed := s.Set(), s.Changed()
	must(t, os.WriteFile(src.Pairs[0].Cert, append([]byte("a comment\n"), leaf.CertPEM...), 0o600))
	must(t, s.Reload(t.Context()))
	select {
	case <-changed:
		t.Error("the change is announced")
	default:
	}
	if s.Set() != before || swaps != 1 {
		t.Errorf("%d swaps", swaps)
	}
}

// Somebody who adds a pair and misnames its key has changed nothing that is served, and wants to know why.
func TestAFileWithoutItsPartnerIsWarnedOfOnceThoughNothingElseChanges(t *testing.T) {
	dir := t.TempDir()
	leaf := testkit.NewCA(t).Issue("a.test")
	for name, content := range leaf.Files("tls") {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	var log bytes.Buffer
	s := NewStore(Options{Source: Source{Dir: dir}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, s.Load())
	must(t, os.WriteFile(filepath.Join(dir, "b.crt"), leaf.CertPEM, 0o600))
	for range 3 {
		must(t, s.Reload(t.Context()))
	}
	if n := strings.Count(log.String(), "there is no b.key beside it"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, log.String())
	}
}

// A change that a hangup has loaded and that is taken back before the watch has looked: to the watch nothing happened.
func TestAChangeUndoneRightAfterAReloadIsUndoneInWhatIsServed(t *testing.T) {
	ca := testkit.NewCA(t)
	a, b := ca.Issue("a.test"), ca.Issue("b.test")
	v := testkit.NewVolume(t, a.Files("tls"))
	s := NewStore(Options{Source: Source{Dir: v.Path()}, Poll: time.Hour})
	must(t, s.Load())
	run(t, s)
	for range 3 {
		v.Update(b.Files("tls"))
		must(t, s.Reload(t.Context()))
		v.Update(a.Files("tls"))
		serves(t, s, "a.test")
	}
}

// An expired certificate is loaded, since serving it tells the client what is wrong, and is reported.
func TestExpiredCertificateIsServedAndReported(t *testing.T) {
	leaf := testkit.NewCA(t).IssueExpired("a.test")
	s := NewStore(Options{Source: pairOf(t, leaf.CertPEM, leaf.KeyPEM)})
	must(t, s.Load())
	if err := s.Set().Expiring(time.Now(), 0); err == nil || served(s) != "a.test" || len(s.Set().Warnings()) != 1 {
		t.Errorf("expiring %v, warnings %q", err, s.Set().Warnings())
	}
}

func TestHandshakesNeverFailWhileTheVolumeSwaps(t *testing.T) {
	ca := testkit.NewCA(t)
	v := testkit.NewVolume(t, ca.Issue("a.test").Files("tls"))
	s := NewStore(Options{Source: Source{Dir: v.Path()}, OnError: func(err error) { t.Errorf("a load failed: %v", err) }})
	must(t, s.Load())
	run(t, s)
	seen := map[string]bool{}
	testkit.Eventually(t, "three certificates to have been served", func() error {
		v.Update(ca.Issue("a.test").Files("tls"))
		for range 20 {
			seen[handshake(t, &tls.Config{GetCertificate: s.GetCertificate}, ca.ClientConfig("a.test")).SerialNumber.String()] = true
		}
		if len(seen) < 3 {
			return fmt.Errorf("there were %d", len(seen))
		}
		return nil
	})
}

func TestFailureThatNoFileChangeEndsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 0
		s := NewStore(Options{Source: Source{SelfSigned: []string{"bad\x00name\xff"}}, OnError: func(error) { failures++ }})
		if err := s.Load(); err == nil {
			t.Fatal("a name with a zero byte is accepted")
		}
		run(t, s)
		time.Sleep(time.Hour)
		synctest.Wait()
		if failures != 1 {
			t.Errorf("one failure that lasts is counted %d times", failures)
		}
		s.mu.Lock()
		s.opts.Source.SelfSigned = []string{"good.test"}
		s.mu.Unlock()
		must(t, s.Wait(t.Context()))
		if s.Err() != nil {
			t.Errorf("the error stays: %v", s.Err())
		}
	})
}

func TestSelfSignedCertificateIsGoodForItsNamesAndRenewedInTimeWithTheSamePin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore(Options{Source: Source{SelfSigned: []string{"dev.test", "192.0.2.7", "localhost"}}})
		must(t, s.Load())
		run(t, s)
		first := s.Set()
		pin := first.Leaves()[0].SPKI
		if again := s.Load(); again != nil || s.Set() != first {
			t.Errorf("another load makes another certificate: %v", again)
		}
		for range 30 {
			leaf := s.Set().fallback[0].cert.Leaf
			roots := x509.NewCertPool()
			roots.AddCert(leaf)
			for _, name := range []string{"localhost", "127.0.0.1", "::1", "dev.test", "192.0.2.7"} {
				if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: time.Now()}); err != nil {
					t.Fatalf("at %s for %s: %v", time.Now(), name, err)
				}
			}
			time.Sleep(24 * time.Hour)
			synctest.Wait()
		}
		last := s.Set()
		if last == first || last.Leaves()[0].SPKI != pin || pin != SPKIPin(last.fallback[0].cert.Leaf) {
			t.Errorf("after a month: renewed %v, pin %s, was %s", last != first, last.Leaves()[0].SPKI, pin)
		}
		if last.Leaves()[0].File != "self-signed" || len(last.Warnings()) != 0 {
			t.Errorf("%+v %q", last.Leaves()[0], last.Warnings())
		}
	})
}

func TestSelfSignedComesAfterFiles(t *testing.T) {
	ca := testkit.NewCA(t)
	leaf := ca.Issue("a.test")
	src := pairOf(t, leaf.CertPEM, leaf.KeyPEM)
	src.SelfSigned = []string{}
	set, err := Load(src)
	must(t, err)
	if got := set.Leaves(); len(got) != 2 || !got[0].Default || got[0].Names[0] != "a.test" || !slices.Contains(got[1].Names, "localhost") {
		t.Errorf("got %+v", got)
	}
	_, err = Load(Source{SelfSigned: []string{"not ascii \xff"}})
	if err == nil || !strings.Contains(err.Error(), "give DNS names or IP addresses") {
		t.Errorf("got %v", err)
	}
}
