// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// allowedToFail are the cases of h2spec that net/http answers in a way of its own: with the settings of the frame
// acknowledged at once, and with fields that speak of the connection taken out instead of refused.
var allowedToFail = map[string]bool{
	"http2/6.5.3 Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE":                                          true,
	"http2/8.1.2.2 Sends a HEADERS frame that contains the connection-specific header field":                     true,
	`http2/8.1.2.2 Sends a HEADERS frame that contains the TE header field with any value other than "trailers"`: true,
}

// TestHTTP2ConformsToItsSpecification: all 145 cases of h2spec v2.2.1 but the three above.
func TestHTTP2ConformsToItsSpecification(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startLegacy(t), "--access-log=off")
	report := filepath.Join(t.TempDir(), "h2spec.xml")
	r := run(t, h2spec(t), "--tls", "--insecure", "--host", "127.0.0.1", "--port", p.port, "--junit-report", report)
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("no report: %v\n%s%s", err, r.Stdout, r.Stderr)
	}
	type failure struct {
		Text string `xml:",chardata"`
	}
	var results struct {
		Suites []struct {
			Cases []struct {
				Package string    `xml:"package,attr"`
				Claim   string    `xml:"classname,attr"`
				Failure *failure  `xml:"failure"`
				Error   *failure  `xml:"error"` // what h2spec calls a failure
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(data, &results); err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, suite := range results.Suites {
		for _, c := range suite.Cases {
			cases++
			name := c.Package + " " + c.Claim
			for _, f := range []*failure{c.Failure, c.Error} {
				if f != nil && !allowedToFail[name] {
					t.Errorf("%s: %s", name, f.Text)
				}
			}
			if c.Skipped != nil {
				t.Errorf("%s: skipped", name)
			}
		}
	}
	if cases != 145 {
		t.Errorf("%d cases were tried, want 145", cases)
	}
	if !p.Running() || p.Metric("tls_proxy_http_requests_in_flight") != 0 {
		t.Error("the proxy did not come out of it whole")
	}
}

// h2spec builds the pinned suite, whose module is apart from this one, and returns its path.
func h2spec(t *testing.T) string {
	t.Helper()
	root, err := testkit.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, ".cache", "tools", "h2spec")
	build := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join(root, "test/tools/h2spec"), "-o", path, "github.com/summerwind/h2spec/cmd/h2spec")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build h2spec: %v\n%s", err, strings.TrimSpace(string(out)))
	}
	return path
}
