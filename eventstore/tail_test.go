package eventstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// withTail runs a test on the stores that take the careful way, with a setting of TailEvents.
func withTail(t *testing.T, tail int, test func(*testing.T, *lab, func(...OpenOption) *Session)) {
	t.Helper()
	inLabs(t, func(t *testing.T, l *lab) {
		if l.Caps.Atomic {
			return
		}
		settings := DefaultSettings()
		settings.TailEvents = tail
		p := l.provider(WithSettings(settings))
		test(t, l, func(options ...OpenOption) *Session {
			t.Helper()
			s, err := p.Open(t.Context(), labStream, options...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
	})
}

// writesOf returns the requests that wrote events under their own keys.
func writesOf(trace []string) (writes []string) {
	for _, request := range trace {
		if strings.HasPrefix(request, "write ") {
			writes = append(writes, request)
		}
	}
	return writes
}

func TestEventsAreWrittenUnderTheirOwnKeysWhenTheTailIsFull(t *testing.T) {
	withTail(t, 8, func(t *testing.T, l *lab, open func(...OpenOption) *Session) {
		s := open()
		l.Trace()
		for n := range 7 {
			l.add(s, fmt.Sprint(n+1))
		}
		if writes := writesOf(l.Trace()); len(writes) > 0 {
			t.Errorf("a tail that is not full was written: %q", writes)
		}
		if tail := len(l.head().tail); tail != 7 {
			t.Errorf("the head carries %d events, want 7", tail)
		}
		l.add(s, "8")
		if writes := writesOf(l.Trace()); !slices.Equal(writes, []string{"write 1 2 3 4 5 6 7 8"}) {
			t.Errorf("the full tail was written by %q", writes)
		}
		l.add(s, "9") // soon after, so that the new head drops what stands
		if tail := len(l.head().tail); tail != 1 {
			t.Errorf("the head carries %d events, want 1", tail)
		}
		l.holds("1", "2", "3", "4", "5", "6", "7", "8", "9")
	})
}

func TestALongTailIsFullByItsBytes(t *testing.T) {
	withTail(t, 8, func(t *testing.T, l *lab, open func(...OpenOption) *Session) {
		s := open()
		l.Trace()
		l.add(s, strings.Repeat("x", tailBytes/2))
		l.add(s, strings.Repeat("y", tailBytes/2))
		if writes := writesOf(l.Trace()); !slices.Equal(writes, []string{"write 1 2"}) {
			t.Errorf("written were %q", writes)
		}
	})
}

func TestAnExclusiveSessionWritesItsEventsWhenItCloses(t *testing.T) {
	withTail(t, 8, func(t *testing.T, l *lab, open func(...OpenOption) *Session) {
		s := open()
		l.add(s, "a", "b")
		l.Trace()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if writes := writesOf(l.Trace()); !slices.Equal(writes, []string{"write 1 2"}) {
			t.Errorf("closing wrote %q", writes)
		}
		s = open() // which appends nothing
		l.Trace()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if trace := l.Trace(); len(trace) > 0 {
			t.Errorf("closing a session that has only looked sent %q", trace)
		}
		l.holds("a", "b")
	})
}

func TestAtTheEndOfASlowSessionTheHeadIsReadFirst(t *testing.T) {
	withTail(t, 8, func(t *testing.T, l *lab, open func(...OpenOption) *Session) {
		s := open()
		l.add(s, "a")
		l.Remembers = true
		l.add(s, "b")
		pass(time.Second) // what an answer told is old by now
		l.Forget(1)       // the store restarts without its last write
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if value, _ := l.Value(keysOf(labStream).event(2)); value != nil {
			t.Error("an event that the store has lost was written under its own key")
		}
		l.holds("a")
	})
}

func TestTheFirstEventOfASharedSessionTellsOfALostHead(t *testing.T) {
	withTail(t, 8, func(t *testing.T, l *lab, open func(...OpenOption) *Session) {
		s := open(Shared())
		l.Trace()
		l.add(s, "a")
		if writes := writesOf(l.Trace()); !slices.Equal(writes, []string{"write 1"}) {
			t.Errorf("written were %q", writes)
		}
		l.add(s, "b")
		if writes := writesOf(l.Trace()); len(writes) > 0 {
			t.Errorf("the second append wrote %q", writes)
		}
		l.Set(keysOf(labStream).head(), nil) // evicted
		_, err := l.provider().Reader(labStream).Version(t.Context())
		want[*DamagedError](t, err)
	})
}

func TestWhatALostHeadCosts(t *testing.T) {
	for _, tail := range []int{1, 3, 8} {
		t.Run(fmt.Sprintf("%d events in the tail", tail), func(t *testing.T) {
			withTail(t, tail, func(t *testing.T, l *lab, open func(...OpenOption) *Session) {
				for n := 1; n <= 20; n++ {
					s := open(Shared())
					l.add(s, fmt.Sprint(n))
					lost := 0
					for _, r := range l.head().tail {
						if value, _ := l.Value(keysOf(labStream).event(r.version)); value == nil {
							lost++
						}
					}
					if lost >= tail {
						t.Errorf("%d of %d events stand in the head alone", lost, n)
					}
				}
			})
		})
	}
}

func TestIdempotencyIDsInTheTailAreFound(t *testing.T) {
	withTail(t, 8, func(t *testing.T, l *lab, open func(...OpenOption) *Session) {
		s := open(Shared())
		if _, err := s.Append(t.Context(), ExpectAny(), once("x", "a")); err != nil {
			t.Fatal(err)
		}
		l.add(s, "b")
		if _, err := s.Append(t.Context(), ExpectAny(), once("y", "c")); err != nil {
			t.Fatal(err)
		}
		for id, version := range map[string]int64{"x": 1, "y": 3} {
			_, err := open(Shared()).Append(t.Context(), ExpectAny(), once(id, "again"))
			if used := want[*IdempotencyIDUsedError](t, err); used.Version != version {
				t.Errorf("id %s is said to stand at %d, want %d", id, used.Version, version)
			}
		}
	})
}
