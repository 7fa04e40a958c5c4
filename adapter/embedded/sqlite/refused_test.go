package sqlite

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	contrib "github.com/dapr/components-contrib/state/sqlite"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// pragma sets up the only connection of a SQLite store.
func pragma(t *testing.T, s *State, statements ...string) {
	t.Helper()
	db := component.StoreOf(s.base).(*contrib.SQLiteStore).GetDBAccess().GetConnection()
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestWhatSQLiteCertainlyDidNotDoIsAStorageErrorAtOnce(t *testing.T) {
	t.Parallel()
	large := eventstore.Raw{Type: "scan", ContentType: "text/plain", Payload: bytes.Repeat([]byte("x"), 1<<20)}
	for _, test := range []struct {
		name     string
		on, off  []string
		other    []string // statements of another connection to the file
		otherOff string
		says     string
	}{
		{name: "a full disk", on: []string{"PRAGMA max_page_count=64"}, off: []string{"PRAGMA max_page_count=1000000"}, says: "database or disk is full"},
		{name: "a file that is locked", on: []string{"PRAGMA busy_timeout=1"}, other: []string{"BEGIN IMMEDIATE"}, otherOff: "ROLLBACK", says: "database is locked"},
		{name: "a file that may not be written", on: []string{"PRAGMA query_only=1"}, off: []string{"PRAGMA query_only=0"}, says: "readonly database"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "events.db")
			s, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			other, err := Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			counted := &counting{State: s}
			provider, err := eventstore.NewProvider(counted)
			if err != nil {
				t.Fatal(err)
			}
			session, err := provider.Open(t.Context(), provider.Stream("document", "1"), eventstore.Shared())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Append(t.Context(), eventstore.ExpectVersion(0), eventstore.Raw{Type: "scan", ContentType: "text/plain", Payload: []byte("first")}); err != nil {
				t.Fatal(err)
			}
			pragma(t, s, test.on...)
			pragma(t, other, test.other...)
			if _, err := session.Version(t.Context()); err != nil {
				t.Fatal(err)
			}
			counted.commits.Store(0)
			counted.others.Store(0)
			_, err = session.Append(t.Context(), eventstore.ExpectVersion(1), large)
			if !errors.As(err, new(*eventstore.StorageError)) || errors.As(err, new(*eventstore.OutcomeUnknownError)) {
				t.Errorf("got %T %v, want a StorageError", err, err)
			}
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error does not have the words of SQLite, %q: %v", test.says, err)
			}
			if counted.commits.Load() != 1 || counted.others.Load() > 1 {
				t.Errorf("it took %d commits and %d other requests", counted.commits.Load(), counted.others.Load())
			}
			pragma(t, s, test.off...)
			if test.otherOff != "" {
				pragma(t, other, test.otherOff)
			}
			if version, err := session.Append(t.Context(), eventstore.ExpectVersion(1), large); version != 2 || err != nil {
				t.Errorf("when it is over: version %d, %v", version, err)
			}
			found, err := session.Verify(t.Context(), nil)
			if err != nil || !found.Sound() || found.Version != 2 {
				t.Errorf("verified %+v, %v", found, err)
			}
		})
	}
}

// counting counts requests.
type counting struct {
	driver.State
	commits, others atomic.Int64
}

func (c *counting) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	c.commits.Add(1)
	return c.State.Commit(ctx, partition, swap, writes)
}

func (c *counting) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	c.others.Add(1)
	return c.State.Get(ctx, partition, key)
}
