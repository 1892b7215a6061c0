// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/outrigger/outrigger/internal/filewatch"
	"github.com/outrigger/outrigger/internal/lifecycle"
)

// OnRules has apply called with the rules of the YAML file whenever the file has
// changed, by itself or at a reload: a pointer to a fresh struct of Spec.File's
// type, decoded, validated and checked. When the file is wrong or apply fails, the
// old rules stay. The file's settings are read at the start alone; a change there
// is logged. Setup calls it once.
func (e *Env) OnRules(apply func(ctx context.Context, rules any) error) {
	p := e.Parsed
	if p.Spec.File == nil {
		panic("app: OnRules without Spec.File")
	}
	current := p.parser.file.data
	e.Life.OnReload("rules", func(ctx context.Context) error {
		rules, data, err := p.rereadRules()
		if err != nil || bytes.Equal(data, current) {
			return err
		}
		if err := apply(ctx, rules); err != nil {
			return fmt.Errorf("cannot use the rules of %s: %w", p.parser.path.path, err)
		}
		for _, name := range p.changedSettings(data) {
			e.Log.Warn("a changed setting takes effect at the next start", "setting", name)
		}
		current = data
		return nil
	})
	watch := filewatch.New(filewatch.Options{Paths: []string{p.parser.path.path}, Log: e.Log})
	e.Life.Add(lifecycle.Actor{
		Name: "rules",
		Run: func(ctx context.Context) error {
			watch.Run(ctx, func() { _ = e.Life.Reload(ctx) }) // Reload logs what failed
			return nil
		},
	})
}

// rereadRules reads the YAML file once more and decodes and validates its rules.
// A file that was there and is gone is an error, not a file without rules.
func (p *Parsed) rereadRules() (rules any, data []byte, err error) {
	again := p.parser.reread()
	rules = reflect.New(reflect.TypeOf(p.Spec.File).Elem()).Interface()
	again.spec.File = rules
	again.path.explicit = again.path.explicit || p.File != ""
	again.loadFile(again.path)
	if v, ok := rules.(Validator); ok {
		v.Validate(again.report)
	}
	if c, ok := rules.(Checker); ok {
		c.Check(again.report)
	}
	if usage, ok := errors.AsType[*UsageError](again.report.err()); ok {
		err = usage.Err
	}
	return rules, again.file.data, err
}

// reread returns a parser that reads the file once more and reports into a
// report of its own; the settings stay as they are.
func (p *parser) reread() *parser {
	again := *p
	again.file = configFile{settings: map[string]*yaml.Node{}}
	again.report = &Report{settings: map[string]*setting{}}
	return &again
}

// changedSettings returns the names of the settings in the file whose values are
// not those of the start, given the file's new content.
func (p *Parsed) changedSettings(data []byte) []string {
	again := p.parser.reread()
	again.file.path, again.file.data = p.parser.path.path, data
	again.sortKeys()
	var names []string
	for _, name := range p.parser.settingNames() {
		if nodeText(again.file.settings[name]) != nodeText(p.parser.file.settings[name]) {
			names = append(names, name)
		}
	}
	return names
}

// nodeText returns a value of the file in one form.
func nodeText(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	out, err := yaml.Marshal(n)
	if err != nil {
		return ""
	}
	return string(out)
}
