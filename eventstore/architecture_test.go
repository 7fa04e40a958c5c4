package eventstore_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const architecture = "../ARCHITECTURE.md"

// TestTheArchitectureNamesEachPackage compares the table of packages with the folders.
func TestTheArchitectureNamesEachPackage(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for line := range strings.Lines(file(t, architecture)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") || !strings.Contains(cells[1], "/`") {
			continue
		}
		folder := "" // the folders of one cell are beside each other
		for _, found := range regexp.MustCompile("`([^`]+)/`").FindAllStringSubmatch(cells[1], -1) {
			if name := found[1]; folder == "" {
				folder = name
			} else {
				folder = path.Join(path.Dir(folder), name)
			}
			named[folder] = true
			if info, err := os.Stat(filepath.Join("..", folder)); err != nil || !info.IsDir() {
				t.Errorf("there is no folder %s", folder)
			}
		}
	}
	if len(named) < 30 {
		t.Fatalf("the table has %d folders", len(named))
	}
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if base := entry.Name(); base == "testdata" || base == "bin" || len(base) > 2 && base[0] == '.' {
			return filepath.SkipDir
		}
		folder, err := filepath.Rel("..", name)
		if err != nil {
			return err
		}
		code, err := filepath.Glob(filepath.Join(name, "*.go"))
		if err != nil || len(code) == 0 {
			return err
		}
		known := named[filepath.ToSlash(folder)]
		for below := range named { // a folder that only explains those in it
			known = known || strings.HasPrefix(below, filepath.ToSlash(folder)+"/")
		}
		for _, whole := range []string{"bench", "examples", "integration", "tools", "cmd"} { // modules and programs are explained as one
			for above := filepath.ToSlash(folder); above != "."; above = path.Dir(above) {
				known = known || named[above] && strings.HasPrefix(above, whole)
			}
		}
		if !known && !allTests(code) {
			t.Errorf("the table has no row for %s", folder)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func allTests(files []string) bool {
	return !slices.ContainsFunc(files, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
}

// TestTheArchitectureNamesFilesAndFunctions checks each file that it names, and each function or
// type that it says is in that file: `file.go`: `function`, `function`.
func TestTheArchitectureNamesFilesAndFunctions(t *testing.T) {
	t.Parallel()
	var all []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".go") {
			all = append(all, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(file(t, architecture), "\n", " ")
	named := regexp.MustCompile("`([a-z_/*]+\\.go)`(?:: ((?:`[A-Za-z.]+`(?:, (?:and )?)?)+))?").FindAllStringSubmatch(text, -1)
	functions := 0
	for _, found := range named {
		pattern := found[1]
		files := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
			parts := strings.Split(name, "/")
			matches, err := path.Match(pattern, strings.Join(parts[max(0, len(parts)-1-strings.Count(pattern, "/")):], "/"))
			return err != nil || !matches
		})
		if len(files) == 0 {
			t.Errorf("there is no file %s", pattern)
		}
		for _, function := range regexp.MustCompile("`([A-Za-z.]+)`").FindAllStringSubmatch(found[2], -1) {
			functions++
			name := function[1][strings.LastIndex(function[1], ".")+1:]
			if !slices.ContainsFunc(files, func(file string) bool { return declares(t, file, name) }) {
				t.Errorf("%s has no function %s", pattern, name)
			}
		}
	}
	if functions < 50 {
		t.Errorf("%d functions were found, so the text is written in another way", functions)
	}
}

// declares reports whether a file has a function, method or type of that name.
func declares(t *testing.T, file, name string) bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(parsed.Decls, func(d ast.Decl) bool {
		switch d := d.(type) {
		case *ast.FuncDecl:
			return d.Name.Name == name
		case *ast.GenDecl:
			return slices.ContainsFunc(d.Specs, func(s ast.Spec) bool {
				declared, ok := s.(*ast.TypeSpec)
				return ok && declared.Name.Name == name
			})
		}
		return false
	})
}
