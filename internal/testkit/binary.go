// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// folders maps the name of each program to its folder in the module.
func folders() map[string]string {
	return map[string]string{
		"tls-proxy":       "./sidecars/tls-proxy",
		"config-sync":     "./sidecars/config-sync",
		"db-broker":       "./ambassadors/db-broker",
		"request-tee":     "./ambassadors/request-tee",
		"metrics-adapter": "./adapters/metrics",
		"logs-adapter":    "./adapters/logs",
		"health-adapter":  "./adapters/health",
		"legacy-app":      "./examples/legacy-app",
	}
}

// builds remembers, for this test process, the one build of each program.
var builds sync.Map // name -> func() (path string, err error)

// Binary returns the path of a built program. That is $OUTRIGGER_BIN/NAME where the
// variable is set (the binaries of `make build`); else the program is built with the
// image's flags, once per test process, into the user's cache directory. The program
// of one checkout has one path there, which a newer build replaces by a rename.
func Binary(t testing.TB, name string) string {
	t.Helper()
	folder, ok := folders()[name]
	if !ok {
		t.Fatalf("cannot build %q: no program has that name", name)
	}
	find := func() (string, error) { return builtBinary(os.Getenv("OUTRIGGER_BIN"), name) }
	if os.Getenv("OUTRIGGER_BIN") == "" {
		build, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) { return buildBinary(name, folder) }))
		find = build.(func() (string, error))
	}
	path, err := find()
	if err != nil {
		t.Fatalf("cannot build %s: %v", name, err)
	}
	return path
}

func builtBinary(dir, name string) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("OUTRIGGER_BIN is set, but %w; run `make build` or unset it", err)
	}
	return path, nil
}

func buildBinary(name, folder string) (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	checkout := fmt.Sprintf("%x", sha256.Sum256([]byte(root)))[:12]
	dir := filepath.Join(cache, "outrigger-test", checkout)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(dir, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := goBuild(root, folder, filepath.Join(dir, name)); err != nil {
		return "", err
	}
	return filepath.Join(dir, name), dependOn(root, folder)
}

// dependOn looks at every source file of the program. The go command notes which files
// of the module a test looks at, and so does not take its result from the cache when
// one of them has changed: it does not see what a build inside the test read.
func dependOn(root, folder string) error {
	cmd := exec.Command("go", "list", "-deps", "-f",
		`{{if not .Standard}}{{$dir := .Dir}}{{$dir}}{{range .EmbedFiles}}{{"\n"}}{{$dir}}/{{.}}{{end}}{{end}}`, folder)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("go list -deps %s: %w", folder, err)
	}
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if !strings.HasPrefix(path, root) {
			continue // a dependency: go.sum pins it, and the go command watches that
		}
		if _, err := os.ReadDir(path); err != nil {
			if _, err := os.Stat(path); err != nil { // an embedded file
				return err
			}
		}
	}
	return nil
}

// goBuild links into OUTPUT.new, which the go command leaves alone when it is up to
// date, and publishes it by a rename: another test may be starting the old one.
func goBuild(root, folder, output string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", output+".new", folder)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", folder, err, out)
	}
	fresh, err := os.ReadFile(output + ".new")
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(output); err == nil && bytes.Equal(old, fresh) {
		return nil
	}
	if err := os.WriteFile(output+".tmp", fresh, 0o755); err != nil {
		return err
	}
	return os.Rename(output+".tmp", output)
}

// lockFile takes an exclusive lock that ends with unlock or with the process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

// ModuleRoot is the directory of this module's go.mod, found upwards from the
// working directory, which go test sets to the package under test.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.Contains(mod, []byte("module github.com/outrigger/outrigger\n")) {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("cannot find this module's go.mod above the working directory")
	}
}

// Tool returns the path of a program that the machine has to provide, and fails the
// test with the name of Debian's package where it does not: a check that silently
// skips is a check that nobody has.
func Tool(t testing.TB, name, debianPackage string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/sbin"} { // not on every user's PATH
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path
		}
	}
	t.Fatalf("cannot find %s on this machine: install Debian's package %s (apt-get install %s)", name, debianPackage, debianPackage)
	return ""
}
