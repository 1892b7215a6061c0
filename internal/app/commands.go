// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/outrigger/outrigger/internal/admin"
)

// The names of the sub-commands of every program.
const (
	healthcheckCommand = "healthcheck"
	manifestCommand    = "manifest"
	versionCommand     = "version"
)

// builtinCommands are the sub-commands of every program.
func builtinCommands() []Command {
	probe, target := new(healthcheckArgs), new(manifestArgs)
	return []Command{
		{
			Name:   healthcheckCommand,
			Help:   "Ask the running program on its admin port, print the reasons, exit 0 or 1: the exec probe of an image without shell and curl.",
			Config: probe,
			Run:    func(ctx context.Context, env *CommandEnv) int { return healthcheck(ctx, env, probe.Probe) },
		},
		{
			Name:     manifestCommand,
			Help:     "Print the container to paste into a pod, with probes, security context, ports, resources and mounts, for the settings given.",
			Config:   target,
			Settings: true,
			Run:      func(_ context.Context, env *CommandEnv) int { return printManifest(env, *target) },
		},
		{
			Name: versionCommand,
			Help: "Print the version.",
			Run: func(_ context.Context, env *CommandEnv) int {
				fmt.Fprintln(env.Stdout, versionLine(env.Program))
				return exitOK
			},
		},
	}
}

type healthcheckArgs struct {
	Probe string `arg:"" optional:"" enum:"live,ready,startup" default:"ready" help:"Which probe to ask."`
}

// healthcheck asks a probe and prints what it says.
func healthcheck(ctx context.Context, env *CommandEnv, probe string) int {
	path := map[string]string{"live": "/livez", "ready": "/readyz", "startup": "/startupz"}[probe]
	// The port itself, even where --control names a socket: it is what a kubelet would ask.
	port := admin.Client(env.Parsed.Common.AdminListen.String(), admin.Control{})
	answer, err := port.Get(ctx, path+"?verbose")
	if err != nil {
		fmt.Fprintf(env.Stderr, "%s: %s\n", env.Program, err)
		return exitError
	}
	fmt.Fprint(env.Stdout, answer.Body)
	if !answer.OK() {
		return exitError
	}
	return exitOK
}

// command runs a sub-command. Ctrl-C ends it.
func (r *runner) command(ctx context.Context, p *Parsed) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if r.signals != nil {
		go func() {
			for {
				select {
				case <-ctx.Done():
					return
				case s := <-r.signals:
					if s != os.Signal(syscall.SIGHUP) {
						cancel()
					}
				}
			}
		}()
	}
	env := &CommandEnv{
		Program: r.spec.Name,
		Version: Version(),
		Parsed:  p,
		Admin:   admin.Client(p.Common.AdminListen.String(), p.Common.Control),
		Stdin:   r.stdin, Stdout: r.stdout, Stderr: r.stderr,
	}
	return p.parser.command().Run(ctx, env)
}
