// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/outrigger/outrigger/bench/harness"
	"github.com/outrigger/outrigger/bench/load"
)

const (
	smallSize = 1 << 10
	largeSize = 100_000_000
)

// backendConfig is an nginx that costs as little as a server can: a string from memory, a file by
// sendfile, and a page that tells what a proxy passed on.
const backendConfig = `%s
daemon off;
worker_processes 1;
pid backend.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
  default_type text/plain;
  server {
    listen %s backlog=4096;
    location = /small { return 200 "%s"; }
    location = /large { root .; }
    location = /seen {
      return 200 "for=$http_x_forwarded_for proto=$http_x_forwarded_proto host=$http_x_forwarded_host port=$http_x_forwarded_port id=$http_x_request_id from=$http_host turn=$connection_requests";
    }
  }
}
`

// startBackend starts the server behind all proxies and returns its address.
func startBackend(ctx context.Context, rig *harness.Rig) (addr string, backend *harness.Process, err error) {
	dir := filepath.Join(rig.Dir, "backend")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("cannot make the backend's directory: %w", err)
	}
	if addr, err = rig.FreeAddr(); err != nil {
		return "", nil, err
	}
	config := fmt.Sprintf(backendConfig, nginxUser(), addr, strings.Repeat("x", smallSize))
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(config), 0o600); err != nil {
		return "", nil, fmt.Errorf("cannot write the backend's configuration: %w", err)
	}
	large := filepath.Join(dir, "large") // one hole: it takes no disk, and is read from memory as any file is
	if err := errors.Join(os.WriteFile(large, nil, 0o600), os.Truncate(large, largeSize)); err != nil {
		return "", nil, fmt.Errorf("cannot write the large body: %w", err)
	}
	command := harness.Command{Args: nginxArgs(dir)}
	backend, err = harness.Start("backend", command, dir, rig.LoadCore)
	if err != nil {
		return "", nil, err
	}
	if _, err := backend.Ready(ctx, answers(load.Site{Host: host}, addr)); err != nil {
		_ = backend.Stop() // the first error says more
		return "", nil, err
	}
	return addr, backend, nil
}

// answers returns a check that the small page is served whole at addr.
func answers(site load.Site, addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		body, err := site.Get(ctx, addr, "/small")
		if err == nil && len(body) != smallSize {
			err = fmt.Errorf("the small page has %d bytes", len(body))
		}
		return err
	}
}

// wholeJob is what the backend must see of a request that came through a proxy: all headers set,
// the Host kept, and a connection that has served other requests before.
var wholeJob = regexp.MustCompile(`^for=127\.0\.0\.1 proto=https host=` + regexp.QuoteMeta(host) +
	`(:\d+)? port=\d+ id=\S+ from=` + regexp.QuoteMeta(host) + `(:\d+)? turn=([2-9]|\d{2,})$`)

// checkWholeJob asks a warmed-up proxy for the page that tells what it passed on.
func checkWholeJob(ctx context.Context, site load.Site, addr string) error {
	seen, err := site.Get(ctx, addr, "/seen")
	if err != nil {
		return err
	}
	if !wholeJob.Match(seen) {
		return fmt.Errorf("the backend saw %q, which is not all that the others do", seen)
	}
	return nil
}
