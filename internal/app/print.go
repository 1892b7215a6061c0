// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeConfig prints the effective settings and rules as a YAML file that
// --config takes, each with its origin, secrets masked.
func (p *Parsed) writeConfig(w io.Writer) error {
	fmt.Fprintf(w, "# %s %s: effective configuration\n", p.Spec.Name, Version())
	for _, s := range p.parser.order {
		if s.env == "" || s.name == "config" || s.flag.Hidden && !s.isSet() {
			continue
		}
		writeSetting(w, s)
	}
	if p.Spec.File == nil {
		return nil
	}
	rules, err := yaml.Marshal(p.Spec.File)
	if err != nil {
		return fmt.Errorf("cannot print the rules: %w", err)
	}
	if text := string(rules); strings.TrimSpace(text) != "{}" {
		fmt.Fprintf(w, "# rules\n%s", redactURLs(text))
	}
	return nil
}

// writeSetting prints one setting; one without a value stands in a comment, as
// an empty value would set it.
func writeSetting(w io.Writer, s *setting) {
	values := s.values()
	switch {
	case len(values) == 0 && s.repeatable() && s.isSet():
		fmt.Fprintf(w, "%s: []  # %s\n", s.name, s.origin())
	case len(values) == 0:
		fmt.Fprintf(w, "# %s:  # %s\n", s.name, s.origin())
	case s.repeatable():
		fmt.Fprintf(w, "%s:  # %s\n", s.name, s.origin())
		for _, v := range values {
			fmt.Fprintf(w, "  - %s\n", yamlScalar(v))
		}
	default:
		text := values[0]
		if k := s.flag.Target.Kind(); k == reflect.String || k == reflect.Struct {
			text = yamlScalar(text) // the others cannot be mistaken for another type
		}
		fmt.Fprintf(w, "%s: %s  # %s\n", s.name, text, s.origin())
	}
}

// values returns the setting's effective values as text, masked; none if it is
// not set and has no default.
func (s *setting) values() []string {
	v := s.flag.Target
	switch {
	case s.failed, !s.isSet() && v.IsZero() && !s.flag.HasDefault && !s.flag.IsBool():
		return nil
	case s.repeatable() && v.Kind() == reflect.Slice:
		var out []string
		for i := range v.Len() {
			text, ok := valueText(v.Index(i))
			if !ok {
				return s.masked()
			}
			out = append(out, s.mask(text))
		}
		return out
	}
	if text, ok := valueText(v); ok {
		return []string{s.mask(text)}
	}
	return s.masked()
}

// masked returns the texts that were given.
func (s *setting) masked() []string {
	var out []string
	for _, v := range s.raw {
		out = append(out, s.mask(v))
	}
	return out
}

// valueText returns a value as it would be written in a setting; false if its
// type does not know how.
func valueText(v reflect.Value) (string, bool) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return "", true
	}
	value := v.Interface()
	if level, ok := value.(slog.Level); ok {
		return strings.ToLower(level.String()), true
	}
	candidates := []any{value}
	if v.CanAddr() {
		candidates = append(candidates, v.Addr().Interface())
	}
	for _, c := range candidates {
		switch c := c.(type) {
		case fmt.Stringer:
			return c.String(), true
		case encoding.TextMarshaler:
			text, err := c.MarshalText()
			return string(text), err == nil
		}
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Pointer, reflect.Interface:
		return "", false
	}
	return fmt.Sprint(value), true
}

// yamlScalar writes a text as a YAML scalar, quoted where it has to be.
func yamlScalar(text string) string {
	out, err := yaml.Marshal(text)
	if err != nil || strings.Count(string(out), "\n") > 1 {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSpace(string(out))
}
