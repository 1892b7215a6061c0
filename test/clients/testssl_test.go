// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// finding is one of testssl.sh's.
type finding struct{ ID, Severity, Finding string }

// TestTestsslFindsNothingOfMediumSeverityOrWorse, outside its section on the certificate, which is the test's own. Both
// types of key are judged, since cipher suites go with them.
func TestTestsslFindsNothingOfMediumSeverityOrWorse(t *testing.T) {
	for _, key := range []testkit.KeyType{testkit.ECDSAP256, testkit.RSA2048} {
		t.Run(string(key), func(t *testing.T) {
			t.Parallel()
			p := startProxyWith(t, testkit.Request{Key: key}, startLegacy(t), "--access-log=off")
			seen := map[string]bool{}
			for _, f := range testssl(t, p) {
				seen[f.ID] = true
				switch f.Severity {
				case "OK", "INFO", "LOW":
				case "WARN":
					if f.ID != "engine_problem" { // no GOST in Debian's openssl
						t.Errorf("%s could not be judged: %s", f.ID, f.Finding)
					}
				default:
					if !strings.HasPrefix(f.ID, "cert_") {
						t.Errorf("%s: %s: %s", f.Severity, f.ID, f.Finding)
					}
				}
			}
			for _, id := range []string{
				"SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3", "ALPN_HTTP2", "cipherlist_AVERAGE", "PFS", "heartbleed", "CCS", "ticketbleed",
				"ROBOT", "secure_renego", "secure_client_renego", "CRIME_TLS", "POODLE_SSL", "SWEET32", "FREAK", "DROWN", "LOGJAM", "BEAST", "LUCKY13", "RC4",
			} {
				if !seen[id] {
					t.Errorf("%s was not judged", id)
				}
			}
		})
	}
}

// testssl runs Debian's testssl.sh over everything that needs no other host.
func testssl(t *testing.T, p *proxy) []finding {
	t.Helper()
	report := filepath.Join(t.TempDir(), "report.json")
	c := testkit.StartCommand(t, testkit.Command{
		Path: testkit.Tool(t, "testssl", "testssl.sh"),
		Args: []string{
			"--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1", "--jsonfile", report,
			"--protocols", "--standard", "--fs", "--server-preference", "--server-defaults", "--grease", "--vulnerable", p.url("/"),
		},
		Env: []string{"TERM=dumb"},
	})
	select { // half a minute by itself, more beside other tests
	case <-c.Done():
	case <-time.After(4 * time.Minute):
		t.Fatal("testssl.sh did not end")
	}
	data, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var findings []finding
	if err := json.Unmarshal(data, &findings); err != nil {
		t.Fatalf("cannot read the report: %v\n%s", err, data)
	}
	return findings
}
