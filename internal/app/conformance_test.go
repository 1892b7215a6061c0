// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/testkit/apptest"
)

func stubProgram(t *testing.T) apptest.Program {
	return apptest.Program{
		Spec: stubSpec,
		Args: []string{"--listen=127.0.0.1:0", "--name=you"},
		// The race detector waits a second at the end of a process for late reports.
		Env:    []string{"GORACE=atexit_sleep_ms=0"},
		Binary: stubBinary(t),
	}
}

func TestTheStubKeepsEveryPromise(t *testing.T) { apptest.Run(t, stubProgram(t)) }

func TestGeneratedTablesReplaceWhatIsBetweenTheMarks(t *testing.T) {
	table := apptest.FlagTable(app.Flags(stubSpec()))
	for _, want := range []string{
		"**Greeting**\n\n| flag | variable | default | |\n|---|---|---|---|\n| `--listen=HOST:PORT` | `STUB_LISTEN` | `127.0.0.1:0` | Where to greet. |\n",
		"| `--name=VALUE` | `STUB_NAME` |  | Whom to greet. May be repeated; one value per line in the variable. |\n",
		"| `--log-format=json\\|text` | `STUB_LOG_FORMAT` | `json` |",
		"| `--help` |  |  | Print this help. |\n",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("missing %s in\n%s", want, table)
		}
	}
	page := filepath.Join(t.TempDir(), "README.md")
	fresh := "# stub\n<!-- flags:begin -->\n" + table + "<!-- flags:end -->\n<!-- metrics:begin -->\n" +
		"| metric | type | labels | |\n|---|---|---|---|\n" +
		"| `stub_admin_refused_total` | counter | `reason` | Requests and connections that the admin port turned away, by reason. |\n" +
		"| `stub_build_info` | gauge | `goversion`, `revision`, `version` | A constant 1 with the labels of the build that runs. |\n" +
		"| `stub_ready` | gauge |  | Whether /readyz answers 200. |\n" +
		"| `stub_reloads_total` | counter | `result` | Reloads by SIGHUP or POST /-/reload. After a failure the old configuration stays. |\n" +
		"| `stub_requests_total` | counter | `name` | Greetings by whom they went to. |\n" +
		"| `go_...`, `process_...` | | | The Go runtime and the process: memory, processor time, goroutines, descriptors. |\n" +
		"<!-- metrics:end -->\n"
	if err := os.WriteFile(page, []byte(fresh), 0o600); err != nil {
		t.Fatal(err)
	}
	apptest.Readme(t, stubProgram(t), page)
}
