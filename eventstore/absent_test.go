package eventstore

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// A store like Dapr's SQL stores may miss a key in a bulk read, so an absent key is asked for
// again, alone. These operations meet many absent keys, and still take few requests.
func TestAbsentKeysAreAskedForAgainInFewRequests(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Around = nil
		l.Caps.BulkMisses = true
		counted := func(what string, want int, operation func()) {
			t.Helper()
			l.Trace()
			operation()
			if trace := l.Trace(); len(trace) != want {
				t.Errorf("%s took %d requests, want %d", what, len(trace), want)
			}
		}
		var s *Session
		counted("opening a new stream", 3, func() { s = l.open() })
		l.add(s, "a", "b")
		l.settleHead()
		counted("a rebuild of a sound head", 1+1+4, func() {
			if found, err := l.rebuild(); err != nil || found.Damage != nil || found.Version != 2 {
				t.Errorf("%+v, %v", found, err)
			}
		})
		l.Set(l.keys.head(), nil)
		// Both looks prove that the head, the snapshots and event 3 are absent. Then 999 versions
		// more are proven to be absent, before the head is written.
		looks := (1 + 2 + 7 + 1) + (1 + 2 + 4 + 1)
		counted("a rebuild of a missing head", looks+999+1, func() {
			if found, err := l.rebuild(); err != nil || found.Version != 2 {
				t.Errorf("%+v, %v", found, err)
			}
		})

		s = l.open()
		ids := make([]any, 1000)
		for i := range ids {
			ids[i] = once(strconv.Itoa(i), "c")
		}
		if l.Caps.Atomic {
			counted("an append of 1,000 with idempotency ids", 1+1, func() {
				if _, err := s.Append(t.Context(), ExpectVersion(2), ids...); err != nil {
					t.Error(err)
				}
			})
		}
		for range 10 {
			l.add(l.open(), make([]string, 1000)...)
		}
		remove := func() {
			if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
				t.Fatal(err)
			}
		}
		remove()
		if n := len(l.Values()); n != 1 {
			t.Errorf("%d keys are left", n)
		}
		// It opens the session, reads the keys, at most 1,000 in a request, and the list of
		// snapshots.
		chunks := 3 + 10
		if l.Caps.Atomic {
			chunks++ // for the events with idempotency ids
		}
		counted("deleting a deleted stream again", 1+chunks+1, remove)
	})
}

// An idempotency id that the lookup of a batch missed is still not used twice.
func TestAnIdempotencyIDThatABulkReadMissedIsNotUsedAgain(t *testing.T) {
	for name, prepare := range map[string]func(l *lab){
		"the store refuses the transaction": func(*lab) {},
		"the store says that nothing happened": func(l *lab) {
			l.on(commits, -1, func(_ *memstate.Request, next func() error) error {
				if err := next(); err != nil {
					return fmt.Errorf("%w: %w", driver.ErrRefused, err)
				}
				return nil
			})
		},
		"the events do not fit a transaction": func(l *lab) { l.Caps.MaxCommitWrites = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				s := l.open()
				if _, err := s.Append(t.Context(), ExpectAny(), once("i", "a"), once("j", "b")); err != nil {
					t.Fatal(err)
				}
				prepare(l)
				l.missing()
				s = l.open()
				_, err := s.Append(t.Context(), ExpectAny(), once("k", "c"), once("j", "d"))
				if e := want[*IdempotencyIDUsedError](t, err); e.IdempotencyID != "j" || e.Version != 2 {
					t.Errorf("%v", err)
				}
				if _, err := s.Append(t.Context(), ExpectAny(), once("k", "c"), once("l", "d")); err != nil {
					t.Fatal(err)
				}
				l.holds("a", "b", "c", "d")
			})
		})
	}
}

// The commit fits a transaction when it is planned, and no longer when it is tried.
func TestIDsAreProvenToBeUnusedBeforeTheHeadIsSwappedAlone(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.missing()
		s := l.open()
		if _, err := s.Append(t.Context(), ExpectAny(), once("i", "a"), once("j", "b")); err != nil {
			t.Fatal(err)
		}
		drafts, err := s.drafts(t.Context(), ExpectAny(), []any{once("k", "c"), once("j", "d")}, false)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.planCommit(t.Context(), ExpectAny(), drafts)
		if err != nil {
			t.Fatal(err)
		}
		s.writer.caps.MaxCommitWrites = 3
		want[*IdempotencyIDUsedError](t, s.writer.commit(t.Context(), c))
		l.holds("a", "b")
	}, "in one transaction")
}

// The ids that a commit finds after its answer was lost may be its own.
func TestACommitThatIsLookedUpDoesNotTakeItsOwnIDsForUsed(t *testing.T) {
	for name, fault := range map[string]around{"lost": lost, "unanswered": unanswered} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.missing()
				s := l.open()
				l.on(commits, 1, fault)
				if _, err := s.Append(t.Context(), ExpectAny(), once("i", "a"), once("j", "b")); err != nil {
					t.Fatal(err)
				}
				l.holds("a", "b")
			})
		})
	}
}

// The first attempt takes effect between the lookup of the head and that of the ids.
func TestACommitThatArrivesDuringItsLookupDoesNotTakeItsOwnIDsForUsed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.missing()
		s := l.open()
		arrive := l.hold(commits)
		l.on(func(r *memstate.Request) bool { return r.Op == "get" && r.Has(":idem:i") }, 1, func(_ *memstate.Request, next func() error) error {
			if err := arrive(); err != nil {
				t.Error(err)
			}
			return next()
		})
		if _, err := s.Append(t.Context(), ExpectAny(), once("i", "a"), once("j", "b")); err != nil {
			t.Fatal(err)
		}
		l.holds("a", "b")
	}, "in one transaction")
}

// late stores an event under its own key after all, as a request does that was long under way.
func (l *lab) late(version int64, value []byte) {
	l.Around = nil
	l.Set(l.keys.event(version), value)
	l.Around = l.around
}

func TestWhatIsStoredLateIsRemovedByAnotherDeletion(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Caps.BulkMisses = true
		l.mixed()
		l.settleHead()
		before := l.Values()
		for range 2 {
			if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
				t.Fatal(err)
			}
			if !l.head().swept {
				t.Error("the head does not say that the events were removed")
			}
			if n := len(l.Values()); n != 2 {
				t.Errorf("%d keys are left", n)
			}
			l.late(3, before[l.keys.event(3)])
		}
	})
}

// The first deletion ends with an error in the middle. Bulk reads then miss all that is left.
func TestADeletionThatWasInterruptedProvesThatNothingIsLeft(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		l.fill(100)
		l.settleHead()
		deletes := func(r *memstate.Request) bool {
			return r.Op == "write" && slices.ContainsFunc(r.Keys, func(key string) bool { return key == l.keys.event(50) })
		}
		l.on(deletes, 1, lost)
		l.Caps.BulkMisses = true
		want[*StorageError](t, l.open().DeleteStream(t.Context(), ExpectAny()))
		if l.head().swept {
			t.Error("the head says that the events were removed")
		}
		l.heal()
		l.missing()
		if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		if n := len(l.Values()); n != 2 {
			t.Errorf("%d keys are left", n)
		}
	})
}

// A head is written only where it is proven that no event follows, whatever bulk reads say.
func TestAHeadIsNotRebuiltBelowAnEventThatABulkReadMissed(t *testing.T) {
	for _, later := range []int64{4, 5, 1000, 1002} {
		t.Run(strconv.FormatInt(later, 10), func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.Around = nil
				l.add(l.open(), "a", "b", "c", "d")
				l.settleHead()
				fourth, _ := l.Value(l.keys.event(4))
				l.Set(l.keys.event(4), nil)
				l.Set(l.keys.event(3), nil)
				l.Set(l.keys.event(later), fourth)
				l.Set(l.keys.head(), nil)
				l.Around = l.around
				l.missing()
				_, err := l.rebuild()
				if d := want[*DamagedError](t, err); d.Version != 3 {
					t.Errorf("%v", err)
				}
				if _, etag := l.Value(l.keys.head()); etag != "" {
					t.Error("a head was written")
				}
			})
		})
	}
}
