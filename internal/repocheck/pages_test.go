// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"strings"
	"testing"
)

const table = "tls-proxy sidecars/tls-proxy 7 8443,9911 HTTPS in front of an application\n"

// goodReadme has all that a component's README needs.
const goodReadme = `# tls-proxy

HTTPS in front of an application.

## Quick start

` + "```yaml\nimage: outrigger/tls-proxy\n```" + `

## The contract
## Recipes

` + "```sh\nbin/tls-proxy --target 127.0.0.1:80 \\\n  --listen=:1\ntls-proxy drain --wait=1s\n```" + `

## Flags
<!-- flags:begin -->
| flag | env |
|---|---|
| ` + "`--target`, `--listen` | `TLS_PROXY_TARGET`" + ` |
<!-- flags:end -->
## Endpoints
## Metrics
<!-- metrics:begin -->
| metric | help |
|---|---|
| a | b |
<!-- metrics:end -->
## Signals and exit codes
## Limits
### Sizing
`

// oneProgram is a tree with one program, whose README is given.
func oneProgram(readme string) files {
	return files{
		"images/programs.txt":                table,
		"README.md":                          "[tls-proxy](sidecars/tls-proxy/)",
		"sidecars/tls-proxy/main.go":         "package main\n",
		"sidecars/tls-proxy/readme_test.go":  "package main\n\nfunc TestReadmeTablesAreFresh() {}\n",
		"sidecars/tls-proxy/README.md":       readme,
		"examples/pods/tls-proxy/podman.txt": "",
	}
}

func TestComponentReadmes(t *testing.T) {
	f := func(from, to string, want ...string) {
		t.Helper()
		wantProblems(t, Readmes(oneProgram(strings.Replace(goodReadme, from, to, 1)).load(t)), want...)
	}
	f("", "")
	f("# tls-proxy", "# TLS", `begins with "# TLS", want "# tls-proxy"`)
	f("HTTPS in front of an application.\n", "", "in one sentence")
	f("## Recipes\n", "", `has no section "Recipes"`)
	f("## The contract\n## Recipes\n", "## Recipes\n## The contract\n", `section "Recipes" stands too early`)
	f("```yaml", "```sh", "shows no pod")
	f("image:", strings.Repeat("#\n", quickStartLines)+"image:", "has 17 lines, at most 16")
	f("| a | b |\n", "", "has no rows between <!-- metrics:begin -->")
	f("<!-- flags:end -->", "", "has no rows between <!-- flags:begin -->")
	f("### Sizing", "", "no heading about sizing")
}

func TestTheRootReadmeAndAFreshnessTestAreWanted(t *testing.T) {
	tree := oneProgram(goodReadme)
	tree["README.md"] = "tls-proxy"
	delete(tree, "sidecars/tls-proxy/readme_test.go")
	wantProblems(t, Readmes(tree.load(t)), "README.md: has no row that links to sidecars/tls-proxy", "no test function TestReadme")
}

func TestTheTableOfPrograms(t *testing.T) {
	tree := oneProgram(goodReadme)
	wantProblems(t, Table(tree.load(t)))
	tree["adapters/logs/main.go"] = "package main\n"
	tree["images/programs.txt"] = table + "tee ambassadors/request-tee 7 9911 Copies\n"
	wantProblems(t, Table(tree.load(t)),
		"tee: there is no ambassadors/request-tee/main.go", "tls-proxy and tee both have port 9911", "has no row for adapters/logs")
}

func TestSettingsOfExamplesExist(t *testing.T) {
	f := func(name, content string, want ...string) {
		t.Helper()
		tree := oneProgram(goodReadme)
		tree[name] = content
		wantProblems(t, Settings(tree.load(t)), want...)
	}
	f("examples/pods/a/native.yaml", `
spec:
  initContainers:
  - image: localhost/outrigger/tls-proxy:dev
    args: [--target=127.0.0.1:80, --listen, ":1"]
    env: [{name: TLS_PROXY_TARGET, value: x}, {name: TZ, value: UTC}]
  containers:
  - {image: nginx, args: [--any]}
`)
	f("examples/pods/a/native.yaml", "image: outrigger/tls-proxy@sha256:1\nargs: [--tarqet=x]\n", "native.yaml: tls-proxy has no --tarqet")
	f("examples/pods/a/native.yaml", "a: 1\n---\nimage: outrigger/tls-proxy\nenv: [{name: TLS_PROXY_TARQET}]\n", "no TLS_PROXY_TARQET")
	f("examples/pods/a/compose.yaml", "services: {a: {image: outrigger/tls-proxy, command: --tarqet 1, environment: {TLS_PROXY_X: 1}}}\n",
		"no --tarqet", "no TLS_PROXY_X")
	f("examples/pods/a/compose.yaml", "services: {a: {image: outrigger/tls-proxy, environment: [TLS_PROXY_X=1]}}\n", "no TLS_PROXY_X")
	f("examples/pods/a/broken.yaml", "a: [\n", "broken.yaml: cannot parse")
	f("docs/page.md", "```sh\n$ bin/tls-proxy --target x \\\n  --cert\n```\n", "docs/page.md: tls-proxy has no --cert")
}

func TestLinksLeadSomewhere(t *testing.T) {
	tree := files{
		"docs/a.md": "[b](b.md#part) [up](../README.md) [dir](../docs) [web](https://a.example/) [here](#x) <img src=\"a.svg\">\n```\n[code](no.md)\n```\n",
		"docs/b.md": "[gone](gone.md)",
		"README.md": "",
	}.load(t)
	wantProblems(t, DeadLinks(tree), "docs/a.md: links to a.svg", "docs/b.md: links to gone.md")
}

func TestChangelogForm(t *testing.T) {
	f := func(page string, want ...string) {
		t.Helper()
		wantProblems(t, Changelog(files{"CHANGELOG.md": page, "images/programs.txt": table}.load(t)), want...)
	}
	f("# Changelog\n\n## Unreleased\n\n### Behaviour changes\n\n- all: a\n\n### Added\n\n- tls-proxy: b\n  and more\n\n## v1.0.0 - 2026-01-02\n")
	f("# Changes\n", "does not begin with `# Changelog`")
	f("# Changelog\n", "has no version")
	f("# Changelog\n## 1.0\n", "want `## Unreleased` (first)")
	f("# Changelog\n## v1.0.0 - 2026-01-02\n## Unreleased\n", "want `## Unreleased` (first)")
	f("# Changelog\n## Unreleased\n### Added\n### Behaviour changes\n", "want groups in the order")
	f("# Changelog\n## Unreleased\n- all: a\n", "in a group")
	f("# Changelog\n## Unreleased\n### Fixed\n- something: a\n", "want `- PROGRAM: sentence`")
}

func TestModuleFiles(t *testing.T) {
	f := func(name, content string, want ...string) {
		t.Helper()
		wantProblems(t, Modules(files{name: content}.load(t)), want...)
	}
	f("go.mod", "module a\n\nrequire (\n\ta.example/b v1 // indirect\n)\n")
	f("test/tools/go.mod", "module a\n\ntool a.example/b\n")
	f("go.mod", "module a\n\ntool a.example/b\n", "has a tool line for a.example/b")
	f("test/tools/go.mod", "module a\n\nreplace (\n\ta.example/b => ../b\n)\n", "has a replace line for a.example/b")
}

func TestEveryDirectDependencyHasAReason(t *testing.T) {
	tree := files{
		"go.mod":            "module a\n\nrequire (\n\ta.example/b v1\n\ta.example/c v1 // indirect\n\ta.example/d v1\n)\n",
		"test/tools/go.mod": "module a\n\ntool a.example/x/cmd/y\n\nrequire a.example/x v1 // indirect\n",
		"docs/dependencies.md": "| module | reason |\n|---|---|\n| `a.example/b` | moves bytes |\n" +
			"| `a.example/d` | |\n| `a.example/gone` | was good |\n",
	}.load(t)
	wantProblems(t, Dependencies(tree), "has a row for a.example/gone", "no reason for a.example/d (go.mod)", "no reason for a.example/x (test/tools/go.mod)")
}

func TestBannedPackagesAreFoundInWhatAProgramLinks(t *testing.T) {
	wantProblems(t, Banned("tls-proxy", []string{"net/http", "go.etcd.io/etcd/client/v3", "google.golang.org/grpcx"}), "tls-proxy links go.etcd.io/etcd/client/v3: ")
	wantProblems(t, Banned("config-sync", []string{"go.etcd.io/etcd/client/v3", "html/template"}), "config-sync links html/template: ")
}

func TestMakeTargetsHaveHelp(t *testing.T) {
	lines := "help: ## a\nbuild: ## a\ndemo: build ## a\ntest: ## a\ne2e: ## a\nimages: ## a\nbench: ## a\nlint:\nfmt: ## a\ngenerate: ## a\n"
	wantProblems(t, Targets(files{"Makefile": lines}.load(t)), "target lint is missing", "target clean is missing")
}
