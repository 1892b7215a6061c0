// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Report collects everything that is wrong with the settings, so that the user
// sees all of it at once. Each problem names where the value came from.
type Report struct {
	settings map[string]*setting
	file     string // the YAML file, for problems of its rules
	problems []problem
	warnings []string
}

// problem is one line for the user and the flag it is about, if any.
type problem struct {
	flag string
	kind originKind
	err  error
}

// Errorf reports a problem with a flag, named without dashes. The message says
// what is wrong and, after a semicolon, the fix; the value's source stands in
// front of it: `env TLS_PROXY_TARGET="x": ...`, `--target=x: ...`. With an empty
// or unknown name the message stands alone, behind the YAML file's path if the
// problem is about its rules. %w keeps the cause.
//
// A flag whose value did not parse has its own report already: whatever else is
// said about it is dropped.
func (r *Report) Errorf(flag, format string, args ...any) {
	err := fmt.Errorf(format, args...)
	s := r.settings[flag]
	switch {
	case s == nil && flag != "" && r.file != "":
		r.add("", fromFile, fmt.Errorf("file %s: %s: %w", r.file, flag, err))
	case s == nil:
		r.add("", fromDefault, err)
	case !s.failed:
		r.add(flag, s.kind, sourceError(s, s.source(), err))
	}
}

// Warnf reports something that is allowed but probably not meant; it is logged
// once at the start.
func (r *Report) Warnf(flag, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s := r.settings[flag]; s != nil {
		text = s.source() + ": " + s.scrub(text)
	}
	r.warnings = append(r.warnings, text)
}

// IsSet tells whether the command line, the environment or the YAML file sets
// the flag. Set but empty counts as set; a default or a mount does not.
func (r *Report) IsSet(flag string) bool {
	s := r.settings[flag]
	return s != nil && s.isSet()
}

// badValue reports a value that did not parse.
func (r *Report) badValue(s *setting, source string, err error) {
	s.failed = true
	r.add(s.name, s.kind, sourceError(s, source, err))
}

func (r *Report) add(flag string, kind originKind, err error) {
	r.problems = append(r.problems, problem{flag: flag, kind: kind, err: err})
}

// has tells whether the same problem is reported already.
func (r *Report) has(err error) bool {
	return slices.ContainsFunc(r.problems, func(p problem) bool { return p.err.Error() == err.Error() })
}

// keepOnly drops the problems with the values of all other flags and with the
// YAML file.
func (r *Report) keepOnly(flags ...string) {
	r.problems = slices.DeleteFunc(r.problems, func(p problem) bool {
		if p.flag == "" {
			return p.kind == fromFile
		}
		return !slices.Contains(flags, p.flag)
	})
}

// err returns all problems as one UsageError, a line each, or nil.
func (r *Report) err() error {
	var errs []error
	for _, p := range r.problems {
		errs = append(errs, p.err)
	}
	if len(errs) == 0 {
		return nil
	}
	return &UsageError{Err: errors.Join(errs...)}
}

// sourceError puts the source in front of an error and masks the secrets in it.
func sourceError(s *setting, source string, err error) error {
	text := err.Error()
	if scrubbed := s.scrub(text); scrubbed != text {
		err = errors.New(scrubbed) // the chain would still print the secret
	}
	// One problem is one line, whatever the cause's text looks like.
	if text := err.Error(); strings.Contains(text, "\n") {
		err = errors.New(strings.ReplaceAll(strings.TrimSpace(text), "\n", ", "))
	}
	return fmt.Errorf("%s: %w", source, err)
}
