package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dapr/components-contrib/state"
	contrib "github.com/dapr/components-contrib/state/sqlite"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// rows returns the number of rows in a SQLite store.
func rows(t *testing.T, s *State) (n int) {
	t.Helper()
	db := component.StoreOf(s.base).(*contrib.SQLiteStore).GetDBAccess().GetConnection()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM state").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTryingAFileOutLeavesNothingInIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	var all sync.WaitGroup
	for range 8 { // at once
		all.Go(func() {
			s, err := Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	all.Wait()
	s, err := Open(t.Context(), path, WithoutProbe())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := rows(t, s); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// wrong is a component with a fault. It counts its requests.
type wrong struct {
	*contrib.SQLiteStore
	ignoresETags, folds, full bool
	requests                  int
}

func (w *wrong) Set(ctx context.Context, r *state.SetRequest) error {
	w.requests++
	if w.full {
		return context.DeadlineExceeded
	}
	if w.ignoresETags && r.ETag != nil {
		r.ETag, r.Options.Concurrency = nil, state.LastWrite
	}
	return w.SQLiteStore.Set(ctx, r)
}

func (w *wrong) Multi(ctx context.Context, r *state.TransactionalStateRequest) error {
	w.requests++
	for i, operation := range r.Operations {
		if set, ok := operation.(state.SetRequest); ok && w.folds {
			set.Key = strings.Replace(set.Key, "}:probe", "}:Probe", 1)
			r.Operations[i] = set
		}
	}
	return w.SQLiteStore.Multi(ctx, r)
}

func (w *wrong) BulkGet(ctx context.Context, r []state.GetRequest, o state.BulkGetOpts) ([]state.BulkGetResponse, error) {
	w.requests++
	return w.SQLiteStore.BulkGet(ctx, r, o)
}

func (w *wrong) Get(ctx context.Context, r *state.GetRequest) (*state.GetResponse, error) {
	w.requests++
	return w.SQLiteStore.Get(ctx, r)
}

func TestAStoreThatIsNotFitIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		with wrong
		says string
	}{
		{"one that is fit", wrong{}, ""},
		{"one that ignores ETags", wrong{ignoresETags: true}, "ETag"},
		{"one that folds case", wrong{folds: true}, "differ only in case"},
		{"one that takes no writes", wrong{full: true}, "WithoutProbe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := Open(t.Context(), filepath.Join(t.TempDir(), "events.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			faulty := test.with
			faulty.SQLiteStore = component.StoreOf(s.base).(*contrib.SQLiteStore)
			err = component.Probe(t.Context(), component.New(&keptOpen{&faulty}, component.Config{
				Package: "sqlite", Capabilities: driver.Capabilities{Store: "state.sqlite", Atomic: true},
			}))
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("it says %v, want %q", err, test.says)
			}
			if faulty.requests > 8 {
				t.Errorf("it took %d requests", faulty.requests)
			}
			if n := rows(t, s); n != 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

// keptOpen is a component that a test inspects after it was closed.
type keptOpen struct{ *wrong }

func (*keptOpen) Close() error { return nil }

func TestAFileThatCanNotBeWrittenToSaysWhatToDo(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), "p", driver.Swap{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	db := component.StoreOf(s.base).(*contrib.SQLiteStore).GetDBAccess().GetConnection()
	if _, err := db.ExecContext(t.Context(), "CREATE TRIGGER full BEFORE INSERT ON state BEGIN SELECT RAISE(FAIL, 'no room'); END"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "WithoutProbe") || !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), path) {
		t.Errorf("it says %v", err)
	}
	s, err = Open(t.Context(), path, WithoutProbe())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if item, err := s.Get(t.Context(), "p", "k"); string(item.Value) != "v" || err != nil {
		t.Errorf("read %+v, %v", item, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
