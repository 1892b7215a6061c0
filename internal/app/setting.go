// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// originKind says what set a value, in the order of precedence.
type originKind int

const (
	fromDefault originKind = iota
	fromMount              // a conventional mount that exists
	fromFile               // the YAML file
	fromEnv                // the environment
	fromArgs               // the command line
)

// setting is one flag: its value's origin and the text it was read from.
type setting struct {
	name    string
	env     string // "" for an action
	flag    *kong.Flag
	secret  bool
	kind    originKind
	where   string   // FILE:LINE of a value from the file
	spelled string   // the flag as it was written on the command line, "--target"
	raw     []string // the texts that were given, one for a flag that takes one value
	failed  bool     // a text did not parse
}

// newSetting describes a flag of the grammar.
func newSetting(flag *kong.Flag, prefix string) *setting {
	s := &setting{name: flag.Name, flag: flag, spelled: "--" + flag.Name}
	if !flag.Tag.Has("noenv") {
		s.env = prefix + envName(flag.Name)
	}
	s.secret = flag.Tag.Has("secret") || isSecretType(flag.Target.Type())
	return s
}

// isSecretType tells whether values of the type are Secrets.
func isSecretType(t reflect.Type) bool {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	return t == reflect.TypeFor[Secret]()
}

func (s *setting) isSet() bool { return s.kind >= fromFile }

// repeatable tells whether the flag takes several values.
func (s *setting) repeatable() bool { return s.flag.IsCumulative() }

// source names where the whole value came from, for an error about it.
func (s *setting) source() string {
	if s.kind == fromArgs && len(s.raw) > 1 {
		var parts []string
		for _, v := range s.raw {
			parts = append(parts, s.argument(v))
		}
		return shorten(strings.Join(parts, " "))
	}
	return s.sourceOf(strings.Join(s.raw, "\n"))
}

// sourceOf names where one of the values came from.
func (s *setting) sourceOf(value string) string {
	switch s.kind {
	case fromArgs:
		return shorten(s.argument(value))
	case fromEnv:
		return shorten("env " + s.env + "=" + strconv.Quote(s.mask(value)))
	case fromFile:
		return shorten(s.where + ": " + s.name + ": " + strconv.Quote(s.mask(value)))
	case fromMount:
		return "--" + s.name + "=" + value + " (the default when it exists)"
	default:
		if s.env == "" {
			return "--" + s.name
		}
		return "--" + s.name + " (env " + s.env + ")"
	}
}

// argument returns the flag as it stands on a command line.
func (s *setting) argument(value string) string {
	value = s.mask(value)
	if value == "" || strings.ContainsAny(value, " \t\n\"'") {
		value = strconv.Quote(value)
	}
	return s.spelled + "=" + value
}

// mask returns a value that may be shown.
func (s *setting) mask(value string) string {
	if s.secret && value != "" {
		return redacted
	}
	return redactURLs(value)
}

// scrub masks the flag's secrets in a text that was made from its value.
func (s *setting) scrub(text string) string {
	if s.secret {
		for _, v := range s.raw {
			if v != "" {
				text = strings.ReplaceAll(text, v, redacted)
			}
		}
	}
	return redactURLs(text)
}

// origin says where the value came from, for --print-config.
func (s *setting) origin() string {
	switch s.kind {
	case fromArgs:
		return "flag"
	case fromEnv:
		return "env " + s.env
	case fromFile:
		return "file " + s.where
	case fromMount:
		return "mount"
	default:
		return "default"
	}
}

// shorten cuts a value that would fill the screen.
func shorten(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s...(%d bytes)", strings.ToValidUTF8(text[:most], ""), len(text))
}
