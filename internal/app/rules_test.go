// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// startStub starts the stub with a YAML file.
func startStub(t *testing.T, file string, args ...string) *testkit.Process {
	t.Helper()
	args = append([]string{"--admin-listen=127.0.0.1:0", "--config=" + file}, args...)
	return testkit.Start(t, stubBinary(t), args, []string{"GORACE=atexit_sleep_ms=0"})
}

func writeRules(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestRulesFollowTheFileByThemselves(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stub.yaml")
	writeRules(t, file, "name: you\ngreetings:\n  - text: hello\n")
	p := startStub(t, file)
	p.WaitReady()
	writeRules(t, file, "name: me\ngreetings:\n  - text: hello\n  - {text: salut, language: fr}\n")
	p.WaitLog("greetings changed", "count", 2)
	p.WaitLog("a changed setting takes effect at the next start", "setting", "name")
}

func TestWrongRulesKeepTheOldOnesAndSayWhy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stub.yaml")
	writeRules(t, file, "greetings:\n  - text: hello\n")
	p := startStub(t, file)
	p.WaitReady()
	writeRules(t, file, "greetings:\n  - text: ''\n  - txt: hello\n  - [x]\n")
	failed := p.WaitLog("reload failed, keeping what was loaded before", "part", "rules")
	for _, want := range []string{
		file + ":3: unknown key \"txt\"",
		"file " + file + ": greetings[0].text: is empty; write a greeting",
	} {
		if !strings.Contains(failed.Attrs["error"], want) {
			t.Errorf("%q is not in %s", want, failed.Raw)
		}
	}
	p.WaitMetric(`stub_reloads_total{result="failure"}`, func(n float64) bool { return n >= 1 })

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGHUP)
	testkit.Eventually(t, "the missing file to be noticed", func() error {
		for _, line := range p.Logs() {
			if strings.Contains(line.Attrs["error"], "no such file") {
				return nil
			}
		}
		return os.ErrNotExist
	})
	writeRules(t, file, "greetings: []\n")
	p.WaitLog("greetings changed", "count", 0)
	if code := p.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestWrongRulesAndSettingsEndTheStartAllAtOnce(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "stub.yaml")
		writeRules(t, file, text)
		p := startStub(t, file, "--dir=/does/not/exist")
		if code := p.Wait(); code != 2 {
			t.Errorf("exit code %d", code)
		}
		want = append(want, "--dir=/does/not/exist: cannot read the greetings: stat /does/not/exist: no such file or directory; mount a volume there")
		lines := strings.Split(strings.TrimSuffix(p.Stderr(), "\n"), "\n")
		if len(lines) != len(want) {
			t.Errorf("%d lines, want %d:\n%s", len(lines), len(want), p.Stderr())
			return
		}
		for i, w := range want {
			w = "stub: " + strings.ReplaceAll(w, "FILE", file)
			if lines[i] != w {
				t.Errorf("line %d is\n%s\nwant\n%s", i, lines[i], w)
			}
		}
	}
	f("greetings:\n  - txt: hello\n    text: x\nshutdown-delay: [1s, 2s]\nlog-level:\n",
		`FILE:2: unknown key "txt"`,
		`FILE:5: log-level: needs a value; use log-level: debug|info|warn|error`,
		`FILE:4: shutdown-delay: a list, but this setting takes one value`)
	f("greetings: 7\n", "FILE:1: `7` does not fit here; use a list")
	f("- list\n", `FILE:1: not a mapping; use lines such as "log-level: debug"`)
	f("name: [a, {b: c}]\n", `FILE:1: name: an item is no plain value; use a list of texts`)
	f("a: b: c\n", "FILE: not YAML: mapping values are not allowed in this context")
	f("log-level: debug\nlog-level: info\n", `FILE:2: mapping key "log-level" already defined at line 1`)
	f("help: true\n", `FILE:1: unknown key "help"`)
}

func TestASecretInTheEnvironmentReachesNeitherLogNorAdminPort(t *testing.T) {
	p := testkit.Start(t, stubBinary(t), []string{"--admin-listen=127.0.0.1:0"}, []string{"STUB_PASSWORD=s3cret-value", "GORACE=atexit_sleep_ms=0"})
	p.WaitReady()
	var seen strings.Builder
	seen.WriteString(p.Stderr())
	for _, path := range []string{"/", "/status", "/-/config", "/metrics", "/readyz?verbose"} {
		answer, err := testkit.Get(p.AdminURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		seen.WriteString(answer.Body)
	}
	if strings.Contains(seen.String(), "s3cret-value") || !strings.Contains(seen.String(), "***") {
		t.Error("the secret is printed, or nothing shows that it is set")
	}
}

func TestManifestTakesSecretsFromASecret(t *testing.T) {
	for kind, want := range map[string]string{
		"native":  "secretKeyRef:\n            name: stub-secrets\n            key: password\n",
		"compose": "STUB_PASSWORD: null\n",
	} {
		r := testkit.Run(t, stubBinary(t), []string{"manifest", kind}, []string{"STUB_PASSWORD=s3cret-value", "GORACE=atexit_sleep_ms=0"})
		if r.Code != 0 || strings.Contains(r.Stdout, "s3cret-value") || !strings.Contains(r.Stdout, want) {
			t.Errorf("%s: %d\n%s", kind, r.Code, r.Stdout)
		}
	}
}
