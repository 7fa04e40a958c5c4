package kubernetes

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
)

// service is what the manifests have to fit. It is read from the demo's source.
type service struct {
	stateComponent  string
	lockComponent   string
	pubsubComponent string
	noticeComponent string
	literals        map[string]bool // every string in the source, including the patterns of its routes and the names of its flags
}

// readService reads cmd/demo without its tests.
func readService() (service, error) {
	s := service{literals: map[string]bool{}}
	var files []string
	for _, pattern := range []string{"*.go", "*/*.go"} {
		found, err := filepath.Glob(filepath.Join(root, "cmd", "demo", pattern))
		if err != nil {
			return s, err
		}
		files = append(files, found...)
	}
	constants := map[string]*string{"stateComponent": &s.stateComponent, "lockComponent": &s.lockComponent,
		"pubsubComponent": &s.pubsubComponent, "noticeComponent": &s.noticeComponent}
	for _, file := range files {
		if test, _ := filepath.Match("*_test.go", filepath.Base(file)); test {
			continue
		}
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return s, err
		}
		ast.Inspect(source, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.BasicLit:
				if text, err := strconv.Unquote(node.Value); err == nil && node.Kind == token.STRING {
					s.literals[text] = true
				}
			case *ast.ValueSpec:
				for i, name := range node.Names {
					if constant := constants[name.Name]; constant != nil && i < len(node.Values) {
						if literal, ok := node.Values[i].(*ast.BasicLit); ok {
							*constant, _ = strconv.Unquote(literal.Value)
						}
					}
				}
			}
			return true
		})
	}
	for name, constant := range constants {
		if *constant == "" {
			return s, fmt.Errorf("cmd/demo has no constant %s: was it renamed?", name)
		}
	}
	return s, nil
}

// routes reports whether the service answers a path.
func (s service) routes(path string) bool { return s.literals["GET "+path] }
