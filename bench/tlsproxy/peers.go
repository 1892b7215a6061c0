// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/outrigger/outrigger/bench/harness"
	"github.com/outrigger/outrigger/bench/load"
)

// The variants that cells ask for.
const (
	quiet = ""     // no access log
	logs  = "logs" // an access log to a file
)

// accessLog is the file's name in the peer's directory.
const accessLog = "access.log"

// setup is what a peer's configuration is made from.
type setup struct {
	rig     *harness.Rig
	site    load.Site
	cert    certificate
	backend string // HOST:PORT
}

// options fill the templates of the peers' configuration.
type options struct {
	addr, port, dir string
	logs            bool
}

// peer makes a Peer of a function that writes the configuration and returns the arguments.
func (s *setup) peer(name string, configure func(o options) (harness.Command, error)) harness.Peer {
	return harness.Peer{Name: name, Command: func(dir, variant string) (harness.Command, error) {
		addr, err := s.rig.FreeAddr()
		if err != nil {
			return harness.Command{}, err
		}
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return harness.Command{}, err
		}
		command, err := configure(options{addr: addr, port: port, dir: dir, logs: variant == logs})
		if err != nil {
			return harness.Command{}, fmt.Errorf("cannot configure %s: %w", name, err)
		}
		command.Addr, command.Ready = addr, answers(s.site, addr)
		if variant == logs {
			command.AccessLog = accessLog
		}
		return command, nil
	}}
}

// direct is the backend itself, without TLS and proxy: the time that a request takes anyway.
func (s *setup) direct(cells ...string) harness.Peer {
	return harness.Peer{Name: "direct", Cells: cells, Command: func(string, string) (harness.Command, error) {
		return harness.Command{Addr: s.backend}, nil
	}}
}

func (s *setup) floor() harness.Peer {
	const name = "floor"
	peer := s.peer(name, func(o options) (harness.Command, error) {
		args := []string{s.rig.Program(name), "-listen", o.addr, "-target", s.backend, "-cert", s.cert.cert, "-key", s.cert.key}
		if o.logs {
			args = append(args, "-access-log")
		}
		return harness.Command{Args: args, Stdout: o.logs}, nil
	})
	peer.Prepare = func(ctx context.Context) error { return s.rig.Build(ctx, ".", "./bench/floor", name) }
	return peer
}

func (s *setup) tlsProxy() harness.Peer {
	const name = "tls-proxy"
	peer := s.peer(name, func(o options) (harness.Command, error) {
		admin, err := s.rig.FreeAddr()
		if err != nil {
			return harness.Command{}, err
		}
		format := "off"
		if o.logs {
			format = "json"
		}
		args := []string{
			s.rig.Program(name), "--listen", o.addr, "--target", s.backend, "--cert", s.cert.cert, "--key", s.cert.key,
			"--admin-listen", admin, "--access-log", format,
		}
		return harness.Command{Args: args, Stdout: o.logs, Scrape: "http://" + admin + "/metrics"}, nil
	})
	peer.Prepare = func(ctx context.Context) error { return s.rig.Build(ctx, ".", "./sidecars/tls-proxy", name) }
	return peer
}

// onFourThreads is the same peer in the idle cell alone, with the GOMAXPROCS of a node with many cores.
func onFourThreads(peer harness.Peer) harness.Peer {
	return harness.Peer{
		Name: peer.Name + ", GOMAXPROCS=4", Cells: []string{"idle"}, Prepare: peer.Prepare,
		Command: func(dir, variant string) (harness.Command, error) {
			command, err := peer.Command(dir, variant)
			command.Env = append(command.Env, "GOMAXPROCS=4")
			return command, err
		},
	}
}

// installed is the Prepare of a program that Debian has as a package of the same name.
func installed(name string) func(context.Context) error {
	return func(context.Context) error {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install %s", name, name)
		}
		return nil
	}
}

var versionNumber = regexp.MustCompile(`\d+\.\d+[^\s,]*`)

// saidBy is the Version of a program that prints its version when it runs with args.
func saidBy(args ...string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		said, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("cannot ask %s for its version: %w: %s", args[0], err, said)
		}
		return string(versionNumber.Find(said)), nil
	}
}

func write(dir, name, content string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)
}
