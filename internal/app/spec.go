// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io"
	"strings"

	"github.com/outrigger/outrigger/internal/admin"
)

// Spec describes one program. It is built afresh for each parse, because Parse
// writes into what Config and File point to.
type Spec struct {
	// Name is the binary's name, such as "tls-proxy". The prefix of its
	// environment variables (TLS_PROXY_) and metrics (tls_proxy_) derive from it.
	Name string
	// Doc says in one sentence what the program does, without a period.
	Doc string

	// AdminPort is the port of --admin-listen when nothing sets it, and
	// AdminPortName its name in a pod (at most 15 characters).
	AdminPort     int
	AdminPortName string

	// Config points to the program's struct of flags. It may implement
	// Validator and Checker.
	Config any
	// SingleDash lists names (flags or aliases) that are accepted with one dash
	// as well, for users who come from a tool that writes them so.
	SingleDash []string
	// File points to the structured rules of the YAML file, or is nil. The file
	// holds them beside the settings. It may implement Validator and Checker.
	File any

	// Commands are the program's own sub-commands, beside healthcheck, manifest
	// and version, which every program has.
	Commands []Command
	// Manifest says what the manifest sub-command prints for the settings in
	// Config, or is nil.
	Manifest func() Container

	// Setup binds the listeners, registers the checks and adds the actors. It
	// must not block: nothing is served before it returns. An error ends the
	// program with the code of its class, see [UsageError] and [BindError].
	Setup func(env *Env) error
}

// Validator is what Config or File implement to check the settings against each
// other. It looks at no file and at no network.
type Validator interface {
	Validate(r *Report)
}

// Checker is what Config or File implement to check the files that the settings
// name. It is called before Setup and by --check-config, even when Validate
// found errors: the field of a wrong flag has its zero value then.
type Checker interface {
	Check(r *Report)
}

// Command is a sub-command.
type Command struct {
	Name string
	Help string
	// Config points to a struct of flags and positional arguments (`arg:""`) of
	// this command alone, or is nil.
	Config any
	// Settings is true for a command that works on the program's settings: they
	// are validated as for a run. For the others only --admin-listen and
	// --control count, so that `NAME drain` in a preStop hook needs nothing else.
	Settings bool
	// Run does the work and returns the exit code.
	Run func(ctx context.Context, env *CommandEnv) int
}

// CommandEnv is what a sub-command works with.
type CommandEnv struct {
	Program string
	Version string
	// Parsed holds the settings, read as Command.Settings says.
	Parsed *Parsed
	// Admin talks to the running program's admin port.
	Admin  *admin.ClientT
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// EnvPrefix returns the prefix of the program's environment variables,
// such as "TLS_PROXY_".
func (s Spec) EnvPrefix() string {
	return envName(s.Name) + "_"
}

// MetricPrefix returns the prefix of the program's metrics, such as "tls_proxy_".
func (s Spec) MetricPrefix() string {
	return strings.ToLower(s.EnvPrefix())
}

// defaultFile is where the YAML file is looked for when --config is not given.
func (s Spec) defaultFile() string {
	return "/etc/outrigger/" + s.Name + ".yaml"
}
