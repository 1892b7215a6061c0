// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The scripts call the little program of TestMain by a program's name.
func TestScripts(t *testing.T) {
	path, env := self(t)
	dir := t.TempDir()
	wrapper := fmt.Sprintf("#!/bin/sh\n%s exec %q \"$@\"\n", env[0], path)
	if err := os.WriteFile(filepath.Join(dir, "tls-proxy"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OUTRIGGER_BIN", dir)
	Scripts(t, filepath.Join("testdata", "script"), Programs{"tls-proxy"})
}
