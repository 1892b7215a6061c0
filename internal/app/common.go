// SPDX-License-Identifier: Apache-2.0

package app

import (
	"log/slog"
	"time"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/admin"
)

// Common are the flags of every program. The tag noenv marks what is an action
// and no setting: it has no environment variable and no place in the file.
type Common struct {
	AdminListen address.Listen `group:"Admin" default:"${admin_listen}" placeholder:"HOST:PORT" help:"Where probes, metrics and the status page are served. All addresses by default, as the kubelet and Prometheus come over the pod's address."`
	Control     admin.Control  `group:"Admin" default:"loopback" placeholder:"off|loopback|unix:PATH" help:"Who may use the status page and the control endpoints."`
	EnableQuit  bool           `group:"Admin" help:"Serve POST /-/quit and /quitquitquit, which end the program as SIGTERM does (for a Job whose sidecar is a plain container)."`
	EnablePprof bool           `group:"Admin" help:"Serve /debug/pprof/."`

	LogFormat string     `group:"Log" enum:"json,text" default:"json" placeholder:"json|text" help:"How the log on stderr is written."`
	LogLevel  slog.Level `group:"Log" default:"info" placeholder:"debug|info|warn|error" help:"The least level that is logged; PUT /-/log-level changes it while running."`

	ShutdownDelay   time.Duration `group:"Shutdown" default:"0s" placeholder:"DURATION" help:"How long to go on accepting after SIGTERM, while /readyz already answers 503."`
	ShutdownTimeout time.Duration `group:"Shutdown" default:"25s" placeholder:"DURATION" help:"How long work in flight may take after that; stragglers are cancelled at 80 percent."`

	Config      string `group:"Configuration" placeholder:"FILE" help:"YAML file with settings and rules. ${config_file} when that exists."`
	StrictEnv   bool   `group:"Configuration" help:"Refuse to start when a variable with this program's prefix is unknown (else it is a warning)."`
	CheckConfig bool   `group:"Configuration" noenv:"" help:"Check all settings and the files they name, then exit with 0 or 2."`
	PrintConfig bool   `group:"Configuration" noenv:"" help:"Print every setting with its value and where that came from, then exit. Secrets are masked."`
	Help        bool   `group:"Configuration" noenv:"" short:"h" help:"Print this help."`
	Version     bool   `group:"Configuration" noenv:"" help:"Print the version."`
}

// validate checks the common flags.
func (c *Common) validate(r *Report) {
	if c.ShutdownDelay < 0 {
		r.Errorf("shutdown-delay", "cannot be negative; use 0s for none")
	}
	if c.ShutdownTimeout < 0 {
		r.Errorf("shutdown-timeout", "cannot be negative; use 0s to cut off at once")
	}
}
