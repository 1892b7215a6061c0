// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Settings reports flags and environment variables in the example pods, and flags in
// the commands of Markdown pages, that the program does not have. What it has is the
// generated table of its README.
func Settings(t *Tree) []string {
	var problems []string
	for _, name := range t.paths(".yaml") {
		if !strings.HasPrefix(name, "examples/pods/") {
			continue
		}
		containers, err := containers(t.Files[name])
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", name, err))
		}
		for _, c := range containers {
			for _, unknown := range t.unknownSettings(c.program, c.settings) {
				problems = append(problems, fmt.Sprintf("%s: %s has no %s", name, c.program, unknown))
			}
		}
	}
	for _, name := range t.paths(".md") {
		for program, flags := range commands(t, string(t.Files[name])) {
			for _, unknown := range t.unknownSettings(program, flags) {
				problems = append(problems, fmt.Sprintf("%s: %s has no %s", name, program, unknown))
			}
		}
	}
	return problems
}

// container is what an example says about one of our programs: its flags and variables.
type container struct {
	program  string
	settings []string
}

// unknownSettings returns those of the settings that the table of the program's README lacks.
func (t *Tree) unknownSettings(program string, settings []string) []string {
	var unknown []string
	for _, p := range t.Components() {
		if p.Name != program {
			continue
		}
		has := map[string]bool{}
		_, table, _ := strings.Cut(string(t.Files[p.Folder+"/README.md"]), "<!-- flags:begin -->")
		table, _, _ = strings.Cut(table, "<!-- flags:end -->")
		for _, word := range regexp.MustCompile(`--[a-z0-9][a-z0-9.-]*|[A-Z][A-Z0-9]*(_[A-Z0-9]+)+`).FindAllString(table, -1) {
			has[word] = true
		}
		prefix := strings.ToUpper(strings.ReplaceAll(program, "-", "_")) + "_"
		for _, setting := range settings {
			ours := strings.HasPrefix(setting, "--") || strings.HasPrefix(setting, prefix)
			if ours && !has[setting] {
				unknown = append(unknown, setting)
			}
		}
	}
	return unknown
}

// containers finds, anywhere in the documents of a file, the maps with an image of ours.
func containers(source []byte) ([]container, error) {
	var found []container
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	for {
		var document any
		switch err := decoder.Decode(&document); {
		case errors.Is(err, io.EOF):
			return found, nil
		case err != nil:
			return found, fmt.Errorf("cannot parse the document: %w", err)
		}
		found = append(found, walk(document)...)
	}
}

func walk(node any) []container {
	var found []container
	switch n := node.(type) {
	case []any:
		for _, item := range n {
			found = append(found, walk(item)...)
		}
	case map[string]any:
		if image, ok := n["image"].(string); ok {
			if program := imageProgram(image); program != "" {
				settings := append(append(flagNames(n["args"]), flagNames(n["command"])...), variables(n["env"])...)
				found = append(found, container{program, append(settings, variables(n["environment"])...)})
			}
		}
		for _, value := range n {
			found = append(found, walk(value)...)
		}
	}
	return found
}

// imageProgram returns "tls-proxy" for localhost/outrigger/tls-proxy:dev, "" for others' images.
func imageProgram(image string) string {
	_, name, ok := strings.Cut("/"+image, "/outrigger/")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, "@")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// flagNames returns the names of the long flags in a list of arguments, or in a
// command line of compose.
func flagNames(args any) []string {
	var words, names []string
	switch a := args.(type) {
	case string:
		words = strings.Fields(a)
	case []any:
		for _, item := range a {
			words = append(words, fmt.Sprint(item))
		}
	}
	for _, word := range words {
		if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(name, "--") && len(name) > 2 {
			names = append(names, name)
		}
	}
	return names
}

// variables returns the names in Kubernetes' list of name and value, in compose's map
// or in its list of NAME=value.
func variables(env any) []string {
	var names []string
	switch e := env.(type) {
	case map[string]any:
		for name := range e {
			names = append(names, name)
		}
	case []any:
		for _, item := range e {
			switch i := item.(type) {
			case string:
				name, _, _ := strings.Cut(i, "=")
				names = append(names, name)
			case map[string]any:
				names = append(names, fmt.Sprint(i["name"]))
			}
		}
	}
	return names
}

// commands returns the flags that a page's fenced code gives to each program where
// the program is run itself: `bin/tls-proxy --target ...`, with continued lines. The
// flags of a sub-command are its own, and not in the table.
func commands(t *Tree, page string) map[string][]string {
	found := map[string][]string{}
	for i, block := range strings.Split(page, "```") {
		if i%2 == 0 {
			continue
		}
		block = strings.ReplaceAll(block, "\\\n", " ")
		for line := range strings.Lines(block) {
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "$ "))
			if len(words) < 2 || !strings.HasPrefix(words[1], "--") {
				continue
			}
			if name := words[0][strings.LastIndexByte(words[0], '/')+1:]; t.program(name) {
				args := make([]any, len(words[1:]))
				for j, word := range words[1:] {
					args[j] = word
				}
				found[name] = append(found[name], flagNames(args)...)
			}
		}
	}
	return found
}

func (t *Tree) program(name string) bool {
	for _, p := range t.Components() {
		if p.Name == name {
			return true
		}
	}
	return false
}
