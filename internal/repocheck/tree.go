// SPDX-License-Identifier: Apache-2.0

package repocheck

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is the path of the root module, with the slash that a package's folder follows.
const module = "github.com/outrigger/outrigger/"

// Tree is a source tree, read once: every rule looks at the same files.
type Tree struct {
	// Files holds the content of every file that is part of the project, by its
	// path from the root with slashes. What the build makes is left out.
	Files map[string][]byte
	// Go holds the parsed Go files, sorted by path.
	Go []*GoFile
	// Programs are the rows of images/programs.txt.
	Programs []Program
}

// GoFile is one parsed Go file.
type GoFile struct {
	Path   string
	Source []byte
	Syntax *ast.File
	fset   *token.FileSet
}

// Program is one row of images/programs.txt.
type Program struct {
	Name, Folder string
	// Budget is what the image's gzip layers may hold, in MB (10^6 bytes).
	Budget int
	Ports  []string
	Title  string
}

// Load reads the tree. Files that are made by the build or by a demo are left out,
// and Go files in testdata are not parsed.
func Load(root fs.FS) (*Tree, error) {
	tree := &Tree{Files: map[string][]byte{}}
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if made(name) {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		tree.Files[name], err = fs.ReadFile(root, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the source tree: %w", err)
	}
	if err := tree.parse(); err != nil {
		return nil, err
	}
	tree.Programs, err = programs(tree.Files["images/programs.txt"])
	return tree, err
}

// made reports whether a folder holds no source: the list of .gitignore, and git's own.
func made(folder string) bool {
	return slices.Contains([]string{".git", ".cache", "bin", "demo", "bench/results"}, folder)
}

func (t *Tree) parse() error {
	fset := token.NewFileSet()
	for _, name := range t.paths(".go") {
		if strings.Contains(name, "testdata/") {
			continue
		}
		syntax, err := parser.ParseFile(fset, name, t.Files[name], parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("cannot parse a Go file: %w", err)
		}
		t.Go = append(t.Go, &GoFile{Path: name, Source: t.Files[name], Syntax: syntax, fset: fset})
	}
	return nil
}

// paths returns the files whose name ends so, sorted.
func (t *Tree) paths(suffix string) []string {
	var found []string
	for name := range t.Files {
		if strings.HasSuffix(name, suffix) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// folder reports whether a file of the tree lies below the folder.
func (t *Tree) folder(name string) bool {
	for file := range t.Files {
		if strings.HasPrefix(file, name+"/") {
			return true
		}
	}
	return false
}

// Components are the programs proper: the rows that are not an example's app.
func (t *Tree) Components() []Program {
	return slices.DeleteFunc(slices.Clone(t.Programs), func(p Program) bool { return component(p.Folder) == "" })
}

// component returns the folder of the program that a path belongs to, such as
// "sidecars/tls-proxy", or "" when it is not part of one.
func component(name string) string {
	parts := strings.Split(name, "/")
	if len(parts) < 2 || !slices.Contains([]string{"sidecars", "ambassadors", "adapters"}, parts[0]) {
		return ""
	}
	return path.Join(parts[0], parts[1])
}

// programs parses images/programs.txt: five columns apart by spaces, the last with spaces of its own.
func programs(table []byte) ([]Program, error) {
	var rows []Program
	for line := range strings.Lines(string(table)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 5 {
			return nil, fmt.Errorf("images/programs.txt: %q has %d columns, want NAME FOLDER MB PORTS TITLE", line, len(f))
		}
		budget, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("images/programs.txt: %s: cannot read the budget: %w", f[0], err)
		}
		row := Program{Name: f[0], Folder: f[1], Budget: budget, Title: strings.Join(f[4:], " ")}
		if f[3] != "-" {
			row.Ports = strings.Split(f[3], ",")
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// Dir is the folder of the file's package, "." at the root.
func (f *GoFile) Dir() string { return path.Dir(f.Path) }

// Test reports whether only tests can use what the file declares: a _test.go file,
// or a part of the packages that exist for tests.
func (f *GoFile) Test() bool {
	return strings.HasSuffix(f.Path, "_test.go") || within(f.Dir(), "internal/testkit", "internal/repocheck", "test")
}

// within reports whether a folder is one of the roots or lies below one.
func within(folder string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return folder == root || strings.HasPrefix(folder, root+"/")
	})
}

// at is the place of a position, "path:line".
func (f *GoFile) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.Path, f.fset.Position(pos).Line)
}

// lines counts the lines of a node, the first and the last included.
func (f *GoFile) lines(node ast.Node) int {
	return f.fset.Position(node.End()).Line - f.fset.Position(node.Pos()).Line + 1
}

// functions yields each function declaration with a body, with the name that an
// exception gives it: "Func" or "Type.Method".
func (f *GoFile) functions(yield func(name string, decl *ast.FuncDecl) bool) {
	for _, decl := range f.Syntax.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil && !yield(functionName(fn), fn) {
			return
		}
	}
}

func functionName(fn *ast.FuncDecl) string {
	if receiver := receiverType(fn); receiver != "" {
		return receiver + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiverType is the name of a method's type without star and parameters, "" for a function.
func receiverType(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	expr := fn.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// selector returns package and name of a call or value such as os.Exit, or "", "".
func selector(node ast.Node) (pkg, name string) {
	sel, ok := node.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	ident, ok := sel.X.(*ast.Ident)
	if !ok {
		return "", ""
	}
	return ident.Name, sel.Sel.Name
}

func lineCount(source []byte) int { return bytes.Count(source, []byte("\n")) }
