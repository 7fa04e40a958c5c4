package eventstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// The numbers of the tests are the numbers of the protocol's rules in ARCHITECTURE.md. Rules 2, 3
// and 4 hold at every instant, so the lab checks them after every request of every test.

func TestRule1AnAppendIsOneSwapOfTheHead(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.traced("get head", "getmany snapshots 1")
		l.add(s, "a")
		l.add(s, "b", "c")
		switch {
		case l.Caps.Atomic:
			l.traced("commit head 1", "get head", "commit head 2 3")
		case l.Caps.CountedETags:
			l.traced("swap head", "write 1", "swap head", "write 2 3")
		default:
			l.traced("swap head", "write 1", "get head", "swap head", "write 2 3")
		}
		l.holds("a", "b", "c")
	})
}

func TestRule1AHeadOfSomebodyElseIsNotAdopted(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a, b := l.open(), l.open()
		l.add(a, "a1")
		l.add(a, "a2")
		_, err := b.Append(t.Context(), ExpectVersion(0), noted{"b"})
		if e := want[*VersionMismatchError](t, err); e.Expected != 0 || e.Actual != 2 || e.Metadata.Message.Type != "noted" {
			t.Errorf("%+v", e)
		}
		_, err = tryAdd(b, "b")
		want[*SessionLostError](t, err)
		l.add(a, "a3")
		l.holds("a1", "a2", "a3")
	})
}

// If ETags have to be read, the head that comes with one may be from another commit.
func TestRule1AnETagIsUsedOnlyWithTheHeadReadWithIt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a := l.open()
		l.add(a, "a1")
		b := l.open()
		l.add(b, "b")
		_, err := a.Append(t.Context(), ExpectVersion(1), noted{"a2"})
		if e := want[*VersionMismatchError](t, err); e.Expected != 1 || e.Actual != 2 {
			t.Errorf("%+v", e)
		}
		l.holds("a1", "b")
	})
}

// A store lost the head, and another session began the stream again.
func TestRule1AHeadOfTheSameVersionByAnotherCommitIsNotOurs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		other := l.head()
		other.commit = "other"
		l.Set(l.keys.head(), other.encode(l.keys.partition))
		_, err := tryAdd(s, "b")
		if e := want[*LostWritesError](t, err); e.Version != 1 || e.Actual != 1 || e.CommitID == "" || e.Session != s.ID() || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
		want[*LostWritesError](t, s.Close())
		l.holds("a")
	}, "in one transaction", "the careful way")
}

func TestRule1AStaleHeadIsReadAgain(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.Trace()
		l.stale(3)
		l.add(s, "b")
		reads := []string{"get head", "get head", "get head", "get head"}
		if l.Caps.Atomic {
			l.traced(append(reads, l.appending(2)...)...)
		} else { // reading again took so long that event 1 is written a second time
			l.traced(append(reads, "swap head", "write 1 2")...)
		}
		l.holds("a", "b")

		l.stale(-1)
		_, err := tryAdd(s, "c")
		if e := want[*LostWritesError](t, err); !strings.Contains(e.Error(), "a replica lags behind") {
			t.Errorf("the message does not name a replica: %v", e)
		}
		l.heal()
		l.holds("a", "b")
		l.add(l.open(), "c")
		l.holds("a", "b", "c")
	}, "in one transaction", "the careful way")
}

func TestRule1ACountedETagIsUsedOnlyAfterAnAnsweredSwap(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a := l.open()
		l.add(a, "a1")
		l.unknown(a, "a2")
		// Another session gives the head the ETag that it would have had if the swap had taken
		// effect.
		l.add(l.open(), "b")
		_, err := tryAdd(a, "a3")
		want[*SessionLostError](t, err)
		l.holds("a1", "b")
	}, "with counted ETags")
}

func TestRule1AWrongCountCostsARequestAndNothingElse(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.Set(l.keys.head(), l.Values()[l.keys.head()]) // as trimming does: same version, same commit
		l.Trace()
		l.add(s, "b")
		l.traced("swap head", "get head", "swap head", "write 2")
		l.holds("a", "b")
	}, "with counted ETags")
}

func TestRule2NoEventIsWrittenWithoutItsCommit(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.on(commits, -1, lost)
		_, err := s.Append(t.Context(), ExpectAny(), once("x", "a"))
		want[*OutcomeUnknownError](t, err)
		if values := l.Values(); len(values) > 0 {
			t.Errorf("nothing was committed, and these keys stand: %q", values)
		}
	})
}

func TestRule3EventsAreThereTheMomentTheHeadIsSwapped(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(writes, -1, lost)
		s := l.open()
		l.add(s, "a", "b")
		if values := l.Values(); len(values) != 1 {
			t.Errorf("%d keys stand, want the head alone", len(values))
		}
		l.holds("a", "b")
		l.reads(s.Reader, "a", "b")
	}, carefully...)
}

func TestRule3ATailIsCarriedAlongUntilItIsKnownToStand(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		wantTail := func(want ...int64) {
			t.Helper()
			if got := l.tail(); !slices.Equal(got, want) {
				t.Errorf("the tail holds %v, want %v", got, want)
			}
		}
		s := l.open()
		l.add(s, "a")
		l.on(writes, 1, lost)
		l.add(s, "b")
		wantTail(2)
		// A write that was sent may not have arrived, though this one did.
		l.on(writes, 1, unanswered)
		l.add(s, "c")
		wantTail(2, 3)
		l.add(s, "d")
		wantTail(2, 3, 4)
		l.add(s, "e") // all earlier writes were answered
		wantTail(5)
		l.holds("a", "b", "c", "d", "e")
	}, carefully...)
}

func TestRule3TheTailOfOneWhoDiedIsCarriedAlong(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(writes, -1, lost)
		l.add(l.open(), "a")
		l.add(l.open(), "b")
		l.add(l.open(), "c")
		if got := l.tail(); !slices.Equal(got, []int64{1, 2, 3}) {
			t.Errorf("the tail holds %v", got)
		}
		l.holds("a", "b", "c")
		l.heal()
		l.Trace()
		l.add(l.open(), "d")
		l.traced("get head", "swap head", "write 1 2 3 4")
		l.add(l.open(), "e")
		l.holds("a", "b", "c", "d", "e")
	}, carefully...)
}

// A service that knows the store's transactions shares the stream with one that does not.
func TestRule3ATransactionTakesTheTailAlongThatItReplaces(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		caps := l.Caps
		l.Caps.Atomic = false
		l.on(writes, -1, lost)
		l.add(l.open(), "a", "b")
		l.Caps = caps
		s := l.open()
		l.reads(s.Reader, "a", "b")
		l.Trace()
		l.add(s, "c")
		l.traced("commit head 1 2 3")
		if tail := l.tail(); len(tail) > 0 {
			t.Errorf("the tail holds %v", tail)
		}
		l.holds("a", "b", "c")
	}, "in one transaction")
}

func TestRule4EveryAttemptHasTheSameBytes(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		var attempts [][]byte
		s := l.open()
		l.add(s, "a")
		l.on(func(r *memstate.Request) bool {
			if commits(r) {
				hd, err := decodeHead(labStream, l.keys.partition, r.Swap.Value)
				if err != nil {
					t.Error(err)
				}
				event, _ := hd.inTail(2)
				for _, w := range r.Writes {
					event.data = w.Value
				}
				attempts = append(attempts, event.data)
			}
			return commits(r)
		}, 5, lost)
		l.add(s, "b")
		if len(attempts) < 5 {
			t.Fatalf("there were %d attempts", len(attempts))
		}
		for i, data := range attempts {
			if !bytes.Equal(data, attempts[0]) {
				t.Errorf("attempt %d differs from the first", i)
			}
		}
		l.holds("a", "b")
	})
}

// The lab notices if any byte changes.
func TestRule4WhoSettlesForAnotherWritesItsBytes(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a := l.open()
		arrive := l.hold(writes)
		l.add(a, "a1", "a2")
		b := l.open()
		l.add(b, "b")
		before := l.Values()
		if err := arrive(); err != nil { // the write of a, which was thought dead
			t.Fatal(err)
		}
		for key, value := range l.Values() {
			if !bytes.Equal(value, before[key]) {
				t.Errorf("%s has changed", key)
			}
		}
		l.holds("a1", "a2", "b")
	}, carefully...)
}

func TestRule4WhoChangesWhatItReadChangesNothingThatIsStored(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(writes, 1, lost)
		s := l.open()
		l.add(s, "a")
		event, err := s.Event(t.Context(), 1, AsRaw())
		if err != nil {
			t.Fatal(err)
		}
		clear(event.Data.(Raw).Payload)
		l.add(s, "b") // which settles both
		l.holds("a", "b")
	}, carefully...)
}

func TestRule5WhatIsInTheTailIsNotAskedFor(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.on(writes, -1, lost)
		l.add(s, "b", "c")
		l.Trace()
		l.holds("a", "b", "c")
		l.traced("get head", "getmany 1")
	}, carefully...)
}

func TestRule5AMissingEventIsDamageOnlyAfterAFreshLook(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a", "b", "c")
		l.add(s, "d") // which is the whole tail now
		for name, value := range map[string][]byte{
			"missing": nil, "not ours": []byte("not ours"), "of another version": l.Values()[l.keys.event(1)],
		} {
			intact := l.Values()[l.keys.event(2)]
			l.Set(l.keys.event(2), value)
			l.on(exactly("get 2"), 1, func(_ *memstate.Request, next func() error) error { l.Set(l.keys.event(2), intact); return next() })
			l.Trace()
			l.holds("a", "b", "c", "d")
			if trace := l.Trace(); !slices.Contains(trace, "get head") || slices.Index(trace, "get head") > slices.Index(trace, "get 2") {
				t.Errorf("%s: head and then key were not read again: %q", name, trace)
			}

			l.Set(l.keys.event(2), value)
			var got error
			r := l.provider().Reader(labStream)
			for _, err := range r.Read(t.Context()) {
				got = err
			}
			if e := want[*DamagedError](t, got); e.Version != 2 || e.Key != l.keys.event(2) || e.Stream != labStream {
				t.Errorf("%s: %+v", name, e)
			}
			l.Set(l.keys.event(2), intact)
		}
	})
}

// The first answers came from different replicas.
func TestRule5TheTailOfTheFreshHeadWillDo(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.add(s, "b")
		l.add(s, "c")
		l.on(exactly("getmany 1 2"), 1, func(r *memstate.Request, next func() error) error {
			err := next()
			r.Items[1].Value, r.Items[1].ETag = nil, ""
			l.on(exactly("get 2"), -1, absent)
			l.stale(1)
			return err
		})
		l.holds("a", "b", "c")
	}, carefully...)
}

func TestRule5AnItemThatCouldNotBeReadIsNotAbsent(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a", "b")
		l.add(s, "c")
		r := l.provider().Reader(labStream)
		l.on(func(r *memstate.Request) bool { return r.Op == "getmany" && !r.Has(":head") }, 1, unreadable)
		for _, err := range r.Read(t.Context()) {
			if want[*StorageError](t, err); !errors.Is(err, errLost) {
				t.Error(err)
			}
		}
		l.on(exactly("getmany head snapshots"), 1, unreadable)
		_, err := r.Snapshots(t.Context())
		if want[*StorageError](t, err); !errors.Is(err, errLost) {
			t.Error(err)
		}
		l.on(exactly("getmany head snapshots"), 1, unreadable)
		_, err = l.provider().Open(t.Context(), labStream, WithSnapshots())
		want[*StorageError](t, err)
	})
}

func TestRule6ALostAnswerIsFoundInTheHead(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.on(commits, 1, unanswered)
		l.Trace()
		l.add(s, "a")
		if l.Caps.Atomic {
			l.traced("commit head 1", "get head")
		} else {
			l.traced("swap head", "get head", "write 1")
		}
		l.add(s, "b")
		l.holds("a", "b")
	})
}

func TestRule6ALostAnswerIsFoundInTheTail(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a := l.open()
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			_ = next()
			l.on(writes, 1, lost)
			l.add(l.open(), "b")
			l.Trace()
			return errLost
		})
		l.add(a, "a")
		l.traced("get head") // the event is in its tail
		l.holds("a", "b")
		l.Trace()
		_, err := tryAdd(a, "a2")
		want[*SessionLostError](t, err)
		l.traced("get head") // the ETag it had belongs to another head
	}, carefully...)
}

func TestRule6ALostAnswerIsFoundInTheEventAfterTheBase(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a := l.open()
		l.on(commits, 1, lost)
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			_ = next()
			b := l.open()
			l.add(b, "b1")
			l.add(b, "b2")
			l.Trace()
			return errLost
		})
		if v, err := tryAdd(a, "a1", "a2"); v != 2 || err != nil {
			t.Errorf("Append: %d, %v", v, err)
		}
		l.traced("get head", "get 1") // in two requests
		l.holds("a1", "a2", "b1", "b2")
		if v, err := a.Version(t.Context()); v != 2 || err != nil {
			t.Errorf("the session stands at %d, %v, want 2, which is its own", v, err)
		}
		l.Trace()
		_, err := a.Append(t.Context(), ExpectVersion(2), noted{"a3"})
		if e := want[*VersionMismatchError](t, err); e.Expected != 2 || e.Actual != 4 {
			t.Errorf("%+v", e)
		}
		l.traced("get head", "get 2") // the ETag it had belongs to another head
		_, err = tryAdd(a, "a3")
		want[*SessionLostError](t, err)
		l.holds("a1", "a2", "b1", "b2")
	})
}

func TestRule6AnotherEventAfterTheBaseIsAMismatch(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a := l.open()
		l.on(commits, 1, func(*memstate.Request, func() error) error {
			l.add(l.open(), "b")
			return errLost
		})
		_, err := a.Append(t.Context(), ExpectVersion(0), noted{"a"})
		if e := want[*VersionMismatchError](t, err); e.Expected != 0 || e.Actual != 1 || e.Metadata.Message.Type != "noted" {
			t.Errorf("%+v", e)
		}
		_, err = tryAdd(a, "a")
		want[*SessionLostError](t, err)
		l.holds("b")
	})
}

func TestRule6WhatIsNotInEffectIsTriedAgainAndSucceedsOnce(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		arrive := l.hold(commits)
		l.Trace()
		l.add(s, "b")
		trace := l.Trace()
		if n := slices.Index(trace, "get head"); n < 0 || !slices.Contains(trace[n+1:], l.appending(2)[0]) {
			t.Errorf("it was not looked up and then tried again: %q", trace)
		}
		if err := arrive(); err == nil {
			t.Error("the first attempt took effect as well")
		}
		l.add(s, "c")
		l.holds("a", "b", "c")
	})
}

// The first attempt takes effect during the second.
func TestRule6AFirstAttemptThatArrivesLateIsOurs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		arrive := l.hold(commits)
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			if err := arrive(); err != nil {
				t.Error(err)
			}
			return next()
		})
		l.add(s, "a")
		l.add(s, "b")
		l.holds("a", "b")
	})
}

func TestRule6ATrimmedHeadIsStillTheBase(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			l.Set(l.keys.head(), l.Values()[l.keys.head()]) // another ETag
			return next()
		})
		l.add(s, "b")
		l.holds("a", "b")
	})
}

func TestRule6MissingIsNeverNotOurs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for _, ours := range []bool{true, false} {
			base, _ := l.open().Version(t.Context())
			a := l.open()
			l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
				if ours {
					_ = next()
				}
				b := l.open()
				l.add(b, "b1")
				l.add(b, "b2")
				return errLost
			})
			l.on(exactly(fmt.Sprint("get ", base+1)), 3, absent)
			_, err := tryAdd(a, "a")
			if ours && err != nil {
				t.Errorf("it took effect, and Append returned %v", err)
			}
			if !ours {
				want[*SessionLostError](t, err)
			}
		}
		l.holds("a", "b1", "b2", "b1", "b2")
	})
}

func TestRule6AStaleHeadIsNeverAMismatch(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.add(s, "b")
		l.on(commits, 1, unanswered)
		l.stale(5)
		l.add(s, "c")
		l.on(commits, 1, lost)
		l.stale(5)
		l.add(s, "d")
		l.holds("a", "b", "c", "d")
	})
}

func TestRule6AtTheDeadlineTheOutcomeIsUnknownAndCanBeAskedLater(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		began := time.Now()
		unknown, arrive := l.unknown(s, "b")
		if unknown.Base != 1 || unknown.CommitID == "" || !errors.Is(unknown, errLost) {
			t.Errorf("%+v", unknown)
		}
		if took := time.Since(began); took != DefaultSettings().CommitTimeout {
			t.Errorf("it took %s, want CommitTimeout", took)
		}
		r := l.provider().Reader(labStream)
		outcome := func() Outcome {
			t.Helper()
			o, err := r.Outcome(t.Context(), unknown.Base, unknown.CommitID)
			if err != nil {
				t.Error(err)
			}
			return o
		}
		if o := outcome(); o != OutcomePending {
			t.Errorf("outcome %v, want pending", o)
		}
		l.reads(s.Reader, "a")
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		l.replay(nil, 3) // a head below the base proves nothing
		if o := outcome(); o != OutcomeCommitted {
			t.Errorf("outcome %v, want committed", o)
		}
		l.reads(s.Reader, "a", "b") // the session finds its own events
		l.add(s, "c")               // and continues after them
		if o := outcome(); o != OutcomeCommitted {
			t.Errorf("outcome %v, want committed", o)
		}
		l.Trace()
		l.add(s, "d") // at the usual cost
		if l.Caps.CountedETags {
			l.traced(l.appending(4)...)
		} else {
			l.traced(append([]string{"get head"}, l.appending(4)...)...)
		}
		l.holds("a", "b", "c", "d")
	})
}

func TestRule6ARetryInALaterSessionAppendsWhatIsNotThere(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a")
		unknown, arrive := l.unknown(l.open(), "b", "c")
		s := l.open()
		if v, err := s.Retry(t.Context(), unknown); v != 3 || err != nil {
			t.Errorf("Retry: %d, %v", v, err)
		}
		if err := arrive(); err == nil {
			t.Error("the first attempt took effect as well")
		}
		if v, err := s.Retry(t.Context(), unknown); v != 3 || err != nil {
			t.Errorf("Retry again: %d, %v", v, err)
		}
		l.add(s, "d")
		l.holds("a", "b", "c", "d")
	})
}

func TestRule6ARetryInALaterSessionDoublesNothing(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a")
		unknown, arrive := l.unknown(l.open(), "b")
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		s := l.open()
		l.add(s, "c")
		if v, err := s.Retry(t.Context(), unknown); v != 2 || err != nil {
			t.Errorf("Retry: %d, %v", v, err)
		}
		// The session is still at its version.
		if v, err := s.Version(t.Context()); v != 3 || err != nil {
			t.Errorf("the session stands at %d, %v, want 3", v, err)
		}
		l.reads(s.Reader, "a", "b", "c")
		l.add(s, "d")
		l.holds("a", "b", "c", "d")
	})
}

func TestRule6ARetryThatReadsAStaleHeadLeavesTheSessionWhereItIs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		unknown, arrive := l.unknown(l.open(), "a")
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		committed := l.Values()[l.keys.head()]
		s := l.open()
		l.add(s, "b")
		l.replay(nil, 1) // a head at the base of the append
		l.replay(committed, 1)
		if v, err := s.Retry(t.Context(), unknown); v != 1 || err != nil {
			t.Errorf("Retry: %d, %v", v, err)
		}
		if v, err := s.Version(t.Context()); v != 2 || err != nil {
			t.Errorf("the session stands at %d, %v, want 2", v, err)
		}
		l.add(s, "c")
		l.holds("a", "b", "c")
	})
}

func TestRule6ARetryOfWhatLostItsPlaceIsAMismatch(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a")
		unknown, arrive := l.unknown(l.open(), "b")
		s := l.open()
		l.add(s, "c")
		_, err := s.Retry(t.Context(), unknown)
		if e := want[*VersionMismatchError](t, err); e.Expected != 1 || e.Actual != 2 || e.Metadata.Message.Type != "noted" {
			t.Errorf("%+v", e)
		}
		if o, err := s.Outcome(t.Context(), unknown.Base, unknown.CommitID); o != OutcomeRejected || err != nil {
			t.Errorf("Outcome: %v, %v", o, err)
		}
		if err := arrive(); err == nil {
			t.Error("what was rejected took effect")
		}
		l.add(s, "d") // the session has lost nothing
		l.holds("a", "c", "d")
	})
}

func TestRule6AnUnknownAppendThatArrivedIsBuiltUpon(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		_, arrive := l.unknown(s, "a")
		l.reads(s.Reader)
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		l.add(s, "b")
		l.holds("a", "b")
	})
}

// A caller appends again instead of asking. Then one of both appends is stored, and the session
// continues.
func TestRule6AnUnknownAppendThatArrivesUnderTheNextOneIsOurs(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		_, arrive := l.unknown(s, "a")
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			if err := arrive(); err != nil {
				t.Error(err)
			}
			return next()
		})
		_, err := s.Append(t.Context(), ExpectVersion(0), noted{"a again"})
		if e := want[*VersionMismatchError](t, err); e.Expected != 0 || e.Actual != 1 {
			t.Errorf("%+v", e)
		}
		l.reads(s.Reader, "a")
		l.add(s, "b")
		l.holds("a", "b")
	})
}

func TestRule6WhatWasRefusedIsNotLookedUp(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.on(commits, 1, func(*memstate.Request, func() error) error { return fmt.Errorf("not sent: %w", driver.ErrRefused) })
		l.Trace()
		_, err := tryAdd(s, "a")
		want[*StorageError](t, err)
		l.traced(l.appending(1)[0])
		l.add(s, "a")
		l.holds("a")
	})
}

func TestRule7AMissingHeadIsReadAgainWhereSomethingElseStands(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.open(), "a")
		// A bulk read is no snapshot in time. Here the head is created while it reads its items.
		l.on(exactly("get head"), 1, absent)
		l.Trace()
		s := l.open()
		l.traced("get head", "getmany snapshots 1", "get head")
		l.reads(s.Reader, "a")
		l.add(s, "b")
	})
}

func TestRule7AMissingHeadIsDamageWhereEventsOrSnapshotsStand(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.provider()
		check := func(what string) {
			t.Helper()
			_, err := p.Open(t.Context(), labStream)
			if e := want[*DamagedError](t, err); e.Key != l.keys.head() || e.Stream != labStream {
				t.Errorf("%s: %+v", what, e)
			}
			r := p.Reader(labStream)
			_, err = r.Version(t.Context())
			want[*DamagedError](t, err)
		}
		s := l.open()
		l.add(s, "a")
		l.add(s, "b")
		if err := s.SaveSnapshot(t.Context(), 1, noted{"s"}); err != nil {
			t.Fatal(err)
		}
		l.Set(l.keys.head(), nil)
		check("events and snapshots")
		l.Set(l.keys.event(1), nil)
		check("snapshots")
		l.Set(l.keys.snapshots(), nil)
		if v, err := l.open().Version(t.Context()); v != 0 || err != nil {
			t.Errorf("where nothing stands the stream is at %d, %v", v, err)
		}
	})
}

func TestRule8ALateCommitOfALapsedSessionWinsOrLosesTheSwapLikeAnyOther(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		// The late commit comes after the commit of the next session.
		a, b := l.open(), l.open()
		arrive := l.hold(commits)
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error { l.add(b, "b1"); return next() })
		_, err := tryAdd(a, "a1")
		want[*SessionLostError](t, err)
		if err := arrive(); err == nil {
			t.Error("the lapsed session's commit overwrote another")
		}
		// The late commit comes first.
		a, b = l.open(), l.open()
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error { l.add(a, "a2"); return next() })
		_, err = tryAdd(b, "b2")
		want[*SessionLostError](t, err)
		l.holds("b1", "a2")
	})
}

func TestRule9TheOrderIsHeadThenIdempotencyKeyThenSwap(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.Trace()
		if _, err := s.Append(t.Context(), ExpectAny(), once("x", "b")); err != nil {
			t.Fatal(err)
		}
		switch {
		case l.Caps.Atomic:
			l.traced("get head", "get idem:x", "commit head 2 idem:x")
		case l.Caps.CountedETags:
			l.traced("get idem:x", "swap head", "write 2 idem:x")
		default:
			l.traced("get head", "get idem:x", "swap head", "write 2 idem:x")
		}
		_, err := s.Append(t.Context(), ExpectAny(), noted{"c"}, once("x", "d"))
		if e := want[*IdempotencyIDUsedError](t, err); e.Version != 2 || e.IdempotencyID != "x" || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
		l.holds("a", "b")
	})
}

func TestRule9AnIdempotencyIDThatIsOnlyInTheTailIsUsed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(writes, -1, lost)
		if _, err := l.open().Append(t.Context(), ExpectAny(), noted{"a"}, once("x", "b")); err != nil {
			t.Fatal(err)
		}
		s := l.open()
		l.Trace()
		_, err := s.Append(t.Context(), ExpectAny(), once("x", "c"))
		if e := want[*IdempotencyIDUsedError](t, err); e.Version != 2 {
			t.Errorf("%+v", e)
		}
		l.traced() // the tail was read with the head
		if v, err := s.VersionOf(t.Context(), "x"); v != 2 || err != nil {
			t.Errorf("VersionOf: %d, %v", v, err)
		}
		l.holds("a", "b")
	}, carefully...)
}

// The other session uses the id after the check and before the swap.
func TestRule9OfTwoThatUseAnIdempotencyIDAtOnceOneSucceeds(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		a, b := l.open(), l.open()
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			if _, err := b.Append(t.Context(), ExpectAny(), once("x", "b")); err != nil {
				t.Error(err)
			}
			return next()
		})
		_, err := a.Append(t.Context(), ExpectAny(), once("x", "a"))
		if e := want[*IdempotencyIDUsedError](t, err); e.Version != 1 {
			t.Errorf("%+v", e)
		}
		_, err = l.open().Append(t.Context(), ExpectAny(), once("x", "a"))
		if e := want[*IdempotencyIDUsedError](t, err); e.Version != 1 {
			t.Errorf("%+v", e)
		}
		l.holds("b")
	})
}

func TestRule11ALongTailIsDroppedOnceItStands(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		long := strings.Repeat("x", trimBytes)
		s := l.open()
		l.Trace()
		l.add(s, long, "b")
		if l.Caps.CountedETags {
			l.traced("swap head", "write 1 2", "swap head")
		} else {
			l.traced("swap head", "write 1 2", "get head", "swap head")
		}
		if tail := l.tail(); len(tail) > 0 {
			t.Errorf("the tail holds %v", tail)
		}
		if hd := l.head(); hd.version != 2 || hd.commit != s.writer.head.commit {
			t.Errorf("a trim changed the head's version or commit: %+v", hd)
		}
		l.holds(long, "b")
		l.add(s, "c")
		l.holds(long, "b", "c")
	}, carefully...)
}

func TestRule11ALongTailThatIsNotKnownToStandIsKept(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		long := strings.Repeat("x", trimBytes)
		s := l.open()
		l.on(writes, 1, lost)
		l.add(s, long)
		l.on(writes, 1, unanswered)
		l.add(s, "b")
		if tail := l.tail(); !slices.Equal(tail, []int64{1, 2}) {
			t.Errorf("the tail holds %v, want all of it", tail)
		}
		l.add(s, "c")
		if tail := l.tail(); len(tail) > 0 {
			t.Errorf("the tail holds %v", tail)
		}
		l.holds(long, "b", "c")
	}, carefully...)
}

func TestRule11ATrimThatIsLostOrOvertakenDoesNoHarm(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		long := strings.Repeat("x", trimBytes)
		trims := func(r *memstate.Request) bool {
			if !commits(r) {
				return false
			}
			hd, err := decodeHead(labStream, l.keys.partition, r.Swap.Value)
			return err == nil && len(hd.tail) == 0
		}
		s := l.open()
		l.on(trims, 1, lost)
		l.add(s, long)
		l.Trace()
		l.on(trims, 1, unanswered)
		l.add(s, long)
		if trace := l.Trace(); trace[0] != "get head" {
			t.Errorf("after a trim that failed an ETag was guessed: %q", trace)
		}
		l.on(trims, 1, func(_ *memstate.Request, next func() error) error { l.add(l.open(), "other"); return next() })
		l.add(s, long)
		_, err := tryAdd(s, "lost")
		want[*SessionLostError](t, err)
		l.holds(long, long, long, "other")
	}, carefully...)
}

func TestRule11AHeadOfSomebodyElseIsNotTrimmed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		long := strings.Repeat("x", trimBytes)
		s := l.open()
		l.on(writes, 1, func(_ *memstate.Request, next func() error) error {
			_ = next()
			l.add(l.open(), "other")
			l.Trace()
			return nil
		})
		l.add(s, long)
		l.traced("get head", "get 1")
		l.holds(long, "other")
	}, "the careful way")
}

func TestRule11AnOldTailIsSettledFirstWhereBothAreTooLarge(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Caps.MaxRequestBytes = 10_000
		large := strings.Repeat("x", 6_000)
		l.on(writes, 1, lost)
		s := l.open()
		l.add(s, large+"1")
		l.Trace()
		l.on(writes, 1, lost)
		_, err := tryAdd(s, large+"2")
		want[*StorageError](t, err) // the head is full, and nothing was committed
		if l.Caps.CountedETags {
			l.traced("write 1")
		} else {
			l.traced("get head", "write 1")
		}
		l.holds(large + "1")
		l.Trace()
		l.add(s, large+"2")
		l.traced("write 1", "swap head", "write 2")
		l.holds(large+"1", large+"2")
	}, carefully...)
}

// The same holds if another session made the append, and this session does not know its tail.
func TestRule11ARetryMakesRoomToo(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Caps.MaxRequestBytes = 10_000
		large := strings.Repeat("x", 6_000)
		s := l.open()
		l.add(s, large+"1")
		unknown, arrive := l.unknown(s, large+"2")
		if v, err := l.open().Retry(t.Context(), unknown); v != 2 || err != nil {
			t.Errorf("Retry: %d, %v", v, err)
		}
		if err := arrive(); err == nil {
			t.Error("the first attempt took effect as well")
		}
		l.holds(large+"1", large+"2")
	}, carefully...)
}

func TestRule11ABatchThatCannotFitIsRefusedBeforeAnythingIsSent(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Caps.MaxRequestBytes = 10_000
		s := l.open()
		l.Trace()
		_, err := tryAdd(s, "small", strings.Repeat("x", 10_000))
		if e := want[*BatchTooLargeError](t, err); e.Limit != 10_000 || e.Size <= 10_000 || e.Stream != labStream {
			t.Errorf("%+v", e)
		}
		l.traced()
		l.add(s, "small")
		l.holds("small")
	})
}

// The store accepts every request that the protocol considers small enough. What the protocol
// refuses is close to the limit.
func TestRule11TheLimitIsKept(t *testing.T) {
	t.Parallel()
	for kind, store := range labKinds {
		for _, name := range []string{"x", strings.Repeat("%", 195)} {
			s := store()
			s.Caps.MaxRequestBytes = 20_000
			p, err := NewProvider(s, WithLocker(free{}), WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			largest := 0
			for n := 5_000; n < 20_000; n += 7 {
				session, err := p.Open(t.Context(), Stream{Database: name, Type: name, ID: fmt.Sprint(name, n)})
				if err != nil {
					t.Fatal(err)
				}
				event := Event{Data: Raw{Type: "raw", Payload: make([]byte, n)}}
				event.Metadata.Context.IdempotencyID = name
				if _, err := session.Append(t.Context(), ExpectAny(), event); err == nil {
					largest = n
				} else {
					want[*BatchTooLargeError](t, err)
				}
			}
			if overhead := s.Caps.MaxRequestBytes - largest; overhead > 1_000+8*len(keysOf(Stream{name, name, name}).partition) {
				t.Errorf("%s: %d bytes are kept from the user", kind, overhead)
			}
		}
	}
}

func TestRule11WhatIsMoreThanATransactionTakesGoesTheCarefulWay(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.Caps.MaxCommitWrites = 3
		s := l.open()
		l.Trace()
		l.add(s, "a", "b", "c")
		l.traced("commit head 1 2 3")
		l.on(writes, 1, lost)
		l.add(s, "d", "e", "f", "g")
		l.traced("get head", "swap head", "write 4 5 6 7")
		l.add(s, "h")                                                                 // too many together with the four that it would replace
		l.traced("get head", "swap head", "write 4 5 6 7 8", "get head", "swap head") // and drops them, because the head carries so many
		l.add(s, "i")
		l.traced("get head", "commit head 9")
		if _, err := s.Append(t.Context(), ExpectAny(), once("x", "j"), once("y", "k")); err != nil {
			t.Fatal(err)
		}
		l.traced("get head", "getmany idem:x idem:y", "swap head", "write 10 idem:x 11 idem:y")
		l.holds("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
	}, "in one transaction")
}

func TestRule12ASnapshotStandsAtACommittedVersionOnly(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.unknown(s, "b")
		if e := want[*VersionNotFoundError](t, s.SaveSnapshot(t.Context(), 2, noted{"s"})); e.Version != 2 || e.Current != 1 {
			t.Errorf("%+v", e)
		}
		for key := range l.Values() {
			if strings.Contains(key, "snapshot") {
				t.Errorf("%s stands", key)
			}
		}
	})
}

func TestRule12ASnapshotAboveTheHeadIsNotBelieved(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		before := l.Values()[l.keys.head()]
		l.add(s, "b")
		for version, text := range []string{1: "at 1", 2: "at 2"} {
			if version > 0 {
				if err := s.SaveSnapshot(t.Context(), int64(version), noted{text}); err != nil {
					t.Fatal(err)
				}
			}
		}
		// The head comes from an older backup.
		l.replay(before, -1)
		r := l.provider().Reader(labStream)
		if v, err := r.Snapshots(t.Context()); err != nil || !slices.Equal(v, []int64{1}) {
			t.Errorf("Snapshots: %v, %v", v, err)
		}
		snapshot, _, err := r.Load(t.Context())
		if err != nil || snapshot.Version != 1 {
			t.Errorf("Load: %+v, %v", snapshot, err)
		}
	})
}
