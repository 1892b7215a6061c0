// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Modules reports what does not belong into a go.mod: a replacement anywhere (what is
// built is what was published), a tool in the root (linters bring hundreds of modules).
func Modules(t *Tree) []string {
	var problems []string
	for _, name := range t.paths("go.mod") {
		for _, d := range directives(t.Files[name]) {
			if d.verb == "replace" || d.verb == "exclude" || d.verb == "tool" && name == "go.mod" {
				problems = append(problems, fmt.Sprintf("%s: has a %s line for %s", name, d.verb, d.module))
			}
		}
	}
	return problems
}

// Dependencies reports where docs/dependencies.md and the go.mod files differ: each
// module that we chose has one row there, with the reason.
func Dependencies(t *Tree) []string {
	const page = "docs/dependencies.md"
	var problems []string
	chosen := chosenModules(t)
	reasons := tableRows(string(t.Files[page]))
	for name, where := range chosen {
		if reason, ok := reasons[name]; !ok || reason == "" {
			problems = append(problems, fmt.Sprintf("%s: no reason for %s (%s)", page, name, where))
		}
	}
	for name := range reasons {
		if _, ok := chosen[name]; !ok {
			problems = append(problems, fmt.Sprintf("%s: has a row for %s, which no go.mod asks for", page, name))
		}
	}
	slices.Sort(problems)
	return problems
}

// chosenModules are the direct dependencies and tools of every go.mod, with the go.mod's path.
func chosenModules(t *Tree) map[string]string {
	chosen := map[string]string{}
	for _, name := range t.paths("go.mod") {
		if strings.Contains(name, "testdata/") || path.Base(name) != "go.mod" {
			continue
		}
		var required, tools []string
		for _, d := range directives(t.Files[name]) {
			switch {
			case d.verb == "require" && !d.indirect:
				chosen[d.module] = name
			case d.verb == "require":
				required = append(required, d.module)
			case d.verb == "tool":
				tools = append(tools, d.module)
			}
		}
		for _, tool := range tools {
			// A tool is a package; the module that holds it is the longest required prefix.
			if holder := longestPrefix(tool, required); holder != "" {
				chosen[holder] = name
			}
		}
	}
	return chosen
}

func longestPrefix(name string, modules []string) string {
	longest := ""
	for _, m := range modules {
		if within(name, m) && len(m) > len(longest) {
			longest = m
		}
	}
	return longest
}

// tableRows returns the rows of a page's tables whose first cell is a name in
// backticks: the name and the last cell.
func tableRows(page string) map[string]string {
	rows := map[string]string{}
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		name := strings.TrimSpace(cells[0])
		if len(cells) > 1 && len(name) > 2 && name[0] == '`' && name[len(name)-1] == '`' {
			rows[name[1:len(name)-1]] = strings.TrimSpace(cells[len(cells)-1])
		}
	}
	return rows
}

// directive is one line of a go.mod: `require (` and its block give one each.
type directive struct {
	verb, module string
	indirect     bool
}

func directives(source []byte) []directive {
	var found []directive
	block := ""
	for line := range strings.Lines(string(source)) {
		code, note, _ := strings.Cut(line, "//")
		words := strings.Fields(code)
		switch {
		case len(words) == 0:
		case words[0] == ")":
			block = ""
		case len(words) == 2 && words[1] == "(":
			block = words[0]
		case block != "":
			found = append(found, directive{verb: block, module: words[0], indirect: strings.TrimSpace(note) == "indirect"})
		case len(words) > 1:
			found = append(found, directive{verb: words[0], module: words[1], indirect: strings.TrimSpace(note) == "indirect"})
		}
	}
	return found
}

// Ban is a package that a program does not link, neither it nor what lies below it.
type Ban struct {
	Package string
	Why     string
}

// bans returns what a program does not link. The linker takes in what is imported
// anywhere on the way, so this is checked on the whole list of `go list -deps`.
func bans(program string) []Ban {
	all := []Ban{
		{"testing", "it adds its flags to the program, and is for tests"},
		{"html/template", "it calls methods by name, which keeps the linker from leaving out what is not used"},
		{"text/template", "it calls methods by name, which keeps the linker from leaving out what is not used"},
		{module + "internal/testkit", "it is for tests"},
		{module + "internal/repocheck", "it is for tests"},
	}
	registries := []Ban{
		{"go.etcd.io", "a registry belongs into the programs that ask one: it weighs 10 MB"},
		{"github.com/hashicorp", "a registry belongs into the programs that ask one"},
	}
	drivers := []Ban{
		{"database/sql", "a driver belongs into the programs that log in to a database"},
		{"github.com/go-sql-driver", "a driver belongs into the programs that log in to a database"},
		{"github.com/jackc", "a driver belongs into the programs that log in to a database"},
	}
	grpc := []Ban{{"google.golang.org/grpc", "gRPC is forwarded as the HTTP/2 that it is: the library weighs 8 MB"}}
	switch program {
	case "tls-proxy":
		return slices.Concat(all, registries, drivers, grpc)
	default:
		return all
	}
}

// Banned reports the banned packages in the list of what a program links.
func Banned(program string, deps []string) []string {
	var problems []string
	for _, ban := range bans(program) {
		for _, dep := range deps {
			if within(dep, ban.Package) {
				problems = append(problems, fmt.Sprintf("%s links %s: %s", program, dep, ban.Why))
			}
		}
	}
	return problems
}
