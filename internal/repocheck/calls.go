// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"fmt"
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// Exits reports what ends the process, or begins before main, outside internal/app,
// the examples and the benchmarks: everything else returns an error, so that it can
// be tested and so that nothing skips the drain.
func Exits(t *Tree) []string {
	var problems []string
	for _, f := range t.Go {
		if within(f.Dir(), "internal/app", "examples", "bench") {
			continue
		}
		for name, fn := range f.functions {
			if name == "init" {
				problems = append(problems, f.at(fn.Pos())+": func init; do it where it is seen, in main or in a constructor")
			}
			if name == "TestMain" {
				continue
			}
			for node := range ast.Preorder(fn) {
				if pkg, name := selector(node); ends(pkg, name) {
					problems = append(problems, fmt.Sprintf("%s: %s.%s; return an error, internal/app alone ends the process", f.at(node.Pos()), pkg, name))
				}
			}
		}
	}
	return problems
}

func ends(pkg, name string) bool {
	switch pkg {
	case "os", "syscall", "unix":
		return name == "Exit"
	case "log":
		return strings.HasPrefix(name, "Fatal") || strings.HasPrefix(name, "Panic")
	}
	return false
}

// Skips reports tests that may not run: a skipped proof is no proof.
func Skips(t *Tree) []string {
	var problems []string
	for _, f := range t.Go {
		if !f.Test() {
			continue
		}
		for node := range ast.Preorder(f.Syntax) {
			pkg, name := selector(node)
			skip := slices.Contains([]string{"t", "b", "f", "tb", "ts"}, pkg) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, name)
			if skip || pkg == "testing" && name == "Short" {
				problems = append(problems, fmt.Sprintf("%s: %s.%s; every test runs everywhere", f.at(node.Pos()), pkg, name))
			}
		}
	}
	skip := regexp.MustCompile(`(?m)^\s*(\[[^]]*\]\s*)*skip\b`)
	for _, name := range t.paths(".txtar") {
		if script, _, _ := strings.Cut(string(t.Files[name]), "\n-- "); skip.MatchString(script) {
			problems = append(problems, name+": the script skips; every test runs everywhere")
		}
	}
	return problems
}

// Sleeps reports tests that sleep and hope. Waiting is polling with a deadline, which
// internal/testkit does; timers are tested in a synctest bubble, where time is not real.
func Sleeps(t *Tree) []string { return sleeps(t, sleepingTests()) }

func sleeps(t *Tree, exceptions []Exception) []string {
	var problems []string
	excused := excuse("sleeping test", exceptions)
	for _, f := range t.Go {
		if !f.Test() {
			continue
		}
		for name, fn := range f.functions {
			for _, node := range sleepsIn(fn) {
				if !excused.covers(f.Path + ": " + name) {
					problems = append(problems, fmt.Sprintf("%s: %s calls time.Sleep; poll with a deadline, or use testing/synctest", f.at(node.Pos()), name))
				}
			}
		}
	}
	return append(problems, excused.stale()...)
}

// sleepsIn finds time.Sleep in a function. One that mentions synctest runs in a bubble:
// synctest.Wait panics elsewhere.
func sleepsIn(fn *ast.FuncDecl) []ast.Node {
	var found []ast.Node
	for node := range ast.Preorder(fn) {
		switch pkg, name := selector(node); {
		case pkg == "synctest":
			return nil
		case pkg == "time" && name == "Sleep":
			found = append(found, node)
		}
	}
	return found
}
