package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

const stream = "stream"

func read(t *testing.T, s *sqlite.State, key string) driver.Item {
	t.Helper()
	item, err := s.Get(t.Context(), stream, key)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func TestASQLiteFileKeepsWhatItHolds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"events.db", "a name with blanks, 100 % of ? and #.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), name)
			s, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(t.Context(), stream, driver.Swap{Key: "head", Value: []byte("1")}, []driver.Write{{Key: "event", Value: []byte{0, 255}}}); err != nil {
				t.Fatal(err)
			}
			etag := read(t, s, "head").ETag
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(path); err != nil {
				t.Fatal(err)
			}
			if s, err = sqlite.Open(t.Context(), path); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if got := read(t, s, "event"); string(got.Value) != "\x00\xff" {
				t.Errorf("the event is %+v", got)
			}
			if err := s.Swap(t.Context(), stream, driver.Swap{Key: "head", Value: []byte("2")}); err == nil {
				t.Error("the head was created again")
			}
			if err := s.Swap(t.Context(), stream, driver.Swap{Key: "head", Value: []byte("2"), ETag: etag}); err != nil {
				t.Errorf("the ETag does not hold any more: %v", err)
			}
		})
	}
}

func TestASQLiteFileCanBeOpenTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	var opened [2]*sqlite.State
	var all sync.WaitGroup
	for i := range opened {
		all.Go(func() {
			s, err := sqlite.Open(t.Context(), path)
			if err != nil {
				t.Error(err)
			}
			opened[i] = s
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	defer opened[0].Close()
	defer opened[1].Close()
	if err := opened[0].Swap(t.Context(), stream, driver.Swap{Key: "head", Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, opened[1], "head"); string(got.Value) != "1" {
		t.Errorf("the other sees %+v", got)
	}
	if err := opened[1].Swap(t.Context(), stream, driver.Swap{Key: "head", Value: []byte("2")}); err == nil {
		t.Error("the head was created twice")
	}
}

func TestWhatCanNotBeOpenedSaysWhy(t *testing.T) {
	t.Parallel()
	garbage := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(path string) func(*testing.T) error {
		return func(t *testing.T) error { _, err := sqlite.Open(t.Context(), path); return err }
	}
	for _, test := range []struct {
		name string
		open func(*testing.T) error
		says []string
	}{
		{"a blank path", open(" "), []string{"blank"}},
		{"a database in memory", open(":memory:"), []string{"memory.New"}},
		{"a folder that is not there", open(filepath.Join(t.TempDir(), "none", "events.db")), []string{"none", "folder"}},
		{"a file of another kind", open(garbage), []string{"notes.txt", "not a database"}},
		{"a nil option", func(t *testing.T) error {
			_, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"), nil)
			return err
		}, []string{"option is nil"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.open(t)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
}
