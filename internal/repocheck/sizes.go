// SPDX-License-Identifier: Apache-2.0

package repocheck

import "fmt"

const (
	maxFileLines     = 450
	maxFunctionLines = 80
)

// Sizes reports Go files over 450 lines and functions over 80: what is longer is
// two things, or a table that belongs into testdata.
func Sizes(t *Tree) []string { return sizes(t, longFiles(), longFunctions()) }

func sizes(t *Tree, files, functions []Exception) []string {
	var problems []string
	excusedFiles, excusedFunctions := excuse("long file", files), excuse("long function", functions)
	for _, f := range t.Go {
		if n := lineCount(f.Source); n > maxFileLines && !excusedFiles.covers(f.Path) {
			problems = append(problems, fmt.Sprintf("%s: has %d lines, at most %d; split it", f.Path, n, maxFileLines))
		}
		for name, fn := range f.functions {
			if n := f.lines(fn); n > maxFunctionLines && !excusedFunctions.covers(f.Path+": "+name) {
				problems = append(problems, fmt.Sprintf("%s: %s has %d lines, at most %d; split it", f.at(fn.Pos()), name, n, maxFunctionLines))
			}
		}
	}
	return append(append(problems, excusedFiles.stale()...), excusedFunctions.stale()...)
}
