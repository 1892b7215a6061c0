// SPDX-License-Identifier: Apache-2.0

// Package repocheck holds the rules of this repository as code, so that they are
// kept by `go test` and not by memory: which package may import which, how large a
// file may grow, what a component's README contains, what a test may not do.
//
// A rule is a function of the source tree that returns one sentence a violation,
// each beginning with the place. It reads files and runs nothing, so that its own
// test can show it a tree of three lines:
//
//	tree, err := repocheck.Load(os.DirFS(root))
//	if err != nil {
//		t.Fatal(err)
//	}
//	for _, problem := range repocheck.Imports(tree) {
//		t.Error(problem) // "internal/certs/store.go:12: imports internal/app, which only ..."
//	}
//
// What has to break a rule stands in exceptions.go with its reason. An exception
// that nothing needs any more is a violation as well.
package repocheck
