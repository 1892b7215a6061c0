// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

func TestTheTourHasTwelveLinesWithItsEnd(t *testing.T) {
	p := &pod{dir: "demo", app: "8080", https: "8443", admin: "9911"}
	text := tour(p)
	if lines := strings.Count(text, "\n") + 2; lines > 12 {
		t.Errorf("%d lines, want at most 12:\n%s", lines, text)
	}
	for _, s := range steps(p) {
		if !strings.Contains(text, s.command) || !strings.Contains(text, s.title) {
			t.Errorf("the tour leaves out %q", s.title)
		}
		if !s.breaks && !strings.Contains(s.title, " -> ") {
			t.Errorf("%q is no before -> after", s.title)
		}
	}
}

func TestCertificatesVerifyForThisMachineAndTheOtherKeyFitsNone(t *testing.T) {
	dir := t.TempDir()
	if err := writeCertificates(dir); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	authority, err := os.ReadFile(in("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	for _, folder := range []string{"tls", "renewed"} {
		pair, err := tls.LoadX509KeyPair(in(folder+"/tls.crt"), in(folder+"/tls.key"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
				t.Errorf("%s does not verify for %s: %v", folder, name, err)
			}
		}
		if _, err := tls.LoadX509KeyPair(in(folder+"/tls.crt"), in("other.key")); err == nil {
			t.Errorf("other.key fits %s", folder)
		}
	}
}

func TestAStepFailsWhenTheAnswerDiffers(t *testing.T) {
	line, err := step{command: "echo one; echo two", answer: "^tw"}.verify(t.Context(), patience)
	if err != nil || line != "two" {
		t.Errorf("got %q, %v, want the line that matches", line, err)
	}
	_, err = step{title: "broken", command: "exit 3", answer: "fine"}.verify(t.Context(), time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), `broken: want an answer like "fine" from`) {
		t.Errorf("got %v", err)
	}
}

func TestAProgramThatEndsIsNamedWithItsLastWords(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := start(log, "sh", "-c", "echo early; echo cannot go on >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if got, want := p.failure().Error(), "sh ended: exit status 3: cannot go on"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := p.stop(); err == nil {
		t.Error("stop says nothing about exit status 3")
	}
}

func TestATakenPortIsReplacedByAFreeOne(t *testing.T) {
	busy := testkit.HoldPort(t)
	taken := strconv.Itoa(busy.Port)
	port, err := freePort(taken)
	if err != nil || port == taken || port == "0" {
		t.Errorf("got %q, %v", port, err)
	}
}
