// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// measured is a table of three rounds: ours, the floor, a reference without CPU time, and one that broke.
func measured() *Table {
	cell := Cell{
		Name: "keepalive", Title: "Kept-alive", Note: "64 connections.",
		Figures: []Figure{{Key: CPU, Title: "CPU µs/request", Digits: 1}, {Key: "rate", Title: "requests/s"}},
	}
	table := newTable(cell, []*Row{
		{Peer: "direct", Rounds: []Sample{{"rate": 900}, {"rate": 901}, {"rate": 902}}},
		{Peer: "floor", Rounds: []Sample{{"cpu": 50, "rate": 100}, {"cpu": 40, "rate": 110}, {"cpu": 44, "rate": 90}}},
		{Peer: "ours", Rounds: []Sample{{"cpu": 40, "rate": 200}, {"cpu": 44, "rate": 210}, {"cpu": 44, "rate": 190}}},
		{Peer: "broken", Rounds: []Sample{{"cpu": 1}}, Failure: "it answered 502\nand ended"},
	})
	table.summarize("floor")
	return table
}

func TestTableShowsMedianSpreadAndRatio(t *testing.T) {
	var b strings.Builder
	if err := measured().writeMarkdown(&b, "floor"); err != nil {
		t.Fatal(err)
	}
	want := `### Kept-alive

64 connections.

| peer | CPU µs/request | spread | × floor | requests/s |
|---|---:|---:|---:|---:|
| direct | – | – | – | 901 |
| floor | 44.0 | 23 % | 1.00 (1.00–1.00) | 100 |
| ours | 44.0 | 9 % | 1.00 (0.80–1.10) | 200 |
| broken | – | – | – | – |

broken failed: it answered 502 and ended
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestTableWithoutItsBaselineHasNoRatios(t *testing.T) {
	table := measured()
	table.Rows[1].Failure = "it is not there"
	table.Rows[2].Ratio = nil
	table.summarize("floor")
	if ratio := table.Rows[2].Ratio; ratio != nil {
		t.Errorf("got %+v", *ratio)
	}
}

func TestVerdictComparesTheMedianRatioAsPrinted(t *testing.T) {
	for _, c := range []struct {
		ratio float64
		want  string
	}{
		{0.9, "kept"}, {1.1, "kept"}, {1.104, "kept"}, {1.106, "**missed**"},
	} {
		table := measured()
		table.Rows[2].Ratio = &Summary{Median: c.ratio}
		got := table.verdict(Bar{Peer: "ours", AtMost: 1.1, Cells: []string{"keepalive"}}, "floor")
		if !strings.HasSuffix(got, ": "+c.want) {
			t.Errorf("ratio %v: got %q, want %s", c.ratio, got, c.want)
		}
	}
}

func TestVerdictSaysWhatWasNotMeasured(t *testing.T) {
	for _, peer := range []string{"broken", "absent"} {
		got := measured().verdict(Bar{Peer: peer, AtMost: 1.1, Cells: []string{"keepalive"}}, "floor")
		if !strings.Contains(got, "was not measured") {
			t.Errorf("%s: got %q", peer, got)
		}
	}
	if got := measured().verdict(Bar{Peer: "ours", Cells: []string{"http2"}}, "floor"); got != "" {
		t.Errorf("a bar for another cell: got %q", got)
	}
}

func report() *Report {
	return &Report{
		Suite: "tls-proxy", Baseline: "floor", Rounds: 3, Idle: "1m0s", Started: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC),
		Machine: "a machine", Facts: []string{"all equal"}, Tables: []*Table{measured()},
		bars: []Bar{{Peer: "ours", AtMost: 1.1, Cells: []string{"keepalive"}}},
	}
}

func TestReportSavesMarkdownAndJSON(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "results")
	if err := report().Save(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"tls-proxy.md":   "Measured 2026-09-01 on a machine; median of 3 rounds, 1m0s at rest.",
		"tls-proxy.json": `"verdicts": [`,
	} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(content), want) {
			t.Errorf("%s lacks %q (%v):\n%s", name, want, err, content)
		}
	}
}

func TestReportReplacesWhatStandsBetweenThePagesMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	page := "# Speed\n<!-- bench:tls-proxy:begin -->\nold\n<!-- bench:tls-proxy:end -->\nthe end\n"
	if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // inserting again changes nothing
		if err := report().Insert(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	if !strings.HasPrefix(text, "# Speed\n") || !strings.HasSuffix(text, "end -->\nthe end\n") ||
		strings.Contains(text, "old") || strings.Count(text, "### Kept-alive") != 1 {
		t.Errorf("got:\n%s", text)
	}
}

func TestReportRefusesAPageWithoutMarkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("# Speed\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := report().Insert(path); err == nil || !strings.Contains(err.Error(), "bench:tls-proxy:begin") {
		t.Errorf("got %v", err)
	}
}

func TestFailuresNameCellPeerAndReason(t *testing.T) {
	err := report().Failures()
	if err == nil || !strings.Contains(err.Error(), "keepalive: broken: it answered 502") {
		t.Errorf("got %v", err)
	}
}
