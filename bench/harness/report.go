// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Report is one run: the circumstances and a table for each cell.
type Report struct {
	Suite    string    `json:"suite"`
	Baseline string    `json:"baseline"`
	Rounds   int       `json:"rounds"`
	Idle     string    `json:"idle"`
	Started  time.Time `json:"started"`
	Machine  string    `json:"machine"`
	Facts    []string  `json:"facts"`
	Verdicts []string  `json:"verdicts,omitempty"`
	Tables   []*Table  `json:"tables"`

	bars []Bar
}

func newReport(r *Runner, stage *Stage) *Report {
	suite := r.Suite
	return &Report{
		Suite: suite.Name, Baseline: suite.Baseline, Rounds: r.Rounds, Idle: r.Idle.String(), Started: time.Now().UTC().Truncate(time.Second),
		Machine: machine(), Facts: slices.Clone(stage.Facts), bars: suite.Bars,
	}
}

// Failures are the peers that did not get through, in all cells; nil when all did.
func (r *Report) Failures() error {
	var all error
	for _, table := range r.Tables {
		all = errors.Join(all, table.failures())
	}
	return all
}

func (r *Report) judge() {
	r.Verdicts = nil
	for _, table := range r.Tables {
		for _, bar := range r.bars {
			if verdict := table.verdict(bar, r.Baseline); verdict != "" {
				r.Verdicts = append(r.Verdicts, verdict)
			}
		}
	}
}

// WriteMarkdown prints the report with headings of the third level, to stand inside a page.
func (r *Report) WriteMarkdown(w io.Writer) error {
	r.judge()
	var b bytes.Buffer
	fmt.Fprintf(&b, "Measured %s on %s; median of %d rounds, %s at rest.\n\n", r.Started.Format("2006-01-02"), r.Machine, r.Rounds, r.Idle)
	writeList(&b, r.Facts)
	for _, table := range r.Tables {
		if err := table.writeMarkdown(&b, r.Baseline); err != nil {
			return err
		}
		b.WriteString("\n")
	}
	if len(r.Verdicts) > 0 {
		b.WriteString("### Bars\n\n")
		writeList(&b, r.Verdicts)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func writeList(b *bytes.Buffer, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(b, "- %s\n", line)
	}
	if len(lines) > 0 {
		b.WriteString("\n")
	}
}

// Save writes SUITE.md and SUITE.json to the directory dir.
func (r *Report) Save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the results directory: %w", err)
	}
	var page bytes.Buffer
	if err := r.WriteMarkdown(&page); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot encode the results: %w", err)
	}
	base := filepath.Join(dir, r.Suite)
	return errors.Join(
		os.WriteFile(base+".md", page.Bytes(), 0o644),
		os.WriteFile(base+".json", append(data, '\n'), 0o644))
}

// Insert replaces what stands in the page at path between the lines <!-- bench:SUITE:begin --> and
// <!-- bench:SUITE:end --> by the report.
func (r *Report) Insert(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read the page: %w", err)
	}
	begin, end := "<!-- bench:"+r.Suite+":begin -->\n", "<!-- bench:"+r.Suite+":end -->"
	before, rest, opened := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		return fmt.Errorf("cannot insert the report into %s: it needs the lines %q and %q", path, strings.TrimSpace(begin), end)
	}
	var b bytes.Buffer
	b.WriteString(before + begin + "\n")
	if err := r.WriteMarkdown(&b); err != nil {
		return err
	}
	b.WriteString(end + after)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// machine says in a line what the figures were taken on.
func machine() string {
	model := "an unknown CPU"
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "unknown"
	if data, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel, _, _ = strings.Cut(strings.TrimSpace(string(data)), "-")
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), kernel, runtime.Version())
}
