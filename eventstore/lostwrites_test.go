package eventstore

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// ruin is a store that can restart without some of the writes that it acknowledged.
type ruin struct {
	*memstate.Store
	t *testing.T
	p *Provider
}

// inRuins runs a test in fake time, in a store of each of the kinds.
func inRuins(t *testing.T, test func(t *testing.T, r *ruin)) {
	t.Parallel()
	for _, kind := range slices.Sorted(maps.Keys(labKinds)) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := labKinds[kind]()
				s.Remembers = true
				r := &ruin{Store: s, t: t}
				r.p = (&lab{Store: s, t: t, keys: keysOf(labStream)}).provider(WithLocker(free{}))
				test(t, r)
			})
		})
	}
}

// restart makes the store lose the last n requests that wrote something. It takes a second.
func (r *ruin) restart(n int) {
	r.Forget(n)
	pass(time.Second)
}

func (r *ruin) open(shared bool) *Session {
	r.t.Helper()
	s, err := r.p.Open(r.t.Context(), labStream)
	if shared {
		s, err = r.p.Open(r.t.Context(), labStream, Shared())
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *ruin) add(s *Session, texts ...string) {
	r.t.Helper()
	if _, err := tryAdd(s, texts...); err != nil {
		r.t.Fatal(err)
	}
}

// requestsOfAnAppend returns how many requests of an append write something.
func (r *ruin) requestsOfAnAppend() int {
	if r.Caps.Atomic {
		return 1
	}
	return 2
}

// holds checks what a new reader reads, and that nothing is damaged.
func (r *ruin) holds(texts ...string) {
	r.t.Helper()
	reader := r.p.Reader(labStream)
	found, err := reader.Verify(r.t.Context(), nil)
	if err != nil || !found.Sound() {
		r.t.Errorf("it is damaged: %v, %v", found.Damage, err)
	}
	var got []string
	for event, err := range reader.Read(r.t.Context()) {
		if err != nil {
			r.t.Fatal(err)
		}
		got = append(got, event.Data.(noted).Text)
	}
	if !slices.Equal(got, texts) {
		r.t.Errorf("the stream holds %q, want %q", got, texts)
	}
}

// after checks that the session has ended for good, because the store lost events that it knew.
func (r *ruin) after(s *Session, err error) {
	r.t.Helper()
	if e := want[*LostWritesError](r.t, err); e.Session != s.ID() || e.Stream != labStream {
		r.t.Errorf("%+v", e)
	}
	_, err = s.Append(r.t.Context(), ExpectAny(), noted{"more"})
	want[*LostWritesError](r.t, err)
	_, err = s.Version(r.t.Context())
	want[*LostWritesError](r.t, err)
}

func TestASessionEndsWhenTheStoreHasLostWhatItKnew(t *testing.T) {
	for _, shared := range []bool{false, true} {
		for name, c := range map[string]struct {
			then     func(r *ruin) // what other sessions write after the restart
			expected Expected
			holds    []string
		}{
			"and nobody wrote since":             {func(*ruin) {}, ExpectVersion(3), []string{"a", "b"}},
			"and it would append anywhere":       {func(*ruin) {}, ExpectAny(), []string{"a", "b"}},
			"and it expects less than it knew":   {func(*ruin) {}, ExpectVersion(2), []string{"a", "b"}},
			"and another wrote as much":          {func(r *ruin) { r.add(r.open(false), "x") }, ExpectVersion(3), []string{"a", "b", "x"}},
			"and another wrote as much, for any": {func(r *ruin) { r.add(r.open(false), "x") }, ExpectAny(), []string{"a", "b", "x"}},
			"and another wrote more":             {func(r *ruin) { s := r.open(false); r.add(s, "x"); r.add(s, "y") }, ExpectVersion(4), []string{"a", "b", "x", "y"}},
			"and another wrote more, for any":    {func(r *ruin) { r.add(r.open(false), "x", "y", "z") }, ExpectAny(), []string{"a", "b", "x", "y", "z"}},
		} {
			if shared {
				name = "a shared one " + name
			}
			t.Run(name, func(t *testing.T) {
				inRuins(t, func(t *testing.T, r *ruin) {
					s := r.open(shared)
					r.add(s, "a", "b")
					r.add(s, "lost")
					r.restart(r.requestsOfAnAppend())
					c.then(r)
					pass(time.Minute / 2)
					_, err := s.Append(t.Context(), c.expected, noted{"decided on what is gone"})
					r.after(s, err)
					r.holds(c.holds...)
				})
			})
		}
	}
}

// On Redis any ETag matches an absent key.
func TestNothingIsAppendedToAStoreThatIsEmptyNow(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		s := r.open(false)
		r.add(s, "a")
		r.add(s, "b")
		r.restart(100)
		_, err := tryAdd(s, "c")
		if e := want[*LostWritesError](t, err); e.Version != 2 || e.Actual != 0 {
			t.Errorf("%+v", e)
		}
		r.holds()
	})
}

// The store may have kept the head and lost writes after it.
func TestAnEventWhoseOwnKeyWasLostStaysInTheHead(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		if r.Caps.Atomic {
			return // both are in one write
		}
		s := r.open(false)
		r.add(s, "a")
		r.restart(1)
		r.add(s, "b")
		r.holds("a", "b")
	})
}

func TestOtherThanOnAStoreThatCountsAnETagIsNotReadAgainForItsAge(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		s := r.open(false)
		pass(time.Second)
		r.Trace()
		r.add(s, "a")
		read := slices.Contains(r.Trace(), "get head")
		if read == r.Caps.UniqueETags {
			t.Errorf("after a second, with unique ETags: %v, the head was read again: %v", r.Caps.UniqueETags, read)
		}
		r.add(s, "b")
		if trace := r.Trace(); r.Caps.CountedETags && slices.Contains(trace, "get head") {
			t.Errorf("the ETag was just counted, and the head was read again: %q", trace)
		}
	})
}

// Every later session would trust such a snapshot.
func TestNoSnapshotIsSavedOfEventsThatAreGone(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		s := r.open(false)
		r.add(s, "a")
		r.add(s, "lost")
		r.restart(r.requestsOfAnAppend())
		r.add(r.open(false), "x")
		r.after(s, s.SaveSnapshot(t.Context(), 2, noted{"a, lost"}))
		if keys := slices.Collect(maps.Keys(r.Values())); slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, "snapshot") }) {
			t.Errorf("there is one: %q", keys)
		}
	})
}

// A retry depends on the events that the append was decided on.
func TestAnAppendIsNotTriedAgainOnOtherEventsThanItsOwn(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		s := r.open(false)
		r.add(s, "a")
		r.add(s, "lost")
		r.Around = nil
		unknown := &OutcomeUnknownError{Stream: labStream, CommitID: "c", Base: 2, commit: commit{
			id: "c", base: 2, after: s.writer.head.commit,
			events: []record{{version: 3, commit: "c", data: []byte("never stored")}},
		}}
		r.restart(r.requestsOfAnAppend())
		r.add(r.open(false), "x")
		next := r.open(false)
		_, err := next.Retry(t.Context(), unknown)
		if e := want[*LostWritesError](t, err); e.Version != 2 {
			t.Errorf("%+v", e)
		}
		r.add(next, "y") // this session knows no lost event
		r.holds("a", "x", "y")
	})
}

func TestAReadThatBeganBeforeSaysWhatIsGone(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		s := r.open(false)
		r.add(s, "a", "b")
		r.add(s, "lost")
		r.restart(r.requestsOfAnAppend())
		var last error
		for _, err := range s.Read(t.Context()) {
			last = err
		}
		if e := want[*LostWritesError](t, last); e.Version != 3 || e.Actual != 2 {
			t.Errorf("%+v", e)
		}
	})
}

// A session forgets after a moment which writes are stored. The head must not grow because of that.
func TestTheHeadDoesNotGrowWhereAppendsAreSlowAndFarApart(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(everything, -1, func(_ *memstate.Request, next func() error) error {
			err := next()
			pass(5 * etagTrust)
			return err
		})
		s := l.open(timeouts(0, time.Hour))
		for n := range 40 {
			text := "short"
			if n%2 == 1 {
				text = strings.Repeat("x", trimBytes)
			}
			l.add(s, text)
			pass(time.Second)
			if tail := len(l.head().tail); n%2 == 1 && tail > 0 || tail > trimCarried+1 {
				t.Fatalf("after append %d the head carries %d events", n+1, tail)
			}
		}
	})
}

// The retry finds its own commit, which still exists. The events above it, which its session had
// read, are lost.
func TestARetryWritesNoEventsThatAreGone(t *testing.T) {
	inRuins(t, func(t *testing.T, r *ruin) {
		s := r.open(false)
		r.add(s, "a")
		unknown := &OutcomeUnknownError{Stream: labStream, CommitID: s.writer.head.commit, commit: commit{
			id: s.writer.head.commit, events: []record{{version: 1, commit: s.writer.head.commit}},
		}}
		r.Caps.Atomic = false
		r.Around = func(_ context.Context, q *memstate.Request, next func() error) error {
			if writes(q) {
				return errLost
			}
			return next()
		}
		r.add(r.open(false), "lost")
		r.Around = nil
		next := r.open(false)
		r.restart(1)
		if v, err := next.Retry(t.Context(), unknown); v != 1 || err != nil {
			t.Errorf("Retry: %d, %v", v, err)
		}
		if _, there := r.Values()[keysOf(labStream).event(2)]; there {
			t.Error("event 2 stands above the head")
		}
		r.holds("a")
	})
}
