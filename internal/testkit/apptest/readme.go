// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	dto "github.com/prometheus/client_model/go"

	"github.com/outrigger/outrigger/internal/app"
)

// update is a variable of the package because the go command passes -update
// before any test runs: go test -run TestReadme ./sidecars/tls-proxy -update.
var update = flag.Bool("update", false, "write the generated tables into the README")

// Readme checks that the tables between `<!-- flags:begin -->` and
// `<!-- flags:end -->`, and between the same marks for metrics, are those of the
// program. With -update it writes them.
//
// The metrics are those of a run, so that a metric with labels is there only if Use
// causes its first event.
func Readme(t *testing.T, p Program, path string) {
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for name, table := range map[string]string{
		"flags":   FlagTable(app.Flags(p.Spec())),
		"metrics": MetricTable(p.metrics(t)),
	} {
		if text, err = replaceBetween(text, name, table); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if text == string(page) {
		return
	}
	if !*update {
		t.Fatalf("the tables of %s are not the program's; run `make generate`", path)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// metrics returns what a run of the program in this process shows.
func (p Program) metrics(t *testing.T) []*dto.MetricFamily {
	t.Helper()
	w := p.ways()[0]
	r := w.serve(t)
	if w.Use != nil {
		w.Use(t, r)
	}
	text := ask(t, "GET", r.AdminURL()+"/metrics", nil)
	text.want(t, 200)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(strings.NewReader(text.Body))
	if err != nil {
		t.Fatal(err)
	}
	var families []*dto.MetricFamily
	for _, f := range byName {
		families = append(families, f)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families
}

// FlagTable writes the flags as Markdown, a table for each group.
func FlagTable(flags []app.FlagDoc) string {
	var b strings.Builder
	group := ""
	for _, f := range flags {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(&b, "\n**%s**\n\n| flag | variable | default | |\n|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", flagCell(f), codeCell(f.Env), codeCell(f.Default), cell(f.Help+notes(f)))
	}
	return strings.TrimPrefix(b.String(), "\n")
}

func flagCell(f app.FlagDoc) string {
	name := f.Flag
	if f.Placeholder != "" {
		name += "=" + f.Placeholder
	}
	return codeCell(name)
}

// notes says what holds for a flag beyond its help.
func notes(f app.FlagDoc) string {
	var text strings.Builder
	if f.Required {
		text.WriteString(" Required.")
	}
	if f.Repeatable {
		text.WriteString(" May be repeated; one value per line in the variable.")
	}
	if f.Secret {
		text.WriteString(" By variable or file only.")
	}
	for _, alias := range f.Aliases {
		text.WriteString(" Also `--" + alias + "`.")
	}
	return text.String()
}

// MetricTable writes the program's own metrics as Markdown. Those of Go and of the
// process are every program's and have one row.
func MetricTable(families []*dto.MetricFamily) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "go_") || strings.HasPrefix(f.GetName(), "process_") {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.GetName(), strings.ToLower(f.GetType().String()), labels(f), cell(f.GetHelp()))
	}
	b.WriteString("| `go_...`, `process_...` | | | The Go runtime and the process: memory, processor time, goroutines, descriptors. |\n")
	return b.String()
}

// labels lists a metric's labels, sorted.
func labels(f *dto.MetricFamily) string {
	seen := map[string]bool{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			seen["`"+l.GetName()+"`"] = true
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// codeCell writes a text as code in a cell of a table; '|' ends a cell even there.
func codeCell(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}

func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "\n", " "), "|", `\|`)
}

// replaceBetween puts a table between its two marks.
func replaceBetween(page, name, table string) (string, error) {
	begin, end := "<!-- "+name+":begin -->", "<!-- "+name+":end -->"
	head, rest, ok := strings.Cut(page, begin)
	if !ok {
		return "", fmt.Errorf("the mark %s is missing", begin)
	}
	_, tail, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("the mark %s is missing", end)
	}
	return head + begin + "\n" + table + end + tail, nil
}
