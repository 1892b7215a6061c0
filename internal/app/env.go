// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/admin"
	"github.com/outrigger/outrigger/internal/lifecycle"
)

// Env is what a program's Setup works with.
type Env struct {
	Log     *slog.Logger
	Metrics *prometheus.Registry // the program's own; /metrics shows it
	Life    *lifecycle.Group
	Admin   *admin.Server
	Stdout  io.Writer // data and access logs; the log goes to stderr
	Version string
	// Parsed holds the settings' origins and the common flags; the values are in
	// the Spec's own structs.
	Parsed *Parsed

	ctx context.Context
}

// Context returns the context of the whole run. It is cancelled only when the
// caller of Run gives up: actors get a context of their own.
func (e *Env) Context() context.Context { return e.ctx }

// Listen binds a listener and logs it as `listening` with the listener's name,
// "https", and its address. The error is a BindError.
func (e *Env) Listen(name string, l address.Listen) (net.Listener, error) {
	ln, err := l.Bind(e.ctx)
	if err != nil {
		return nil, &BindError{Err: err}
	}
	addr := ln.Addr().String()
	if l.Network == "unix" {
		addr = l.String()
	}
	e.Log.Info("listening", "listener", name, "addr", addr)
	return ln, nil
}

// Errorf returns a UsageError about a flag, named without dashes, with the
// source of its value in front: `env TLS_PROXY_CERT="x": ...`.
func (e *Env) Errorf(flag, format string, args ...any) error {
	return e.Parsed.Errorf(flag, format, args...)
}

// OnRules has apply called with the YAML file's rules whenever a reload finds
// them changed: a pointer to a fresh struct of Spec.File's type, decoded and
// validated. When apply fails, or the file is wrong, the old rules stay. The
// settings in the file are read at the start alone; a change there is logged.
func (e *Env) OnRules(apply func(ctx context.Context, rules any) error) {
	if e.Parsed.Spec.File == nil {
		panic("OnRules without Spec.File")
	}
	current := append([]byte(nil), e.Parsed.parser.file.data...)
	e.Life.OnReload("rules", func(ctx context.Context) error {
		rules, data, err := e.Parsed.rereadRules()
		if err != nil {
			return err
		}
		if string(data) == string(current) {
			return nil
		}
		if err := apply(ctx, rules); err != nil {
			return fmt.Errorf("cannot use the rules of %s: %w", e.Parsed.File, err)
		}
		for _, name := range e.Parsed.changedSettings(data) {
			e.Log.Warn("setting changed in the file takes effect at the next start", "setting", name)
		}
		current = data
		return nil
	})
}

// rereadRules reads the YAML file once more and decodes and validates its rules.
func (p *Parsed) rereadRules() (rules any, data []byte, err error) {
	again := p.parser.reread()
	rules = reflect.New(reflect.TypeOf(p.Spec.File).Elem()).Interface()
	again.spec.File = rules
	again.loadFile(again.path)
	if v, ok := rules.(Validator); ok {
		v.Validate(again.report)
	}
	if c, ok := rules.(Checker); ok {
		c.Check(again.report)
	}
	return rules, again.file.data, again.report.err()
}
