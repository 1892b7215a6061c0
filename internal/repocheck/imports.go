// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"fmt"
	"strconv"
	"strings"
)

// chassis is what turns a library into a program. Edge libraries stay below it, so
// that each can be read, tested and used alone.
func chassis() []string {
	return []string{"internal/app", "internal/admin", "internal/lifecycle"}
}

// Imports reports what breaks the import law: programs never import programs, edge
// libraries import nothing of the chassis, and what exists for tests is imported by
// tests alone.
func Imports(t *Tree) []string {
	var problems []string
	for _, f := range t.Go {
		for _, spec := range f.Syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			imported, ok := strings.CutPrefix(name, module)
			if !ok {
				continue
			}
			if reason := forbidden(f, imported); reason != "" {
				problems = append(problems, fmt.Sprintf("%s: imports %s, %s", f.at(spec.Pos()), imported, reason))
			}
		}
	}
	return problems
}

// forbidden says why the file may not import the folder, or "".
func forbidden(f *GoFile, imported string) string {
	own := component(f.Path)
	switch owner := component(imported); {
	case owner != "" && owner != own:
		return "which is part of a program: programs share code through internal/ alone"
	case within(imported, "internal/repocheck") && !within(f.Dir(), imported):
		return "which is for its own tests alone"
	case within(imported, "internal/testkit") && !f.Test():
		return "which is for tests alone"
	case within(imported, chassis()...) && own == "" && !within(f.Dir(), append(chassis(), "internal/testkit/apptest")...):
		return "which only programs and the chassis itself may: pass what is needed as a value or a function"
	}
	return ""
}
