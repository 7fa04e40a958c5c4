package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// isHarmless checks what was printed: lines of printable characters, none of which is a command to
// a build server.
func isHarmless(t *testing.T, said string) {
	t.Helper()
	if !utf8.ValidString(said) {
		t.Errorf("it is no UTF-8: %q", said)
	}
	for line := range strings.Lines(said) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) && r != 'ﾠ' }) || strings.Contains(line, "##") || strings.HasPrefix(strings.TrimSpace(line), "::") {
			t.Errorf("this line is not harmless: %q", line)
		}
	}
}

// hostile are texts that would do something to a terminal or a build server.
var hostile = []string{
	"a\nb", "a\n::error::pwned", "::error::pwned", "  ::add-mask::x", "##[error]x", "##vso[task.setvariable variable=x]y", "###", "a\r\n::x::", "\x1b[2J", "\x1b]0;title\x07", "\x9b2J", "\u009b2J",
	"a\x00b", "\x7f", "\b\b", "\t", "\xff\xfe", "\u202etxt.exe", "\u2066x\u2069", "\u200b", "\u2028::error::x", "\u2029", "\v", "\f", "\u0085::error::x", "\ufeff", "\U000e0001",
}

func TestAPrinterPrintsOneHarmlessLineAtATime(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		var out bytes.Buffer
		p := &printer{w: &out}
		n, err := fmt.Fprintln(p, text)
		if n != len(text)+1 || err != nil || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q is printed as %q (%d, %v)", text, &out, n, err)
		}
		isHarmless(t, out.String())
	}
	for text, want := range map[string]string{
		"sound    a:b:1 version=3": "sound    a:b:1 version=3", "Jörg 😀 — … a::b #1": "Jörg 😀 — … a::b #1", "": "",
		"a\nb": `a\nb`, "\x1b[2J": `\x1b[2J`, "\xff": `\xff`, "##[x": `\x23#[x`, " ::x": ` \x3a:x`, "\u202e": `\u202e`,
	} {
		if got := harmless(text); got != want {
			t.Errorf("%q is printed as %q, want %q", text, got, want)
		}
	}
}

func TestAPasswordThatIsKnownIsHiddenInAllItsForms(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &call{stdout: &printer{w: &out}, stderr: &printer{w: &out}}
	c.hide("p@ss/w\"ord\n%", "p@ss", "abc", "")
	fmt.Fprintf(c.stdout, "%s\n", "dial redis://u:p@ss/w\"ord\n%@h")
	fmt.Fprintf(c.stderr, "%q\n", "p@ss/w\"ord\n%")
	fmt.Fprintf(c.stderr, "%s %s\n", "p%40ss%2Fw%22ord%0A%25", "abc")
	if got, want := out.String(), "dial redis://u:***@h\n\"***\"\n*** abc\n"; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

func TestNothingIsPrintedPastThePrinter(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Name.Name == "main" {
				continue // it gives them to run
			}
			ast.Inspect(declaration, func(node ast.Node) bool {
				used := ""
				switch n := node.(type) {
				case *ast.SelectorExpr:
					if in, ok := n.X.(*ast.Ident); ok {
						used = in.Name + "." + n.Sel.Name
					}
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.Ident); ok {
						used = f.Name
					}
				}
				if slices.Contains([]string{"os.Stdout", "os.Stderr", "fmt.Print", "fmt.Println", "fmt.Printf", "print", "println", "log.Print", "log.Printf", "log.Println", "log.Fatal"}, used) {
					t.Errorf("%s: %s prints past the printer", set.Position(node.Pos()), used)
				}
				return true
			})
		}
	}
}

func TestStoredDataIsQuoted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 3, "1", "2")
	inFile(t, file, func(state driver.State, _ *eventstore.Provider) error {
		for id, key := range map[string]string{"1": "2", "2": "head"} {
			partition := "EventStores:account:" + id
			if err := state.Write(t.Context(), partition, []driver.Write{{Key: "{" + partition + "}:" + key, Value: []byte("eventstore/1 \x1b[2J ::error::\n##[error]pwned\x9b\r\n::error::pwned")}}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, args := range [][]string{
		{"verify", "-store", "sqlite:" + file, "account:1", "account:2"},
		{"rebuild-head", "-store", "sqlite:" + file, "account:1", "account:2"},
		{"copy", "-from", "sqlite:" + file, "-to", "sqlite:" + filepath.Join(t.TempDir(), "to\x1b[2J\n.db"), "account:1", "account:2"},
	} {
		_, out, errs := runs(t, "", args...)
		if !strings.Contains(out, "EventStores:account:1") || !strings.Contains(out+errs, `\x1b[2J`) {
			t.Errorf("%s does not say what it found:\n%s%s", args[0], out, errs)
		}
		isHarmless(t, out)
		isHarmless(t, errs)
	}
}

func TestComponentFilesAndTheirNamesAreQuoted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, text := range hostile {
		content := fmt.Sprintf("kind: Component\nmetadata:\n  name: %q\nspec:\n  type: %q\n  metadata:\n  - {name: redisHost, value: %q}\n  - {name: keyPrefix, value: %q}\n", strings.ToValidUTF8(text, "?"), "state.redis", strings.ToValidUTF8(text, "?"), strings.ToValidUTF8(text, "?"))
		content += fmt.Sprintf("---\nkind: Component\nmetadata:\n  name: %[1]q\nspec:\n  type: %[2]q\n---\nkind: Component\nmetadata: {name: %[1]q}\nspec:\n  type: lock.redis\n  metadata:\n  - {name: keyPrefix, value: %[1]q}\n", strings.ToValidUTF8(text, "?"), "state."+strings.ToValidUTF8(text, "?"))
		name := fmt.Sprint(i) + ".yaml"
		if !strings.ContainsAny(text, "/\x00") {
			name = text + ".yaml"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, out, errs := runs(t, "", "check", dir)
	if strings.Count(out, "\n") < len(hostile) {
		t.Errorf("it says only %s%s", out, errs)
	}
	isHarmless(t, out)
	isHarmless(t, errs)
	if err := os.WriteFile(filepath.Join(dir, "bad\n::error::.yaml"), []byte("kind: [\"\x1b[2J"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runs(t, "", "check", dir)
	wants(t, code, exitUsage, out+errs, "yaml")
	isHarmless(t, out+errs)
}

func TestHostileArgumentsAreNotEchoed(t *testing.T) {
	t.Parallel()
	for _, text := range append(hostile, "-redis://u:hunter2@h", "--=hunter2", "-parallel=hunter2", "-strict=hunter2") {
		if strings.Contains(text, "\x00") {
			continue
		}
		for _, args := range [][]string{{text}, {"check", text}, {"verify", text}, {"verify", "-store", text, "a:1"}, {"verify", "-streams", text, "-store", "sqlite:none"}, {"check", "-ask", text, "x"}} {
			code, out, errs := runs(t, "", args...)
			if code != exitUsage || out != "" {
				t.Errorf("%q: exit code %d, %s", args, code, out)
			}
			if strings.Contains(errs, "hunter2") && args[0] != "check" {
				t.Errorf("%q: it says %s", args, errs)
			}
			for line := range strings.Lines(errs) {
				isHarmless(t, line)
			}
		}
	}
}
