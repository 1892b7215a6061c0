// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The scripts call the little program of TestMain by a program's name.
func TestScripts(t *testing.T) {
	path, env := self(t)
	dir := t.TempDir()
	wrapper := fmt.Sprintf("#!/bin/sh\n%s exec %q \"$@\"\n", strings.Join(env, " "), path)
	if err := os.WriteFile(filepath.Join(dir, "tls-proxy"), []byte(wrapper), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OUTRIGGER_BIN", dir)
	Scripts(t, cmp.Or(os.Getenv("TESTKIT_SCRIPTS"), filepath.Join("testdata", "script")), Programs{"tls-proxy"})
}

// Each script in testdata/failing says in its first line what it fails with. They run
// in this test binary, started again, because a failed sub-test fails its parents.
func TestScriptsFailWithASentence(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "failing", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no failing scripts (%v)", err)
	}
	path, _ := self(t)
	r := Run(t, path, []string{"-test.run=^TestScripts$"}, []string{"TESTKIT_SCRIPTS=" + filepath.Join("testdata", "failing")})
	if r.Code != 1 {
		t.Fatalf("the failing scripts ended with %d:\n%s", r.Code, r.Stdout)
	}
	for _, file := range files {
		first, _, _ := strings.Cut(content(t, file), "\n")
		want := strings.TrimPrefix(first, "# fails with: ")
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if !hasFailure(r.Stdout, "FAIL: testdata/failing/"+name+".txtar:", want) {
			t.Errorf("%s did not fail with %q", name, want)
		}
	}
	if t.Failed() {
		t.Log(r.Stdout)
	}
}

// hasFailure reports whether a line begins so and goes on with a sentence.
func hasFailure(output, begins, sentence string) bool {
	for line := range strings.Lines(output) {
		_, failure, ok := strings.Cut(line, begins)
		if ok && strings.Contains(failure, sentence) {
			return true
		}
	}
	return false
}
