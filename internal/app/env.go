// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io"
	"log/slog"
	"net"

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
