// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/lifecycle"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/accesslog"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/forward"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

// addDrain adds the order in which connections end: listeners, then HTTP connections by GOAWAY and Connection:
// close and WebSockets by a close frame, then whatever is left at the deadline.
func addDrain(env *app.Env, front *frontend.Frontend, handler *forward.Handler, lines *accesslog.Log, watch *target) {
	env.Life.SkipDelay(watch.gone)
	env.Life.Add(lifecycle.Actor{
		Name: "connections",
		Run: func(ctx context.Context) error {
			<-ctx.Done()
			handler.Close()
			front.Close()
			handler.Settle(time.Second)
			lines.Flush() // of the requests that were cut
			return nil
		},
		StopAccepting: front.StopAccepting,
		Drain: func(ctx context.Context) error {
			handler.GoAway()
			err := front.Drain(ctx)
			handler.WaitTunnels(ctx.Done())
			if err == nil {
				err = context.Cause(ctx)
			}
			return err
		},
		Cancel: func() {
			front.Cancel()
			handler.Close()
		},
	})
	env.Admin.Control("POST /-/drain", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		env.Admin.SetNotReady("drained by request; POST /-/undrain takes it back")
		fmt.Fprintln(w, "not ready from now on; still serving")
	}))
	env.Admin.Control("POST /-/undrain", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		env.Admin.SetNotReady("")
		fmt.Fprintln(w, "no longer kept from being ready")
	}))
}

// drainFlags are the flags of the sub-command.
type drainFlags struct {
	Wait time.Duration `default:"0s" help:"Return only after so long: in a preStop hook this keeps the container serving while endpoints are updated."`
}

// drainCommand is the sub-command for an exec preStop hook: readiness fails, serving goes on.
func drainCommand() app.Command {
	flags := new(drainFlags)
	return app.Command{
		Name:   "drain",
		Help:   "Make the running tls-proxy not ready while it goes on serving; for an exec preStop hook.",
		Config: flags,
		Run: func(ctx context.Context, env *app.CommandEnv) int {
			answer, err := env.Admin.Post(ctx, "/-/drain", "")
			if err != nil {
				fmt.Fprintf(env.Stderr, "%s: cannot reach the running program: %v\n", env.Program, err)
				return 1
			}
			fmt.Fprint(env.Stdout, answer.Body)
			if !answer.OK() {
				return 1
			}
			select {
			case <-time.After(flags.Wait):
			case <-ctx.Done():
			}
			return 0
		},
	}
}
