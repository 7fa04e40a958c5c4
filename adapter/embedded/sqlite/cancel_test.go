package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// SQLite itself waits for another writer even after the context ends.
func TestARequestEndsWithItsContextAlsoWhereItsFileIsLocked(t *testing.T) {
	t.Parallel()
	writes := map[string]func(context.Context, *sqlite.State) error{
		"swap": func(ctx context.Context, s *sqlite.State) error {
			return s.Swap(ctx, stream, driver.Swap{Key: "a", Value: []byte("1")})
		},
		"write": func(ctx context.Context, s *sqlite.State) error {
			return s.Write(ctx, stream, []driver.Write{{Key: "b", Value: []byte("1")}})
		},
		"commit": func(ctx context.Context, s *sqlite.State) error {
			return s.Commit(ctx, stream, driver.Swap{Key: "c", Value: []byte("1")}, nil)
		},
		"open": func(ctx context.Context, s *sqlite.State) error {
			path := filepath.Join(t.TempDir(), "new.db")
			defer lock(t, path)()
			_, err := sqlite.Open(ctx, path)
			return err
		},
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "events.db")
			synctest.Test(t, func(t *testing.T) {
				s, err := sqlite.Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				unlock := lock(t, path)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				began := time.Now()
				err = write(ctx, s)
				if took := time.Since(began); took < time.Second || took > time.Second+100*time.Millisecond {
					t.Errorf("it took %s, and its context ended after 1s", took)
				}
				if !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrRefused) {
					t.Errorf("it ended with %v", err)
				}
				unlock()
				<-time.After(time.Minute) // the component is done by now
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				// The bubble fails if a goroutine is left.
			})
		})
	}
}

// lock locks a SQLite file against writing until its result is called.
func lock(t *testing.T, path string) func() {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() { _ = db.Close() }
}
