package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// contents returns the files of a folder by name. It leaves out the index of a log, because readers
// note their positions in it.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, entry := range entries {
		all[entry.Name()] = "a folder, or the index of a log"
		if entry.IsDir() || strings.HasSuffix(entry.Name(), "-shm") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[entry.Name()] = string(content)
	}
	return all
}

func readOnly(t *testing.T, path string) *sqlite.State {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, sqlite.WithReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// writable opens a file and writes a text value and a binary value to it.
func writable(t *testing.T, path, value string) *sqlite.State {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err == nil {
		err = s.Write(t.Context(), stream, []driver.Write{{Key: "a", Value: []byte(value)}, {Key: "b", Value: []byte{0, 255}}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAFileIsReadWithoutAnythingBeingCreatedOrChanged(t *testing.T) {
	t.Parallel()
	execute := func(t *testing.T, path string, statements ...string) {
		db, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, statement := range statements {
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, prepare := range map[string]func(t *testing.T, path string){
		"that was closed":           func(t *testing.T, path string) { writable(t, path, "1").Close() },
		"that another has open":     nil,
		"whose log is empty":        func(t *testing.T, path string) { writable(t, path, "1").Close(); touch(t, path+"-wal") },
		"with an index left behind": func(t *testing.T, path string) { writable(t, path, "1").Close(); touch(t, path+"-shm") },
		"in another mode of journal": func(t *testing.T, path string) {
			writable(t, path, "1").Close()
			execute(t, path, "PRAGMA journal_mode(DELETE)")
		},
		"that is a backup of another": func(t *testing.T, path string) {
			writable(t, path+".old", "1").Close()
			execute(t, path+".old", "VACUUM INTO '"+path+"'")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			path := filepath.Join(folder, "events.db")
			if prepare == nil {
				defer writable(t, path, "1").Close()
			} else {
				prepare(t, path)
			}
			for file := range contents(t, folder) {
				if err := os.Chmod(filepath.Join(folder, file), 0o444); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(folder, 0o555); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(folder, 0o755)
			before := contents(t, folder)
			s := readOnly(t, path)
			items, err := s.GetMany(t.Context(), stream, []string{"none", "b", "a"})
			if err != nil || len(items) != 3 || items[0].Found() || string(items[1].Value) != "\x00\xff" || string(items[2].Value) != "1" || items[2].ETag == "" {
				t.Errorf("it reads as %q, %v", items, err)
			}
			if item := read(t, s, "a"); string(item.Value) != "1" || item.ETag != items[2].ETag {
				t.Errorf("alone it reads as %+v", item)
			}
			if item := read(t, s, "none"); item.Found() {
				t.Errorf("what is not there reads as %+v", item)
			}
			for operation, err := range map[string]error{
				"a swap":        s.Swap(t.Context(), stream, driver.Swap{Key: "a", Value: []byte("2"), ETag: items[2].ETag}),
				"a write":       s.Write(t.Context(), stream, []driver.Write{{Key: "a", Value: []byte("2")}}),
				"a commit":      s.Commit(t.Context(), stream, driver.Swap{Key: "c", Value: []byte("2")}, []driver.Write{{Key: "a"}}),
				"a single key":  s.Write(t.Context(), stream, []driver.Write{{Key: "a"}}),
				"another write": s.Write(t.Context(), stream, []driver.Write{{Key: "d", Value: []byte("2")}, {Key: "a"}}),
			} {
				if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "read-only") {
					t.Errorf("%s: %v", operation, err)
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			after := contents(t, folder)
			if !maps.Equal(before, after) {
				t.Errorf("before there were %q, after it %q, or one of them has changed", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAReaderOfAFileSeesWhatOthersWriteMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	writable(t, path, "0").Close()
	s := readOnly(t, path) // when no process has the file open
	for i := range 5 {
		w := writable(t, path, fmt.Sprint("open ", i))
		if got := read(t, s, "a"); string(got.Value) != fmt.Sprint("open ", i) {
			t.Errorf("while it is open: %q", got.Value)
		}
		if err := w.Write(t.Context(), stream, []driver.Write{{Key: "a", Value: fmt.Append(nil, "more ", i)}}); err != nil {
			t.Fatal(err)
		}
		if got := read(t, s, "a"); string(got.Value) != fmt.Sprint("more ", i) {
			t.Errorf("the next: %q", got.Value)
		}
		w.Close()
		if got := read(t, s, "a"); string(got.Value) != fmt.Sprint("more ", i) {
			t.Errorf("when it was closed: %q", got.Value)
		}
	}
}

func TestWhatIsNoEventStoreIsNotReadAndNotChanged(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	touch(t, in("empty.db"))
	for name, content := range map[string]string{"notes.txt": strings.Repeat("no database\n", 100), "short.db": "SQLite format 3\x00", "cut.db": "SQLite format 3\x00" + strings.Repeat("\x01", 50)} {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, table := range map[string]string{"app.db": "users (id)", "alike.db": "state (key, value)"} {
		db, err := sql.Open("sqlite", "file:"+in(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE "+table); err != nil {
			t.Fatal(err)
		}
		db.Close()
	}
	writable(t, in("log.db"), "1").Close()
	if err := os.WriteFile(in("log.db-wal"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := contents(t, folder)
	for name, says := range map[string]string{
		"empty.db": "not a SQLite file with an event store", "notes.txt": "not a SQLite file with an event store", "short.db": "not a SQLite file with an event store",
		"cut.db": "cut.db", "app.db": "not a SQLite file with an event store", "alike.db": "not a SQLite file with an event store",
		"none.db": "no such file", ".": "not a regular file", "log.db": "-shm",
	} {
		s, err := sqlite.Open(t.Context(), in(name), sqlite.WithReadOnly())
		if err == nil {
			s.Close()
			t.Errorf("%s was opened", name)
		} else if !strings.Contains(err.Error(), says) {
			t.Errorf("%s: the error does not say %q: %v", name, says, err)
		}
	}
	if _, err := sqlite.Open(t.Context(), " ", sqlite.WithReadOnly()); err == nil || !strings.Contains(err.Error(), "blank") {
		t.Errorf("a blank path: %v", err)
	}
	if after := contents(t, folder); !maps.Equal(before, after) {
		t.Errorf("the folder has changed: %q", slices.Sorted(maps.Keys(after)))
	}
}

// A program reads a backup and leaves it untouched.
func ExampleWithReadOnly() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "backup")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "events.db")
	state, err := sqlite.Open(ctx, file)
	if err != nil {
		log.Fatal(err)
	}
	state.Close()

	backup, err := sqlite.Open(ctx, file, sqlite.WithReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	defer backup.Close()
	err = backup.Swap(ctx, "stream", driver.Swap{Key: "head", Value: []byte("1")})
	fmt.Println("a write is refused:", errors.Is(err, driver.ErrRefused))
	// Output: a write is refused: true
}
