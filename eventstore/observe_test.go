package eventstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// seen is one operation as an observer saw it.
type seen struct {
	Operation
	OperationResult
	inside *seen // the operation that its context belongs to
	ends   int
}

// String returns the name and the type of the error.
func (s *seen) String() string {
	if s.Err != nil {
		return s.Name + " " + fmt.Sprintf("%T", s.Err)[len("*eventstore."):]
	}
	return s.Name
}

type seenKey struct{}

// witness is an observer that records all operations, in the order in which they began.
type witness struct {
	t  *testing.T
	mu sync.Mutex
	of []*seen
}

func (w *witness) Begin(ctx context.Context, operation Operation) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	inside, _ := ctx.Value(seenKey{}).(*seen)
	s := &seen{Operation: operation, inside: inside}
	w.of = append(w.of, s)
	return context.WithValue(ctx, seenKey{}, s)
}

func (w *witness) End(ctx context.Context, operation Operation, result OperationResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := ctx.Value(seenKey{}).(*seen)
	if !ok || s.Name != operation.Name {
		w.t.Errorf("%s ended with a context that is not its own", operation.Name)
		return
	}
	s.Operation, s.OperationResult = operation, result
	s.ends++
}

// take returns the operations since the last call. Each of them must have ended once.
func (w *witness) take() []*seen {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	of := w.of
	w.of = nil
	for _, s := range of {
		if s.ends != 1 {
			w.t.Errorf("%s ended %d times", s.Name, s.ends)
		}
	}
	return of
}

// saw checks the operations since the last call, each with its String.
func (w *witness) saw(want ...string) []*seen {
	w.t.Helper()
	of := w.take()
	var got []string
	for _, s := range of {
		got = append(got, s.String())
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("observed were %q, want %q", got, want)
	}
	return of
}

// operationOf returns the name of a method's operation.
func operationOf(method string) string {
	var name strings.Builder
	for i, r := range strings.ReplaceAll(method, "ID", "Id") {
		if unicode.IsUpper(r) && i > 0 {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}

// TestAllThatTakesAContextIsObserved makes all calls that take a context.
// TestAllThatTakesAContextIsTested checks that the list of them is complete.
func TestAllThatTakesAContextIsObserved(t *testing.T) {
	t.Parallel()
	for _, name := range allCalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &witness{t: t}
				s := newSlow(t, memstate.Transactional(), WithObserver(w))
				call := s.calls(t)[name]
				s.prepare(name)
				w.take()
				around := s.Store.Around
				s.Intervene(func(ctx context.Context, r *memstate.Request, next func() error) error {
					if by, _ := ctx.Value(seenKey{}).(*seen); by == nil || by.ends > 0 {
						t.Errorf("request %s does not go with the context of the operation: %v", r, by)
					}
					return around(ctx, r, next)
				})
				err := call(t.Context())
				of, method := w.take(), name[strings.Index(name, ".")+1:]
				operation, stream := operationOf(method), labStream
				if name == "Provider.Close" {
					operation, stream = OpCloseProvider, s.feeding.journals.stream()
				}
				if len(of) == 0 || of[0].inside != nil || of[0].Name != operation || of[0].Stream != stream {
					t.Fatalf("observed were %v, want one operation %s of the stream first", of, operationOf(method))
				}
				if of[0].Err != err {
					t.Errorf("the error that was observed is %v, it returned %v", of[0].Err, err)
				}
				if inSession := strings.HasPrefix(name, "Session."); (of[0].Session != "") != (inSession || strings.Contains(name, "Open") || name == "Provider.Append") {
					t.Errorf("the session is %q", of[0].Session)
				}
				for _, s := range of[1:] {
					switch {
					case method == "Load" && s.Name == "read" && s.inside == nil:
					case method == "BuildSnapshots" && s.inside == of[0] && s.Name == "read":
					default:
						t.Errorf("observed was %s, too", s.Name)
					}
				}
			})
		})
	}
}

func TestAnOperationThatFailsIsObservedWithWhatItReturns(t *testing.T) {
	t.Parallel()
	for _, name := range allCalls() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &witness{t: t}
				s := newSlow(t, memstate.Transactional(), WithObserver(w))
				call := s.calls(t)[name]
				w.take()
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				err := call(ctx)
				if of := w.take(); err == nil || len(of) == 0 || of[0].Err != err {
					t.Errorf("it returned %v, observed was %v", err, of)
				}
			})
		})
	}
}

func TestAnObserverIsToldWhatAnOperationWasAndWhatCameOfIt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		w := &witness{t: t}
		ctx := t.Context()
		p := l.provider(WithObserver(w), WithLocker(lease{l.Store}))
		s, err := p.Open(ctx, labStream)
		if err != nil {
			t.Fatal(err)
		}
		l.add(s, "a", "b", "c")
		for range s.Read(ctx, FromVersion(2)) {
		}
		_, _ = s.Slice(ctx, 1, 9)
		_, _ = s.Event(ctx, 2)
		_, _ = s.Append(ctx, ExpectVersion(7), noted{"d"})
		_ = s.SaveSnapshot(ctx, 2, noted{"b"})
		_, rest, _ := s.Load(ctx)
		for range rest {
		}
		_, _ = s.Verify(ctx, nil)
		_ = s.CloseStream(ctx, ExpectVersion(3))
		_ = s.Close()
		_ = s.Close() // has no effect
		of := w.saw("open", "append", "read", "slice", "event", "append VersionMismatchError", "save_snapshot", "load", "read", "verify", "close_stream", "close")
		type facts struct {
			name               string
			expected           int64
			given, done        int
			version            int64
			attempts, requests int
		}
		var got []facts
		for _, s := range of {
			got = append(got, facts{s.Name, s.Expected, s.Operation.Events, s.OperationResult.Events, s.Version, s.Attempts, s.Lookups})
			if s.Session != of[0].Session || s.Session == "" {
				t.Errorf("%s was in session %q", s, s.Session)
			}
		}
		want := []facts{
			{"open", -1, 0, 0, 0, 1, 0},
			{"append", -1, 3, 3, 3, 1, 0},
			{"read", -1, 0, 2, 3, 0, 0},
			{"slice", -1, 0, 3, 3, 0, 0},
			{"event", -1, 0, 1, 2, 0, 0},
			{"append", 7, 1, 0, 0, 0, 0},
			{"save_snapshot", -1, 0, 0, 2, 0, 0},
			{"load", -1, 0, 0, 2, 0, 0},
			{"read", -1, 0, 1, 3, 0, 0},
			{"verify", -1, 0, 3, 3, 0, 0},
			{"close_stream", 3, 0, 0, 3, 0, 0},
			{"close", -1, 0, 0, 0, 0, 0},
		}
		for i, w := range want {
			if got[i] != w {
				t.Errorf("observed was %+v, want %+v", got[i], w)
			}
		}
	})
}

func TestAnObserverIsToldOfLostAnswersAndOfWaiting(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		w := &witness{t: t}
		settings := DefaultSettings()
		p := l.provider(WithObserver(w), WithLocker(lease{l.Store}), WithSettings(settings))
		s, err := p.Open(t.Context(), labStream)
		if err != nil {
			t.Fatal(err)
		}
		w.take()

		l.on(commits, 1, unanswered)
		l.add(s, "a")
		l.on(commits, 2, lost)
		l.add(s, "b")
		of := w.saw("append", "append")
		for i, want := range [][2]int{{1, 1}, {3, 2}} {
			if got := [2]int{of[i].Attempts, of[i].Lookups}; got != want {
				t.Errorf("attempts and lookups of append %d: %v, want %v", i, got, want)
			}
		}

		opened := make(chan error, 1)
		go func() {
			second, err := p.Open(t.Context(), labStream)
			if err == nil {
				err = second.Close()
			}
			opened <- err
		}()
		pass(time.Second)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
		for _, s := range w.saw("open", "close", "close") {
			if s.Name == "open" && (s.Waited < time.Second || s.Waited > 2*time.Second || s.Duration < s.Waited || s.Attempts < 3) {
				t.Errorf("the second open took %s, waited %s, asked %d times", s.Duration, s.Waited, s.Attempts)
			}
		}
		l.open(WithLocker(lease{l.Store}))
		_, err = p.Open(t.Context(), labStream)
		if of := w.saw("open OpenTimeoutError"); of[0].Err != err || of[0].Waited < settings.OpenTimeout {
			t.Errorf("it waited %s for %v", of[0].Waited, err)
		}
	})
}

func TestEachLoopOverAReadIsAnOperation(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a", "b", "c")
		w := &witness{t: t}
		reader := l.provider(WithObserver(w)).Reader(labStream)
		events := reader.Read(t.Context())
		_, rest, err := reader.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.saw("load") // nothing has been read yet
		for range events {
		}
		for range events {
			break
		}
		for range rest {
		}
		for i, s := range w.saw("read", "read", "read") {
			if want := []int{3, 1, 3}[i]; s.OperationResult.Events != want {
				t.Errorf("loop %d saw %d events, want %d", i, s.OperationResult.Events, want)
			}
		}
		func() {
			defer func() {
				if p := recover(); p != "fold" {
					t.Errorf("recovered %v", p)
				}
			}()
			for range events {
				panic("fold")
			}
		}()
		if of := w.take(); len(of) != 1 || of[0].Err != errPanicked || of[0].OperationResult.Events != 1 {
			t.Errorf("observed was %+v", of)
		}
		l.on(everything, -1, lost)
		for range events {
		}
		w.saw("read StorageError")
	})
}

// explosive is a codec that panics.
type explosive struct{ jsonCodec }

func (explosive) Marshal(any) ([]byte, error) { panic("codec") }

func TestAnOperationThatPanicsEndsAndGoesOnPanicking(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		registry, err := NewRegistry(Type[noted]("noted", WithCodec(explosive{})))
		if err != nil {
			t.Fatal(err)
		}
		w := &witness{t: t}
		s := l.open(WithObserver(w), WithRegistry(registry))
		w.take()
		func() {
			defer func() {
				if p := recover(); p != "codec" {
					t.Errorf("recovered %v", p)
				}
			}()
			l.add(s, "a")
		}()
		if of := w.take(); len(of) != 1 || of[0].Err != errPanicked || of[0].Name != "append" {
			t.Errorf("observed was %+v", of)
		}
	})
}

// leaving is a codec that ends the goroutine, as a codec does that uses a testing.T.
type leaving struct{ jsonCodec }

func (leaving) Marshal(any) ([]byte, error) { runtime.Goexit(); return nil, nil }
func (leaving) Unmarshal([]byte, any) error { runtime.Goexit(); return nil }

func TestAnOperationWhoseGoroutineEndsIsObservedAsFailed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a")
		registry, err := NewRegistry(Type[noted]("noted", WithCodec(leaving{})))
		if err != nil {
			t.Fatal(err)
		}
		w := &witness{t: t}
		s := l.open(WithObserver(w), WithRegistry(registry))
		plain := l.open(WithObserver(w))
		for name, operation := range map[string]func(){
			"append": func() { l.add(s, "b") },
			"slice":  func() { _, _ = s.Slice(t.Context(), 1, 1) },
			"event":  func() { _, _ = s.Event(t.Context(), 1) },
			"read": func() {
				for range plain.Read(t.Context()) {
					runtime.Goexit()
				}
			},
		} {
			w.take()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				operation()
				t.Errorf("%s has returned", name)
			}()
			<-ended
			if of := w.take(); len(of) != 1 || of[0].Err != errExited || of[0].Name != name {
				t.Errorf("of a %s that did not return was observed %+v", name, of)
			}
		}
	})
}

func TestAnOperationThatReturnsWhileItsGoroutineEndsIsObservedAsItIs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		w := &witness{t: t}
		s := l.open(WithObserver(w))
		w.take()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer s.Close() // as a failing test does with its session
			defer func() { _, _ = tryAdd(s, "a") }()
			runtime.Goexit()
		}()
		<-ended
		w.saw("append", "close")
	})
}

// absentMinded is an observer that returns a nil context.
type absentMinded struct{ ends int }

func (*absentMinded) Begin(context.Context, Operation) context.Context { return nil }
func (a *absentMinded) End(ctx context.Context, _ Operation, _ OperationResult) {
	if ctx != nil {
		a.ends++
	}
}

func TestAnObserverNeedNotGiveAContext(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		observer := &absentMinded{}
		l.add(l.open(WithObserver(observer)), "a")
		if observer.ends != 2 {
			t.Errorf("%d operations ended with a context, want 2", observer.ends)
		}
	})
}

func TestANilObserverIsRefused(t *testing.T) {
	t.Parallel()
	_, err := NewProvider(memstate.Redis(), WithObserver(nil))
	if argument := want[*ArgumentError](t, err); argument.Argument != "WithObserver" {
		t.Error(err)
	}
}

func TestAnImpossibleNameIsObserved(t *testing.T) {
	t.Parallel()
	w := &witness{t: t}
	p, err := NewProvider(memstate.Redis(), WithObserver(w))
	if err != nil {
		t.Fatal(err)
	}
	_, openErr := p.Open(t.Context(), p.Stream(labStream.Type, " "))
	_, rebuildErr := p.RebuildHead(t.Context(), Stream{}, nil)
	of := w.saw("open ArgumentError", "rebuild_head ArgumentError")
	if !errors.Is(of[0].Err, openErr) || !errors.Is(of[1].Err, rebuildErr) || of[0].Stream.ID != " " {
		t.Errorf("observed was %+v", of)
	}
}

// still is a store that answers at once and without an allocation that every key is absent.
type still struct {
	driver.State
	items [3]driver.Item
}

func (*still) Capabilities() driver.Capabilities                        { return driver.Capabilities{} }
func (*still) Get(context.Context, string, string) (driver.Item, error) { return driver.Item{}, nil }
func (s *still) GetMany(context.Context, string, []string) ([]driver.Item, error) {
	return s.items[:], nil
}

// This test is not parallel, because it counts allocations.
func TestWithoutAnObserverNothingIsAllocatedForOne(t *testing.T) {
	p, err := NewProvider(&still{})
	if err != nil {
		t.Fatal(err)
	}
	r := p.Reader(labStream)
	ctx := t.Context()
	for name, method := range map[string]struct{ observed, bare func() }{
		"version": {
			func() { _, _ = r.Version(ctx) },
			func() { _, _ = r.look(ctx, false) },
		},
		"outcome": {
			func() { _, _ = r.Outcome(ctx, 0, "commit") },
			func() { _, _ = r.handle.lookup(ctx, commit{id: "commit"}) },
		},
		"read": {
			func() {
				for range r.Read(ctx) {
				}
			},
			func() {
				rng, _ := readOptions(nil)
				v, _ := r.look(ctx, false)
				for range r.events(ctx, v, rng) {
				}
			},
		},
		"append": {
			func() { _, _ = (&Session{}).Append(ctx, ExpectAny()) },
			func() { _ = (&Session{}).check() },
		},
	} {
		bare, observed := testing.AllocsPerRun(100, method.bare), testing.AllocsPerRun(100, method.observed)
		if observed > bare {
			t.Errorf("%s: %v allocations, without the observer's calls %v", name, observed, bare)
		}
	}
}
