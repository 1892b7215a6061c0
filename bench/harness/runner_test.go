// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell is a peer that runs a script; it writes "ready" to its directory when it is.
func shell(name, script string) Peer {
	return Peer{Name: name, Command: func(dir, _ string) (Command, error) {
		return Command{
			Args: []string{"sh", "-c", script}, Addr: name, AccessLog: "log", Stdout: true,
			Ready: func(context.Context) error {
				_, err := os.Stat(filepath.Join(dir, "ready"))
				return err
			},
		}, nil
	}}
}

const waits = "echo one; touch ready; exec sleep 60"

// runner measures the peers under a load of one unit that remembers whom it met.
func runner(t *testing.T, met *[]string, peers ...Peer) Runner {
	t.Helper()
	cell := Cell{
		Name: "work", Figures: []Figure{{Key: CPU, Title: "CPU µs", Scale: time.Microsecond}}, Count: 1,
		Load: func(_ context.Context, addr string, count int) (Sample, error) {
			if count > 0 { // not the warm-up
				*met = append(*met, addr)
			}
			return Sample{}, nil
		},
	}
	rest := Cell{Name: "rest", Figures: []Figure{{Key: RSS, Title: "RSS MB"}, {Key: Ready, Title: "ready ms"}}}
	open := func(context.Context, *Rig) (*Stage, error) {
		return &Stage{Peers: peers, Cells: []Cell{cell, rest}, Close: func() {}}, nil
	}
	return Runner{
		Suite: Suite{Name: "fake", Baseline: "a", Open: open}, Rounds: 3, Idle: 10 * time.Millisecond,
		Rig: &Rig{Dir: t.TempDir(), Progress: t.Output()},
	}
}

func TestPeersTakeTurnsAtBeingFirst(t *testing.T) {
	var met []string
	r := runner(t, &met, shell("a", waits), shell("b", waits), shell("c", waits))
	r.Cells = []string{"work"}
	report, err := r.Run(t.Context())
	if err != nil || report.Failures() != nil {
		t.Fatal(err, report.Failures())
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "b", "c", "a", "c", "a", "b"}, met); diff != "" {
		t.Error(diff)
	}
	for _, row := range report.Tables[0].Rows {
		if _, measured := row.Figures[CPU]; !measured || len(row.Rounds) != 3 || row.Rounds[0][RSS] <= 0 {
			t.Errorf("%s: %+v", row.Peer, *row)
		}
	}
}

func TestAPeerThatFailsHasNoFiguresAndLeavesTheOthersTheirs(t *testing.T) {
	dies := shell("dies", "echo 'no certificate' >&2; exit 3")
	silent := shell("silent", "touch ready; exec sleep 60") // logs nothing
	missing := shell("missing", waits)
	missing.Prepare = func(context.Context) error { return errors.New("missing is not installed") }
	var met []string
	r := runner(t, &met, shell("a", waits), dies, silent, missing)
	r.Cells = []string{"work"}
	report, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows := report.Tables[0].Rows
	if rows[0].Failure != "" || len(rows[0].Rounds) != 3 {
		t.Errorf("the good peer: %+v", rows[0])
	}
	for i, want := range []string{"", "no certificate", "logged 0 of 1 requests", "missing is not installed"} {
		if !strings.Contains(rows[i].Failure, want) || i > 0 && len(rows[i].Figures) > 0 {
			t.Errorf("%s: %+v, want %q", rows[i].Peer, rows[i], want)
		}
	}
}

func TestAtRestEachPeerIsReadOnceARound(t *testing.T) {
	var met []string
	elsewhere := shell("b", waits)
	elsewhere.Cells = []string{"work"}
	r := runner(t, &met, shell("a", waits), elsewhere)
	r.Cells = []string{"rest"}
	report, err := r.Run(t.Context())
	if err != nil || report.Failures() != nil {
		t.Fatal(err, report.Failures())
	}
	rows := report.Tables[0].Rows
	if len(rows) != 1 || len(rows[0].Rounds) != 3 || rows[0].Figures[RSS].Median <= 0 || rows[0].Figures[Ready].Median <= 0 {
		t.Errorf("got %+v", rows)
	}
}

func TestAnUnknownCellIsNamedWithTheKnownOnes(t *testing.T) {
	var met []string
	r := runner(t, &met, shell("a", waits))
	r.Cells = []string{"work", "play"}
	_, err := r.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "play") || !strings.Contains(err.Error(), "work, rest") {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsLeftInTheScratchDirectory(t *testing.T) {
	var met []string
	r := runner(t, &met, shell("a", waits))
	if _, err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(r.Rig.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
