package inprocess

import (
	"path/filepath"
	"testing"

	"github.com/dapr/components-contrib/state/sqlite"
)

func TestASQLiteCommitIsSyncedBeforeItIsAcknowledged(t *testing.T) {
	t.Parallel()
	s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db := s.store.(*sqlite.SQLiteStore).GetDBAccess().GetConnection()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "busy_timeout": "10000"} {
		var got string
		if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, want %q (%v)", pragma, got, want, err)
		}
	}
}
