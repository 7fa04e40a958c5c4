package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/transfer"
)

// kinds are the three kinds of store that the event store tells apart.
var kinds = map[string]func() *memstate.Store{
	"in one transaction": memstate.Transactional,
	"with counted ETags": memstate.Redis,
	"the careful way": func() *memstate.Store {
		s := memstate.Transactional()
		s.Caps = driver.Capabilities{}
		return s
	},
}

var plain = eventstore.Stream{Database: "EventStores", Type: "account", ID: "1"}

// house is a store with an event store on it.
type house struct {
	*memstate.Store
	*eventstore.Provider
	t *testing.T
}

func newHouse(t *testing.T, store *memstate.Store, change ...func(*eventstore.Settings)) *house {
	t.Helper()
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout = 0
	for _, c := range change {
		c(&settings)
	}
	p, err := eventstore.NewProvider(store, eventstore.WithSettings(settings), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return &house{Store: store, Provider: p, t: t}
}

func (h *house) key(stream eventstore.Stream, suffix any) string {
	return fmt.Sprintf("{%s}:%v", stream, suffix)
}

// as runs do in its own session.
func (h *house) as(stream eventstore.Stream, do func(*eventstore.Session) error) {
	h.t.Helper()
	s, err := h.Open(h.t.Context(), stream)
	if err == nil {
		err = errors.Join(do(s), s.Close())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// event returns event number n. Some have little metadata, others have all of it.
func event(n int) eventstore.Event {
	e := eventstore.Event{Data: eventstore.Raw{Type: fmt.Sprint("type ", n%3), SchemaVersion: n % 4, ContentType: []string{"application/json", "", "x/y\n"}[n%3], Payload: fmt.Appendf(nil, `{"n":%d}`, n)}}
	switch n % 3 {
	case 0:
		e.Metadata.Context.IdempotencyID = fmt.Sprintf("request %d / %% |ü", n)
	case 1:
		e.Metadata.Message.ID = fmt.Sprint("message ", n)
		e.Metadata.Message.Created = time.Date(2001, 2, 3, 4, 5, 6, n, time.UTC)
		e.Metadata.Context = eventstore.ContextMetadata{
			CorrelationID: "correlation\x00", CausationID: "cause\n%0A", UserID: "Ädä", Timestamp: time.Date(1999, 1, 1, 0, 0, 0, n, time.UTC),
			IdempotencyID: fmt.Sprint("id ", n), Scopes: []string{"", "read", "a=b\n"},
		}
		e.Metadata.Custom = map[string]string{"a": fmt.Sprint("custom ", n), "a=b\n%": ""}
	}
	return e
}

// fill appends n events, in appends of up to five.
func (h *house) fill(stream eventstore.Stream, n int) {
	h.t.Helper()
	h.as(stream, func(s *eventstore.Session) error {
		version, err := s.Version(h.t.Context())
		for n > 0 && err == nil {
			events := make([]any, min(n, 5))
			for i := range events {
				events[i] = event(int(version) + i + 1)
			}
			version, err = s.Append(h.t.Context(), eventstore.ExpectAny(), events...)
			n -= len(events)
		}
		return err
	})
}

func snapshotAt(version int64) eventstore.Raw {
	return eventstore.Raw{Type: "state", SchemaVersion: 2, ContentType: "application/json", Payload: fmt.Appendf(nil, `{"at":%d}`, version)}
}

func (h *house) snapshot(stream eventstore.Stream, versions ...int64) {
	h.t.Helper()
	h.as(stream, func(s *eventstore.Session) (err error) {
		for _, version := range versions {
			err = errors.Join(err, s.SaveSnapshot(h.t.Context(), version, snapshotAt(version),
				eventstore.WithCustom(map[string]string{"at\n": fmt.Sprint(version)})))
		}
		return err
	})
}

func (h *house) close(stream eventstore.Stream) {
	h.t.Helper()
	h.as(stream, func(s *eventstore.Session) error { return s.CloseStream(h.t.Context(), eventstore.ExpectAny()) })
}

func (h *house) delete(stream eventstore.Stream) {
	h.t.Helper()
	h.as(stream, func(s *eventstore.Session) error {
		return s.DeleteRecorded(h.t.Context(), eventstore.ExpectAny())
	})
}

func (h *house) reader(stream eventstore.Stream) *eventstore.Reader {
	h.t.Helper()
	r := h.Reader(stream)
	return r
}

// content is everything that a reader sees of a stream.
type content struct {
	Events    []eventstore.Event
	Snapshots []eventstore.Snapshot
	Named     map[string]int64 // versions by idempotency id
	Closed    bool
}

func (h *house) content(stream eventstore.Stream) content {
	h.t.Helper()
	ctx, r := context.Background(), h.reader(stream)
	c := content{Named: map[string]int64{}}
	check := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	for e, err := range r.Read(ctx, eventstore.AsRaw()) {
		check(err)
		c.Events = append(c.Events, e)
		if id := e.Metadata.Context.IdempotencyID; id != "" {
			c.Named[id], err = r.VersionOf(ctx, id)
			check(err)
		}
	}
	versions, err := r.Snapshots(ctx)
	check(err)
	for _, version := range versions {
		s, err := r.Snapshot(ctx, version, eventstore.AsRaw())
		check(err)
		c.Snapshots = append(c.Snapshots, s)
	}
	c.Closed, err = r.Closed(ctx)
	check(err)
	found, err := r.Verify(ctx, nil)
	check(err)
	if !found.Sound() {
		h.t.Fatalf("it is damaged: %v", found.Damage)
	}
	return c
}

// alike checks that both stores hold the same.
func alike(t *testing.T, source, target *house, stream eventstore.Stream) {
	t.Helper()
	if want, got := source.content(stream), target.content(stream); !reflect.DeepEqual(want, got) {
		t.Errorf("%s in the target is\n%+v\nnot\n%+v", stream, got, want)
	}
}

// kept returns what the store holds, except leases.
func (h *house) kept() map[string][]byte {
	values := h.Values()
	maps.DeleteFunc(values, func(key string, _ []byte) bool { return strings.HasSuffix(key, ":lease") })
	return values
}

// must copies a stream and fails the test if that fails.
func must(t *testing.T, source, target *house, stream eventstore.Stream, options ...transfer.Option) transfer.Result {
	t.Helper()
	result, err := transfer.Copy(t.Context(), source.Provider, target.Provider, stream, options...)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// want checks that an error is of type E, and returns it.
func want[E error](t *testing.T, err error) E {
	t.Helper()
	var e E
	if !errors.As(err, &e) {
		t.Fatalf("got the error %v (%T), want %T", err, err, e)
	}
	return e
}

// inHouses runs a test for each pair of store kinds.
func inHouses(t *testing.T, test func(t *testing.T, source, target *memstate.Store)) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(kinds))
	for _, from := range names {
		for _, to := range names {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				test(t, kinds[from](), kinds[to]())
			})
		}
	}
}

var errLost = errors.New("lost on the way")

// nth acts in place of the n-th request from now on, counted from 1 over all stores.
type nth struct {
	mu   sync.Mutex
	n    int // requests until then; reached when it is 0
	do   func(next func() error) error
	seen int
}

func (f *nth) around(_ context.Context, _ *memstate.Request, next func() error) error {
	f.mu.Lock()
	f.seen++
	hit := f.seen == f.n
	f.mu.Unlock()
	if hit {
		return f.do(next)
	}
	return next()
}

func (f *nth) reached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen >= f.n
}

func pass(d time.Duration) { <-time.After(d) }
