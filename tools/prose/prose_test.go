package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sentencesOf returns the sentences of a Markdown text.
func sentencesOf(content string) []sentence {
	return measureDocument("x.md", content).sentences
}

func TestSentencesAreSplit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []int // words of each
	}{
		"two":                      {"One two. Three four five.", []int{2, 3}},
		"over lines":               {"One two\nthree. Four\nfive.", []int{3, 2}},
		"a question":               {"Is it? It is! Yes.", []int{2, 2, 1}},
		"abbreviations":            {"Use a store, e.g. Redis, i.e. that one. Done.", []int{8, 1}},
		"etc. in a sentence":       {"Redis, SQLite etc. are stores. Done.", []int{5, 1}},
		"etc. at the end":          {"It takes Redis etc. Others fail.", []int{4, 2}},
		"versions":                 {"Go 1.26.4 builds v1.2.3 of it. Done.", []int{6, 1}},
		"a version at the end":     {"It takes Go 1.26. Others fail.", []int{4, 2}},
		"names of files":           {"Read docs/stores.md first. Done.", []int{3, 1}},
		"a code span":              {"Run `go test ./... . Now` twice. Done.", []int{3, 1}},
		"a code span at the end":   {"Call `Open`. `Close` ends it.", []int{2, 3}},
		"a code span of two lines": {"Run `go\ntest` twice. Done.", []int{4, 1}},
		"a link":                   {"Read [the two docs](docs/a.b.md#c), and more. Done.", []int{6, 1}},
		"a link at the end":        {"Read [it](a.md). Then go.", []int{2, 2}},
		"brackets":                 {"It works. (It does so now.) It stays \"as is.\" Done.", []int{2, 4, 4, 1}},
		"a lower-case beginning":   {"It ends. eventstores begins.", []int{2, 2}},
		"an ellipsis":              {"Open … opens it… and more… Done.", []int{5, 1}},
		"dashes are no words":      {"One — two - three.", []int{3}},
		"no full stop":             {"One two\n\nThree", []int{2, 1}},
		"items":                    {"It does:\n\n- this and\n  that\n- more. And more.\n1. last", []int{2, 3, 1, 2, 1}},
		"an item's own paragraph":  {"- one\n\n  two three\n\nFour.", []int{1, 2, 1}},
		"a quote":                  {"> One two\n> three.", []int{3}},
		"a table":                  {"| a b | c |\n|---|---|\n| d. E | f |\n\nOne.", []int{1}},
		"a heading":                {"# A heading.\nOne two.", []int{2}},
		"a code block":             {"One:\n\n```go\na b. c\n```\nTwo.", []int{1, 1}},
		"a code block in an item":  {"- One:\n\n  ```\n  a b. c\n  ```\n  Two.", []int{1, 1}},
		"an indented code block":   {"One:\n\n    a b. c\n\nTwo.", []int{1, 1}},
		"a comment":                {"<!-- a\nb -->\nOne.", []int{1}},
		"a definition":             {"One.\n\n[one]: https://example.com", []int{1}},
		"what a program wrote":     {"One.\n<!-- what follows is written by the run -->\nTwo.\n<!-- to here -->\nThree four.", []int{1, 2}},
	} {
		var got []int
		for _, s := range sentencesOf(c.text) {
			got = append(got, s.words)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: sentences of %v words, want %v", name, got, c.want)
		}
	}
}

func TestDialectIsFound(t *testing.T) {
	t.Parallel()
	for sentence, finds := range map[string]bool{
		"It does all of it anew.":                       true,
		"It waits in vain.":                             true,
		"Registry is that of the Go types.":             true,
		"Errors are those of the store.":                true,
		"Who opens it waits.":                           true,
		"Nobody reads it.":                              true,
		"A stream that nobody reads ends.":              true,
		"It is there, nobody reads it.":                 true,
		"Who reads it?":                                 false,
		"It is what `anew` says.":                       false,
		"It renewed the lease, and vain is the effort.": false,
		"The lock is one of those of the store.":        false,
		"It reaches the reader and belongs to nobody.":  false,
		"The person who opens it waits.":                false,
		"Registry returns the registry.":                false,
	} {
		problems := measureDocument("x.md", sentence).problems
		if (len(problems) > 0) != finds {
			t.Errorf("%q: found %v", sentence, problems)
		}
	}
}

func TestColumnsAreCounted(t *testing.T) {
	t.Parallel()
	words := strings.Repeat("word ", 19) + "five." // 100 columns
	for name, c := range map[string]struct {
		line  string
		finds bool
	}{
		"100 columns":                   {words, false},
		"101 columns":                   {words + "x", true},
		"100 columns of many bytes":     {strings.ReplaceAll(words, "w", "ö"), false},
		"an item":                       {"- " + words, true},
		"a table":                       {"| " + words + " |", false},
		"a heading":                     {"# " + words, false},
		"code":                          {"```\n" + words + "more\n```", false},
		"a URL":                         {"https://example.com/" + strings.Repeat("x", 100), false},
		"a URL in an item":              {"- https://example.com/" + strings.Repeat("x", 100), false},
		"a URL that belongs further up": {"see https://example.com/" + strings.Repeat("x", 100), true},
		"a link's destination":          {"see [it](https://example.com/" + strings.Repeat("x", 100) + ").", false},
		"a link's text":                 {words + " [it](x)", true},
	} {
		problems := measureDocument("x.md", c.line).problems
		if (len(problems) > 0) != c.finds {
			t.Errorf("%s: found %v", name, problems)
		}
	}
}

const goFile = `// Package p is a package. It has two sentences.
//
//	code anew
//
//   - an item
package p

//go:generate anew ANEW
// F returns it anew.
func F() {} // in vain

/* A
nobody */
type T struct {
	// Long LONG
	A int
}
`

func TestGoCommentsAreMeasured(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 24)
	content := strings.NewReplacer("LONG", long, "ANEW", long+long).Replace(goFile)
	measured := &text{name: "p"}
	if err := measureGo(measured, "p.go", []byte(content)); err != nil {
		t.Fatal(err)
	}
	var words []int
	for _, s := range measured.sentences {
		words = append(words, s.words)
	}
	if want := []int{5, 4, 2, 4, 2, 25}; !slices.Equal(words, want) {
		t.Errorf("doc comments with sentences of %v words, want %v", words, want)
	}
	var lines []int
	for _, p := range problemsOf([]*text{measured}) {
		lines = append(lines, p.line)
	}
	if want := []int{9, 10, 15}; !slices.Equal(lines, want) {
		t.Errorf("problems at lines %v, want %v: %v", lines, want, measured.problems)
	}
}

func TestWhatExamplesPrintAndGeneratedFilesAreNotMeasured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ path, content string }{
		"output":    {"p_test.go", "package p\n\nfunc Example() {\n\t// Output:\n\t// nobody did it anew\n}\n"},
		"unordered": {"p_test.go", "package p\n\nfunc Example() {\n\t// Unordered output: a\n\t// nobody did it anew\n}\n"},
		"generated": {"p.go", "// Code generated by x. DO NOT EDIT.\n\npackage p\n\n// F is anew.\nfunc F() {}\n"},
	} {
		measured := &text{}
		if err := measureGo(measured, c.path, []byte(c.content)); err != nil || len(measured.problems) > 0 {
			t.Errorf("%s: %v, %v", name, measured.problems, err)
		}
	}
}

func TestTheProgramPrintsATableAndChecks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runs := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := run(append(args, dir), &out, &errs)
		return code, out.String() + errs.String()
	}
	write("good.md", "One two three. Four.")
	write("p/p.go", "// Package p is here.\npackage p\n")
	write(".hidden/bad.md", "It is done anew.")
	write("p/testdata/bad.md", "It is done anew.")
	if code, out := runs("-check"); code != 0 || out != "" {
		t.Errorf("exit code %d, %s", code, out)
	}
	if code, out := runs(); code != 0 || !strings.Contains(out, "2         2.0        3  "+filepath.Join(dir, "good.md")) ||
		!strings.Contains(out, "1         4.0        4  "+filepath.Join(dir, "p")) || strings.Contains(out, "bad.md") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	write("bad.md", "Short.\n\n"+strings.Repeat("word word word word word\n", 9)+"again anew.")
	code, out := runs("-check")
	for _, says := range []string{"bad.md:1: 24.0 words per sentence", "bad.md:3: a sentence of 47 words", `bad.md:3: dialect: "anew"; better: again`, "3 problems"} {
		if !strings.Contains(out, says) {
			t.Errorf("it does not say %q:\n%s", says, out)
		}
	}
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	write("p/bad.go", "no Go")
	if code, _ := runs("-check"); code != 2 {
		t.Errorf("exit code %d for a file that is no Go, want 2", code)
	}
	if code, _ := runs("-nosuch"); code != 2 {
		t.Errorf("exit code %d for a flag that does not exist, want 2", code)
	}
}
