package eventstore_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheDocumentsCodeComesFromExamples checks that code in the documents compiles: the lines of
// each block appear, in their order, in one of these files.
func TestTheDocumentsCodeComesFromExamples(t *testing.T) {
	t.Parallel()
	for document, examples := range map[string][]string{
		"../README.md":         {"../adapter/sidecar/example_test.go", "../adapter/sidecar/example_feed_test.go"},
		"../docs/backup.md":    {"example_verify_test.go"},
		"../docs/errors.md":    {"example_append_test.go"},
		"../docs/following.md": {"../adapter/sidecar/example_feed_test.go", "../adapter/sidecar/example_bell_test.go"},
		"../docs/looking.md":   {"../adapter/console/example_test.go"},
		"../docs/modelling.md": {"example_append_test.go", "example_bound_test.go", "example_metadata_test.go", "eventtest/bank_test.go", "eventtest/example_test.go", "eventtest/history_test.go"},
		"../docs/running.md":   {"../adapter/sidecar/example_test.go"},
		"../docs/sessions.md":  {"example_test.go"},
	} {
		blocks := blocksOf(t, document, "go")
		if len(blocks) == 0 {
			t.Errorf("%s has no block of code", document)
		}
		for _, block := range blocks {
			if strings.HasPrefix(block, "package main\n") {
				continue // TestTheProgramOfTheReadmeRuns runs it
			}
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

// TestTheProgramOfTheReadmeRuns runs the program of the README unchanged, and compares its output
// with the README.
func TestTheProgramOfTheReadmeRuns(t *testing.T) {
	t.Parallel()
	const document = "../README.md"
	programs, outputs := blocksOf(t, document, "go"), blocksOf(t, document, "text")
	if len(programs) == 0 || len(outputs) == 0 || !strings.HasPrefix(programs[0], "package main\n") {
		t.Fatalf("%s does not begin its code with a program, or lacks its output", document)
	}
	path := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(path, []byte(programs[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %s, %v", out, err)
	}
	// The program is outside the module, so that go run takes its imports from the current one.
	run := exec.CommandContext(t.Context(), "go", "run", path)
	run.Env = append(os.Environ(), "GOWORK=off")
	var stderr strings.Builder
	run.Stderr = &stderr
	out, err := run.Output()
	if err != nil || string(out) != outputs[0] {
		t.Errorf("the program prints\n%s%v\n%s\nand the README says\n%s", out, err, &stderr, outputs[0])
	}
}

// blocksOf returns the code blocks of a language in a document.
func blocksOf(t *testing.T, document, language string) []string {
	t.Helper()
	var blocks []string
	for _, block := range strings.Split(file(t, document), "```"+language+"\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// follow finds the lines of a block in an example, in their order. It returns how many it found,
// and the first line that is missing.
func follow(block, example string) (found int, missing string) {
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if line == "…" || strings.HasPrefix(line, "fmt.Println") {
			continue // code that the reader fills in
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
