// SPDX-License-Identifier: Apache-2.0

package podman_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/outrigger/outrigger/internal/testkit"
)

// pod is an example pod that runs.
type pod struct {
	name, address string
}

// play builds the images, runs an example pod as its file stands until the test ends,
// and returns it.
func play(t *testing.T, file string) pod {
	t.Helper()
	mustCommand(t, []string{"OUT=" + t.TempDir()}, "images/build.sh")
	p := pod{name: podName(t, file)}
	// What an aborted run left behind would keep the name.
	_, _ = command(t, nil, "podman", "pod", "rm", "--force", "--ignore", p.name)
	t.Cleanup(func() {
		if t.Failed() {
			logs, _ := command(t, nil, "podman", "pod", "logs", p.name)
			t.Logf("the pod's logs:\n%s", logs)
		}
		_, _ = command(t, nil, "podman", "pod", "rm", "--force", "--ignore", p.name)
	})
	mustCommand(t, nil, "podman", "kube", "play", "--build=false", file)
	infra := mustCommand(t, nil, "podman", "pod", "inspect", "--format", "{{.InfraContainerID}}", p.name)
	p.address = strings.TrimSpace(mustCommand(t, nil, "podman", "inspect",
		"--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", strings.TrimSpace(infra)))
	return p
}

// podName reads metadata.name of the pod in the file.
func podName(t *testing.T, file string) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(source)))
	for {
		var object struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := decoder.Decode(&object); err != nil {
			t.Fatalf("%s has no Pod: %v", file, err)
		}
		if object.Kind == "Pod" {
			return object.Metadata.Name
		}
	}
}

// client trusts any certificate: which one the pod has is the affair of tls-proxy's own
// tests. Redirects are what some tests are about.
func client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func get(t *testing.T, url string) (testkit.Answer, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return testkit.Do(client(), request)
}

func TestTheExamplePodServesALegacyAppOverHTTPS(t *testing.T) {
	const file = "examples/pods/tls-proxy/podman.yaml"
	p := play(t, file)
	https := "https://" + net.JoinHostPort(p.address, "8443")
	admin := "http://" + net.JoinHostPort(p.address, "9911")

	testkit.Eventually(t, "the app answers through tls-proxy", func() error {
		answer, err := get(t, https+"/whoami")
		if err != nil {
			return err
		}
		if answer.Status != http.StatusOK || !strings.Contains(answer.Body, "asked over https") {
			return fmt.Errorf("%d %s", answer.Status, answer.Body)
		}
		return nil
	})

	t.Run("the app itself is not to be reached from outside", func(t *testing.T) {
		if answer, err := get(t, "http://"+net.JoinHostPort(p.address, "8080")+"/"); err == nil {
			t.Errorf("it answers %d on the pod's address", answer.Status)
		}
	})
	t.Run("its redirects stay on HTTPS", func(t *testing.T) {
		answer, err := get(t, https+"/login")
		if err != nil {
			t.Fatal(err)
		}
		if location := answer.Header.Get("Location"); !strings.HasPrefix(location, https+"/") {
			t.Errorf("Location: %s", location)
		}
	})
	t.Run("probes answer anyone and the status page loopback alone", func(t *testing.T) {
		for path, want := range map[string]int{"/readyz": 200, "/livez": 200, "/startupz": 200, "/metrics": 200, "/status": 403, "/": 403} {
			answer, err := get(t, admin+path)
			if err != nil {
				t.Error(err)
			} else if answer.Status != want {
				t.Errorf("%s answers %d, want %d", path, answer.Status, want)
			}
		}
	})
	t.Run("healthcheck works in an image without a shell", func(t *testing.T) {
		mustCommand(t, nil, "podman", "exec", p.name+"-tls-proxy", "/tls-proxy", "healthcheck", "ready")
	})
	t.Run("kube down takes the pod away again", func(t *testing.T) {
		mustCommand(t, nil, "podman", "kube", "down", file)
		if _, err := command(t, nil, "podman", "pod", "exists", p.name); err == nil {
			t.Errorf("pod %s is still there", p.name)
		}
	})
}
