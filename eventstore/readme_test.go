package eventstore_test

import (
	"os"
	"strings"
	"testing"
)

// Code in the README is code that compiles: its lines stand, in their order, in examples.
func TestTheReadmesCodeIsThatOfExamples(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	examples := map[string]string{
		"client, err := ":      read("../adapter/sidecar/example_test.go"),
		"session, err := ":     read("example_test.go"),
		"var mismatch *events": read("example_append_test.go"),
	}
	checked := 0
	for _, block := range strings.Split(read("../README.md"), "```go\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for begins, example := range examples {
			if !strings.HasPrefix(block, begins) {
				continue
			}
			checked++
			for line := range strings.Lines(block) {
				line = strings.TrimSpace(line)
				if line == "…" || strings.HasPrefix(line, "fmt.Println") {
					continue // what a reader does with it
				}
				_, rest, found := strings.Cut(example, line)
				if !found {
					t.Errorf("no example has this line of the README, or not after the one before: %s", line)
					break
				}
				example = rest
			}
		}
	}
	if checked != len(examples) {
		t.Errorf("%d blocks of the README's code begin like an example, want %d", checked, len(examples))
	}
}
