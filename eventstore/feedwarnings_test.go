package eventstore_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestEachWarningAboutFeedsIsExplained compares the warnings with docs/following.md. What follows a
// comma or a colon may be left out there.
func TestEachWarningAboutFeedsIsExplained(t *testing.T) {
	t.Parallel()
	text := strings.Join(strings.Fields(file(t, "../docs/following.md")), " ")
	var files []string
	for _, pattern := range []string{"feed/*.go", "subscription/*.go", "flusher.go", "indexed.go", "ringer.go", "journal*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no file %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	warnings := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "WarnContext" {
				return true
			}
			literal, ok := call.Args[1].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: a warning is no literal", name)
				return true
			}
			message, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			warnings++
			if end := strings.IndexAny(message, ",:"); end > 0 {
				message = message[:end]
			}
			if !strings.Contains(text, "`"+message) {
				t.Errorf("docs/following.md does not explain %q", message)
			}
			return true
		})
	}
	if warnings < 15 {
		t.Errorf("%d warnings were found", warnings)
	}
}
