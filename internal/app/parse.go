// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// Parsed is the outcome of a parse. The values themselves are in the structs
// that the Spec points to.
type Parsed struct {
	Spec   Spec
	Common Common
	// Command is the name of the chosen sub-command, or "".
	Command string
	// File is the YAML file that was read, or "".
	File string
	// Warnings are what is allowed but probably not meant, a sentence each.
	Warnings []string

	parser *parser
}

// parser holds the state of one parse.
type parser struct {
	spec     Spec
	commands []Command
	env      map[string]string
	// The two ways to look at the file system; readFile is nil and exists is
	// constant where nothing may be looked at.
	readFile func(path string) ([]byte, error)
	exists   func(path string) bool

	kong      *kong.Kong
	common    *Common
	settings  map[string]*setting
	order     []*setting // as in the help
	path      configPath
	file      configFile
	report    *Report
	selected  string
	resetting bool // kong is filling in the defaults
}

// Parse reads the settings from args (without the program's name), environ
// ("NAME=VALUE") and the YAML file that they name, with the precedence flag,
// environment, file, default. It is a function of these alone: it reads neither
// the process's own environment nor anything that the settings point to.
//
// The error holds everything that is wrong, a line each, and is a [UsageError].
// Parsed is there even then, so that --help and --version can be answered.
func Parse(spec Spec, args, environ []string) (*Parsed, error) {
	p := newParser(spec, environ)
	return p.parse(args)
}

// newParser returns a parser that may look at files.
func newParser(spec Spec, environ []string) *parser {
	settings := map[string]*setting{}
	return &parser{
		spec:     spec,
		commands: slices.Concat(builtinCommands(), spec.Commands),
		env:      environment(environ),
		readFile: os.ReadFile,
		exists:   func(path string) bool { _, err := os.Stat(path); return err == nil },
		settings: settings,
		file:     configFile{settings: map[string]*yaml.Node{}},
		report:   &Report{settings: settings},
	}
}

func (p *parser) parse(args []string) (*Parsed, error) {
	if err := p.build(); err != nil {
		return nil, err
	}
	args = p.readArgs(args)
	if p.selected == manifestCommand {
		p.readFile, p.exists = nil, func(string) bool { return true }
	}
	ctx, err := kong.Trace(p.kong, args)
	if err == nil {
		err = ctx.Error
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the command line: %w", err) // not expected: readArgs let it pass
	}
	p.path = p.configPath(ctx)
	p.loadFile(p.path)
	if err := p.fill(ctx); err != nil {
		return nil, fmt.Errorf("cannot read the settings: %w", err)
	}
	p.validate()
	return &Parsed{
		Spec:     p.spec,
		Common:   *p.common,
		Command:  p.selected,
		File:     p.file.path,
		Warnings: p.report.warnings,
		parser:   p,
	}, p.report.err()
}

// fill runs kong's phases after Trace. kong.Parse is not used: it would stop at
// the first error, and it alone calls methods by name, which keeps the linker
// from dropping unused code (0.6 MB of a compressed image).
func (p *parser) fill(ctx *kong.Context) error {
	p.resetting = true
	if err := ctx.Reset(); err != nil {
		return err
	}
	p.resetting = false
	if err := ctx.Resolve(); err != nil {
		return err
	}
	_, err := ctx.Apply()
	return err
}

// configPath says where the YAML file is, before the settings are filled in.
func (p *parser) configPath(ctx *kong.Context) configPath {
	s := p.settings["config"]
	path, ok := "", false
	if s.kind == fromArgs {
		path, ok = ctx.FlagValue(s.flag).(string)
	} else {
		path, ok = p.env[s.env]
	}
	if !ok {
		return configPath{path: p.spec.defaultFile()}
	}
	return configPath{path: path, explicit: true}
}

// validate checks what no single value shows.
func (p *parser) validate() {
	p.validateArguments()
	if c := p.command(); c != nil && !c.Settings {
		p.report.keepOnly(slices.Concat([]string{"admin-listen", "control"}, p.commandFlags())...)
		return
	}
	p.validateRequired()
	p.validateGroups()
	p.common.validate(p.report)
	p.validateEnviron()
	for _, part := range []any{p.spec.Config, p.spec.File} {
		if v, ok := part.(Validator); ok {
			v.Validate(p.report)
		}
	}
}

// command returns the chosen sub-command, or nil.
func (p *parser) command() *Command {
	for i := range p.commands {
		if p.commands[i].Name == p.selected {
			return &p.commands[i]
		}
	}
	return nil
}

// commandFlags returns the flags of the chosen sub-command alone.
func (p *parser) commandFlags() []string {
	var names []string
	for _, child := range p.kong.Model.Children {
		if child.Name != p.selected {
			continue
		}
		for _, f := range child.Flags {
			names = append(names, f.Name)
		}
	}
	return names
}

// validateRequired reports flags and arguments that have to be set and are not.
// What a file sets that may not be looked at is not known.
func (p *parser) validateRequired() {
	if p.readFile == nil && p.path.explicit && p.path.path != "" {
		return
	}
	for _, s := range p.order {
		if s.flag.Required && !s.isSet() && s.kind != fromMount && p.ofSelected(s) {
			p.report.Errorf(s.name, "is not set; use --%s=%s%s", s.name, placeholder(s), orEnv(s))
		}
	}
}

// ofSelected tells whether a flag belongs to the program or the chosen command.
func (p *parser) ofSelected(s *setting) bool {
	return slices.Contains(p.kong.Model.Flags, s.flag) || slices.Contains(p.commandFlags(), s.name)
}

// orEnv names a flag's variable as the other way to set it.
func orEnv(s *setting) string {
	if s.env == "" {
		return ""
	}
	return " or env " + s.env
}

// validateArguments reports missing positional arguments of the sub-command.
func (p *parser) validateArguments() {
	for _, child := range p.kong.Model.Children {
		for _, arg := range child.Positional {
			if child.Name == p.selected && arg.Required && !arg.Set {
				p.report.add("", fromArgs, fmt.Errorf("%s: the argument %s is missing; use %s %s %s",
					child.Name, strings.ToUpper(arg.Name), p.spec.Name, child.Name, strings.ToUpper(arg.Name)))
			}
		}
	}
}

// validateGroups checks kong's tags xor (at most one of the group is set) and
// and (all or none).
func (p *parser) validateGroups() {
	xor, and := map[string]string{}, map[string][]*setting{}
	for _, s := range p.order {
		for _, group := range s.flag.Xor {
			if other := xor[group]; other != "" && s.isSet() {
				p.report.Errorf(s.name, "cannot be used together with --%s; use one of the two", other)
			} else if s.isSet() {
				xor[group] = s.name
			}
		}
		for _, group := range s.flag.And {
			and[group] = append(and[group], s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(and)) {
		group := and[name]
		set := slices.IndexFunc(group, (*setting).isSet)
		for _, s := range group {
			if set >= 0 && !s.isSet() {
				p.report.Errorf(s.name, "is not set, but --%s is; set both or none", group[set].name)
			}
		}
	}
}

// validateEnviron reports variables with the program's prefix that no flag knows.
func (p *parser) validateEnviron() {
	var known []string
	for _, s := range p.order {
		if s.env != "" {
			known = append(known, s.env)
		}
	}
	for _, v := range unknownVariables(p.env, p.spec.EnvPrefix(), known) {
		text := "env " + v.name + ": no setting has this name"
		if v.nearest != "" {
			text += "; did you mean " + v.nearest + "?"
		}
		if p.common.StrictEnv {
			p.report.add("", fromEnv, fmt.Errorf("%s", text))
		} else {
			p.report.warnings = append(p.report.warnings, text)
		}
	}
}

// Check runs the checks of the files that the settings name. The error is like
// Parse's and holds what Parse found as well.
func (p *Parsed) Check() error {
	for _, part := range []any{p.Spec.Config, p.Spec.File} {
		if c, ok := part.(Checker); ok {
			c.Check(p.parser.report)
		}
	}
	p.Warnings = p.parser.report.warnings
	return p.parser.report.err()
}

// IsSet tells whether anything but a default or a mount sets the flag.
func (p *Parsed) IsSet(flag string) bool { return p.parser.report.IsSet(flag) }

// Errorf returns a UsageError about a flag, with its value's source in front, as
// Report.Errorf writes it.
func (p *Parsed) Errorf(flag, format string, args ...any) error {
	r := &Report{settings: p.parser.settings, file: p.File}
	r.Errorf(flag, format, args...)
	if err := r.err(); err != nil {
		return err
	}
	return &UsageError{Err: fmt.Errorf("--"+strings.TrimPrefix(flag, "--")+": "+format, args...)}
}
