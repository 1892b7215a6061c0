// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// urlKey is the key of a YAML map that holds the text.
const urlKey = "url"

// UnmarshalYAML reads the text, or a map with the text under url and options beside it, whose values are scalars, or lists for
// repeated options. A value is taken as it is written, percent signs included. Passwords are refused as in [Parse].
func (s *Spec) UnmarshalYAML(node *yaml.Node) error {
	for node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind == yaml.ScalarNode {
		if err := s.UnmarshalText([]byte(node.Value)); err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want KIND://ADDRESS?key=value, or a map with it under %s", node.Line, urlKey)
	}
	var parsed Spec
	var options []Option
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if key.Value == urlKey {
			if parsed.Kind != "" {
				return fmt.Errorf("line %d: %s is given twice; give it once", key.Line, urlKey)
			}
			if err := parsed.UnmarshalText([]byte(value.Value)); err != nil {
				return fmt.Errorf("line %d: %s: %w", value.Line, urlKey, err)
			}
			continue
		}
		if !isKey(key.Value) {
			return fmt.Errorf("line %d: %q is not the name of an option", key.Line, key.Value)
		}
		var err error
		if options, err = appendValues(options, key.Value, value); err != nil {
			return err
		}
	}
	if parsed.Kind == "" {
		return fmt.Errorf("line %d: there is no %s; add %s: KIND://ADDRESS", node.Line, urlKey, urlKey)
	}
	parsed.Options = append(parsed.Options, options...)
	if err := parsed.refuseSecrets(); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*s = parsed
	return nil
}

// appendValues adds the value of a key, or each of a list.
func appendValues(options []Option, key string, value *yaml.Node) ([]Option, error) {
	for value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	values := []*yaml.Node{value}
	if value.Kind == yaml.SequenceNode {
		values = value.Content
	}
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: option %q: %w", v.Line, key, errors.New("want a value or a list of values"))
		}
		options = append(options, Option{key, v.Value})
	}
	return options, nil
}
