package eventstore

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// goFiles parses every Go file of the repository, in all modules, and returns them by their path.
func goFiles(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	set, files := token.NewFileSet(), map[string]*ast.File{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata"):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go"):
			files[path], err = parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return set, files
}

// pointerOf returns the name of the type T in *T, without its package.
func pointerOf(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		return nameOf(star.X)
	}
	return ""
}

// valueOf returns the name of the type T in &T{…}, without its package.
func valueOf(e ast.Expr) string {
	if address, ok := e.(*ast.UnaryExpr); ok && address.Op == token.AND {
		if value, ok := address.X.(*ast.CompositeLit); ok {
			return nameOf(value.Type)
		}
	}
	return ""
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// misuse describes what is wrong with a call that looks for an error with a new value of its type.
// Such a value equals no other, so the call always returns false.
func misuse(call *ast.CallExpr, errorTypes map[string]bool) string {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	name := valueOf(call.Args[len(call.Args)-1])
	if !errorTypes[name] {
		return ""
	}
	switch {
	case nameOf(selector.X) == "errors" && selector.Sel.Name == "Is":
		return "errors.Is never matches a new *" + name + ": use errors.AsType or errors.As"
	case selector.Sel.Name == "ThenError":
		return "ThenError never matches a new *" + name + ": pass new(*" + name + ")"
	}
	return ""
}

func TestErrorsOfOurOwnAreMatchedByTheirType(t *testing.T) {
	t.Parallel()
	set, files := goFiles(t)
	errorTypes := map[string]bool{}
	for _, file := range files {
		for _, declaration := range file.Decls {
			f, ok := declaration.(*ast.FuncDecl)
			if ok && f.Recv != nil && f.Name.Name == "Error" {
				if name := pointerOf(f.Recv.List[0].Type); regexp.MustCompile(`^[A-Z]\w*Error$`).MatchString(name) {
					errorTypes[name] = true
				}
			}
		}
	}
	for _, known := range []string{"ArgumentError", "VersionMismatchError", "DiffersError", "NoKeyError"} {
		if !errorTypes[known] {
			t.Errorf("%s was not found", known)
		}
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name == "Is" && n.Recv != nil && errorTypes[pointerOf(n.Recv.List[0].Type)] {
					t.Errorf("%s: the type has an Is method: errors are matched by their type alone", set.Position(n.Pos()))
				}
			case *ast.CallExpr:
				if wrong := misuse(n, errorTypes); wrong != "" {
					t.Errorf("%s: %s", set.Position(n.Pos()), wrong)
				}
			}
			return true
		})
	}
}

func TestAMatchThatAlwaysSaysNoIsFound(t *testing.T) {
	t.Parallel()
	for code, found := range map[string]bool{
		"errors.Is(err, &ArgumentError{})":                       true,
		`errors.Is(f(1), &eventstore.ArgumentError{Reason: ""})`: true,
		"d.ThenError(&eventstore.ArgumentError{})":               true,
		"errors.Is(err, context.Canceled)":                       false,
		"errors.Is(err, &other.PathError{})":                     false,
		"errors.As(err, new(*eventstore.ArgumentError))":         false,
		"d.ThenError(new(*eventstore.ArgumentError))":            false,
		"fail(&eventstore.ArgumentError{})":                      false,
	} {
		e, err := parser.ParseExpr(code)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := misuse(e.(*ast.CallExpr), map[string]bool{"ArgumentError": true}); (wrong != "") != found {
			t.Errorf("%s: %q", code, wrong)
		}
	}
}
