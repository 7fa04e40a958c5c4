package eventstore

import (
	"slices"
	"strconv"
	"testing"

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
		counted("a rebuild of a sound head", 1+1+5, func() {
			if found, err := l.rebuild(); err != nil || found.Damage != nil || found.Version != 2 {
				t.Errorf("%+v, %v", found, err)
			}
		})
		l.Set(l.keys.head(), nil)
		// Both looks prove that the head, the snapshots and event 3 are absent. Then 999 versions
		// more are proven to be absent, before the head is written.
		looks := (1 + 2 + 7 + 1) + (1 + 2 + 5 + 1)
		counted("a rebuild of a missing head", looks+999+1, func() {
			if found, err := l.rebuild(); err != nil || found.Version != 2 {
				t.Errorf("%+v, %v", found, err)
			}
		})

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
		// It opens the session, reads 10,002 keys, at most 1,000 in a request, and the list of
		// snapshots.
		counted("deleting a deleted stream again", 1+4+10+1, remove)
	})
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
