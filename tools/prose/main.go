// Command prose measures the prose of a project: its Markdown documents and its Go comments.
//
//	go run ./tools/prose           print a table
//	go run ./tools/prose -check    print what breaks the rules below, and exit with status 1
//
// The arguments are files and folders, by default the current folder. The table counts the
// sentences of each document and of each package's doc comments, test files aside.
//
// These are the rules:
//
//   - A document has at most 22 words per sentence on average.
//   - A sentence has at most 35 words.
//   - A line of Markdown prose, or a line that holds nothing but a Go comment, has at most 100
//     columns. A tab counts as 4.
//   - The words of the list in dialect.go do not occur.
//
// Tables, headings, code, HTML comments, directives, the expected output of examples, generated Go
// files and generated parts of documents are not measured. A link counts as its text alone. A line
// that cannot be broken, as a long URL, may be longer.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

const (
	maxAverage = 22  // words per sentence of a document
	maxWords   = 35  // of a sentence
	maxColumns = 100 // of a line
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("prose", flag.ContinueOnError)
	flags.SetOutput(stderr)
	check := flags.Bool("check", false, "print what breaks the rules, and fail if there is anything")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	texts, err := measureAll(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 2
	}
	if !*check {
		printTable(stdout, texts)
		return 0
	}
	problems := problemsOf(texts)
	for _, p := range problems {
		fmt.Fprintf(stdout, "%s:%d: %s\n", p.file, p.line, p.says)
	}
	if len(problems) > 0 {
		fmt.Fprintf(stdout, "%d problems\n", len(problems))
		return 1
	}
	return 0
}

// text is a Markdown document, or the comments of a Go package.
type text struct {
	name      string // of the document, or of the package's folder
	document  bool
	sentences []sentence // that count
	problems  []problem  // of all sentences and lines
}

type problem struct {
	file string
	line int
	says string
}

// measureAll measures the documents and packages in files and folders.
func measureAll(paths []string) ([]*text, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var texts []*text
	packages := map[string]*text{}
	read := func(path string) error {
		switch filepath.Ext(path) {
		case ".md":
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			texts = append(texts, measureDocument(path, string(content)))
		case ".go":
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			folder := filepath.Dir(path)
			if packages[folder] == nil {
				packages[folder] = &text{name: folder}
				texts = append(texts, packages[folder])
			}
			return measureGo(packages[folder], path, content)
		}
		return nil
	}
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && path != root && isSkipped(entry.Name()):
				return filepath.SkipDir
			case entry.IsDir():
				return nil
			}
			return read(path)
		})
		if err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// isSkipped reports whether a folder holds nothing that is written here.
func isSkipped(name string) bool {
	return strings.HasPrefix(name, ".") || name == "bin" || name == "testdata" || name == "vendor"
}

// measureDocument measures a Markdown document.
func measureDocument(path, content string) *text {
	t := &text{name: path, document: true}
	lines := splitLines(content)
	prose, blocks := parse(lines)
	for _, i := range prose {
		t.checkColumns(path, i+1, lines[i])
	}
	for _, b := range blocks {
		found := b.sentences()
		t.sentences = append(t.sentences, found...)
		t.checkSentences(path, 1, found)
	}
	return t
}

func (t *text) checkSentences(path string, first int, found []sentence) {
	for _, s := range found {
		line := first + s.line
		if s.words > maxWords {
			t.problems = append(t.problems, problem{path, line, fmt.Sprintf("a sentence of %d words, more than %d", s.words, maxWords)})
		}
		for _, says := range dialectIn(s.text) {
			t.problems = append(t.problems, problem{path, line, says})
		}
	}
}

func (t *text) checkColumns(path string, line int, content string) {
	if n := columns(content); n > maxColumns && canBeBroken(content) {
		t.problems = append(t.problems, problem{path, line, fmt.Sprintf("a line of %d columns, more than %d", n, maxColumns)})
	}
}

// problemsOf returns what breaks the rules, ordered by file and line.
func problemsOf(texts []*text) []problem {
	var all []problem
	for _, t := range texts {
		if average := t.average(); t.document && average > maxAverage {
			all = append(all, problem{t.name, 1, fmt.Sprintf("%.1f words per sentence on average, more than %d", average, maxAverage)})
		}
		all = append(all, t.problems...)
	}
	slices.SortStableFunc(all, func(a, b problem) int {
		return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	return all
}

// average returns the words per sentence, 0 without a sentence.
func (t *text) average() float64 {
	if len(t.sentences) == 0 {
		return 0
	}
	words := 0
	for _, s := range t.sentences {
		words += s.words
	}
	return float64(words) / float64(len(t.sentences))
}

// longest returns the words of the longest sentence.
func (t *text) longest() (words int) {
	for _, s := range t.sentences {
		words = max(words, s.words)
	}
	return words
}

func printTable(w io.Writer, texts []*text) {
	for _, of := range []struct {
		document bool
		title    string
	}{{true, "document"}, {false, "doc comments"}} {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "sentences\twords each\tlongest\t  "+of.title)
		for _, t := range texts {
			if t.document == of.document && len(t.sentences) > 0 {
				fmt.Fprintf(table, "%d\t%.1f\t%d\t  %s\n", len(t.sentences), t.average(), t.longest(), t.name)
			}
		}
		_ = table.Flush()
		fmt.Fprintln(w)
	}
}
