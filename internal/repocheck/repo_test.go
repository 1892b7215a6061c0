// SPDX-License-Identifier: Apache-2.0

package repocheck_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/repocheck"
)

// root is this repository's, seen from this package.
const root = "../.."

func TestTheRepositoryKeepsItsRules(t *testing.T) {
	tree, err := repocheck.Load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]func(*repocheck.Tree) []string{
		"every package says what it is for and shows its use":        repocheck.PackageDocs,
		"every exported name has a comment":                          repocheck.ExportedDocs,
		"files and functions are short":                              repocheck.Sizes,
		"the import law holds":                                       repocheck.Imports,
		"internal app alone ends the process":                        repocheck.Exits,
		"no test is skipped":                                         repocheck.Skips,
		"no test sleeps and hopes":                                   repocheck.Sleeps,
		"every source file names its licence":                        repocheck.Licences,
		"folders are named after what is in them":                    repocheck.Folders,
		"nothing is left unfinished":                                 repocheck.Unfinished,
		"the table of programs is complete and no port is had twice": repocheck.Table,
		"no module is replaced and the root has no tools":            repocheck.Modules,
		"every direct dependency has its reason":                     repocheck.Dependencies,
		"every component README has its sections and fresh tables":   repocheck.Readmes,
		"links lead somewhere":                                       repocheck.DeadLinks,
		"the changelog has its form":                                 repocheck.Changelog,
		"examples use settings that exist":                           repocheck.Settings,
		"make has its targets, each with a line of help":             repocheck.Targets,
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		t.Run(name, func(t *testing.T) {
			for _, problem := range rules[name](tree) {
				t.Error(problem)
			}
		})
	}
}

func TestEachProgramLinksOnlyWhatItNeeds(t *testing.T) {
	tree, err := repocheck.Load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Components()) == 0 {
		t.Fatal("images/programs.txt has no program")
	}
	for _, program := range tree.Components() {
		t.Run(program.Name, func(t *testing.T) {
			t.Parallel()
			list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./"+program.Folder)
			list.Dir = filepath.FromSlash(root)
			list.Stderr = os.Stderr
			out, err := list.Output()
			if err != nil {
				t.Fatalf("cannot list what %s links: %v", program.Name, err)
			}
			for _, problem := range repocheck.Banned(program.Name, strings.Fields(string(out))) {
				t.Error(problem)
			}
		})
	}
}
