// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Table is the result of one cell: a row for each peer, a column for each figure.
type Table struct {
	Cell    string   `json:"cell"`
	Title   string   `json:"title"`
	Note    string   `json:"note"`
	Figures []Figure `json:"figures"`
	Rows    []*Row   `json:"rows"`
}

// Row is one peer's rounds and what they come to.
type Row struct {
	Peer string `json:"peer"`
	// Failure is why the peer has no result; its rounds until then count for nothing.
	Failure string   `json:"failure,omitempty"`
	Rounds  []Sample `json:"rounds"`
	// Figures summarises the rounds by figure; one that does not apply to the peer is absent.
	Figures map[string]Summary `json:"figures"`
	// Ratio is the first figure over the baseline's of the same round; nil where either is absent.
	Ratio *Summary `json:"ratio,omitempty"`

	peer Peer
}

func newTable(cell Cell, rows []*Row) *Table {
	return &Table{Cell: cell.Name, Title: cell.Title, Note: cell.Note, Figures: cell.Figures, Rows: rows}
}

func (r *Row) add(sample Sample, err error) {
	if err != nil {
		r.Failure = err.Error()
		return
	}
	r.Rounds = append(r.Rounds, sample)
}

// summarize fills in medians and ratios once all rounds are done.
func (t *Table) summarize(baseline string) {
	var base []Sample
	if i := slices.IndexFunc(t.Rows, func(r *Row) bool { return r.Peer == baseline && r.Failure == "" }); i >= 0 {
		base = t.Rows[i].Rounds
	}
	for _, row := range t.Rows {
		row.Figures = make(map[string]Summary)
		if row.Failure != "" {
			continue
		}
		for _, figure := range t.Figures {
			if all := values(row.Rounds, figure.Key); len(all) > 0 {
				row.Figures[figure.Key] = summarize(all)
			}
		}
		if all := ratios(row.Rounds, base, t.Figures[0].Key); len(all) > 0 {
			row.Ratio = new(summarize(all))
		}
	}
}

// writeMarkdown prints the table, then what went wrong below it.
func (t *Table) writeMarkdown(w io.Writer, baseline string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s\n\n| peer | %s | spread | × %s |", t.Title, t.Note, t.Figures[0].Title, baseline)
	for _, figure := range t.Figures[1:] {
		fmt.Fprintf(&b, " %s |", figure.Title)
	}
	fmt.Fprintf(&b, "\n|---|%s\n", strings.Repeat("---:|", len(t.Figures)+2))
	for _, row := range t.Rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |", row.Peer, row.median(t.Figures[0]), row.spread(t.Figures[0]), row.ratio())
		for _, figure := range t.Figures[1:] {
			fmt.Fprintf(&b, " %s |", row.median(figure))
		}
		b.WriteString("\n")
	}
	for _, row := range t.Rows {
		if row.Failure != "" {
			fmt.Fprintf(&b, "\n%s failed: %s\n", row.Peer, oneLine(row.Failure))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const absent = "–"

func (r *Row) median(figure Figure) string {
	summary, ok := r.Figures[figure.Key]
	if !ok {
		return absent
	}
	return fmt.Sprintf("%.*f", figure.Digits, summary.Median)
}

func (r *Row) spread(figure Figure) string {
	summary, ok := r.Figures[figure.Key]
	if !ok {
		return absent
	}
	return fmt.Sprintf("%.0f %%", 100*summary.spread())
}

func (r *Row) ratio() string {
	if r.Ratio == nil {
		return absent
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", r.Ratio.Median, r.Ratio.Min, r.Ratio.Max)
}

// verdict says in a line whether the peer keeps the bar in this cell; the table is judged on its
// median as it is printed, to two decimals.
func (t *Table) verdict(bar Bar, baseline string) string {
	i := slices.IndexFunc(t.Rows, func(r *Row) bool { return r.Peer == bar.Peer })
	if !slices.Contains(bar.Cells, t.Cell) {
		return ""
	}
	var ratio *Summary
	if i >= 0 {
		ratio = t.Rows[i].Ratio
	}
	if ratio == nil {
		return fmt.Sprintf("%s: %s was not measured against %s", t.Cell, bar.Peer, baseline)
	}
	outcome := "kept"
	if math.Round(100*ratio.Median) > math.Round(100*bar.AtMost) {
		outcome = "**missed**"
	}
	return fmt.Sprintf("%s: %s needs %.2f times the CPU of %s, the bar is %.2f: %s", t.Cell, bar.Peer, ratio.Median, baseline, bar.AtMost, outcome)
}

// failures joins what went wrong in the rows.
func (t *Table) failures() error {
	var all error
	for _, row := range t.Rows {
		if row.Failure != "" {
			all = errors.Join(all, fmt.Errorf("%s: %s: %s", t.Cell, row.Peer, row.Failure))
		}
	}
	return all
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
