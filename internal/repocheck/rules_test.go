// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// files is a tree as a test writes it down: path and content.
type files map[string]string

func (f files) load(t *testing.T) *Tree {
	t.Helper()
	root := fstest.MapFS{}
	for name, content := range f {
		root[name] = &fstest.MapFile{Data: []byte(content)}
	}
	tree, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// wantProblems checks that each problem that a rule found contains what is wanted of it, in order.
func wantProblems(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("unexpected problem %q", got[i])
		case i >= len(got):
			t.Errorf("no problem with %q", want[i])
		case !strings.Contains(got[i], want[i]):
			t.Errorf("problem %d is %q, want one with %q", i, got[i], want[i])
		}
	}
}

func TestImportLaw(t *testing.T) {
	f := func(importer, imported string, want ...string) {
		t.Helper()
		source := fmt.Sprintf("package p\n\nimport _ %q\n", module+imported)
		wantProblems(t, Imports(files{importer: source}.load(t)), want...)
	}
	f("sidecars/tls-proxy/main.go", "internal/app")
	f("sidecars/tls-proxy/main.go", "sidecars/tls-proxy/internal/proxy")
	f("sidecars/tls-proxy/main_test.go", "internal/testkit/apptest")
	f("internal/app/run.go", "internal/admin")
	f("internal/app/run.go", "internal/certs")
	f("internal/testkit/apptest/run.go", "internal/app")
	f("internal/certs/store.go", "internal/filewatch")
	f("test/e2e/e2e_test.go", "internal/testkit")

	f("sidecars/tls-proxy/main.go", "sidecars/config-sync/internal/source", "main.go:3: imports sidecars/config-sync/internal/source, which is part of a program")
	f("internal/app/run.go", "adapters/logs/internal/tail", "which is part of a program")
	f("internal/certs/store.go", "internal/app", "which only programs and the chassis itself may")
	f("internal/certs/store_test.go", "internal/admin", "which only programs and the chassis itself may")
	f("internal/relay/relay.go", "internal/lifecycle", "which only programs and the chassis itself may")
	f("internal/certs/store.go", "internal/testkit", "which is for tests alone")
	f("sidecars/tls-proxy/main.go", "internal/testkit", "which is for tests alone")
	f("test/e2e/e2e_test.go", "internal/repocheck", "which is for its own tests alone")
}

func TestPackageDocsSayWhatForAndShowTheUse(t *testing.T) {
	f := func(name, source string, want ...string) {
		t.Helper()
		wantProblems(t, PackageDocs(files{name: source}.load(t)), want...)
	}
	f("internal/certs/doc.go", "// Package certs loads.\n//\n//\tcerts.Load(x)\npackage certs\n")
	f("sidecars/tls-proxy/main.go", "// Command tls-proxy serves.\n//\n//\ttls-proxy --target=:1\npackage main\n")
	f("test/e2e/e2e_test.go", "// Package e2e_test tests.\npackage e2e_test\n")

	f("internal/certs/certs.go", "package certs\n", "internal/certs: package certs has no doc comment")
	f("internal/certs/certs.go", "// Loads.\npackage certs\n", `does not begin with "Package certs "`)
	f("internal/certs/certs.go", "// Package certs loads.\npackage certs\n", "shows no use")
	f("sidecars/tls-proxy/main.go", "// Package main serves.\npackage main\n", `does not begin with "Command "`)
}

func TestAnExampleFunctionShowsTheUse(t *testing.T) {
	tree := files{
		"internal/certs/certs.go":      "// Package certs loads.\npackage certs\n",
		"internal/certs/certs_test.go": "package certs_test\n\nfunc Example() {}\n",
	}.load(t)
	wantProblems(t, PackageDocs(tree))
}

func TestExportedNamesHaveComments(t *testing.T) {
	tree := files{"internal/certs/certs.go": `package certs

func Load() {}

func hidden() {}

type Set struct{}

func (s *Set) Leaves() {}

func (s *Set) String() string { return "" }

type set struct{}

func (s set) Leaves() {}

// These are documented together.
const (
	A = 1
	B = 2
)

var (
	C = 1
	D = 2 // with a word of its own
)
`}.load(t)
	wantProblems(t, ExportedDocs(tree), "certs.go:3: Load is", "certs.go:7: Set is", "certs.go:9: Leaves is", "certs.go:24: C is")
}

func TestLongFilesAndFunctionsAreReported(t *testing.T) {
	tree := files{
		"a/long.go": "package a\n" + strings.Repeat("//\n", maxFileLines),
		"a/func.go": "package a\n\nfunc (s *S[T]) Long() {\n" + strings.Repeat("\n", maxFunctionLines) + "}\n",
		"a/ok.go":   "package a\n\nfunc ok() {\n" + strings.Repeat("\n", maxFunctionLines-2) + "}\n" + strings.Repeat("//\n", 300),
	}.load(t)
	wantProblems(t, Sizes(tree), "a/func.go:3: S.Long has 82 lines", "a/long.go: has 451 lines")
}

func TestAnExceptionCoversOnePlaceAndMustBeNeeded(t *testing.T) {
	tree := files{
		"a/func.go": "package a\n\nfunc (s *S) Long() {\n" + strings.Repeat("\n", maxFunctionLines) + "}\n",
	}.load(t)
	wantProblems(t, sizes(tree, nil, []Exception{{Place: "a/func.go: S.Long", Why: "a table"}}))
	wantProblems(t, sizes(tree, nil, []Exception{{Place: "a/func.go: S.Long"}}), "gives no reason")
	wantProblems(t, sizes(tree, []Exception{{Place: "a/gone.go", Why: "a table"}}, []Exception{{Place: "a/func.go: S.Long", Why: "a table"}}),
		"nothing at a/gone.go needs this exception any more")
}

func TestOnlyAppEndsTheProcess(t *testing.T) {
	f := func(name, body string, want ...string) {
		t.Helper()
		wantProblems(t, Exits(files{name: "package p\n\n" + body}.load(t)), want...)
	}
	f("internal/app/main.go", "func Main() { os.Exit(1) }")
	f("examples/legacy-app/main.go", "func main() { log.Fatal() }")
	f("internal/certs/certs_test.go", "func TestMain(m *testing.M) { os.Exit(m.Run()) }")
	f("sidecars/tls-proxy/main.go", "func main() { os.Exit(1) }", "main.go:3: os.Exit; return an error")
	f("internal/certs/certs.go", "func f() { exit := os.Exit; exit(1) }", "os.Exit")
	f("internal/certs/certs.go", "func f() { log.Fatalf(``) }", "log.Fatalf")
	f("internal/certs/certs.go", "func init() {}", "func init")
}

func TestSkippedTestsAreReported(t *testing.T) {
	f := func(name, content string, want ...string) {
		t.Helper()
		wantProblems(t, Skips(files{name: content}.load(t)), want...)
	}
	f("a/a_test.go", "package a\n\nfunc TestA(t *testing.T) { list.Skip(2) }")
	f("a/testdata/ok.txtar", "exec tls-proxy version\n-- skip --\nskip\n")
	f("a/a_test.go", "package a\n\nfunc TestA(t *testing.T) { t.Skipf(``) }", "a_test.go:3: t.Skipf")
	f("a/a_test.go", "package a\n\nfunc TestA(t *testing.T) { if testing.Short() {} }", "testing.Short")
	f("a/testdata/bad.txtar", "[!linux] skip\n", "the script skips")
}

func TestSleepingTestsAreReported(t *testing.T) {
	f := func(name, body string, want ...string) {
		t.Helper()
		wantProblems(t, sleeps(files{name: "package p\n\n" + body}.load(t), nil), want...)
	}
	f("a/a.go", "func f() { time.Sleep(1) }")
	f("a/a_test.go", "func TestA(t *testing.T) { synctest.Test(t, func(t *testing.T) { time.Sleep(1) }) }")
	f("a/a_test.go", "func TestA(t *testing.T) { time.Sleep(1) }", "a_test.go:3: TestA calls time.Sleep")
	f("internal/testkit/a.go", "func (s *S) Wait() { time.Sleep(1) }", "S.Wait calls time.Sleep")
	tree := files{"a/a_test.go": "package a\n\nfunc TestA(t *testing.T) { time.Sleep(1) }"}.load(t)
	wantProblems(t, sleeps(tree, []Exception{{Place: "a/a_test.go: TestA", Why: "an app that is slow"}}))
}

func TestSourceFilesNameTheLicence(t *testing.T) {
	f := func(name, content string, want ...string) {
		t.Helper()
		wantProblems(t, Licences(files{name: content}.load(t)), want...)
	}
	f("a.go", "// SPDX-License-Identifier: Apache-2.0\n\npackage a\n")
	f("a.sh", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n")
	f("Makefile", "# SPDX-License-Identifier: Apache-2.0\nall:\n")
	f("a.go", "package a\n", "a.go: does not begin")
	f("a.go", "// SPDX-License-Identifier: Apache-2.0\npackage a\n", "and an empty line")
	f("run", "#!/bin/sh\necho\n", "run: does not begin")
}

func TestVagueFoldersAndUnfinishedWordsAreReported(t *testing.T) {
	tree := files{
		"internal/utils/strings.go": "package utils\n",
		"internal/certs/certs.go":   "package certs\n\n// " + "TO" + "DO: the rest\n",
	}.load(t)
	wantProblems(t, Folders(tree), `internal/utils: a folder called "utils"`)
	wantProblems(t, Unfinished(tree), "internal/certs/certs.go:3: says TO"+"DO")
}
