package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// held is what a folder holds: each name with its content. What a reader notes in the index of a
// log is left out.
func held(t *testing.T, folder string) string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, entry := range entries {
		all.WriteString("\n" + entry.Name())
		if entry.IsDir() || strings.HasSuffix(entry.Name(), "-shm") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(content)
	}
	return all.String()
}

func TestASourceIsReadOnlyAndNeedNotBeWritable(t *testing.T) {
	t.Parallel()
	for _, app := range []string{"while the app has it open", "when it is closed"} {
		t.Run(app, func(t *testing.T) {
			t.Parallel()
			folder, target := t.TempDir(), filepath.Join(t.TempDir(), "to.db")
			file := filepath.Join(folder, "events.db")
			fill(t, file, 3, "1")
			look := func() {
				if err := os.Chmod(file, 0o444); err != nil {
					t.Fatal(err)
				}
				before := held(t, folder)
				code, out, errs := runs(t, "", "verify", "-store", "sqlite:"+file, "account:1", "account:2")
				wants(t, code, 1, out+errs, "sound    EventStores:account:1 version=3", "empty    EventStores:account:2")
				code, out, errs = runs(t, "", "copy", "-from", "sqlite:"+file, "-to", "sqlite:"+target, "account:1")
				wants(t, code, 0, out+errs, "copied   EventStores:account:1 version=3")
				if held(t, folder) != before {
					t.Error("the source, or what lies beside it, has changed")
				}
				if err := os.Chmod(file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if app == "when it is closed" {
				look()
				return
			}
			inFile(t, file, func(state driver.State, _ *eventstore.Provider) error {
				_, err := state.Get(t.Context(), "s", "k")
				look()
				return err
			})
		})
	}
}

func TestAFileThatIsNoEventStoreIsRefusedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	other := filepath.Join(folder, "app.db")
	db, err := sql.Open("sqlite", "file:"+other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE users (id)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for name, content := range map[string]string{"empty.db": "", "notes.txt": strings.Repeat("no database\n", 100)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	source := filepath.Join(t.TempDir(), "events.db")
	fill(t, source, 1, "1")
	before := held(t, folder)
	for _, name := range []string{"app.db", "empty.db", "notes.txt"} {
		file := "sqlite:" + filepath.Join(folder, name)
		for _, args := range [][]string{
			{"verify", "-store", file, "account:1"},
			{"rebuild-head", "-store", file, "account:1"},
			{"copy", "-from", file, "-to", "sqlite:" + filepath.Join(t.TempDir(), "to.db"), "account:1"},
			{"copy", "-from", "sqlite:" + source, "-to", file, "account:1"},
		} {
			if args[0] == "copy" && args[4] == file && name == "empty.db" {
				continue // a file without content is one that was made for it
			}
			code, out, errs := runs(t, "", args...)
			if wants(t, code, exitNot, out+errs, name, "not a SQLite file with an event store"); t.Failed() {
				t.Fatalf("it was %q", args)
			}
		}
	}
	if held(t, folder) != before {
		t.Error("a file was changed, or one was created")
	}
}

func TestNamesAreReadAsEditorsWriteThem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "events.db")
	fill(t, file, 1, "1", "2")
	for name, test := range map[string]struct {
		content string
		code    int
		says    string
	}{
		"with a byte order mark":               {"\ufeffaccount:1\naccount:2\n", 0, "2 of 2 streams sound"},
		"of files that were joined":            {"\ufeffaccount:1\n\ufeffaccount:2\n", 0, "2 of 2 streams sound"},
		"with a mark before a remark":          {"\ufeff# all\r\naccount:1\r\naccount:2\r\n", 0, "2 of 2 streams sound"},
		"with a mark alone in its line":        {"\ufeff\naccount:1\naccount:2", 0, "2 of 2 streams sound"},
		"as UTF-16, little end first":          {"\xff\xfea\x00c\x00c\x00\n\x00", 2, "save it as UTF-8"},
		"as UTF-16, big end first":             {"\xfe\xff\x00a\x00c\x00c\x00\n", 2, "save it as UTF-8"},
		"as UTF-16 without a mark":             {"a\x00c\x00c\x00\n\x00", 2, "save it as UTF-8"},
		"as UTF-32":                            {"\xff\xfe\x00\x00a\x00\x00\x00", 2, "save it as UTF-8"},
		"as Latin-1":                           {"account:1\naccount:\xfc\n", 2, ":2: the line is not UTF-8"},
		"with a letter that must be escaped":   {"account:ü\n", 2, ":1: "},
		"with a character that can't be shown": {"account:a/b\n", 2, "as %XX"},
	} {
		names := filepath.Join(dir, "names")
		if err := os.WriteFile(names, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{names, "-"} {
			code, out, errs := runs(t, test.content, "verify", "-store", "sqlite:"+file, "-streams", from)
			if wants(t, code, test.code, out+errs, test.says); t.Failed() {
				t.Fatalf("it was %s", name)
			}
		}
	}
}
