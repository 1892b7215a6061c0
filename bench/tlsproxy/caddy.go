// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"context"
	"debug/buildinfo"
	"fmt"

	"github.com/outrigger/outrigger/bench/harness"
)

const caddyConfig = `{
	admin off
	auto_https off
	persist_config off
	storage file_system data
	log default {
		output discard
	}
	servers {
		protocols h1 h2
	}
}
https://%s:%s {
	bind 127.0.0.1
	tls %s %s
	%s
	reverse_proxy %s {
		header_up X-Forwarded-Port {http.request.local.port}
		header_up X-Request-Id {http.request.uuid}
		transport http {
			compression off
			keepalive_idle_conns_per_host 512
		}
	}
}
`

// caddyLog is Caddy's own JSON line, which also has the headers; it has no buffer.
const caddyLog = `log access {
		output file ` + accessLog + ` {
			roll_disabled
		}
	}`

func (s *setup) caddy() harness.Peer {
	const name = "caddy"
	program := s.rig.Program(name)
	peer := s.peer(name, func(o options) (harness.Command, error) {
		log := ""
		if o.logs {
			log = caddyLog
		}
		config := fmt.Sprintf(caddyConfig, host, o.port, s.cert.cert, s.cert.key, log, s.backend)
		return harness.Command{
			Args: []string{program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"},
			Env:  []string{"HOME=" + o.dir, "XDG_CONFIG_HOME=" + o.dir, "XDG_DATA_HOME=" + o.dir},
		}, write(o.dir, "Caddyfile", config)
	})
	peer.Prepare = func(ctx context.Context) error {
		return s.rig.Build(ctx, "bench/tools/caddy", "github.com/caddyserver/caddy/v2/cmd/caddy", name)
	}
	peer.Version = func(context.Context) (string, error) {
		info, err := buildinfo.ReadFile(program) // built from here it does not know its own
		if err != nil {
			return "", fmt.Errorf("cannot read the version of caddy: %w", err)
		}
		return info.Main.Version, nil
	}
	return peer
}
