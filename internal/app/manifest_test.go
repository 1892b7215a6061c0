// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"strings"
	"testing"
)

// printed returns what the manifest command prints.
func printed(t *testing.T, spec Spec, args, environ []string) string {
	t.Helper()
	var stdout, stderr strings.Builder
	code := Run(context.Background(), spec, append([]string{"manifest"}, args...), environ, strings.NewReader(""), &stdout, &stderr, nil)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	return stdout.String()
}

func TestManifestGivesSettingsOnAsTheyCame(t *testing.T) {
	f := func(args, environ []string, want string) {
		t.Helper()
		if got := printed(t, testSpec(new(testConfig)), args, environ); !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	f([]string{"--listen=:1", "--listen=:2"}, nil, "args:\n      - --listen=:1\n      - --listen=:2\n")
	f(nil, []string{"TEST_PROG_LISTEN=:1\n:2"}, "- name: TEST_PROG_LISTEN\n        value: |-\n          :1\n          :2\n")
	f(nil, []string{"TEST_PROG_OLD="}, "- name: TEST_PROG_OLD\n        value: \"\"\n")
	f(nil, []string{"TEST_PROG_OLD=$(HOME) $x"}, "value: $$(HOME) $x\n")
	f([]string{"compose"}, []string{"TEST_PROG_OLD=$(HOME) $x"}, "TEST_PROG_OLD: $$(HOME) $$x\n")
	f(nil, []string{"TEST_PROG_TARGET=redis://u:p@h"}, "name: test-prog-secrets\n            key: target\n")
	f([]string{"--config=/etc/x/test.yaml"}, nil, "- name: test-prog-config\n        mountPath: /etc/x\n        readOnly: true\n")
	f([]string{"--image=example/x:1"}, nil, "image: example/x:1\n")
}

// The file is not looked at, so what it lacks is not known.
func TestManifestNeedsNoSettingThatTheFileMayHave(t *testing.T) {
	var c struct {
		Target string `required:"" placeholder:"ADDR" help:"Where to."`
	}
	spec := testSpec(&c)
	if got := printed(t, spec, []string{"--config=/etc/x/test.yaml"}, nil); !strings.Contains(got, "# /etc/x/test.yaml is not looked at") {
		t.Errorf("got\n%s", got)
	}
	var stdout, stderr strings.Builder
	if code := Run(t.Context(), spec, []string{"manifest"}, nil, strings.NewReader(""), &stdout, &stderr, nil); code != 2 {
		t.Errorf("without a file it ends with %d: %s", code, &stderr)
	}
}

func TestManifestProbesWhereTheAdminPortIs(t *testing.T) {
	f := func(admin, want string) {
		t.Helper()
		if got := printed(t, testSpec(new(testConfig)), []string{"--admin-listen=" + admin}, nil); !strings.Contains(got, want) {
			t.Errorf("%s: %q is not in\n%s", admin, want, got)
		}
	}
	f(":1234", "containerPort: 1234\n")
	f(":1234", "httpGet:\n        path: /readyz\n        port: test-admin\n")
	f("127.0.0.1:1234", "exec:\n        command: [/test-prog, healthcheck, ready, '--admin-listen=127.0.0.1:1234']\n")
	f("unix:/run/admin", "exec:\n        command: [/test-prog, healthcheck, ready, '--admin-listen=unix:/run/admin']\n")
}

func TestManifestPublishesPortsForPodmanAlone(t *testing.T) {
	spec := testSpec(new(testConfig))
	spec.Manifest = func() Container { return Container{Ports: []Port{{"web", 8443}}} }
	if got := printed(t, spec, []string{"podman"}, nil); !strings.Contains(got, "hostPort: 8443\n") || strings.Count(got, "hostPort") != 1 {
		t.Errorf("got\n%s", got)
	}
	if got := printed(t, testSpec(new(testConfig)), []string{"native"}, nil); strings.Contains(got, "hostPort") {
		t.Errorf("got\n%s", got)
	}
}

func TestDefaultImageIsTheReleasesOrTheOneBuiltHere(t *testing.T) {
	f := func(version, want string) {
		t.Helper()
		if got := defaultImage("x", version); got != want {
			t.Errorf("%s: got %s", version, got)
		}
	}
	f("v1.2.3", "outrigger/x:v1.2.3")
	f("devel", "localhost/outrigger/x:dev")
	f("v0.0.0-20260101000000-abcdef+dirty", "localhost/outrigger/x:dev")
}

func TestYAMLAliasesAreValues(t *testing.T) {
	c, _, err := parseTest(t, []string{"--config=" + writeFile(t, "target: &x a\nold: *x\nlisten: [*x, b]\n")}, nil)
	if err != nil || c.Old != "a" || strings.Join(c.Listen, ",") != "a,b" {
		t.Errorf("got %+v, %v", c, err)
	}
}
