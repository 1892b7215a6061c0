// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// resolve returns the value of a flag that the command line does not set: from
// the environment, else the YAML file, else a conventional mount that exists.
// kong calls it for each such flag and applies the default when it returns nil.
func (p *parser) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	s := p.settings[flag.Name]
	if s == nil || s.kind == fromArgs {
		return nil, nil
	}
	if value, ok := p.env[s.env]; ok && s.env != "" {
		s.kind = fromEnv
		if s.repeatable() {
			return splitLines(value), nil
		}
		return value, nil
	}
	if node, ok := p.file.settings[s.name]; ok {
		return p.fromFile(s, node), nil
	}
	if path := flag.Tag.Get("mount"); path != "" && !p.anySet(flag.Tag.Get("unless")) && p.exists(path) {
		s.kind = fromMount
		return path, nil
	}
	return nil, nil
}

// fromFile returns the value of a key of the YAML file: a scalar, or a list of
// scalars for a repeatable flag.
func (p *parser) fromFile(s *setting, node *yaml.Node) any {
	s.kind, s.where = fromFile, p.file.position(node)
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag != "!!null":
		if s.repeatable() {
			return lines{node.Value}
		}
		return node.Value
	case node.Kind == yaml.SequenceNode && s.repeatable():
		values := lines{}
		for _, item := range node.Content {
			if item.Kind == yaml.AliasNode {
				item = item.Alias
			}
			if item.Kind != yaml.ScalarNode {
				p.report.badValue(s, p.file.position(item)+": "+s.name, errors.New("an item is no plain value; use a list of texts"))
				continue
			}
			values = append(values, item.Value)
		}
		return values
	case node.Kind == yaml.SequenceNode:
		p.report.badValue(s, s.where+": "+s.name, errors.New("a list, but this setting takes one value"))
	default:
		p.report.badValue(s, s.where+": "+s.name, errors.New("needs a value; use "+s.name+": "+placeholder(s)))
	}
	return nil
}

// anySet tells whether one of the comma-separated flags is set by the command
// line, the environment or the file, wherever kong stands in its walk.
func (p *parser) anySet(names string) bool {
	for name := range strings.SplitSeq(names, ",") {
		s := p.settings[strings.TrimSpace(name)]
		if s == nil {
			continue
		}
		_, inEnv := p.env[s.env]
		_, inFile := p.file.settings[s.name]
		if s.kind == fromArgs || inEnv || inFile {
			return true
		}
	}
	return false
}
