// SPDX-License-Identifier: Apache-2.0

package spec

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decode binds the options to the fields of the struct that target points to, by their tag `spec:"key"`. Fields without the tag
// are left alone, embedded structs are gone into, and a field keeps its value where its option is not given: so defaults are set
// before. `spec:"key,required"` demands the option.
//
// A field is a string, bool, integer, float, time.Duration, anything with UnmarshalText, a pointer to one of these (nil when not
// given), or a slice of them, which takes a repeated option. A key given twice for another field, an unknown key and a value that
// does not fit are errors, all of them joined; each names the key, and its fix or the nearest known one.
// Decode panics if target is no pointer to a struct or has a field of another type: both are mistakes in the program.
func (s Spec) Decode(target any) error {
	fields := map[string]*field{}
	var keys []string
	collect(reflect.ValueOf(target).Elem(), fields, &keys)
	var errs []error
	for _, o := range s.Options {
		f := fields[o.Key]
		if f == nil {
			errs = append(errs, unknown(o.Key, keys))
			continue
		}
		if err := f.set(o.Value); err != nil {
			if isSecret(o.Key) {
				err = errors.New("its value, which is not shown, does not fit")
			}
			errs = append(errs, fmt.Errorf("option %q: %w", o.Key, err))
		}
	}
	for _, key := range keys {
		if f := fields[key]; f.required && !f.given {
			errs = append(errs, fmt.Errorf("option %q is missing; add %s=VALUE", key, key))
		}
	}
	return errors.Join(errs...)
}

// unknown is the error for a key that no field has.
func unknown(key string, known []string) error {
	if near, ok := Nearest(key, known); ok {
		return fmt.Errorf("unknown option %q; did you mean %s?", key, near)
	}
	if len(known) == 0 {
		return fmt.Errorf("unknown option %q; there are none here", key)
	}
	return fmt.Errorf("unknown option %q; known are %s", key, strings.Join(slices.Sorted(slices.Values(known)), ", "))
}

// field is one field of the target.
type field struct {
	value           reflect.Value
	required, given bool
}

// collect finds the tagged fields.
func collect(v reflect.Value, fields map[string]*field, keys *[]string) {
	for i := range v.NumField() {
		info := v.Type().Field(i)
		tag, tagged := info.Tag.Lookup("spec")
		switch {
		case tagged:
			key, rest, _ := strings.Cut(tag, ",")
			fields[key] = &field{value: v.Field(i), required: rest == "required"}
			*keys = append(*keys, key)
		case info.Anonymous && info.Type.Kind() == reflect.Struct:
			collect(v.Field(i), fields, keys)
		}
	}
}

// set gives the field one value of its option.
func (f *field) set(text string) error {
	first := !f.given
	f.given = true
	if f.value.Kind() == reflect.Slice && !isText(f.value) {
		if first {
			f.value.SetZero() // what is given replaces the default
		}
		element := reflect.New(f.value.Type().Elem()).Elem()
		if err := assign(element, text); err != nil {
			return err
		}
		f.value.Set(reflect.Append(f.value, element))
		return nil
	}
	if !first {
		return errors.New("it is given twice; give it once")
	}
	return assign(f.value, text)
}

func isText(v reflect.Value) bool {
	_, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return ok
}

// assign parses text as the type of v.
func assign(v reflect.Value, text string) error {
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return t.UnmarshalText([]byte(text))
	}
	if d, ok := v.Addr().Interface().(*time.Duration); ok {
		parsed, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration; use for example 500ms, 30s or 1h30m", text)
		}
		*d = parsed
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return assign(v.Elem(), text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		v.SetBool(b)
		return nil
	}
	return assignNumber(v, text)
}

func assignNumber(v reflect.Value, text string) error {
	bits := int(v.Type().Size()) * 8
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return fmt.Errorf("%q is not a whole number from %d to %d", text, -1<<(bits-1), 1<<(bits-1)-1)
		}
		v.SetInt(n)
	case v.CanUint():
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0 to %d", text, uint64(1)<<bits-1)
		}
		v.SetUint(n)
	case v.CanFloat():
		n, err := strconv.ParseFloat(text, bits)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(n)
	default:
		panic(fmt.Sprintf("spec: a field of type %s cannot be decoded", v.Type()))
	}
	return nil
}
