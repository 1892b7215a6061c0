// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"

	"github.com/outrigger/outrigger/internal/admin"
)

// FlagDoc is what a user reads about one flag.
type FlagDoc struct {
	Group       string // heading, such as "Admin"
	Flag        string // "--target"
	Placeholder string // "HOST:PORT", "" for a flag without a value
	Env         string // "TLS_PROXY_TARGET", "" for an action
	Default     string // as text, "" if there is none
	Help        string // one or more sentences
	Aliases     []string
	Repeatable  bool
	Required    bool
	Secret      bool
}

// Flags returns the visible flags of a program in the order of its help: its own
// first, then those of all programs. It panics on a wrong Spec.
func Flags(spec Spec) []FlagDoc {
	p := newParser(spec, nil)
	if err := p.build(); err != nil {
		panic(err)
	}
	return p.flagDocs(p.spec.Name)
}

// flagDocs describes the visible flags of the application, or of a sub-command.
func (p *parser) flagDocs(node string) []FlagDoc {
	flags := p.kong.Model.Flags
	for _, child := range p.kong.Model.Children {
		if child.Name == node {
			flags = child.Flags
		}
	}
	var docs []FlagDoc
	for _, f := range flags {
		if !f.Hidden {
			docs = append(docs, flagDoc(p.settings[f.Name]))
		}
	}
	return groupTogether(docs)
}

func flagDoc(s *setting) FlagDoc {
	d := FlagDoc{
		Group:      "Flags",
		Flag:       "--" + s.name,
		Env:        s.env,
		Default:    strings.ReplaceAll(s.flag.Default, "\n", ", "),
		Help:       s.flag.Help,
		Aliases:    s.flag.Aliases,
		Repeatable: s.repeatable(),
		Required:   s.flag.Required,
		Secret:     s.secret,
	}
	if s.flag.Group != nil {
		d.Group = s.flag.Group.Title
	}
	if !s.flag.IsBool() {
		d.Placeholder = placeholder(s)
	}
	if mount := s.flag.Tag.Get("mount"); mount != "" {
		d.Default = mount + " if it exists"
	}
	return d
}

// groupTogether puts the flags of one group behind each other, in the order in
// which the groups appear.
func groupTogether(docs []FlagDoc) []FlagDoc {
	var names []string
	groups := map[string][]FlagDoc{}
	for _, d := range docs {
		if groups[d.Group] == nil {
			names = append(names, d.Group)
		}
		groups[d.Group] = append(groups[d.Group], d)
	}
	var out []FlagDoc
	for _, name := range names {
		out = append(out, groups[name]...)
	}
	return out
}

// Settings returns the effective settings with their origins, masked, in the
// order of the help.
func (p *Parsed) Settings() []admin.Setting {
	var out []admin.Setting
	for _, s := range p.parser.order {
		if s.env == "" || s.flag.Hidden && !s.isSet() {
			continue
		}
		out = append(out, admin.Setting{
			Name:   s.name,
			Env:    s.env,
			Value:  strings.Join(s.values(), ", "),
			Origin: s.origin(),
		})
	}
	return out
}
