package eventstore_test

import (
	"os"
	"strings"
	"testing"
)

// Code in the documents is code that compiles: the lines of each block stand, in their order, in one of these files.
func TestTheDocumentsCodeIsThatOfExamples(t *testing.T) {
	t.Parallel()
	for document, examples := range map[string][]string{
		"../README.md":         {"aggregate/example_test.go", "../adapter/sidecar/example_aggregate_test.go", "../adapter/sidecar/example_test.go", "example_test.go", "example_append_test.go"},
		"../docs/modelling.md": {"example_append_test.go", "example_metadata_test.go", "eventtest/bank_test.go", "eventtest/example_test.go", "eventtest/history_test.go"},
	} {
		blocks := strings.Split(file(t, document), "```go\n")[1:]
		if len(blocks) < 3 {
			t.Errorf("%s has %d blocks of code", document, len(blocks))
		}
		for _, block := range blocks {
			block, _, _ = strings.Cut(block, "```")
			furthest, missing := -1, ""
			for _, example := range examples {
				n, line := follow(block, file(t, example))
				if line == "" {
					missing = ""
					break
				}
				if n > furthest {
					furthest, missing = n, line
				}
			}
			if missing != "" {
				t.Errorf("%s: no example has this line, or not after the one before: %s", document, missing)
			}
		}
	}
}

// follow finds the lines of a block in an example, in their order: how many there are, and the first that is not.
func follow(block, example string) (found int, missing string) {
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if line == "…" || strings.HasPrefix(line, "fmt.Println") {
			continue // what a reader does with it
		}
		_, rest, ok := strings.Cut(example, line)
		if !ok {
			return found, line
		}
		example = rest
		found++
	}
	return found, ""
}

func file(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
