// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// sections are the headings of a component's README, in this order. Others may stand between them.
func sections() []string {
	return []string{
		"Quick start", "The contract", "Recipes", "Flags", "Endpoints", "Metrics", "Signals and exit codes", "Limits",
	}
}

// quickStartLines is how long the first pod of a component's README may be.
const quickStartLines = 16

// Readmes reports what a component's README lacks, and programs that the root README does not list.
func Readmes(t *Tree) []string {
	var problems []string
	for _, p := range t.Components() {
		name := p.Folder + "/README.md"
		for _, problem := range componentReadme(p, string(t.Files[name])) {
			problems = append(problems, name+": "+problem)
		}
		if !strings.Contains(string(t.Files["README.md"]), "]("+p.Folder) {
			problems = append(problems, "README.md: has no row that links to "+p.Folder)
		}
		if !t.regenerates(p.Folder) {
			problems = append(problems, p.Folder+": no test function TestReadme... keeps the README's tables fresh")
		}
	}
	return problems
}

// regenerates reports whether `make generate` finds a test in the folder.
func (t *Tree) regenerates(folder string) bool {
	for _, f := range t.Go {
		for name := range f.functions {
			if f.Dir() == folder && strings.HasPrefix(name, "TestReadme") {
				return true
			}
		}
	}
	return false
}

func componentReadme(p Program, page string) []string {
	if page == "" {
		return []string{"is missing"}
	}
	var problems []string
	title, rest, _ := strings.Cut(page, "\n")
	if title != "# "+p.Name {
		problems = append(problems, fmt.Sprintf("begins with %q, want %q", title, "# "+p.Name))
	}
	first, _, _ := strings.Cut(strings.TrimSpace(rest), "\n\n")
	if first == "" || strings.HasPrefix(first, "#") || !strings.HasSuffix(first, ".") {
		problems = append(problems, "does not say in one sentence under its title what it is")
	}
	problems = append(problems, sectionOrder(headings(page))...)
	problems = append(problems, quickStart(page)...)
	for _, table := range []string{"flags", "metrics"} {
		if rows := generated(page, table); rows < 1 {
			problems = append(problems, fmt.Sprintf("has no rows between <!-- %s:begin --> and <!-- %s:end -->; run `make generate`", table, table))
		}
	}
	if !strings.Contains(strings.ToLower(strings.Join(headings(page), "\n")), "sizing") {
		problems = append(problems, "has no heading about sizing: what it needs at rest, and for each connection, series or file")
	}
	return problems
}

// headings returns the text of the page's headings below its title, outside code.
func headings(page string) []string {
	var found []string
	for _, line := range prose(page) {
		if text, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "##") {
			found = append(found, strings.TrimSpace(text))
		}
	}
	return found
}

// prose returns the lines of a page that are not in fenced code.
func prose(page string) []string {
	var lines []string
	fenced := false
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			fenced = !fenced
		case !fenced:
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return lines
}

func sectionOrder(found []string) []string {
	var problems []string
	last := -1
	for _, section := range sections() {
		at := slices.Index(found, section)
		switch {
		case at < 0:
			problems = append(problems, fmt.Sprintf("has no section %q", section))
		case at < last:
			problems = append(problems, fmt.Sprintf("section %q stands too early; the order is %s", section, strings.Join(sections(), ", ")))
		default:
			last = at
		}
	}
	return problems
}

// quickStart wants the pod, in a few lines, in the section of that name.
func quickStart(page string) []string {
	_, section, _ := strings.Cut(page, "\n## Quick start\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, pod, ok := strings.Cut(section, "```yaml\n")
	if !ok {
		return []string{"Quick start shows no pod (```yaml)"}
	}
	pod, _, _ = strings.Cut(pod, "```")
	if n := strings.Count(pod, "\n"); n > quickStartLines {
		return []string{fmt.Sprintf("the pod of Quick start has %d lines, at most %d", n, quickStartLines)}
	}
	return nil
}

// generated counts the rows of the table between two markers, its head not among them; -1 without markers.
func generated(page, table string) int {
	_, rest, begin := strings.Cut(page, "<!-- "+table+":begin -->")
	body, _, end := strings.Cut(rest, "<!-- "+table+":end -->")
	if !begin || !end {
		return -1
	}
	rows := 0
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "|") {
			rows++
		}
	}
	return max(rows-2, 0)
}

// DeadLinks reports links and pictures of Markdown pages that lead nowhere in the tree.
func DeadLinks(t *Tree) []string {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	var problems []string
	for _, page := range t.paths(".md") {
		for _, match := range link.FindAllStringSubmatch(strings.Join(prose(string(t.Files[page])), "\n"), -1) {
			target, _, _ := strings.Cut(match[1]+match[2], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := path.Join(path.Dir(page), target)
			if t.Files[to] == nil && !t.folder(to) {
				problems = append(problems, fmt.Sprintf("%s: links to %s, which is not there", page, target))
			}
		}
	}
	return problems
}

// Changelog reports what is not in the changelog's form: versions, newest first, each
// with its changes in groups, of which those that a user has to act on come first.
func Changelog(t *Tree) []string {
	const page = "CHANGELOG.md"
	groups := []string{"Behaviour changes", "Added", "Changed", "Fixed", "Removed"}
	version := regexp.MustCompile(`^## (Unreleased|v\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2})$`)
	entry := regexp.MustCompile(`^- (` + strings.Join(append(t.names(), "all", "images", "examples", "build"), "|") + `): .*`)
	lines := prose(string(t.Files[page]))
	if len(lines) == 0 || lines[0] != "# Changelog" {
		return []string{page + ": does not begin with `# Changelog`"}
	}
	var problems []string
	versions, group := 0, -1
	for i, line := range lines {
		problem := ""
		switch {
		case strings.HasPrefix(line, "## "):
			versions, group = versions+1, -1
			if !version.MatchString(line) || line == "## Unreleased" && versions > 1 {
				problem = "want `## Unreleased` (first) or `## v1.2.3 - 2006-01-02`"
			}
		case strings.HasPrefix(line, "### "):
			at := slices.Index(groups, strings.TrimPrefix(line, "### "))
			if at <= group {
				problem = "want groups in the order " + strings.Join(groups, ", ")
			}
			group = at
		case strings.HasPrefix(line, "- ") && (group < 0 || !entry.MatchString(line)):
			problem = "want `- PROGRAM: sentence` (or all, images, examples, build) in a group"
		}
		if problem != "" {
			problems = append(problems, fmt.Sprintf("%s:%d: %q: %s", page, i+1, line, problem))
		}
	}
	if versions == 0 {
		problems = append(problems, page+": has no version")
	}
	return problems
}

func (t *Tree) names() []string {
	var names []string
	for _, p := range t.Programs {
		names = append(names, p.Name)
	}
	return names
}
