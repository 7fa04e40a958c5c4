package eventstore

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestEveryOperationHasAConstant(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "operation.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var constants []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if name := spec.Names[0].Name; operationOf(strings.TrimPrefix(name, "Op")) != value {
			t.Errorf("%s is %q", name, value)
		}
		if spec.Comment == nil {
			t.Errorf("%s has no comment", spec.Names[0].Name)
		}
		constants = append(constants, value)
		return true
	})
	// The observer tests make every call that takes a context. Package aggregate has tests of its
	// own, and packages feed and subscription as well.
	observed := []string{OpClose, OpCloseProvider, OpIndex, OpDeliver, OpAggregateLoad, OpAggregateUpdate}
	for _, call := range allCalls() {
		observed = append(observed, operationOf(call[strings.Index(call, ".")+1:]))
	}
	slices.Sort(constants)
	slices.Sort(observed)
	if observed = slices.Compact(observed); !slices.Equal(constants, observed) {
		t.Errorf("the constants are %q, observed are %q", constants, observed)
	}
}
