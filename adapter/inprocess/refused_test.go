package inprocess

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dapr/components-contrib/state"
	"github.com/dapr/components-contrib/state/sqlite"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// pragma sets up the one connection of a SQLite store.
func pragma(t *testing.T, s *State, statements ...string) {
	t.Helper()
	db := s.store.(*sqlite.SQLiteStore).GetDBAccess().GetConnection()
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
		other    []string // of another connection to the file
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
			s, err := OpenSQLite(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			other, err := OpenSQLite(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			counted := &counting{State: s}
			provider, err := eventstore.NewProvider(counted)
			if err != nil {
				t.Fatal(err)
			}
			session, err := provider.OpenShared(t.Context(), provider.Stream("document", "1"))
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

// saying is a component that answers with an error.
type saying struct {
	state.Store
	text  string
	calls int
}

func (s *saying) answer() error { s.calls++; return errors.New(s.text) }

func (s *saying) Set(context.Context, *state.SetRequest) error { return s.answer() }
func (s *saying) Get(context.Context, *state.GetRequest) (*state.GetResponse, error) {
	return nil, s.answer()
}
func (s *saying) BulkGet(_ context.Context, requests []state.GetRequest, _ state.BulkGetOpts) ([]state.BulkGetResponse, error) {
	return []state.BulkGetResponse{{Key: requests[0].Key, Error: s.answer().Error()}}, nil
}
func (s *saying) Multi(context.Context, *state.TransactionalStateRequest) error { return s.answer() }

func TestWhatAServerSaysIsToldAsWhatItMeans(t *testing.T) {
	t.Parallel()
	const readOnly, noAuth, mismatch, cut = "failed to set key k: READONLY You can't write against a read only replica.", "NOAUTH Authentication required.",
		"possible etag mismatch", "read tcp 127.0.0.1:1->127.0.0.1:2: connection reset by peer"
	for _, test := range []struct {
		name, text      string
		alone           bool
		refused, denied bool
		answered        bool
		readDenied      bool
	}{
		{name: "turned down, by a component that sends once", text: readOnly, alone: true, refused: true},
		{name: "turned down, by a component that may send again", text: readOnly, denied: true},
		{name: "not let in", text: noAuth, denied: true, readDenied: true},
		{name: "a condition that did not hold", text: mismatch, alone: true, answered: true},
		{name: "a connection that broke", text: cut, alone: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			component := &saying{text: test.text}
			s := &State{store: component, multi: component, caps: driver.Capabilities{Atomic: true}, alone: test.alone}
			for name, err := range map[string]error{
				"swap":   s.Swap(t.Context(), "p", "k", []byte("v"), ""),
				"commit": s.Commit(t.Context(), "p", driver.Swap{Key: "k", Value: []byte("v")}, nil),
			} {
				if errors.Is(err, driver.ErrRefused) != test.refused || errors.Is(err, driver.ErrDenied) != test.denied || errors.Is(err, driver.ErrAnswered) != test.answered {
					t.Errorf("%s: refused %t, denied %t, answered %t: %v", name, errors.Is(err, driver.ErrRefused), errors.Is(err, driver.ErrDenied), errors.Is(err, driver.ErrAnswered), err)
				}
				if !strings.Contains(err.Error(), test.text) {
					t.Errorf("%s: the words of the server are not there: %v", name, err)
				}
			}
			_, one := s.Get(t.Context(), "p", "k")
			many, err := s.GetMany(t.Context(), "p", []string{"k"})
			if err != nil {
				t.Fatal(err)
			}
			for name, err := range map[string]error{"get": one, "an item": many[0].Err} {
				if err == nil || errors.Is(err, driver.ErrDenied) != test.readDenied || errors.Is(err, driver.ErrRefused) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestOnlyWhatDoesNoHarmIsSentAgainWhenAConnectionBreaks(t *testing.T) {
	t.Parallel()
	for text, repeated := range map[string]int{"EOF": redisRepeats, "NOAUTH Authentication required.": 0} {
		component := &saying{text: text}
		s := &State{store: component, multi: component, caps: driver.Capabilities{Atomic: true}, alone: true, repeats: redisRepeats}
		for name, test := range map[string]struct {
			send func()
			want int
		}{
			"get":      {func() { _, _ = s.Get(t.Context(), "p", "k") }, 1 + repeated},
			"get many": {func() { _, _ = s.GetMany(t.Context(), "p", []string{"k"}) }, 1 + repeated},
			"write":    {func() { _ = s.Write(t.Context(), "p", []driver.Write{{Key: "k", Value: []byte("v")}}) }, 1 + repeated},
			"swap":     {func() { _ = s.Swap(t.Context(), "p", "k", []byte("v"), "") }, 1},
			"commit":   {func() { _ = s.Commit(t.Context(), "p", driver.Swap{Key: "k", Value: []byte("v")}, nil) }, 1},
		} {
			component.calls = 0
			if test.send(); component.calls != test.want {
				t.Errorf("%s after %q was sent %d times, want %d", name, text, component.calls, test.want)
			}
		}
	}
}
