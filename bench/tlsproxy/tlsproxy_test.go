// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/outrigger/outrigger/bench/harness"
	"github.com/outrigger/outrigger/bench/load"
)

func newSetup(t *testing.T) *setup {
	t.Helper()
	dir := t.TempDir()
	cert, err := newCertificate(dir, host)
	if err != nil {
		t.Fatal(err)
	}
	return &setup{
		rig:  &harness.Rig{Root: filepath.Join("..", ".."), Dir: dir, Progress: t.Output()},
		site: load.Site{Host: host, Leaf: cert.leaf}, cert: cert, backend: "127.0.0.1:1",
	}
}

func TestEveryBarAndPeerNamesCellsThatExist(t *testing.T) {
	s := newSetup(t)
	var cells, peers []string
	for _, cell := range s.cells() {
		cells = append(cells, cell.Name)
	}
	for _, peer := range s.peers() {
		peers = append(peers, peer.Name)
		for _, cell := range peer.Cells {
			if !slices.Contains(cells, cell) {
				t.Errorf("%s takes part in %s, which is no cell", peer.Name, cell)
			}
		}
	}
	suite := Suite()
	if !slices.Contains(peers, suite.Baseline) {
		t.Errorf("the baseline %s is no peer", suite.Baseline)
	}
	for _, bar := range suite.Bars {
		if !slices.Contains(peers, bar.Peer) {
			t.Errorf("%s has a bar and is no peer", bar.Peer)
		}
		for _, cell := range bar.Cells {
			if !slices.Contains(cells, cell) {
				t.Errorf("there is a bar for %s, which is no cell", cell)
			}
		}
	}
}

func TestConfigurationsAreAcceptedByTheirPrograms(t *testing.T) {
	s := newSetup(t)
	for _, c := range []struct {
		peer  harness.Peer
		check []string
	}{
		{s.nginx(), []string{"-t"}},
		{s.haproxy(), []string{"-c"}},
	} {
		for _, variant := range []string{quiet, logs} {
			t.Run(c.peer.Name+" "+variant, func(t *testing.T) {
				dir := t.TempDir()
				command, err := c.peer.Command(dir, variant)
				if err != nil {
					t.Fatal(err)
				}
				check := exec.Command(command.Args[0], append(command.Args[1:], c.check...)...)
				check.Dir = dir
				if said, err := check.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, said)
				}
			})
		}
	}
}

// The floor must do all that the others do, or it would be no measure.
func TestTheFloorDoesTheWholeJob(t *testing.T) {
	s := newSetup(t)
	addr, backend, err := startBackend(t.Context(), s.rig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Stop() })
	s.backend = addr

	// Not where the bench builds: that may be under way.
	s.rig.Root = t.TempDir()
	build := exec.Command("go", "build", "-o", s.rig.Program("floor"), "../floor")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	dir := t.TempDir()
	command, err := s.floor().Command(dir, logs)
	if err != nil {
		t.Fatal(err)
	}
	command.AccessLog = filepath.Join(dir, command.AccessLog)
	floor, err := harness.Start("floor", command, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, readyErr := floor.Ready(t.Context(), command.Ready)
	for range 2 { // the second on the first one's connection
		_, _ = s.site.Get(t.Context(), command.Addr, "/small")
	}
	jobErr := checkWholeJob(t.Context(), s.site, command.Addr)
	stopErr := floor.Stop()
	for _, err := range []error{readyErr, jobErr, stopErr} {
		if err != nil {
			t.Error(err)
		}
	}
	if log, err := os.ReadFile(command.AccessLog); err != nil || len(log) == 0 {
		t.Errorf("the access log has %q, %v", log, err)
	}
}

func TestAProxyThatSkipsPartOfTheJobIsFound(t *testing.T) {
	whole := "for=127.0.0.1 proto=https host=bench.example port=8443 id=abc from=bench.example turn=12"
	if !wholeJob.MatchString(whole) {
		t.Errorf("%q is all there is to do", whole)
	}
	for _, seen := range []string{
		"for= proto=https host=bench.example port=8443 id=abc from=bench.example turn=12",
		"for=127.0.0.1 proto=http host=bench.example port=8443 id=abc from=bench.example turn=12",
		"for=127.0.0.1 proto=https host= port=8443 id=abc from=bench.example turn=12",
		"for=127.0.0.1 proto=https host=bench.example port= id=abc from=bench.example turn=12",
		"for=127.0.0.1 proto=https host=bench.example port=8443 id= from=bench.example turn=12",
		"for=127.0.0.1 proto=https host=bench.example port=8443 id=abc from=127.0.0.1:8080 turn=12",
		"for=127.0.0.1 proto=https host=bench.example port=8443 id=abc from=bench.example turn=1",
	} {
		if wholeJob.MatchString(seen) {
			t.Errorf("%q passed", seen)
		}
	}
}

func TestAnswersWaitsForTheWholePage(t *testing.T) {
	s := newSetup(t)
	if err := answers(s.site, "127.0.0.1:1")(context.Background()); err == nil {
		t.Error("nobody is there, yet it answers")
	}
}
