// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// Rig is the place where a bench runs.
type Rig struct {
	// Root is the repository's root, Dir a scratch directory that is removed afterwards.
	Root, Dir string
	// LoadCore is where loads and backends run, PeerCore where the measured program runs alone.
	LoadCore, PeerCore int
	// Progress receives a line for each thing done.
	Progress io.Writer
}

// Program is where Build puts the program called name.
func (r *Rig) Program(name string) string {
	return filepath.Join(r.Root, ".cache", "bench", name)
}

// Build compiles the Go program pkg, a path in the module at Root/module, as the images are built:
// static, without paths and symbols. The result is Program(name).
func (r *Rig) Build(ctx context.Context, module, pkg, name string) error {
	output := r.Program(name)
	fmt.Fprintf(r.Progress, "building %s\n", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", output, pkg)
	cmd.Dir = filepath.Join(r.Root, module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", name, err, said)
	}
	return nil
}

// FreeAddr returns a loopback HOST:PORT that nobody listens on.
func (r *Rig) FreeAddr() (string, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
