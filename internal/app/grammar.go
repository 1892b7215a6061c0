// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
)

// grammar is what kong builds its model from: the program's flags first.
type grammar struct {
	Program any `embed:""`
	Common  `embed:""`
}

// errBadSpec is in front of what only the author of a program can mend.
var errBadSpec = errors.New("wrong app.Spec")

// build makes kong's model of the flags and sub-commands, wraps every mapper and
// fills p.settings. kong gets neither environment names nor its own help: it
// splits digits off names, reads the process' environment, stops at the first error and prints values.
func (p *parser) build() error {
	program := p.spec.Config
	if program == nil {
		program = &struct{}{}
	}
	options := []kong.Option{
		kong.Name(p.spec.Name),
		kong.NoDefaultHelp(),
		kong.FlagNamer(flagName),
		kong.Vars{
			"admin_listen": ":" + strconv.Itoa(p.spec.AdminPort),
			"config_file":  p.spec.defaultFile(),
		},
		kong.Resolvers(kong.ResolverFunc(p.resolve)),
	}
	for _, c := range p.commands {
		config := c.Config
		if config == nil {
			config = &struct{}{}
		}
		options = append(options, kong.DynamicCommand(c.Name, c.Help, "", config))
	}
	g := &grammar{Program: program}
	k, err := kong.New(g, options...)
	if err != nil {
		return fmt.Errorf("%w: %w", errBadSpec, err)
	}
	p.kong, p.common = k, &g.Common
	if err := p.adopt(k.Model.Node, p.spec.EnvPrefix()); err != nil {
		return fmt.Errorf("%w: %w", errBadSpec, err)
	}
	for _, child := range k.Model.Children {
		if err := p.adopt(child, ""); err != nil {
			return fmt.Errorf("%w: %w", errBadSpec, err)
		}
	}
	return nil
}

// adopt wraps the mappers of a node's flags and arguments. Flags of the
// application itself (prefix is not empty) are settings; those of a sub-command
// have no environment variable.
func (p *parser) adopt(node *kong.Node, prefix string) error {
	for _, flag := range node.Flags {
		s := newSetting(flag, prefix)
		if prefix == "" {
			s.env = ""
		} else if reservedFlag(flag.Name) {
			return fmt.Errorf("flag --%s: Kubernetes sets variables of that name for services; call it otherwise", flag.Name)
		}
		if p.settings[s.name] != nil {
			return fmt.Errorf("flag --%s is there twice", flag.Name)
		}
		p.settings[s.name] = s
		p.order = append(p.order, s)
		p.wrap(flag.Value, s)
	}
	for _, arg := range node.Positional {
		p.wrap(arg, nil)
	}
	return nil
}

// wrap puts our mapper around kong's. Lists are split by nothing but lines,
// unless a tag says otherwise.
func (p *parser) wrap(v *kong.Value, s *setting) {
	if !v.Tag.Has("sep") {
		v.Tag.Sep = -1
	}
	if !v.Tag.Has("mapsep") {
		v.Tag.MapSep = -1
	}
	v.Mapper = &mapper{inner: v.Mapper, parser: p, setting: s}
}

// flagName turns a field's name into a flag's: MaxHeaderBytes is
// max-header-bytes, TLSProfile is tls-profile, HTTP2Streams is http2-streams.
// kong's own namer splits before digits.
func flagName(field string) string {
	var b strings.Builder
	runes := []rune(field)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) {
			nextLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(runes[i-1]) || nextLower {
				b.WriteByte('-')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
