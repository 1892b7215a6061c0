// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/app"
)

// update is a variable of the package because the go command passes -update
// before any test runs: go test -run TestReadme ./sidecars/tls-proxy -update.
var update = flag.Bool("update", false, "write the generated tables into the README")

// Readme checks that the tables between `<!-- flags:begin -->` and
// `<!-- flags:end -->`, and between the same marks for metrics, are those of the
// program. With -update it writes them.
//
// The metrics are those of a run. The type of a metric with labels that has had no
// event yet cannot be known and follows from its name; Use may cause the event.
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
func MetricTable(metrics []Metric) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n|---|---|---|---|\n")
	for _, m := range metrics {
		if strings.HasPrefix(m.Name, "go_") || strings.HasPrefix(m.Name, "process_") {
			continue
		}
		var labels []string
		for _, l := range m.Labels {
			labels = append(labels, codeCell(l))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", codeCell(m.Name), m.Type, strings.Join(labels, ", "), cell(m.Help))
	}
	b.WriteString("| `go_...`, `process_...` | | | The Go runtime and the process: memory, processor time, goroutines, descriptors. |\n")
	return b.String()
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
