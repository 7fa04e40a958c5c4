package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

var (
	directive = regexp.MustCompile(`^//(?:[a-z0-9]+:[a-z0-9]|line |export |extern )`)
	output    = regexp.MustCompile(`(?i)^\s*(?:unordered )?output:`)
)

// measureGo adds the comments of a Go file to those of its package. Generated files do not count.
func measureGo(t *text, path string, content []byte) error {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, content, parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(file) {
		return nil
	}
	test := strings.HasSuffix(path, "_test.go")
	source := splitLines(string(content))
	docs := docComments(file)
	for _, group := range file.Comments {
		first := files.Position(group.Pos()).Line
		lines := commentLines(group, files, first, test)
		prose, blocks := parse(lines)
		for _, i := range prose {
			if line := source[first+i-1]; strings.HasPrefix(strings.TrimSpace(line), "//") {
				t.checkColumns(path, first+i, line)
			}
		}
		for _, b := range blocks {
			found := b.sentences()
			t.checkSentences(path, first, found)
			if docs[group] && !test {
				t.sentences = append(t.sentences, found...)
			}
		}
	}
	return nil
}

// commentLines returns the text of a group of comments, a line for each line of the source. Lines
// that are no prose are empty.
func commentLines(group *ast.CommentGroup, files *token.FileSet, first int, test bool) []string {
	lines := make([]string, files.Position(group.End()).Line-first+1)
	for _, comment := range group.List {
		at := files.Position(comment.Pos()).Line - first
		if text, ok := strings.CutPrefix(comment.Text, "//"); ok {
			if directive.MatchString(comment.Text) {
				continue
			}
			if test && output.MatchString(text) {
				break // what follows is what an example prints
			}
			lines[at] = indented(strings.TrimPrefix(text, " "))
			continue
		}
		text := strings.TrimSuffix(strings.TrimPrefix(comment.Text, "/*"), "*/")
		for i, line := range strings.Split(text, "\n") {
			lines[at+i] = indented(strings.TrimSpace(line))
		}
	}
	return lines
}

// indented marks code in a Go comment as Markdown does: there one tab or space is enough, unless it
// is an item of a list.
func indented(line string) string {
	if strings.HasPrefix(line, "\t") {
		return "\t" + line
	}
	return line
}

// docComments returns the comments that document a package, a declaration, a field or a method.
func docComments(file *ast.File) map[*ast.CommentGroup]bool {
	docs := map[*ast.CommentGroup]bool{file.Doc: true}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			docs[d.Doc] = true
		case *ast.GenDecl:
			ast.Inspect(d, func(node ast.Node) bool {
				switch n := node.(type) {
				case *ast.GenDecl:
					docs[n.Doc] = true
				case *ast.TypeSpec:
					docs[n.Doc] = true
				case *ast.ValueSpec:
					docs[n.Doc] = true
				case *ast.Field:
					docs[n.Doc] = true
				}
				return true
			})
		}
	}
	return docs
}
