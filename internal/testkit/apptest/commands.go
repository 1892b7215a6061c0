// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/testkit"
)

// testCommands checks the sub-commands that every program has.
func testCommands(t *testing.T, w way) {
	t.Run("healthcheck asks the own admin port and ignores other settings", func(t *testing.T) { testHealthcheck(t, w) })
	t.Run("version prints the version", func(t *testing.T) {
		w.run(t, []string{"version"}).want(t, 0, w.spec.Name+" ")
	})
	t.Run("every command has help", func(t *testing.T) {
		names := []string{"healthcheck", "manifest", "version"}
		for _, c := range w.spec.Commands {
			names = append(names, c.Name)
		}
		for _, name := range names {
			w.run(t, []string{name, "--help"}).want(t, 0, "Usage: "+w.spec.Name+" "+name)
		}
	})
	t.Run("manifest prints a restricted container with probes and ports", func(t *testing.T) {
		for _, kind := range []string{"native", "legacy", "podman"} {
			testManifest(t, w, kind)
		}
	})
	t.Run("manifest prints a compose service", func(t *testing.T) { testCompose(t, w) })
	t.Run("manifest checks the syntax and gives the settings on", func(t *testing.T) { testManifestSettings(t, w) })
}

func testHealthcheck(t *testing.T, w way) {
	r := w.serve(t)
	admin := "--admin-listen=" + r.WaitAddr("admin")
	wrong := w.env("shutdown-delay") + "=nonsense"
	for _, probe := range []string{"live", "ready", "startup"} {
		w.run(t, []string{"healthcheck", probe, admin}, wrong).want(t, 0, "check passed")
	}
	w.run(t, []string{"healthcheck"}, w.env("admin-listen")+"="+r.WaitAddr("admin")).want(t, 0, "readyz check passed")
	free := testkit.FreeAddr(t)
	w.run(t, []string{"healthcheck", "live", "--admin-listen=" + free}).
		want(t, 1, "cannot ask the admin port at "+free+": connection refused")
	w.run(t, []string{"healthcheck", "lively"}).want(t, 2, "use live, ready or startup")
}

// pod is what of a manifest is looked at.
type pod struct {
	InitContainers []container `yaml:"initContainers"`
	Containers     []container
	Volumes        []struct{ Name string }
}

type container struct {
	Name, Image     string
	RestartPolicy   string `yaml:"restartPolicy"`
	Args            []string
	Env             []struct{ Name, Value string }
	Ports           []app.Port
	StartupProbe    map[string]any `yaml:"startupProbe"`
	LivenessProbe   map[string]any `yaml:"livenessProbe"`
	ReadinessProbe  map[string]any `yaml:"readinessProbe"`
	Resources       map[string]map[string]string
	SecurityContext map[string]any `yaml:"securityContext"`
	VolumeMounts    []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

func testManifest(t *testing.T, w way, kind string) {
	t.Helper()
	c, doc := manifestContainer(t, w, kind, w.Args)
	wantSecurity := map[string]any{
		"runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
		"capabilities":   map[string]any{"drop": []any{"ALL"}},
		"seccompProfile": map[string]any{"type": "RuntimeDefault"},
	}
	for key, want := range wantSecurity {
		if got := c.SecurityContext[key]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: securityContext.%s is %v, want %v", kind, key, got, want)
		}
	}
	if user, ok := c.SecurityContext["runAsUser"].(int); !ok || user == 0 {
		t.Errorf("%s: runAsUser is %v, want a number other than 0", kind, c.SecurityContext["runAsUser"])
	}
	if c.Resources["requests"]["memory"] == "" || c.Resources["limits"]["memory"] == "" {
		t.Errorf("%s: resources are %v", kind, c.Resources)
	}
	probes := map[string]map[string]any{"liveness": c.LivenessProbe}
	if kind != "podman" {
		probes["startup"], probes["readiness"] = c.StartupProbe, c.ReadinessProbe
	}
	for name, p := range probes {
		if kind != "podman" && p["httpGet"] == nil || kind == "podman" && p["exec"] == nil {
			t.Errorf("%s: %s probe is %v", kind, name, p)
		}
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(doc.Volumes, func(v struct{ Name string }) bool { return v.Name == m.Name }) {
			t.Errorf("%s: mount %s has no volume", kind, m.Name)
		}
	}
	checkPorts(t, w, c)
}

// checkPorts checks that the admin port is there and every name fits.
func checkPorts(t *testing.T, w way, c container) {
	t.Helper()
	found := false
	for _, p := range c.Ports {
		found = found || p.Name == w.spec.AdminPortName
		if len(p.Name) > 15 {
			t.Errorf("port name %s has more than 15 characters", p.Name)
		}
	}
	if !found {
		t.Errorf("no port %s among %v", w.spec.AdminPortName, c.Ports)
	}
}

func manifestContainer(t *testing.T, w way, kind string, args []string, env ...string) (container, pod) {
	t.Helper()
	r := w.run(t, append([]string{"manifest", kind}, args...), env...)
	r.want(t, 0, "# "+w.spec.Name+": paste this ")
	var doc pod
	if err := yaml.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatalf("%s: %v\n%s", kind, err, r.stdout)
	}
	list := doc.Containers
	if kind == "native" {
		list = doc.InitContainers
	}
	if len(list) != 1 || list[0].Name != w.spec.Name || (list[0].RestartPolicy == "Always") != (kind == "native") {
		t.Fatalf("%s: got\n%s", kind, r.stdout)
	}
	return list[0], doc
}

func testCompose(t *testing.T, w way) {
	r := w.run(t, append([]string{"manifest", "compose"}, w.Args...))
	r.want(t, 0)
	var doc struct {
		Services map[string]struct {
			Image, User string
			NetworkMode string   `yaml:"network_mode"`
			ReadOnly    bool     `yaml:"read_only"`
			CapDrop     []string `yaml:"cap_drop"`
			Healthcheck struct{ Test []string }
		}
	}
	if err := yaml.Unmarshal([]byte(r.stdout), &doc); err != nil {
		t.Fatal(err)
	}
	s := doc.Services[w.spec.Name]
	test := strings.Join(s.Healthcheck.Test, " ")
	if s.Image == "" || s.NetworkMode != "service:app" || !s.ReadOnly || len(s.CapDrop) != 1 ||
		!strings.HasPrefix(test, "CMD /"+w.spec.Name+" healthcheck ready") {
		t.Errorf("got\n%s", r.stdout)
	}
}

// testManifestSettings starts the program's parse with what the manifest says:
// what went in has to come out.
func testManifestSettings(t *testing.T, w way) {
	w.run(t, append([]string{"manifest", "--log-level=loud"}, w.Args...)).want(t, 2, "--log-level=loud")
	args := append(w.Args[:len(w.Args):len(w.Args)], "--log-level=debug", "--config=/does/not/exist.yaml")
	c, _ := manifestContainer(t, w, "native", args, w.env("shutdown-timeout")+"=7s")
	if !slices.Contains(c.Args, "--log-level=debug") {
		t.Errorf("args are %v", c.Args)
	}
	found := false
	for _, e := range c.Env {
		found = found || e.Name == w.env("shutdown-timeout") && e.Value == "7s"
	}
	if !found {
		t.Errorf("env is %v", c.Env)
	}
	var environ []string
	for _, e := range c.Env {
		environ = append(environ, e.Name+"="+e.Value)
	}
	plain := slices.DeleteFunc(slices.Clone(c.Args), func(a string) bool { return strings.HasPrefix(a, "--config=") })
	if _, err := app.Parse(w.Program.Spec(), plain, environ); err != nil {
		t.Errorf("the program refuses its manifest's settings: %v", err)
	}
}
