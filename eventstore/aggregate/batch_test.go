package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// call is one update of a test.
type call struct {
	ctx     context.Context // nil: that of the test
	decide  aggregate.Decide[diary]
	options []aggregate.UpdateOption
	done    chan struct{} // if not nil, closed when it has returned

	after    aggregate.Aggregate[diary]
	err      error
	panicked any
	returned bool
	took     time.Duration
	decided  int
}

// note returns a decision for so many events.
func note(text string, more ...string) aggregate.Decide[diary] {
	return func(diary) (events []any, err error) {
		for _, text := range append([]string{text}, more...) {
			events = append(events, noted{Text: text})
		}
		return events, nil
	}
}

// together makes updates that wait in this order while another one is decided, so that they are
// decided together. It returns when all have ended.
func together(t *testing.T, r *aggregate.Repository[diary], calls ...*call) {
	t.Helper()
	var all sync.WaitGroup
	begin := make(chan struct{})
	all.Go(func() {
		if _, err := r.Update(t.Context(), "1", func(diary) ([]any, error) { <-begin; return []any{noted{Text: "first"}}, nil }); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	for _, c := range calls {
		all.Go(func() {
			began := time.Now()
			defer func() {
				c.panicked, c.took = recover(), time.Since(began)
				if c.done != nil {
					close(c.done)
				}
			}()
			ctx := c.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			c.after, c.err = r.Update(ctx, "1", func(d diary) ([]any, error) { c.decided++; return c.decide(d) }, c.options...)
			c.returned = true
		})
		synctest.Wait()
	}
	close(begin)
	all.Wait()
}

// texts returns the stored texts.
func texts(t *testing.T, store *memstate.Store) (all []string) {
	t.Helper()
	a, err := diaries(t, store).Load(t.Context(), "1")
	if err != nil {
		t.Fatal(err)
	}
	return textsOf(a.State)
}

func textsOf(d diary) (all []string) {
	for _, page := range d.Pages {
		all = append(all, page.Data.(noted).Text)
	}
	return all
}

// appends counts the requests of a trace that commit.
func appends(trace []string) (n int) {
	for _, request := range trace {
		if strings.HasPrefix(request, "swap head") || strings.HasPrefix(request, "commit head") {
			n++
		}
	}
	return n
}

func is[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestUpdatesThatWaitAreStoredInOneAppend(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := diaries(t, store)
		calls := []*call{
			{decide: note("a")},
			{decide: note("b", "c"), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID("b"), aggregate.WithMetadata(eventstore.Metadata{Context: eventstore.ContextMetadata{UserID: "Ada"}})}},
			{decide: func(d diary) ([]any, error) { return nil, fmt.Errorf("refused after %v", textsOf(d)) }},
			{decide: func(d diary) ([]any, error) { return note(fmt.Sprint(len(d.Pages)))(d) }},
			{decide: func(diary) ([]any, error) { return nil, nil }},
			{decide: func(diary) ([]any, error) { return []any{noted{Text: "lost"}, struct{}{}}, nil }},
			{decide: note("late"), options: []aggregate.UpdateOption{aggregate.WithExpectedVersion(4)}},
			{decide: note("d"), options: []aggregate.UpdateOption{aggregate.WithExpectedVersion(5)}},
		}
		store.Trace()
		together(t, r, calls...)
		is(t, "the appends", appends(store.Trace()), 2) // one is of the update that the others waited for
		want := []string{"first", "a", "b", "c", "4", "d"}
		is(t, "the events", texts(t, store), want)
		for i, version := range []int64{2, 4, 4, 5, 5, 5, 5, 6} {
			c := calls[i]
			if c.after.Version != version || c.decided > 1 {
				t.Errorf("call %d has version %d, want %d, and was decided %d times", i, c.after.Version, version, c.decided)
			}
			is(t, fmt.Sprint("the state of call ", i), textsOf(c.after.State), want[:version])
			asLoaded(t, store, c.after)
			if refused := i == 2 || i == 5 || i == 6; refused != (c.err != nil) {
				t.Errorf("call %d: %v", i, c.err)
			}
		}
		is(t, "the refusal", calls[2].err.Error(), "refused after [first a b c]")
		if !errors.As(calls[5].err, new(*eventstore.TypeNotRegisteredError)) || !errors.As(calls[6].err, new(*eventstore.VersionMismatchError)) {
			t.Errorf("%v, %v", calls[5].err, calls[6].err)
		}
	})
}

func TestARepeatedIdInABatchConcernsItsOwnCallerOnly(t *testing.T) {
	id := func(id string) []aggregate.UpdateOption {
		return []aggregate.UpdateOption{aggregate.WithIdempotencyID(id)}
	}
	own := func(id string) aggregate.Decide[diary] {
		return func(diary) ([]any, error) {
			event := eventstore.Event{Data: noted{Text: "own " + id}}
			event.Metadata.Context.IdempotencyID = id
			return []any{noted{Text: "before own"}, event}, nil
		}
	}
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := diaries(t, store)
		if _, err := r.Update(t.Context(), "1", note("old"), id("old")...); err != nil {
			t.Fatal(err)
		}
		calls := []*call{
			{decide: note("a"), options: id("a")},
			{decide: note("again"), options: id("old")},
			{decide: note("again"), options: id("a")},
			{decide: own("x")},
			{decide: own("x")},
			{decide: note("again"), options: id("x")},
			{decide: own("old")},
			{decide: note("b"), options: id("b")},
		}
		together(t, r, calls...)
		is(t, "the events", texts(t, store), []string{"old", "first", "a", "before own", "own x", "b"})
		var used *eventstore.IdempotencyIDUsedError
		for i, want := range []struct {
			repeat, version int64
			used            string
		}{{0, 3, ""}, {1, 2, ""}, {3, 3, ""}, {0, 5, ""}, {0, 5, "x"}, {5, 5, ""}, {0, 0, "old"}, {0, 6, ""}} {
			c := calls[i]
			switch {
			case want.used != "":
				if !errors.As(c.err, &used) || used.IdempotencyID != want.used {
					t.Errorf("call %d: %v", i, c.err)
				}
			case c.err != nil || c.after.RepeatOf != want.repeat || c.after.Version < want.version:
				t.Errorf("call %d: repeat of %d, version %d, %v, want %+v", i, c.after.RepeatOf, c.after.Version, c.err, want)
			default:
				asLoaded(t, store, c.after)
			}
		}
		is(t, "the version that is named", used.Version, 1)
		if calls[1].decided+calls[2].decided+calls[5].decided > 0 {
			t.Error("a repeat was decided")
		}
	})
}

func TestTheIdsOfABatchAreLookedUpInOneRequest(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		var calls []*call
		for i := range 5 {
			calls = append(calls, &call{decide: note(fmt.Sprint(i)), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID(fmt.Sprint("id ", i/2))}})
		}
		store.Trace()
		together(t, diaries(t, store), calls...)
		sent := slices.DeleteFunc(store.Trace(), func(request string) bool {
			return !strings.HasPrefix(request, "get") || !strings.Contains(request, "idem:")
		})
		is(t, "the look-ups", len(sent), 1)
		is(t, "the events", texts(t, store), []string{"first", "0", "2", "4"})
	})
}

func TestAnIdThatIsNotPossibleConcernsItsOwnCallerOnly(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		ids := []string{"a", strings.Repeat("too long", 100), "c"}
		var calls []*call
		for _, id := range ids {
			calls = append(calls, &call{decide: note(id), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID(id)}})
		}
		together(t, diaries(t, store), calls...)
		for i, c := range calls {
			if impossible := errors.As(c.err, new(*eventstore.ArgumentError)); impossible != (i == 1) || !impossible && c.err != nil {
				t.Errorf("call %d: %v", i, c.err)
			}
		}
		is(t, "the events", texts(t, store), []string{"first", "a", "c"})
	})
}

func TestAnIdThatAnotherProcessStoresMeanwhile(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r, others := diaries(t, store, aggregate.WithRetries(2)), diaries(t, store)
		ids := func(id string) []aggregate.UpdateOption {
			return []aggregate.UpdateOption{aggregate.WithIdempotencyID(id)}
		}
		once := false
		calls := []*call{
			{decide: note("a"), options: ids("a")},
			{decide: note("b"), options: ids("b")},
			{decide: func(d diary) ([]any, error) {
				if !once { // after the lookups of all three
					once = true
					if _, err := others.Update(t.Context(), "1", note("b"), ids("b")...); err != nil {
						t.Error(err)
					}
				}
				return note("c")(d)
			}, options: ids("c")},
		}
		together(t, r, calls...)
		is(t, "the events", texts(t, store), []string{"first", "b", "a", "c"})
		for i, repeat := range []int64{0, 2, 0} {
			if calls[i].err != nil || calls[i].after.RepeatOf != repeat {
				t.Errorf("call %d: %+v, %v", i, calls[i].after, calls[i].err)
			}
			asLoaded(t, store, calls[i].after)
		}
	})
}

func TestAnIdThatAnotherProcessStoresMeanwhileIsNoBusinessOfOtherCallers(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r, others := diaries(t, store, aggregate.WithoutCache(), aggregate.WithRetries(0)), diaries(t, store)
		calls := []*call{
			{decide: note("a")},
			{decide: note("b"), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID("b")}},
		}
		once, theirs := false, strings.Split("2345678", "")
		store.Around = func(_ context.Context, request *memstate.Request, next func() error) error {
			if request.Has(":idem:b") && !once { // after the aggregate was loaded
				once = true
				// They are so many that the id stands under its own key.
				if _, err := others.Update(t.Context(), "1", note("b", theirs...), aggregate.WithIdempotencyID("b")); err != nil {
					t.Error(err)
				}
			}
			return next()
		}
		together(t, r, calls...)
		if err := calls[0].err; !errors.As(err, new(*eventstore.VersionMismatchError)) || errors.As(err, new(*eventstore.IdempotencyIDUsedError)) {
			t.Errorf("the update without an id returned %v", err)
		}
		if calls[1].err != nil || calls[1].after.RepeatOf != 2 {
			t.Errorf("the repeat returned %+v, %v", calls[1].after, calls[1].err)
		}
		is(t, "the events", texts(t, store), append([]string{"first", "b"}, theirs...))
	})
}

func TestAConflictOlderThanACallIsNotATryOfIt(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r, others := diaries(t, store, aggregate.WithoutCache(), aggregate.WithRetries(0)), diaries(t, store)
		if _, err := others.Update(t.Context(), "1", note("first")); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		once, second := false, error(nil)
		store.Around = func(_ context.Context, request *memstate.Request, next func() error) error {
			if once || !request.Has(":head") {
				return next()
			}
			once = true
			if err := next(); err != nil {
				return err
			}
			if _, err := others.Update(t.Context(), "1", note("theirs")); err != nil {
				t.Error(err)
			}
			all.Go(func() { _, second = r.Update(t.Context(), "1", note("b")) })
			synctest.Wait()
			return nil
		}
		_, first := r.Update(t.Context(), "1", note("a"))
		all.Wait()
		if !errors.As(first, new(*eventstore.VersionMismatchError)) {
			t.Errorf("the update that was overtaken returned %v", first)
		}
		if second != nil {
			t.Errorf("the update that began later returned %v", second)
		}
		is(t, "the events", texts(t, store), []string{"first", "theirs", "b"})
	})
}

func TestAConflictDecidesAllOfABatchAgain(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r, others := diaries(t, store), diaries(t, store)
		once := false
		calls := []*call{
			{decide: note("a")},
			{decide: func(d diary) ([]any, error) {
				if !once {
					once = true
					if _, err := others.Update(t.Context(), "1", note("theirs")); err != nil {
						t.Error(err)
					}
				}
				return note("b")(d)
			}},
			{decide: func(d diary) ([]any, error) { return nil, fmt.Errorf("refused after %v", textsOf(d)) }},
			{decide: note("c")},
		}
		together(t, r, calls...)
		is(t, "the events", texts(t, store), []string{"first", "theirs", "a", "b", "c"})
		is(t, "the refusal", calls[2].err.Error(), "refused after [first theirs a b]")
		for i, c := range calls {
			if c.decided != 2 || (c.err != nil) != (i == 2) {
				t.Errorf("call %d was decided %d times: %v", i, c.decided, c.err)
			}
			asLoaded(t, store, c.after)
		}
	})
}

func TestAPanicInABatchIsThatOfItsOwnCaller(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit} {
		for at := range 3 {
			t.Run(fmt.Sprint(name, " of ", at), func(t *testing.T) {
				onEach(t, func(t *testing.T, store *memstate.Store) {
					calls := []*call{{decide: note("a")}, {decide: note("b")}, {decide: note("c")}}
					calls[at].decide = func(diary) ([]any, error) { end(); return nil, nil }
					r := diaries(t, store)
					together(t, r, calls...)
					want := slices.Delete([]string{"first", "a", "b", "c"}, at+1, at+2)
					is(t, "the events", texts(t, store), want)
					for i, c := range calls {
						if c.returned != (i != at) || (c.panicked != nil) != (i == at && name == "panic") || c.err != nil {
							t.Errorf("call %d returned: %t, panicked with %v, %v", i, c.returned, c.panicked, c.err)
						}
					}
					if _, err := r.Update(t.Context(), "1", note("d")); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestAFoldThatPanicsPanicsInTheOnesThatLoad(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		types, err := eventstore.NewRegistry(eventstore.Type[noted]("noted"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := eventstore.NewProvider(store, eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := diaries(t, store).Update(t.Context(), "1", note("bad")); err != nil {
			t.Fatal(err)
		}
		r, err := aggregate.NewRepository(p, "diary", func(diary, eventstore.Event) (diary, error) {
			pass(time.Millisecond)
			panic("fold")
		})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				defer func() {
					if recover() != "fold" {
						t.Error("it did not panic")
					}
				}()
				_, _ = r.Update(t.Context(), "1", note("x"))
			})
		}
		all.Wait()
	})
}

// The context of one update of a batch ends at each request, with the others under way.
func TestAContextThatEndsConcernsItsOwnCallerOnly(t *testing.T) {
	for who := range 3 {
		t.Run(fmt.Sprint(who), func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				for at := 1; ; at++ {
					*store = *emptyLike(store)
					r := diaries(t, store)
					ctx, cancel := context.WithCancelCause(t.Context())
					gone := errors.New("gone")
					calls := []*call{{decide: note("a")}, {decide: note("b")}, {decide: note("c")}}
					calls[who].ctx = ctx
					requests := 0
					store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
						pass(100 * time.Millisecond) // longer than a batch waits for an update that leaves
						if requests++; requests == at {
							cancel(gone)
							pass(100 * time.Millisecond)
						}
						return next()
					}
					together(t, r, calls...)
					store.Around = nil
					stored := texts(t, store)
					for i, c := range calls {
						if i != who && c.err != nil {
							t.Fatalf("the context of call %d ended at request %d, call %d: %v", who, at, i, c.err)
						}
						has := slices.Contains(stored, string(rune('a'+i)))
						unknown := errors.As(c.err, new(*eventstore.OutcomeUnknownError))
						if c.err == nil && !has || c.err != nil && !unknown && has {
							t.Errorf("the context of call %d ended at request %d, call %d: %v, stored are %q", who, at, i, c.err, stored)
						}
						if c.err != nil && (!errors.Is(c.err, gone) || !errors.Is(c.err, context.Canceled)) {
							t.Errorf("the error does not name the cause: %v", c.err)
						}
						if c.err != nil && unknown && strings.Contains(c.err.Error(), "Reader.Outcome") {
							t.Errorf("the error names a call that does not take it: %v", c.err)
						}
						if c.err == nil {
							asLoaded(t, store, c.after)
						}
					}
					if requests < at {
						break
					}
				}
			})
		})
	}
}

func TestWhenAllContextsOfABatchEndTheAppendEndsToo(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := diaries(t, store)
		ctx, cancel := context.WithCancel(t.Context())
		calls := []*call{{ctx: ctx, decide: note("a")}, {ctx: ctx, decide: note("b")}}
		store.Around = func(asked context.Context, request *memstate.Request, next func() error) error {
			if !carries(request, `"b"`) {
				return next()
			}
			cancel()
			<-asked.Done()
			return asked.Err()
		}
		together(t, r, calls...)
		store.Around = nil
		for i, c := range calls {
			var unknown *eventstore.OutcomeUnknownError
			if !errors.As(c.err, &unknown) || unknown.CommitID == "" || !errors.Is(c.err, context.Canceled) {
				t.Errorf("call %d: %v", i, c.err)
			}
			if c.took > 10*time.Millisecond {
				t.Errorf("call %d took %s", i, c.took)
			}
		}
	})
}

// carries reports whether a request is an append of an event with that text.
func carries(request *memstate.Request, text string) bool {
	return appends([]string{request.String()}) == 1 && (strings.Contains(string(request.Swap.Value), text) ||
		slices.ContainsFunc(request.Writes, func(w driver.Write) bool { return strings.Contains(string(w.Value), text) }))
}

func TestABatchThatIsTooLargeIsSplit(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		store.Caps.MaxRequestBytes = 8 << 10
		large := strings.Repeat("x", 3<<10)
		calls := []*call{{decide: note(large)}, {decide: note("b")}, {decide: note(large)}, {decide: note(large, large, large)}, {decide: note(large)}}
		together(t, diaries(t, store), calls...)
		for i, c := range calls {
			if tooLarge := errors.As(c.err, new(*eventstore.BatchTooLargeError)); tooLarge != (i == 3) || !tooLarge && c.err != nil {
				t.Errorf("call %d: %v", i, c.err)
			}
		}
		is(t, "the events", texts(t, store), []string{"first", large, "b", large, large})
	})
}

func TestAnUnknownOutcomeIsThatOfAllWhoseEventsItHas(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := diaries(t, store)
		down := false
		refusals := 0
		calls := []*call{
			{decide: note("a"), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID("a")}},
			{decide: note("b")},
			{decide: func(diary) ([]any, error) { refusals++; return nil, errRefused }},
			{decide: note("again"), options: []aggregate.UpdateOption{aggregate.WithIdempotencyID("a")}},
		}
		store.Around = func(_ context.Context, request *memstate.Request, next func() error) error {
			if appends([]string{request.String()}) == 1 && refusals == 1 {
				down = true
				_ = next()
			}
			if down && refusals == 1 {
				pass(time.Second)
				return errors.New("no answer")
			}
			return next()
		}
		time.AfterFunc(15*time.Second, func() { down = false })
		together(t, r, calls...)
		store.Around = nil
		for i, c := range calls {
			if unknown := errors.As(c.err, new(*eventstore.OutcomeUnknownError)); unknown != (i != 2) {
				t.Errorf("call %d: %v", i, c.err)
			}
		}
		is(t, "the events", texts(t, store), []string{"first", "a", "b"})
		// The same command again finds what it did.
		a, err := r.Update(t.Context(), "1", note("again"), aggregate.WithIdempotencyID("a"))
		if err != nil || a.RepeatOf != 2 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

func TestASlowDecisionHoldsUpItsBatchForHalfASecond(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		calls := []*call{
			{decide: note("a")},
			{decide: func(d diary) ([]any, error) { pass(10 * time.Second); return note("slow")(d) }},
			{decide: note("b")},
			{decide: note("c")},
		}
		together(t, diaries(t, store), calls...)
		is(t, "the events", texts(t, store), []string{"first", "a", "b", "c", "slow"})
		for i, c := range calls {
			if c.err != nil || i != 1 && c.took > time.Second {
				t.Errorf("call %d took %s, %v", i, c.took, c.err)
			}
		}
	})
}

// The decision of the second update waits for the fourth, which is in the same batch.
func TestUpdatesOfABatchMayWaitForEachOther(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		calls := []*call{
			{decide: note("a")},
			nil,
			{decide: note("c")},
			{decide: note("d"), done: make(chan struct{})},
		}
		calls[1] = &call{decide: func(d diary) ([]any, error) { <-calls[3].done; return note("b")(d) }}
		together(t, diaries(t, store), calls...)
		if calls[1].err != nil || calls[1].took > time.Second {
			t.Errorf("it took %s, %v", calls[1].took, calls[1].err)
		}
		is(t, "the events", texts(t, store), []string{"first", "a", "c", "d", "b"})
	})
}

func TestABatchHasItsLimits(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		var calls []*call
		for i := range 120 {
			calls = append(calls, &call{decide: note(fmt.Sprint(i), "and", "more")})
		}
		store.Trace()
		together(t, diaries(t, store), calls...)
		if got := appends(store.Trace()); got < 4 || got > 10 { // 360 events, and perhaps trimming
			t.Errorf("%d appends", got)
		}
		stored := texts(t, store)
		for i := range 120 {
			if stored[1+3*i] != fmt.Sprint(i) {
				t.Fatalf("event %d is %s", 2+3*i, stored[1+3*i])
			}
		}
	})
}

func TestManySlowDecisionsTakeLongerThanASession(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		types, err := eventstore.NewRegistry(eventstore.Type[noted]("noted"))
		if err != nil {
			t.Fatal(err)
		}
		settings := eventstore.DefaultSettings()
		settings.SessionTimeout = time.Second
		p, err := eventstore.NewProvider(store, eventstore.WithRegistry(types), eventstore.WithSettings(settings), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := aggregate.NewRepository(p, "diary", diary.apply)
		if err != nil {
			t.Fatal(err)
		}
		var calls []*call
		for i := range 10 {
			calls = append(calls, &call{decide: func(d diary) ([]any, error) { pass(300 * time.Millisecond); return note(fmt.Sprint(i))(d) }})
		}
		together(t, r, calls...)
		for i, c := range calls {
			if c.err != nil {
				t.Errorf("call %d: %v", i, c.err)
			}
		}
		is(t, "the number of events", len(texts(t, store)), 11)
	})
}

func TestABatchSavesOneSnapshot(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		r := counters(t, store, aggregate.WithSnapshotEvery(2))
		store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
			pass(time.Millisecond)
			return next()
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { update(t, r, add(1)) })
		}
		all.Wait()
		store.Around = nil
		got, err := provider(t, store).Reader(streamOne).Snapshots(t.Context())
		if err != nil || len(got) == 0 || len(got) > 2 || got[len(got)-1] != 20 {
			t.Errorf("%v, %v", got, err)
		}
		if a := load(t, r); a.Snapshot != 20 || a.State != (counter{20, 20}) {
			t.Errorf("%+v", a)
		}
	})
}

// updates is an observer that keeps the results of updates.
type updates struct {
	mu      sync.Mutex
	results []eventstore.OperationResult
}

func (*updates) Begin(ctx context.Context, _ eventstore.Operation) context.Context { return ctx }

func (u *updates) End(_ context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if operation.Name == eventstore.OpAggregateUpdate {
		u.results = append(u.results, result)
	}
}

func TestEachUpdateOfABatchIsObservedOnce(t *testing.T) {
	onEach(t, func(t *testing.T, store *memstate.Store) {
		seen := &updates{}
		p, err := eventstore.NewProvider(store, eventstore.WithRegistry(registry(t)), eventstore.WithObserver(seen), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := aggregate.NewRepository(p, "counter", count)
		if err != nil {
			t.Fatal(err)
		}
		store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
			pass(time.Millisecond)
			return next()
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { update(t, r, add(1)) })
		}
		all.Wait()
		slices.SortFunc(seen.results, func(a, b eventstore.OperationResult) int { return int(a.Version - b.Version) })
		for i, of := range seen.results {
			if of.Version != int64(i+1) || of.Events != 1 || of.Attempts != 1 || of.Err != nil {
				t.Errorf("update %d: %+v", i+1, of)
			}
		}
		is(t, "the updates", len(seen.results), 20)
	})
}

func TestManyUpdatesThroughOneRepositoryTakeFewAppends(t *testing.T) {
	for _, repositories := range []int{1, 2} {
		t.Run(fmt.Sprint(repositories), func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				const writers, each = 16, 20
				store.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
					pass(2 * time.Millisecond)
					return next()
				}
				var (
					all   sync.WaitGroup
					mu    sync.Mutex
					after []aggregate.Aggregate[diary]
				)
				began := time.Now()
				for n := range repositories {
					r := diaries(t, store)
					for w := range writers / repositories {
						all.Go(func() {
							for i := range each {
								a, err := r.Update(t.Context(), "1", note(fmt.Sprintf("%d of %d in %d", i, w, n)), aggregate.WithIdempotencyID(fmt.Sprintf("%d of %d in %d", i, w, n)))
								if err != nil {
									t.Error(err)
								}
								mu.Lock()
								after = append(after, a)
								mu.Unlock()
							}
						})
					}
				}
				all.Wait()
				took := time.Since(began)
				store.Around = nil
				sent := store.Trace()
				stored := texts(t, store)
				if slices.Sort(stored); len(slices.Compact(stored)) != writers*each {
					t.Errorf("%d different events were stored, want %d", len(slices.Compact(stored)), writers*each)
				}
				for _, a := range after[:40] {
					asLoaded(t, store, a)
				}
				if n := appends(sent); n > writers*each/4*repositories {
					t.Errorf("%d updates took %d appends", writers*each, n)
				}
				t.Logf("%d updates took %d appends, %d requests and %s", writers*each, appends(sent), len(sent), took)
			})
		})
	}
}

// Updates of several repositories meet, refuse, repeat, panic, give up and lose answers, at random.
func TestUpdatesAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) { updateAtRandom(t, store, seed) })
		})
	}
}

func updateAtRandom(t *testing.T, store *memstate.Store, seed uint64) {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	chance := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n) == 0
	}
	faults := 0
	if seed%2 == 0 {
		faults = 15
	}
	store.Around = func(ctx context.Context, _ *memstate.Request, next func() error) error {
		pass(time.Millisecond)
		if faults > 0 && chance(faults) {
			if chance(2) {
				_ = next()
			}
			return errors.New("no answer")
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return next()
	}
	var repositories []*aggregate.Repository[diary]
	for range 1 + seed%3 {
		repositories = append(repositories, diaries(t, store, []aggregate.Option{aggregate.WithCache(1), aggregate.WithoutCache(), aggregate.Exclusive()}[(seed/3)%3]))
	}
	outcomes := map[string]error{} // of the command with that text
	var told []aggregate.Aggregate[diary]
	var all sync.WaitGroup
	for w := range 12 {
		all.Go(func() {
			for i := range 8 {
				text := fmt.Sprintf("%d of %d", i, w)
				ctx, cancel := context.WithCancel(t.Context())
				if chance(6) {
					time.AfterFunc(time.Duration(1+w)*time.Millisecond, cancel)
				}
				var options []aggregate.UpdateOption
				if chance(2) {
					options = append(options, aggregate.WithIdempotencyID(text))
				}
				kind := w * i % 11
				one := func() {
					a, err := aggregate.Aggregate[diary]{}, error(errRefused) // unless it returns
					defer func() {
						if p := recover(); p != nil && kind != 7 {
							t.Errorf("%s panicked: %v\n%s", text, p, debug.Stack())
						}
						mu.Lock()
						defer mu.Unlock()
						if before, again := outcomes[text]; !again || err == nil || !errors.As(before, new(*eventstore.OutcomeUnknownError)) && before != nil {
							outcomes[text] = err
						}
						if err == nil {
							told = append(told, a)
						}
					}()
					a, err = repositories[w%len(repositories)].Update(ctx, "1", func(d diary) ([]any, error) {
						switch {
						case kind == 7:
							panic("no")
						case kind == 8:
							return nil, errRefused
						case kind == 9 && chance(4):
							pass(700 * time.Millisecond)
						}
						return note(text)(d)
					}, options...)
				}
				one()
				if len(options) > 0 && (chance(3) || errors.As(outcomeOf(&mu, outcomes, text), new(*eventstore.OutcomeUnknownError))) {
					ctx = t.Context()
					one()
				}
				cancel()
			}
		})
	}
	all.Wait()
	pass(time.Minute)
	store.Around = nil
	count := map[string]int{}
	for _, text := range texts(t, store) {
		count[text]++
	}
	stored := 0
	for text, err := range outcomes {
		n := count[text]
		stored += n
		unknown := errors.As(err, new(*eventstore.OutcomeUnknownError))
		if err == nil && n != 1 || err != nil && !unknown && n != 0 || n > 1 {
			t.Errorf("%s is stored %d times, its update returned %v", text, n, err)
		}
	}
	if len(count) != stored {
		t.Errorf("%d are stored, of which %d are known", len(count), stored)
	}
	for _, a := range told {
		asLoaded(t, store, a)
	}
}

func outcomeOf(mu *sync.Mutex, outcomes map[string]error, text string) error {
	mu.Lock()
	defer mu.Unlock()
	return outcomes[text]
}

// A driver or an observer panics in the append of a batch, which has a goroutine of its own.
func TestAnAppendThatDoesNotReturnIsToldToAll(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, store *memstate.Store) {
				r := diaries(t, store)
				calls := []*call{
					{decide: note("a")},
					{decide: note("b")},
					{decide: func(diary) ([]any, error) { return nil, errRefused }},
				}
				store.Around = func(_ context.Context, request *memstate.Request, next func() error) error {
					if carries(request, `"b"`) {
						end()
					}
					return next()
				}
				together(t, r, calls...)
				store.Around = nil
				panics := 0
				for _, c := range calls[:2] {
					if c.panicked != nil {
						panics++
					} else if !errors.As(c.err, new(*eventstore.OutcomeUnknownError)) {
						t.Errorf("it returned %v", c.err)
					}
				}
				if (panics == 1) != (name == "panic") || calls[2].err != errRefused {
					t.Errorf("%d updates panicked, the refusal is %v", panics, calls[2].err)
				}
				if _, err := r.Update(t.Context(), "1", note("c")); err != nil {
					t.Error(err)
				}
				is(t, "the events", texts(t, store), []string{"first", "c"})
			})
		})
	}
}

// fragile is a state that cannot be encoded while it is broken.
type fragile struct{ Events int }

var broken = struct {
	sync.Mutex
	is map[int]bool // by the number of events
}{is: map[int]bool{}}

func (f fragile) MarshalJSON() ([]byte, error) {
	broken.Lock()
	defer broken.Unlock()
	if broken.is[f.Events] {
		panic("no")
	}
	return fmt.Appendf(nil, `{"Events":%d}`, f.Events), nil
}

// The goroutine of a batch saves its snapshot, which calls methods of the state.
func TestASnapshotThatPanicsAfterABatchPanicsInOneCaller(t *testing.T) {
	const base = 77_000 // so that only these states are broken
	broken.is[base+3] = true
	onEach(t, func(t *testing.T, store *memstate.Store) {
		types, err := eventstore.NewRegistry(eventstore.Type[noted]("noted"), eventstore.Type[fragile]("fragile"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := eventstore.NewProvider(store, eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := aggregate.NewRepository(p, "diary", func(f fragile, _ eventstore.Event) (fragile, error) {
			return fragile{max(f.Events, base) + 1}, nil
		}, aggregate.WithSnapshotEvery(1))
		if err != nil {
			t.Fatal(err)
		}
		begin := make(chan struct{})
		panics, stored := make(chan any, 10), make(chan int64, 10)
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				defer func() {
					if p := recover(); p != nil {
						panics <- p
					}
				}()
				a, err := r.Update(t.Context(), "1", func(fragile) ([]any, error) {
					if i == 0 {
						<-begin
					}
					return []any{noted{}}, nil
				})
				if err != nil {
					t.Error(err)
				}
				stored <- a.Version
			})
			synctest.Wait()
		}
		close(begin)
		all.Wait()
		if len(panics) != 1 || len(stored) != 2 || <-panics != "no" {
			t.Errorf("%d updates panicked, %d returned", len(panics), len(stored))
		}
		if a, err := r.Update(t.Context(), "1", func(fragile) ([]any, error) { return []any{noted{}}, nil }); err != nil || a.Version != 4 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
