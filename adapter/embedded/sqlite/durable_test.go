package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"runtime"
	"testing"

	contrib "github.com/dapr/components-contrib/state/sqlite"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func TestASQLiteCommitIsSyncedBeforeItIsAcknowledged(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db := component.StoreOf(s.base).(*contrib.SQLiteStore).GetDBAccess().GetConnection()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000"} {
		var got string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
}

// Before version 1.62 the driver had a bug: if a read's context ended exactly when its answer came,
// the statement stayed open. Its connection then always saw the old file, and every write on it
// failed.
func TestAReadThatWasCancelledLeavesItsConnectionFitForWriting(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Swap(t.Context(), "s", driver.Swap{Key: "read", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	db := component.StoreOf(s.base).(*contrib.SQLiteStore).GetDBAccess().GetConnection()
	db.SetMaxOpenConns(1)
	keys := make([]string, 1_000) // enough that reading them takes a while
	for i := range keys {
		keys[i] = "read"
	}
	for i := range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range 4 * i * i {
				runtime.Gosched()
			}
			cancel()
		}()
		s.GetMany(ctx, "s", keys)
		cancel()
	}
	other, err := sql.Open("sqlite", databaseOf(t, db))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.ExecContext(t.Context(), "CREATE TABLE another (id INTEGER)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), "s", driver.Swap{Key: "written", Value: []byte("v")}); err != nil {
		t.Error(err)
	}
}

// databaseOf returns the path of a database's file.
func databaseOf(t *testing.T, db *sql.DB) string {
	t.Helper()
	var path string
	if err := db.QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list").Scan(&path); err != nil {
		t.Fatal(err)
	}
	return path
}
