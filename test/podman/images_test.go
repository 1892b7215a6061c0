// SPDX-License-Identifier: Apache-2.0

package podman_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// build builds images into a fresh folder and returns it, with what build.sh printed.
func build(t *testing.T, variables []string, names ...string) (out, report string) {
	t.Helper()
	out = t.TempDir()
	return out, mustCommand(t, append(variables, "OUT="+out), "images/build.sh", names...)
}

func TestImagesAreWithinBudgetAndRunAsNobody(t *testing.T) {
	out, _ := build(t, nil)
	for _, p := range programs(t) {
		t.Run(p.name, func(t *testing.T) {
			images := layout(filepath.Join(out, p.name)).images(t)
			if len(images) != 1 {
				t.Fatalf("the layout has %d images, want the one of this machine", len(images))
			}
			checkImage(t, layout(filepath.Join(out, p.name)), images[0], p)
		})
	}
}

func checkImage(t *testing.T, l layout, m manifest, p program) {
	t.Helper()
	var size int64
	for _, layer := range m.Layers {
		if !strings.HasSuffix(layer.MediaType, "+gzip") {
			t.Errorf("layer of type %s, want gzip", layer.MediaType)
		}
		size += layer.Size
	}
	if size > p.budget {
		t.Errorf("the gzip layers have %d bytes, the budget is %d", size, p.budget)
	}
	var config imageConfig
	l.blob(t, m.Config.Digest, &config)
	if got := config.Config.User; got != "65532:65532" {
		t.Errorf("user = %q, want 65532:65532", got)
	}
	if got := config.Config.Entrypoint; !slices.Equal(got, []string{"/" + p.name}) || config.Config.Cmd != nil {
		t.Errorf("entry point = %q, command = %q, want /%s alone", got, config.Config.Cmd, p.name)
	}
	for _, port := range p.ports {
		if _, ok := config.Config.ExposedPorts[port]; !ok {
			t.Errorf("port %s is not exposed: %v", port, config.Config.ExposedPorts)
		}
	}
	for _, label := range []string{"title", "description", "source", "documentation", "licenses", "vendor", "version", "revision"} {
		if config.Config.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("label org.opencontainers.image.%s is missing", label)
		}
	}
}

// Cross-compiled and built a second time: what is published does not depend on the
// machine or the day that it was built on.
func TestBothPlatformsBuiltTwiceHaveTheSameDigests(t *testing.T) {
	variables := []string{"PLATFORMS=linux/amd64,linux/arm64", "TAG=twice", "REGISTRY=localhost/outrigger-test"}
	t.Cleanup(func() {
		_, _ = command(t, nil, "buildah", "manifest", "rm", "localhost/outrigger-test/tls-proxy:twice")
		_, _ = command(t, nil, "bash", "-c", "buildah images --quiet --filter label=org.opencontainers.image.version=twice | xargs --no-run-if-empty buildah rmi")
	})
	out, first := build(t, variables, "tls-proxy")
	_, second := build(t, variables, "tls-proxy")
	if lines := strings.Count(first, "sha256:"); lines != 2 {
		t.Errorf("%d digests, want one a platform:\n%s", lines, first)
	}
	if first != second {
		t.Errorf("the digests differ:\n%s\n%s", first, second)
	}
	l := layout(filepath.Join(out, "tls-proxy"))
	var machines []string
	for _, m := range l.images(t) {
		var config imageConfig
		l.blob(t, m.Config.Digest, &config)
		machines = append(machines, config.Architecture)
	}
	slices.Sort(machines)
	if !slices.Equal(machines, []string{"amd64", "arm64"}) {
		t.Errorf("images for %v, want amd64 and arm64", machines)
	}
}

func TestTheBillOfMaterialsNamesWhatIsLinked(t *testing.T) {
	out, _ := build(t, []string{"PLATFORMS=linux/amd64"}, "tls-proxy")
	data, err := os.ReadFile(filepath.Join(out, "tls-proxy.amd64.spdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		SPDXVersion string
		Packages    []struct{ SPDXID, Name, VersionInfo string }
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	versions, identifiers := map[string]string{}, map[string]bool{}
	for _, p := range document.Packages {
		if identifiers[p.SPDXID] {
			t.Errorf("two packages have the identifier %s", p.SPDXID)
		}
		versions[p.Name], identifiers[p.SPDXID] = p.VersionInfo, true
	}
	for _, name := range []string{"stdlib", "github.com/alecthomas/kong", "github.com/prometheus/client_golang"} {
		if versions[name] == "" {
			t.Errorf("no version of %s in %v", name, versions)
		}
	}
	if document.SPDXVersion != "SPDX-2.3" {
		t.Errorf("spdxVersion = %q", document.SPDXVersion)
	}
}

// The Pod Security profile "restricted", and the UIDs that OpenShift picks.
func TestTheImageRunsReadOnlyWithoutCapabilitiesUnderAnyUID(t *testing.T) {
	mustCommand(t, []string{"OUT=" + t.TempDir()}, "images/build.sh", "tls-proxy")
	got := mustCommand(t, nil, "podman", "run", "--rm", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges",
		"--user=1000680000:0", "localhost/outrigger/tls-proxy:dev", "version")
	if !strings.HasPrefix(got, "tls-proxy ") {
		t.Errorf("version prints %q", got)
	}
}
