// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// lines is the value of a repeatable flag from the environment or the file, in
// the place of kong's single token.
type lines []string

// mapper wraps kong's mapper of one flag or argument. It never fails: what is
// wrong goes to the report, with its source, and the parse goes on to the next.
type mapper struct {
	inner   kong.Mapper
	parser  *parser
	setting *setting // nil for a positional argument
}

// IsBoolFromValue tells kong whether the flag needs a value.
func (m *mapper) IsBoolFromValue(v reflect.Value) bool {
	b, ok := m.inner.(kong.BoolMapper)
	return ok && b.IsBool() || v.Kind() == reflect.Bool
}

// Decode reads the value or values of one token into target.
func (m *mapper) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if m.setting == nil {
		m.decodeArgument(ctx, target)
		return nil
	}
	values := tokenValues(ctx.Scan.Pop(), ctx.Value)
	s := m.setting
	if m.parser.resetting && s.kind == fromArgs {
		return nil // kong fills in the default below a value that it has already
	}
	if s.kind != fromArgs || !s.repeatable() {
		s.raw = nil
	}
	for _, v := range values {
		s.raw = append(s.raw, v)
		if err := m.decodeOne(ctx, v, target); err != nil {
			m.parser.report.badValue(s, s.sourceOf(v), err)
		}
	}
	return nil
}

// decodeArgument reads one positional argument of a sub-command.
func (m *mapper) decodeArgument(ctx *kong.DecodeContext, target reflect.Value) {
	for {
		token := ctx.Scan.Pop()
		if token.IsEOL() {
			return
		}
		text := fmt.Sprint(token.Value)
		if err := m.decodeOne(ctx, text, target); err != nil {
			m.parser.report.add("", fromArgs, fmt.Errorf("argument %q: %w", text, err))
		}
		if !ctx.Value.IsCumulative() {
			return
		}
	}
}

// decodeOne lets kong's mapper read one text and explains what it refuses.
func (m *mapper) decodeOne(ctx *kong.DecodeContext, text string, target reflect.Value) error {
	if enum := ctx.Value.Enum; enum != "" && !slices.Contains(ctx.Value.EnumSlice(), text) {
		choices := ctx.Value.EnumSlice()
		return fmt.Errorf("not one of the choices; use %s%s", orList(choices), didYouMean(text, choices))
	}
	if s := m.setting; s != nil && s.kind == fromArgs {
		if s.secret {
			return errors.New("a secret is not taken from the command line, where every process sees it; use env " + s.env)
		}
		if hasURLSecret(text) {
			return errors.New("a password in a URL is not taken from the command line, where every process sees it; use env " + s.env + " or a password file")
		}
	}
	token := kong.Token{Type: kong.FlagValueToken, Value: text}
	if err := m.inner.Decode(ctx.WithScanner(kong.ScanFromTokens(token)), target); err != nil {
		return explain(elementType(target.Type()), text, err)
	}
	return nil
}

// tokenValues returns the texts of a token. A default of a repeatable flag has a
// value per line, like its variable.
func tokenValues(token kong.Token, v *kong.Value) []string {
	switch value := token.Value.(type) {
	case lines:
		return value
	case string:
		if v.IsCumulative() && strings.Contains(value, "\n") {
			return splitLines(value)
		}
		return []string{value}
	default:
		return []string{fmt.Sprint(value)}
	}
}

// splitLines returns the lines of a variable, without blank ones.
func splitLines(text string) lines {
	out := lines{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// elementType returns the type of one value of a flag.
func elementType(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice && t.Name() == "" {
		t = t.Elem()
	}
	return t
}

// explain says what is wrong with the text of a plain type and how to mend it.
// The program's own types explain themselves.
func explain(t reflect.Type, text string, err error) error {
	if t == reflect.TypeFor[time.Duration]() {
		return errors.New("not a duration; use a number with a unit, such as 500ms, 25s or 5m")
	}
	if t.PkgPath() != "" {
		if strings.HasPrefix(err.Error(), "slog: ") {
			return errors.New("not a level; use debug, info, warn or error")
		}
		return err
	}
	switch {
	case t.Kind() == reflect.Bool:
		return errors.New("not a truth value; use true or false")
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		if _, numErr := strconv.ParseFloat(text, 64); numErr == nil {
			return errors.New("number out of range; use a smaller whole number")
		}
		return errors.New("not a whole number; use digits only")
	case t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64:
		return errors.New("not a number; use one such as 0.5")
	default:
		return err
	}
}

// orList joins choices: "a, b or c".
func orList(choices []string) string {
	if n := len(choices); n > 1 {
		return strings.Join(choices[:n-1], ", ") + " or " + choices[n-1]
	}
	return strings.Join(choices, "")
}
