package eventstore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeBlock   = regexp.MustCompile("(?ms)^\\s*```.*?^\\s*```$")
	codeSpan    = regexp.MustCompile("`[^`\n]*`")
	linkTarget  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	documentRef = regexp.MustCompile(`\bdocs/[a-z-]+\.(?:md|svg)`)
)

// TestLinksOfDocumentsLead checks that relative links in Markdown name a file that exists, and that
// anchors name a heading in it. It also checks the documents that other files name.
func TestLinksOfDocumentsLead(t *testing.T) {
	t.Parallel()
	links := 0
	for _, path := range textFiles(t, "..") {
		text := file(t, path)
		if !strings.HasSuffix(path, ".md") {
			for _, name := range documentRef.FindAllString(text, -1) {
				if _, err := os.Stat(filepath.Join("..", name)); err != nil {
					t.Errorf("%s names %s, which does not exist", path, name)
				}
			}
			continue
		}
		prose := codeSpan.ReplaceAllString(codeBlock.ReplaceAllString(text, ""), "")
		for _, match := range linkTarget.FindAllStringSubmatch(prose, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			links++
			name, anchor, _ := strings.Cut(match[1], "#")
			target := path
			if name != "" {
				target = filepath.Join(filepath.Dir(path), name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", path, match[1])
			} else if anchor != "" && !slices.Contains(anchors(file(t, target)), anchor) {
				t.Errorf("%s: %s has no heading for the link to %s", path, target, match[1])
			}
		}
	}
	if links < 30 {
		t.Errorf("only %d links were found", links)
	}
}

// anchors returns the anchors of the headings of a document, as GitHub makes them.
func anchors(document string) []string {
	var all []string
	for _, match := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(document, ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r > 127:
				return r
			}
			return -1
		}, strings.ToLower(match[1])))
	}
	return all
}

// textFiles returns the files of the repository that may name a document.
func textFiles(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".md", ".go", ".yaml", ".yml":
			all = append(all, path)
		case "":
			if entry.Name() == "Makefile" || entry.Name() == "Dockerfile" {
				all = append(all, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
