// SPDX-License-Identifier: Apache-2.0

// Package clients_test proves tls-proxy with parts that others have made: nginx and Apache as the application behind
// it, curl, h2load, openssl, a browser, gRPC and the judges h2spec and testssl.sh in front of it.
package clients_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

// proxy is a running tls-proxy with a certificate of its own authority for localhost and 127.0.0.1.
type proxy struct {
	*testkit.Process
	ca     *testkit.CA
	caFile string
	addr   string // 127.0.0.1:PORT
	port   string
}

// startProxy starts the built binary in front of target, on free ports.
func startProxy(t *testing.T, target string, more ...string) *proxy {
	t.Helper()
	return startProxyWith(t, testkit.Request{}, target, more...)
}

// startProxyWith is startProxy with a certificate of another kind.
func startProxyWith(t *testing.T, request testkit.Request, target string, more ...string) *proxy {
	t.Helper()
	p := &proxy{ca: testkit.NewCA(t)}
	p.caFile = p.ca.File()
	request.Names = []string{"localhost", "127.0.0.1"}
	cert, key := p.ca.IssueWith(request).Write(t.TempDir(), "tls")
	p.Process = testkit.Start(t, testkit.Binary(t, "tls-proxy"), append([]string{
		"--target=" + target, "--cert=" + cert, "--key=" + key, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}, more...), nil)
	p.WaitReady()
	p.addr = p.WaitAddr("https")
	_, p.port, _ = net.SplitHostPort(p.addr)
	return p
}

// url is that of a path as a user writes it, by name.
func (p *proxy) url(path string) string { return "https://localhost:" + p.port + path }

// run runs a client to its end and returns what it said, stdout first.
func run(t *testing.T, path string, args ...string) testkit.Result {
	t.Helper()
	return testkit.Run(t, path, args, nil)
}

// startLegacy starts the repository's own legacy application and returns its address.
func startLegacy(t *testing.T) string {
	t.Helper()
	app := testkit.Start(t, testkit.Binary(t, "legacy-app"), []string{"-addr=127.0.0.1:0", "-log-dir=" + t.TempDir()}, nil)
	var addr string
	testkit.Eventually(t, "the legacy application", func() error {
		_, rest, ok := strings.Cut(app.Stdout(), "legacy-app listens on http://")
		if !ok {
			return errors.New("it does not say where it listens")
		}
		addr = strings.TrimSpace(rest)
		return nil
	})
	return addr
}

// randomFile writes so many random bytes into dir/name and returns the path and their SHA-256.
func randomFile(t *testing.T, dir, name string, size int) (path, sum string) {
	t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, fmt.Sprintf("%x", sha256.Sum256(data))
}

// sumOf is the SHA-256 of a file.
func sumOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// sameRange compares a part of a file with what a client got.
func sameRange(t *testing.T, path string, from, to int, got string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data[from:to+1], []byte(got)) {
		t.Errorf("bytes %d-%d of %s came out differently: %d bytes", from, to, path, len(got))
	}
}
