// SPDX-License-Identifier: Apache-2.0

// Package podman_test builds the images and runs the example pods as a user would:
// with images/build.sh and `podman kube play`, from outside.
package podman_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository's.
const root = "../.."

// command runs a command at the root with what test/podman/setup exports, and
// returns what it wrote to stdout. Variables are written NAME=value.
func command(t *testing.T, variables []string, name string, args ...string) (string, error) {
	t.Helper()
	// Cleanups run commands too, when the context of the test is done.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "bash", append([]string{"-c", `. test/podman/setup && exec "$0" "$@"`, name}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), variables...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// mustCommand is command for what has to succeed.
func mustCommand(t *testing.T, variables []string, name string, args ...string) string {
	t.Helper()
	out, err := command(t, variables, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// program is what a test knows about a row of images/programs.txt.
type program struct {
	name, folder string
	budget       int64    // of the gzip layers, in bytes
	ports        []string // as an image's configuration names them
}

func programs(t *testing.T) []program {
	t.Helper()
	table, err := os.ReadFile(filepath.Join(root, "images/programs.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []program
	for line := range strings.Lines(string(table)) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		var row program
		var ports string
		var budget int64
		if _, err := fmt.Sscan(line, &row.name, &row.folder, &budget, &ports); err != nil {
			t.Fatalf("images/programs.txt: %q: %v", line, err)
		}
		row.budget = budget * 1e6
		for port := range strings.SplitSeq(ports, ",") {
			if port != "-" {
				row.ports = append(row.ports, port+"/tcp")
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// layout is an image as images/build.sh leaves it: an OCI layout on disk.
type layout string

// blob reads a JSON blob.
func (l layout) blob(t *testing.T, digest string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(string(l), "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %s: %v", l, digest, err)
	}
}

// descriptor points to a blob.
type descriptor struct {
	MediaType, Digest string
	Size              int64
	Platform          struct{ OS, Architecture string }
}

// manifest is one image: its configuration and its layers.
type manifest struct {
	Config descriptor
	Layers []descriptor
}

// imageConfig is what a container gets from its image.
type imageConfig struct {
	Created      string
	Architecture string
	Config       struct {
		User         string
		Entrypoint   []string
		Cmd          []string
		ExposedPorts map[string]struct{}
		Labels       map[string]string
	}
}

// images returns the manifests in the layout, one a platform.
func (l layout) images(t *testing.T) []manifest {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(string(l), "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	var found []manifest
	for _, entry := range index.Manifests {
		list := []descriptor{entry}
		if strings.Contains(entry.MediaType, "index") {
			l.blob(t, entry.Digest, &index)
			list = index.Manifests
		}
		for _, d := range list {
			var m manifest
			l.blob(t, d.Digest, &m)
			found = append(found, m)
		}
	}
	return found
}
