package eventstore_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	exampleFunc = regexp.MustCompile(`(?m)^func Example`)
	listedFile  = regexp.MustCompile(`(?m)^//   - (\w+_test\.go): `)
)

// TestPackageCommentsListTheirExamples checks that each package comment lists the files with
// examples, since go doc does not show examples.
func TestPackageCommentsListTheirExamples(t *testing.T) {
	t.Parallel()
	var all []string
	for _, folder := range []string{"*.go", "*/*.go", "../adapter/*/*.go", "../adapter/*/*/*.go"} {
		paths, err := filepath.Glob(folder)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, paths...)
	}
	listed, examples := map[string]bool{}, 0
	for _, path := range all {
		if comment, _, ok := strings.Cut(file(t, path), "\npackage "); ok {
			for _, match := range listedFile.FindAllStringSubmatch(comment, -1) {
				listed[filepath.Join(filepath.Dir(path), match[1])] = true
			}
		}
	}
	for _, path := range all {
		if !strings.HasSuffix(path, "_test.go") || !exampleFunc.MatchString(file(t, path)) {
			continue
		}
		examples++
		if !listed[path] {
			t.Errorf("the package comment does not list %s under Examples", path)
		}
		delete(listed, path)
	}
	for path := range listed {
		t.Errorf("a package comment lists %s, which has no example", path)
	}
	if examples < 20 {
		t.Errorf("only %d files with examples were found", examples)
	}
}
