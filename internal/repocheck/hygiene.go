// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

const licenceLine = "SPDX-License-Identifier: Apache-2.0"

// Licences reports source files whose first line (the second, after a #! line) does
// not name the licence.
func Licences(t *Tree) []string {
	var problems []string
	for _, f := range t.Go {
		if !bytes.HasPrefix(f.Source, []byte("// "+licenceLine+"\n\n")) {
			problems = append(problems, f.Path+": does not begin with `// "+licenceLine+"` and an empty line")
		}
	}
	for _, name := range t.scripts() {
		first, rest, _ := strings.Cut(string(t.Files[name]), "\n")
		if strings.HasPrefix(first, "#!") {
			first, _, _ = strings.Cut(rest, "\n")
		}
		if first != "# "+licenceLine {
			problems = append(problems, name+": does not begin with `# "+licenceLine+"`")
		}
	}
	return problems
}

// scripts are the files that are run and are not Go.
func (t *Tree) scripts() []string {
	var found []string
	for _, name := range t.paths("") {
		base := path.Base(name)
		if strings.HasSuffix(name, ".sh") || base == "Makefile" || base == "Containerfile" || bytes.HasPrefix(t.Files[name], []byte("#!")) {
			found = append(found, name)
		}
	}
	return found
}

// Folders reports folders whose name says nothing: what is in them belongs to the
// package that is named after the thing.
func Folders(t *Tree) []string {
	vague := []string{"utils", "util", "common", "types", "pkg", "helpers", "misc", "base", "lib"}
	seen := map[string]bool{}
	var problems []string
	for _, f := range t.Go {
		for part := range strings.SplitSeq(f.Dir(), "/") {
			if slices.Contains(vague, part) && !seen[f.Dir()] {
				seen[f.Dir()] = true
				problems = append(problems, fmt.Sprintf("%s: a folder called %q; name it after what is in it", f.Dir(), part))
			}
		}
	}
	return problems
}

// Unfinished reports words that say that something is left to do: it is done, or it
// is written where users read about limits.
func Unfinished(t *Tree) []string {
	// Written apart, so that this line is not what it looks for.
	words := regexp.MustCompile(`\b(` + strings.Join([]string{"TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"}, "|") + `)\b`)
	var problems []string
	for _, name := range t.paths("") {
		if strings.Contains(name, "testdata/") || strings.HasSuffix(name, "go.sum") {
			continue
		}
		if at := words.FindIndex(t.Files[name]); at != nil {
			line := 1 + bytes.Count(t.Files[name][:at[0]], []byte("\n"))
			problems = append(problems, fmt.Sprintf("%s:%d: says %s", name, line, t.Files[name][at[0]:at[1]]))
		}
	}
	return problems
}

// Table reports where images/programs.txt and the folders differ, and ports that two
// programs would both take: all containers of a pod share one network namespace.
func Table(t *Tree) []string {
	var problems []string
	listed, ports := map[string]bool{}, map[string]string{}
	for _, p := range t.Programs {
		listed[p.Folder] = true
		if t.Files[p.Folder+"/main.go"] == nil {
			problems = append(problems, fmt.Sprintf("images/programs.txt: %s: there is no %s/main.go", p.Name, p.Folder))
		}
		for _, port := range p.Ports {
			if other := ports[port]; other != "" {
				problems = append(problems, fmt.Sprintf("images/programs.txt: %s and %s both have port %s", other, p.Name, port))
			}
			ports[port] = p.Name
		}
	}
	for _, f := range t.Go {
		if c := component(f.Path); c != "" && c+"/main.go" == f.Path && !listed[c] {
			problems = append(problems, fmt.Sprintf("images/programs.txt: has no row for %s", c))
		}
	}
	return problems
}

// Targets reports what `make help` promises and make does not have, or the other way round.
func Targets(t *Tree) []string {
	var problems []string
	for _, target := range []string{"help", "build", "demo", "test", "e2e", "images", "bench", "lint", "fmt", "generate", "clean"} {
		line := regexp.MustCompile(`(?m)^` + target + `:.* ## \S`)
		if !line.Match(t.Files["Makefile"]) {
			problems = append(problems, fmt.Sprintf("Makefile: target %s is missing, or has no line of help (## ...)", target))
		}
	}
	return problems
}
