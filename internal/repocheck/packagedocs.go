// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/token"
	"slices"
	"strings"
)

// PackageDocs reports packages without a doc comment that says what the package is
// for, and packages that others build on whose comment shows no use.
func PackageDocs(t *Tree) []string {
	var problems []string
	for _, pkg := range packages(t) {
		if problem := pkg.check(); problem != "" {
			problems = append(problems, pkg.dir+": "+problem)
		}
	}
	return problems
}

// goPackage is what the files of one folder say about their package.
type goPackage struct {
	dir, name string
	docs      []string // the comments above the package clauses
	example   bool     // a test file has an Example function
}

func packages(t *Tree) []*goPackage {
	var found []*goPackage
	byDir := map[string]*goPackage{}
	for _, f := range t.Go {
		pkg := byDir[f.Dir()]
		if pkg == nil {
			pkg = &goPackage{dir: f.Dir(), name: f.Syntax.Name.Name}
			byDir[f.Dir()] = pkg
			found = append(found, pkg)
		}
		if !strings.HasSuffix(f.Path, "_test.go") {
			pkg.name = f.Syntax.Name.Name
		}
		if f.Syntax.Doc != nil {
			pkg.docs = append(pkg.docs, f.Syntax.Doc.Text())
		}
		for name := range f.functions {
			pkg.example = pkg.example || strings.HasPrefix(name, "Example")
		}
	}
	return found
}

func (p *goPackage) check() string {
	if len(p.docs) == 0 {
		return "package " + p.name + " has no doc comment"
	}
	if len(p.docs) > 1 {
		return fmt.Sprintf("package %s has %d doc comments, which are read as one; keep one", p.name, len(p.docs))
	}
	start := "Package " + p.name + " "
	if p.name == "main" {
		start = "Command "
	}
	if !strings.HasPrefix(p.docs[0], start) {
		return fmt.Sprintf("its doc comment does not begin with %q", start)
	}
	// What lies below test/ and testdata has no users but the person who reads it.
	if !within(p.dir, "test") && !p.example && !hasCode(p.docs[0]) {
		return "its doc comment shows no use: add an indented example, or an Example function"
	}
	return ""
}

// hasCode reports whether a doc comment has an indented block.
func hasCode(text string) bool {
	var parser comment.Parser
	return slices.ContainsFunc(parser.Parse(text).Content, func(block comment.Block) bool {
		_, ok := block.(*comment.Code)
		return ok
	})
}

// ExportedDocs reports exported names of the libraries that have no comment.
// Methods whose meaning an interface of the standard library fixes need none.
func ExportedDocs(t *Tree) []string {
	var problems []string
	for _, f := range t.Go {
		if f.Syntax.Name.Name == "main" || strings.HasSuffix(f.Path, "_test.go") {
			continue
		}
		for _, decl := range f.Syntax.Decls {
			for _, name := range undocumented(decl) {
				problems = append(problems, fmt.Sprintf("%s: %s is exported and has no comment", f.at(name.Pos()), name.Name))
			}
		}
	}
	return problems
}

// known are methods that need no comment: their interface has one.
func known() []string {
	return []string{
		"String", "Error", "Unwrap", "Is", "LogValue", "MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalYAML", "Len", "Less", "Swap",
		"Read", "Write", "Close", "CloseWrite", "ReadFrom", "WriteTo", "Flush", "Hijack", "WriteHeader", "Header", "ServeHTTP", "RoundTrip",
		"Accept", "Addr", "LocalAddr", "RemoteAddr", "SetDeadline", "SetReadDeadline", "SetWriteDeadline", "Describe", "Collect",
	}
}

func undocumented(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		receiver := receiverType(d)
		if d.Doc != nil || !d.Name.IsExported() || receiver != "" && (!ast.IsExported(receiver) || slices.Contains(known(), d.Name.Name)) {
			return nil
		}
		return []*ast.Ident{d.Name}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT || d.Doc != nil {
			return nil
		}
		return undocumentedSpecs(d.Specs)
	}
	return nil
}

func undocumentedSpecs(specs []ast.Spec) []*ast.Ident {
	var found []*ast.Ident
	for _, spec := range specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && s.Name.IsExported() {
				found = append(found, s.Name)
			}
		case *ast.ValueSpec:
			if s.Doc == nil && s.Comment == nil && s.Names[0].IsExported() {
				found = append(found, s.Names[0])
			}
		}
	}
	return found
}
