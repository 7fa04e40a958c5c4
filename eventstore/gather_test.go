package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// gate holds requests back until it is opened.
type gate struct{ open chan struct{} }

func (l *lab) gate(match func(*memstate.Request) bool) *gate {
	g := &gate{make(chan struct{})}
	around := l.Around
	first := true
	var mu sync.Mutex
	l.Intervene(func(ctx context.Context, r *memstate.Request, next func() error) error {
		mu.Lock()
		held := first && match(r)
		first = first && !held
		mu.Unlock()
		if held {
			select {
			case <-g.open:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return around(ctx, r, next)
	})
	return g
}

// outcome is what an append of a test returned.
type appended struct {
	version int64
	err     error
}

// appending begins appends, one after the other, and returns their outcomes in the end.
type appending struct {
	append   func(context.Context, ...any) (int64, error)
	wg       sync.WaitGroup
	outcomes map[string]appended
	mu       sync.Mutex
}

func (a *appending) begin(ctx context.Context, name string, events ...any) {
	a.wg.Go(func() {
		version, err := a.append(ctx, events...)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.outcomes[name] = appended{version, err}
	})
	synctest.Wait()
}

func (a *appending) of(name string) appended {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.outcomes[name]
}

// inBoth runs a test with appends of one shared session and with those of a provider, in a store of
// each of the kinds, or of all kinds if none is given.
func inBoth(t *testing.T, test func(t *testing.T, l *lab, a *appending), kinds ...string) {
	inBothWith(t, 0, test, kinds...)
}

// inBothWith is inBoth with a store that limits requests, unless maxRequest is 0.
func inBothWith(t *testing.T, maxRequest int, test func(t *testing.T, l *lab, a *appending), kinds ...string) {
	t.Run("session", func(t *testing.T) {
		inLabs(t, func(t *testing.T, l *lab) {
			l.Caps.MaxRequestBytes = maxRequest
			s := l.shared()
			test(t, l, &appending{outcomes: map[string]appended{}, append: func(ctx context.Context, events ...any) (int64, error) {
				return s.Append(ctx, ExpectAny(), events...)
			}})
		}, kinds...)
	})
	t.Run("provider", func(t *testing.T) {
		inLabs(t, func(t *testing.T, l *lab) {
			l.Caps.MaxRequestBytes = maxRequest
			p := l.provider()
			test(t, l, &appending{outcomes: map[string]appended{}, append: func(ctx context.Context, events ...any) (int64, error) {
				return p.Append(ctx, labStream, ExpectAny(), events...)
			}})
		}, kinds...)
	})
}

// countCommits counts the swaps of the head and the transactions from now on.
func (l *lab) countCommits() func() int {
	l.Trace()
	return func() (n int) {
		for _, r := range l.Trace() {
			if strings.HasPrefix(r, "swap head") || strings.HasPrefix(r, "commit head") {
				n++
			}
		}
		return n
	}
}

func TestAppendsThatWaitAreStoredByOneCommit(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		commits, held := l.countCommits(), l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		for n := 1; n <= 8; n++ {
			a.begin(t.Context(), fmt.Sprint(n), noted{fmt.Sprint(n)}, noted{fmt.Sprint(n, "b")})
		}
		close(held.open)
		a.wg.Wait()
		want := []string{"0"}
		for n := 1; n <= 8; n++ {
			want = append(want, fmt.Sprint(n), fmt.Sprint(n, "b"))
			if got := a.of(fmt.Sprint(n)); got.err != nil || got.version != int64(1+2*n) {
				t.Errorf("append %d: version %d, %v", n, got.version, got.err)
			}
		}
		if n := commits(); n != 2 {
			t.Errorf("%d commits, want 2", n)
		}
		l.holds(want...)
	})
}

func TestAnIdempotencyIDThatIsUsedConcernsItsOwnAppendOnly(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		a.begin(t.Context(), "first", once("used", "first"))
		held := l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		a.begin(t.Context(), "a", once("new", "a"))
		a.begin(t.Context(), "again", once("used", "again"))
		a.begin(t.Context(), "b", noted{"b"})
		a.begin(t.Context(), "twice", once("new", "twice"))
		a.begin(t.Context(), "c", noted{"c"})
		close(held.open)
		a.wg.Wait()
		for name, version := range map[string]int64{"again": 1, "twice": 3} {
			var used *IdempotencyIDUsedError
			if err := a.of(name).err; !errors.As(err, &used) || used.Version != version {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, version := range map[string]int64{"0": 2, "a": 3, "b": 4, "c": 5} {
			if got := a.of(name); got.err != nil || got.version != version {
				t.Errorf("%s: version %d, %v, want %d", name, got.version, got.err, version)
			}
		}
		l.holds("first", "0", "a", "b", "c")
	})
}

func TestAnAppendThatGivesUpInTheLineStoresNothing(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		held := l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		a.begin(t.Context(), "a", noted{"a"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a.begin(ctx, "b", noted{"b"})
		a.begin(t.Context(), "c", noted{"c"})
		pass(2 * time.Second)
		synctest.Wait()
		if err := a.of("b").err; !isA[*StorageError](err) || !errors.Is(err, driver.ErrRefused) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		close(held.open)
		a.wg.Wait()
		l.holds("0", "a", "c")
	})
}

func TestAnAppendThatGivesUpOnTheWayCanBeRetried(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		first := l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		ctx, cancel := context.WithCancel(t.Context())
		a.begin(ctx, "a", noted{"a"}, noted{"a2"}) // leads the batch
		a.begin(t.Context(), "b", noted{"b"})
		second := l.gate(func(r *memstate.Request) bool { return commits(r) && len(first.open) == 0 && isClosed(first.open) })
		close(first.open)
		synctest.Wait()
		cancel()
		synctest.Wait()
		var unknown *OutcomeUnknownError
		if err := a.of("a").err; !errors.As(err, &unknown) || unknown.CommitID == "" || unknown.Base != 1 {
			t.Fatalf("%v", err)
		}
		close(second.open)
		a.wg.Wait()
		if got := a.of("b"); got.err != nil || got.version != 4 {
			t.Errorf("the other one: version %d, %v", got.version, got.err)
		}
		version, err := l.shared().Retry(t.Context(), unknown)
		if err != nil || version != 3 {
			t.Errorf("Retry: version %d, %v, want 3", version, err)
		}
		l.holds("0", "a", "a2", "b")
	})
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestAFailureConcernsAllAppendsOfTheCommit(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		held := l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		a.begin(t.Context(), "a", noted{"a"})
		a.begin(t.Context(), "b", noted{"b"})
		refused := func(*memstate.Request, func() error) error { return driver.ErrRefused }
		l.on(func(r *memstate.Request) bool {
			return r.Op == "commit" && r.Has(":3") || r.Op == "swap" && len(r.Swap.Value) > 500
		}, 1, refused)
		close(held.open)
		a.wg.Wait()
		for _, name := range []string{"a", "b"} {
			if err := a.of(name).err; !isA[*StorageError](err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		l.holds("0")
	})
}

func TestACommitHoldsALimitedNumberOfAppends(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		counted, held := l.countCommits(), l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		for n := range 2 * gatherEvents {
			a.begin(t.Context(), fmt.Sprint("x", n), noted{"x"})
		}
		a.begin(t.Context(), "large", noted{strings.Repeat("y", gatherBytes)})
		a.begin(t.Context(), "last", noted{"z"})
		close(held.open)
		a.wg.Wait()
		trims := 0
		if !l.Caps.Atomic {
			trims = 2 // of heads with a long tail
		}
		if n := counted(); n < 1+2+1+1 || n > 1+2+1+1+trims {
			t.Errorf("%d commits, want 5", n)
		}
		if got := a.of("last"); got.err != nil || got.version != 2*gatherEvents+3 {
			t.Errorf("version %d, %v", got.version, got.err)
		}
	})
}

func TestAppendsOfAClosedStreamAllFail(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		held := l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		a.begin(t.Context(), "1", noted{"x"})
		close(held.open)
		a.wg.Wait()
		if err := l.shared().CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		again := l.gate(func(r *memstate.Request) bool { return exactly("get head")(r) })
		for n := range 3 {
			a.begin(t.Context(), fmt.Sprint("late", n), noted{"x"})
		}
		close(again.open)
		a.wg.Wait()
		names := []string{"late0", "late1", "late2"}
		if i := slices.IndexFunc(names, func(name string) bool { return !isA[*StreamClosedError](a.of(name).err) }); i >= 0 {
			t.Errorf("%s: %v", names[i], a.of(names[i]).err)
		}
	})
}

// onTheWay begins an append, and others that wait for it. It returns when the commit of the others
// is on its way, and holds that commit until it is released.
func (a *appending) onTheWay(t *testing.T, l *lab, others func()) (release func()) {
	first := l.gate(commits)
	a.begin(t.Context(), "0", noted{"0"})
	others()
	second := l.gate(func(r *memstate.Request) bool { return commits(r) && isClosed(first.open) })
	close(first.open)
	synctest.Wait()
	return func() {
		close(second.open)
		a.wg.Wait()
	}
}

func TestAnAppendThatGaveUpOnTheWayIsNotInALaterCommit(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		ctx, cancel := context.WithCancel(t.Context())
		release := a.onTheWay(t, l, func() {
			a.begin(ctx, "a", noted{"a"})
			a.begin(t.Context(), "b", noted{"b"})
		})
		cancel()
		synctest.Wait()
		unknown := want[*OutcomeUnknownError](t, a.of("a").err)
		l.add(l.open(), "other") // so the commit loses
		release()
		if got := a.of("b"); got.err != nil || got.version != 3 {
			t.Errorf("the other one: version %d, %v", got.version, got.err)
		}
		_, err := l.shared().Retry(t.Context(), unknown)
		want[*VersionMismatchError](t, err)
		l.holds("0", "other", "b")
	})
}

// One that has left may send the commit again. So none of the others may be told that it is not
// stored.
func TestARefusedCommitThatMayBeSentAgainIsOfUnknownOutcome(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		ctx, cancel := context.WithCancel(t.Context())
		release := a.onTheWay(t, l, func() {
			a.begin(ctx, "a", noted{"a"})
			a.begin(t.Context(), "b", noted{"b"})
		})
		cancel()
		synctest.Wait()
		l.on(commits, 1, func(*memstate.Request, func() error) error { return driver.ErrRefused })
		release()
		for i, name := range []string{"a", "b"} {
			unknown := want[*OutcomeUnknownError](t, a.of(name).err)
			if version, err := l.shared().Retry(t.Context(), unknown); err != nil || version != int64(2+i) {
				t.Errorf("Retry of %s: version %d, %v", name, version, err)
			}
		}
		l.holds("0", "a", "b")
	})
}

func TestAnAppendThatGivesUpBetweenCommitsIsNotOfUnknownOutcome(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		ctx, cancel := context.WithCancel(t.Context())
		release := a.onTheWay(t, l, func() {
			a.begin(ctx, "a", noted{"a"})
			a.begin(t.Context(), "b", noted{"b"})
		})
		lost := 0
		var before around
		before = func(_ *memstate.Request, next func() error) error {
			l.add(l.open(), fmt.Sprint("other ", lost))
			if lost++; lost < 2 {
				l.on(commits, 1, before)
			} else {
				time.AfterFunc(500*time.Microsecond, cancel) // in the pause before the next try
			}
			return next()
		}
		l.on(commits, 1, before)
		release()
		if err := a.of("a").err; !isA[*StorageError](err) || !errors.Is(err, driver.ErrRefused) {
			t.Errorf("%v", err)
		}
		l.holds("0", "other 0", "other 1", "b")
	})
}

func TestAnAppendIsNotToldOfTheIdempotencyIDOfAnother(t *testing.T) {
	t.Run("when the session is lost", func(t *testing.T) {
		inLabs(t, func(t *testing.T, l *lab) {
			s := l.open()
			a := &appending{outcomes: map[string]appended{}, append: func(ctx context.Context, events ...any) (int64, error) {
				return s.Append(ctx, ExpectAny(), events...)
			}}
			release := a.onTheWay(t, l, func() {
				a.begin(t.Context(), "a", noted{"a"})
				a.begin(t.Context(), "b", once("used", "b"))
			})
			if _, err := l.open().Append(t.Context(), ExpectAny(), once("used", "other")); err != nil {
				t.Fatal(err)
			}
			release()
			want[*SessionLostError](t, a.of("a").err)
			want[*IdempotencyIDUsedError](t, a.of("b").err)
			l.holds("0", "other")
		})
	})
	t.Run("by Retry", func(t *testing.T) {
		inBoth(t, func(t *testing.T, l *lab, a *appending) {
			ctx, cancel := context.WithCancel(t.Context())
			release := a.onTheWay(t, l, func() {
				a.begin(ctx, "a", noted{"a"})
				a.begin(t.Context(), "b", once("used", "b"))
			})
			cancel()
			synctest.Wait()
			unknown := want[*OutcomeUnknownError](t, a.of("a").err)
			if _, err := l.open().Append(t.Context(), ExpectAny(), once("used", "other")); err != nil {
				t.Fatal(err)
			}
			release()
			want[*IdempotencyIDUsedError](t, a.of("b").err)
			_, err := l.shared().Retry(t.Context(), unknown)
			want[*VersionMismatchError](t, err)
			if isA[*IdempotencyIDUsedError](err) {
				t.Errorf("Retry: %v", err)
			}
			l.holds("0", "other")
		})
	})
	t.Run("by Retry of a commit that creates ids", func(t *testing.T) {
		inLabs(t, func(t *testing.T, l *lab) {
			l.Caps.BulkMisses = true
			s := l.shared()
			l.add(s, "0")
			if _, err := l.shared().Append(t.Context(), ExpectAny(), once("used", "other")); err != nil {
				t.Fatal(err)
			}
			// The bulk read misses both ids, and then the commit does not arrive.
			l.on(func(r *memstate.Request) bool { return r.Op == "getmany" && strings.Contains(r.String(), "idem") }, 1, func(r *memstate.Request, next func() error) error {
				err := next()
				for i := range r.Items {
					r.Items[i].Value, r.Items[i].ETag = nil, ""
				}
				return err
			})
			first := &joined{ctx: t.Context(), told: make(chan struct{})}
			second := &joined{ctx: t.Context(), told: make(chan struct{})}
			var err error
			if first.drafts, err = s.drafts(t.Context(), ExpectAny(), []any{once("own", "a")}, false); err != nil {
				t.Fatal(err)
			}
			if second.drafts, err = s.drafts(t.Context(), ExpectAny(), []any{once("used", "b")}, false); err != nil {
				t.Fatal(err)
			}
			b := &gathered{first: first, members: []*joined{first, second}, size: 2, waiting: 2, cancel: func() {}}
			l.on(commits, 1, func(*memstate.Request, func() error) error {
				l.on(everything, -1, lost)
				return errLost
			})
			s.storeGathered(t.Context(), b)
			l.heal()
			_, err = l.shared().Retry(t.Context(), want[*OutcomeUnknownError](t, first.err))
			if want[*StorageError](t, err); isA[*IdempotencyIDUsedError](err) || Advise(err) != AdviceRetry {
				t.Errorf("Retry: %v", err)
			}
			_, err = l.shared().Retry(t.Context(), want[*OutcomeUnknownError](t, second.err))
			want[*IdempotencyIDUsedError](t, err)
			l.holds("0", "other")
		}, "in one transaction")
	})
}

func TestAppendsThatDoNotFitIntoOneRequestAreStoredOneByOne(t *testing.T) {
	inBothWith(t, 10_000, func(t *testing.T, l *lab, a *appending) {
		held := l.gate(commits)
		want := []string{"0"}
		a.begin(t.Context(), "0", noted{"0"})
		for _, name := range []string{"a", "b", "c"} {
			text := strings.Repeat(name, 4_000)
			want = append(want, text)
			a.begin(t.Context(), name, noted{text})
		}
		a.begin(t.Context(), "large", noted{strings.Repeat("y", 12_000)})
		a.begin(t.Context(), "d", noted{"d"})
		close(held.open)
		a.wg.Wait()
		for i, name := range []string{"a", "b", "c", "d"} {
			if got := a.of(name); got.err != nil || got.version != int64(i+2) {
				t.Errorf("%s: version %d, %v", name, got.version, got.err)
			}
		}
		if err := a.of("large").err; !isA[*BatchTooLargeError](err) {
			t.Errorf("large: %v", err)
		}
		l.holds(append(want, "d")...)
	})
}

func TestAnAppendHasEndedWhenItReturns(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, memstate.Redis())
			settings := DefaultSettings()
			settings.TailEvents = 8
			s := l.open(WithSettings(settings))
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if _, err := tryAdd(s, "x"); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if l.Values()[l.keys.event(3)] == nil {
				t.Fatal("Close has not stored the events that only the head has")
			}
		})
	}
}

func TestAPanicOfTheDriverEndsTheAppendsOfItsCommitOnly(t *testing.T) {
	inBoth(t, func(t *testing.T, l *lab, a *appending) {
		held := l.gate(commits)
		a.begin(t.Context(), "0", noted{"0"})
		a.begin(t.Context(), "a", noted{"a"})
		a.begin(t.Context(), "b", noted{"b"})
		l.on(func(r *memstate.Request) bool { return commits(r) && isClosed(held.open) && len(l.heads) > 1 }, 1, func(*memstate.Request, func() error) error {
			panic("the driver fails")
		})
		close(held.open)
		a.wg.Wait()
		for _, name := range []string{"a", "b"} {
			if err := a.of(name).err; !isA[*OutcomeUnknownError](err) || !strings.Contains(err.Error(), "the driver fails") {
				t.Errorf("%s: %v", name, err)
			}
		}
		a.begin(t.Context(), "c", noted{"c"})
		if got := a.of("c"); got.err != nil || got.version != 2 {
			t.Errorf("the next one: version %d, %v", got.version, got.err)
		}
		l.holds("0", "c")
	})
}
