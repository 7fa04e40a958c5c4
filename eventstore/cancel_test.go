package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// These are all methods that take a context, by name.
var (
	readings = map[string]func(context.Context, *Reader) error{
		"Read": func(ctx context.Context, r *Reader) (err error) {
			for _, err = range r.Read(ctx) {
			}
			return err
		},
		"Slice":        func(ctx context.Context, r *Reader) error { _, err := r.Slice(ctx, 1, 3); return err },
		"Event":        func(ctx context.Context, r *Reader) error { _, err := r.Event(ctx, 1); return err },
		"Version":      func(ctx context.Context, r *Reader) error { _, err := r.Version(ctx); return err },
		"VersionOf":    func(ctx context.Context, r *Reader) error { _, err := r.VersionOf(ctx, "once"); return err },
		"Outcome":      func(ctx context.Context, r *Reader) error { _, err := r.Outcome(ctx, 1, "other"); return err },
		"Snapshots":    func(ctx context.Context, r *Reader) error { _, err := r.Snapshots(ctx); return err },
		"Snapshot":     func(ctx context.Context, r *Reader) error { _, err := r.Snapshot(ctx, 1); return err },
		"LastSnapshot": func(ctx context.Context, r *Reader) error { _, err := r.LastSnapshot(ctx); return err },
		"Load": func(ctx context.Context, r *Reader) error {
			_, events, err := r.Load(ctx)
			if err != nil {
				return err
			}
			for _, err = range events {
			}
			return err
		},
		"Closed": func(ctx context.Context, r *Reader) error { _, err := r.Closed(ctx); return err },
		"Verify": func(ctx context.Context, r *Reader) error { _, err := r.Verify(ctx, nil); return err },
	}
	writings = map[string]func(context.Context, *Session, *OutcomeUnknownError) error{
		"Append": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			_, err := s.Append(ctx, ExpectAny(), once("twice", "e"))
			return err
		},
		"AppendRecorded": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			_, err := s.AppendRecorded(ctx, ExpectAny(), recorded(4, "twice"))
			return err
		},
		"VersionsOf": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			_, err := s.VersionsOf(ctx, "once", "twice")
			return err
		},
		"Refresh": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			_, err := s.Refresh(ctx)
			return err
		},
		"Retry": func(ctx context.Context, s *Session, unknown *OutcomeUnknownError) error {
			_, err := s.Retry(ctx, unknown)
			return err
		},
		"SaveSnapshot": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			return s.SaveSnapshot(ctx, 2, noted{})
		},
		"SaveRecordedSnapshot": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			return s.SaveRecordedSnapshot(ctx, Snapshot{Version: 2, Data: Raw{Type: "noted"}, Created: time.Now()})
		},
		"ClearSnapshot": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			return s.ClearSnapshot(ctx, 1)
		},
		"ClearSnapshots": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			return s.ClearSnapshots(ctx)
		},
		"CloseStream": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			return s.CloseStream(ctx, ExpectAny())
		},
		"DeleteStream": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			return s.DeleteStream(ctx, ExpectAny())
		},
		"DeleteRecorded": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			return s.DeleteRecorded(ctx, ExpectAny())
		},
		"BuildSnapshots": func(ctx context.Context, s *Session, _ *OutcomeUnknownError) error {
			_, err := BuildSnapshots(ctx, s, 2, noted{}, func(n noted, _ Event) (noted, error) { return n, nil })
			return err
		},
	}
	openings = map[string]func(context.Context, *Provider) error{
		"Open": func(ctx context.Context, p *Provider) error {
			_, err := p.Open(ctx, labStream)
			return err
		},
		"OpenShared": func(ctx context.Context, p *Provider) error {
			_, err := p.Open(ctx, labStream, Shared())
			return err
		},
		"Append": func(ctx context.Context, p *Provider) error {
			_, err := p.Append(ctx, labStream, ExpectAny(), noted{"x"})
			return err
		},
		"RebuildHead": func(ctx context.Context, p *Provider) error {
			_, err := p.RebuildHead(ctx, labStream, nil)
			return err
		},
		"Close": func(ctx context.Context, p *Provider) error { return p.Close(ctx) },
	}
)

func TestAllThatTakesAContextIsTested(t *testing.T) {
	t.Parallel()
	takes := func(of reflect.Type) (names []string) {
		for i := range of.NumMethod() {
			if m := of.Method(i); m.Type.NumIn() > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]() && m.Name != "PrepareFor" { // PrepareFor asks the store nothing
				names = append(names, m.Name)
			}
		}
		return names
	}
	reads, opens := slices.Sorted(maps.Keys(readings)), slices.Sorted(maps.Keys(openings))
	opens = slices.DeleteFunc(opens, func(name string) bool { return name == "OpenShared" }) // it is Open with an option
	writes := append(slices.Sorted(maps.Keys(writings)), reads...)
	writes = slices.DeleteFunc(writes, func(name string) bool { return name == "BuildSnapshots" }) // it is a function
	slices.Sort(writes)
	for of, tested := range map[reflect.Type][]string{
		reflect.TypeFor[*Reader](): reads, reflect.TypeFor[*Session](): writes, reflect.TypeFor[*Provider](): opens,
	} {
		if methods := takes(of); !slices.Equal(methods, tested) {
			t.Errorf("%s takes contexts in %q, tested are %q", of, methods, tested)
		}
	}
}

// slow is a stream in a store. A test can make the store leave a request, and all that follow,
// without an answer.
type slow struct {
	*memstate.Store
	provider *Provider
	feeding  *Provider // the same with a feed, for Close

	mu      sync.Mutex
	answers int           // how many requests still get an answer; all if negative
	fails   bool          // the others fail at once, and not when their contexts end
	arrived chan struct{} // closed by the first request that gets no answer
	wrote   bool          // the head was written since answers was set
}

func newSlow(t *testing.T, store *memstate.Store, options ...Option) *slow {
	t.Helper()
	s := &slow{Store: store, answers: -1}
	store.Around = s.around
	registry, err := NewRegistry(Type[noted]("noted"))
	if err != nil {
		t.Fatal(err)
	}
	settings := DefaultSettings()
	settings.TailEvents = 1
	options = append([]Option{WithSettings(settings)}, options...)
	options = append(options, WithRegistry(registry), WithLogger(slog.New(slog.DiscardHandler)))
	if s.provider, err = NewProvider(store, options...); err != nil {
		t.Fatal(err)
	}
	if s.feeding, err = NewProvider(store, append(options, WithFeed("all"))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // in fake time
		s.after(-1, false)
		waitForFlusher(s.feeding)
	})
	return s
}

func (s *slow) around(ctx context.Context, r *memstate.Request, next func() error) error {
	s.mu.Lock()
	if s.answers == 0 {
		select {
		case <-s.arrived:
		default:
			close(s.arrived)
		}
		fails := s.fails
		s.mu.Unlock()
		if fails {
			return errLost
		}
		<-ctx.Done()
		return ctx.Err()
	}
	s.answers--
	s.mu.Unlock()
	err := next()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrote = s.wrote || commits(r) && err == nil
	return err
}

// after lets only the next n requests be answered.
func (s *slow) after(n int, fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers, s.fails, s.arrived, s.wrote = n, fails, make(chan struct{}), false
}

// begin creates a stream with events, a snapshot, and a session with an append of unknown outcome.
func (s *slow) begin(t *testing.T) (*Session, *OutcomeUnknownError) {
	t.Helper()
	session, err := s.provider.Open(t.Context(), labStream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Append(t.Context(), ExpectAny(), noted{"a"}, noted{"b"}, once("once", "c")); err != nil {
		t.Fatal(err)
	}
	if err := session.SaveSnapshot(t.Context(), 1, noted{"s"}); err != nil {
		t.Fatal(err)
	}
	s.after(0, true)
	if !session.writer.fresh {
		s.after(1, true) // the head's ETag is read
	}
	_, err = session.Append(t.Context(), ExpectAny(), noted{"d"})
	s.after(-1, false)
	return session, want[*OutcomeUnknownError](t, err)
}

// calls returns all operations that take a context, on a fresh stream in slow.
func (s *slow) calls(t *testing.T) map[string]func(context.Context) error {
	session, unknown := s.begin(t)
	reader := s.provider.Reader(labStream)
	calls := map[string]func(context.Context) error{}
	for name, read := range readings {
		calls["Reader."+name] = func(ctx context.Context) error { return read(ctx, reader) }
		calls["Session."+name] = func(ctx context.Context) error { return read(ctx, session.Reader) }
	}
	for name, write := range writings {
		calls["Session."+name] = func(ctx context.Context) error { return write(ctx, session, unknown) }
	}
	for name, open := range openings {
		p := s.provider
		if name == "Close" {
			p = s.feeding
		}
		calls["Provider."+name] = func(ctx context.Context) error { return open(ctx, p) }
	}
	return calls
}

// prepare gives the call something to do.
func (s *slow) prepare(call string) {
	k := keysOf(labStream)
	switch call {
	case "Provider.RebuildHead":
		s.Set(k.head(), nil)
		fallthrough
	case "Provider.Open":
		s.Set(k.lease(), nil)
	case "Provider.Close":
		// A flusher writes the first entry at once. The second one waits, so that Close writes it.
		for range 2 {
			pass(time.Millisecond)
			_, _ = s.feeding.Append(context.Background(), Stream{"EventStores", "account", "of the feed"}, ExpectAny(), noted{"f"})
		}
	}
}

// endings are the ways in which a context ends, with the error that shows it.
var endings = map[string]struct {
	with func(context.Context) (context.Context, func())
	is   error
}{
	"cancelled": {func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel
	}, context.Canceled},
	"cancelled for a cause": {func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(ctx)
		return ctx, func() { cancel(errShutdown) }
	}, context.Canceled},
	"at its deadline": {func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		return ctx, func() { <-ctx.Done(); cancel() }
	}, context.DeadlineExceeded},
}

var errShutdown = errors.New("the service shuts down")

const heeded = 100 * time.Millisecond

// TestAContextThatEndsIsHeeded ends the context of each operation at each of its requests. The
// request then gets no answer, or fails so that the operation repeats it.
func TestAContextThatEndsIsHeeded(t *testing.T) {
	t.Parallel()
	for _, kind := range slices.Sorted(maps.Keys(labKinds)) {
		for _, name := range allCalls() {
			t.Run(kind+"/"+name, func(t *testing.T) {
				t.Parallel()
				for how := range endings {
					for _, fails := range []bool{false, true} {
						requests := 0
						for reached := true; reached; requests++ {
							synctest.Test(t, func(t *testing.T) {
								reached = heeds(t, newSlow(t, labKinds[kind]()), name, how, requests, fails)
							})
						}
						if requests < 2 {
							t.Error("it made no request")
						}
					}
				}
			})
		}
	}
}

func allCalls() []string {
	var names []string
	for name := range readings {
		names = append(names, "Reader."+name, "Session."+name)
	}
	for name := range writings {
		names = append(names, "Session."+name)
	}
	for name := range openings {
		names = append(names, "Provider."+name)
	}
	slices.Sort(names)
	return names
}

// heeds ends the context of a call after n answers. It reports whether the call made more than n
// requests.
func heeds(t *testing.T, s *slow, name, how string, n int, fails bool) (reached bool) {
	t.Helper()
	call := s.calls(t)[name]
	s.prepare(name)
	s.after(n, fails)
	ending := endings[how]
	ctx, end := ending.with(t.Context())
	defer end()
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	select {
	case <-s.arrived:
	case err := <-done:
		select {
		case <-s.arrived: // the call failed before the select saw its request
			return true
		default:
		}
		if err != nil {
			t.Errorf("%d requests were answered: %v", n, err)
		}
		return false
	}
	pass(time.Second - time.Nanosecond)
	var err error
	ended := false
	select {
	case err = <-done: // the call did not repeat failures that long
		ended = true
	default:
	}
	end()
	began := time.Now()
	if !ended {
		err = <-done
	}
	what := fmt.Sprintf("%s, %d requests answered, the next failing %t", how, n, fails)
	if took := time.Since(began); took > heeded {
		t.Errorf("%s: it took %s: %v", what, took, err)
	}
	if ended || err == nil && s.wrote { // requests after the commit can wait
		return true
	}
	if !errors.Is(err, ending.is) {
		t.Errorf("%s: the error is not %q: %v", what, ending.is, err)
	}
	return true
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	t.Parallel()
	for _, name := range allCalls() {
		for how, ending := range endings {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newSlow(t, memstate.Transactional())
					call := s.calls(t)[name]
					s.prepare(name)
					ctx, end := ending.with(t.Context())
					end()
					s.Trace()
					err := call(ctx)
					for _, is := range []error{ending.is, driver.ErrRefused} {
						if !errors.Is(err, is) {
							t.Errorf("the error is not %q: %v", is, err)
						}
					}
					if trace := s.Trace(); len(trace) > 0 {
						t.Errorf("it sent %q", trace)
					}
				})
			})
		}
	}
}

func TestAReadEndsWithItsContextAlsoWhereTheNextEventsAreAtHand(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a", "b", "c")
		reader := l.provider().Reader(labStream)
		for how, ending := range endings {
			ctx, end := ending.with(t.Context())
			var versions []int64
			for event, err := range reader.Read(ctx) {
				if err != nil {
					if want[*StorageError](t, err); !errors.Is(err, ending.is) {
						t.Errorf("%s: %v", how, err)
					}
					break
				}
				versions = append(versions, event.Version)
				end()
			}
			if len(versions) != 1 {
				t.Errorf("%s after the first event: it gave versions %v", how, versions)
			}
		}
	})
}
