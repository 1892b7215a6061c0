// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// argsReader rewrites a command line into the one form that kong reads without
// ever failing: every flag is known, has its full name and its value behind '='.
// What cannot be written so is reported, all of it, where kong would stop at the
// first.
type argsReader struct {
	parser *parser
	node   *kong.Node            // the application or the chosen sub-command
	flags  map[string]*kong.Flag // by every way to write it: --name, -n, --alias, -single
	taken  int                   // positional arguments of node so far
	bool   string                // the boolean flag just before, for a hint
	out    []string
}

// readArgs returns the rewritten args. The sub-command, if any, is p.command.
func (p *parser) readArgs(args []string) []string {
	r := &argsReader{parser: p, node: p.kong.Model.Node, flags: map[string]*kong.Flag{}}
	r.learn(r.node.Flags)
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			r.out = append(r.out, arg)
			for _, a := range args {
				r.positional(a)
			}
			args = nil
		case len(arg) > 1 && arg[0] == '-':
			args = r.flag(arg, args)
		default:
			r.positional(arg)
		}
	}
	return r.out
}

// learn adds all ways to write the flags.
func (r *argsReader) learn(flags []*kong.Flag) {
	for _, f := range flags {
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			r.flags["--"+name] = f
			if slices.Contains(r.parser.spec.SingleDash, name) {
				r.flags["-"+name] = f
			}
		}
		if f.Short != 0 {
			r.flags["-"+string(f.Short)] = f
		}
	}
}

// flag rewrites one flag and returns the args behind it and its value.
func (r *argsReader) flag(arg string, rest []string) []string {
	name, value, hasValue := strings.Cut(arg, "=")
	f := r.flags[name]
	if f == nil {
		r.unknownFlag(name)
		if !hasValue && len(rest) > 0 && !r.isFlag(rest[0]) && r.command(rest[0]) == nil {
			rest = rest[1:] // its value, most likely: no second error for it
		}
		return rest
	}
	s := r.parser.settings[f.Name]
	s.spelled = name
	r.bool = ""
	switch {
	case hasValue:
	case f.IsBool():
		value = "true"
		r.bool = name
	case len(rest) == 0 || r.isFlag(rest[0]):
		s.kind = fromArgs
		r.parser.report.badValue(s, name, fmt.Errorf("needs a value; use %s=%s", name, placeholder(s)))
		return rest
	default:
		value, rest = rest[0], rest[1:]
	}
	s.kind = fromArgs
	r.out = append(r.out, "--"+f.Name+"="+value)
	return rest
}

// isFlag tells whether an argument is a flag rather than the value of the one
// before it: a negative number or a lone dash is a value.
func (r *argsReader) isFlag(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	return strings.HasPrefix(arg, "--") || r.flags[name] != nil
}

func (r *argsReader) unknownFlag(name string) {
	r.parser.report.add("", fromArgs, fmt.Errorf("unknown flag %s%s", name, r.nearestFlag(name)))
}

func (r *argsReader) nearestFlag(name string) string {
	candidates := slices.DeleteFunc(slices.Sorted(maps.Keys(r.flags)), func(c string) bool {
		return r.flags[c].Hidden
	})
	if hint := didYouMean(name, candidates); hint != "" {
		return hint
	}
	return "; --help lists the flags"
}

// positional takes a sub-command, one of its arguments, or reports a leftover.
func (r *argsReader) positional(arg string) {
	hint := r.bool
	r.bool = ""
	if c := r.command(arg); c != nil {
		r.node = c
		r.learn(c.Flags)
		r.parser.selected = c.Name
		r.out = append(r.out, arg)
		return
	}
	if r.taken < len(r.node.Positional) {
		if !r.node.Positional[r.taken].IsCumulative() {
			r.taken++
		}
		r.out = append(r.out, arg)
		return
	}
	fix := didYouMean(arg, r.commandNames())
	if r.flags["--"+arg] != nil {
		fix = "; did you mean --" + arg + "?"
	}
	if hint != "" {
		fix = fmt.Sprintf("; did you mean %s=%s?", hint, arg)
	} else if fix == "" {
		fix = "; is a flag's name or a \"=\" missing in front of it?"
	}
	r.parser.report.add("", fromArgs, fmt.Errorf("unexpected argument %q%s", redactURLs(arg), fix))
}

// command returns the sub-command of that name that may stand here.
func (r *argsReader) command(name string) *kong.Node {
	for _, c := range r.node.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func (r *argsReader) commandNames() []string {
	var names []string
	for _, c := range r.node.Children {
		names = append(names, c.Name)
	}
	return names
}

// placeholder is how a flag's value is written in help and in errors.
func placeholder(s *setting) string {
	if s.flag.PlaceHolder != "" {
		return s.flag.PlaceHolder
	}
	return "VALUE"
}
