package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func (l *lab) rebuild() (HeadRebuild, error) {
	l.t.Helper()
	return l.provider().RebuildHead(l.t.Context(), labStream, nil)
}

// damagedLab returns a lab with six events and two snapshots, all under their own keys, and damages
// it.
func (l *lab) damagedLab(damage func(l *lab)) {
	l.mixed()
	l.Around = nil
	l.settleHead()
	damage(l)
}

func TestAHeadIsRebuiltFromTheEvents(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(l *lab)
		says   string
		events int64 // how many events have to be read
	}{
		{"it was evicted", func(l *lab) { l.Set(l.keys.head(), nil) }, "the head is missing but events up to version 6 exist", 6},
		{"it can't be read", func(l *lab) { l.Set(l.keys.head(), []byte("x")) }, "not written by", 6},
		{"it is older than the events", func(l *lab) {
			old := head{version: 4, first: 1, commit: "old", time: time.Now()}
			l.Set(l.keys.head(), old.encode(l.keys.partition))
		}, "the head is at version 4 but event 6 exists", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.damagedLab(test.damage)
				found, err := l.rebuild()
				if err != nil {
					t.Fatal(err)
				}
				if found.Version != 6 || found.Events != test.events || found.Stream != labStream || found.IdempotencyKeys != 0 {
					t.Errorf("%+v", found)
				}
				if found.Damage == nil || found.Damage.Key != l.keys.head() || !strings.Contains(found.Damage.Error(), test.says) {
					t.Errorf("found %v, want %q", found.Damage, test.says)
				}
				if v := l.verify(); !v.Sound() || v.Version != 6 || v.Events != 6 || !slices.Equal(v.Snapshots, []int64{2, 4}) {
					t.Errorf("afterwards %+v", v)
				}
				l.add(l.open(), "g")
				l.holds("a", "b", "c", "d", "e", "f", "g")
			})
		})
	}
}

func TestWhatTheHeadStoodInForIsMended(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.damagedLab(func(l *lab) {
			l.Set(l.keys.head(), nil)
			l.Set(l.keys.idempotency("i"), nil)
		})
		found, err := l.rebuild()
		if err != nil || found.IdempotencyKeys != 1 {
			t.Errorf("%+v, %v", found, err)
		}
		if version, err := l.reader().VersionOf(t.Context(), "i"); err != nil || version != 3 {
			t.Errorf("the idempotency id leads to %d, %v", version, err)
		}
	})
}

func TestAnAppendWhoseHeadWasRebuiltIsStillFoundByItsCommit(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			err := next()
			l.on(everything, -1, lost)
			return errors.Join(err, errLost)
		})
		_, err := tryAdd(s, "a")
		unknown := want[*OutcomeUnknownError](t, err)
		l.heal()
		l.add(l.open(), "b") // which writes the first event under its key
		l.Around = nil
		l.Set(l.keys.head(), nil)
		if _, err := l.rebuild(); err != nil {
			t.Fatal(err)
		}
		if outcome, err := l.reader().Outcome(t.Context(), unknown.Base, unknown.CommitID); err != nil || outcome != OutcomeCommitted {
			t.Errorf("it is %v, %v", outcome, err)
		}
	})
}

func TestAHeadThatIsSoundIsLeftAlone(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		if found, err := l.rebuild(); err != nil || found.Damage != nil || found.Version != 0 {
			t.Errorf("an empty stream: %+v, %v", found, err)
		}
		l.mixed()
		l.Trace()
		found, err := l.rebuild()
		if err != nil || found.Damage != nil || found.Version != 6 || found.Events != 0 {
			t.Errorf("%+v, %v", found, err)
		}
		for _, request := range l.Trace() {
			if !strings.HasPrefix(request, "get") {
				t.Errorf("it sent %q", request)
			}
		}
	})
}

func TestAnAppendDuringARebuildIsNoDamage(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.on(func(r *memstate.Request) bool { return r.Op == "getmany" && r.Has(":2") }, 1, func(_ *memstate.Request, next func() error) error {
			l.add(s, "b")
			return next()
		})
		if found, err := l.rebuild(); err != nil || found.Damage != nil {
			t.Errorf("%+v, %v", found, err)
		}
		l.holds("a", "b")
	})
}

func TestAHeadIsNotRebuiltPastDamage(t *testing.T) {
	for _, test := range []struct {
		name    string
		damage  func(l *lab)
		key     string
		version int64
		says    string
	}{
		{"an event is missing", func(l *lab) { l.Set(l.keys.event(3), nil) }, "3", 3, "event 4 after it exists"},
		{"the first event is missing", func(l *lab) { l.Set(l.keys.event(1), nil) }, "1", 1, "event 2 after it exists"},
		{"an event can't be read", func(l *lab) { l.Set(l.keys.event(3), []byte("x")) }, "3", 3, "not written by"},
		{"an event is another", func(l *lab) { l.Set(l.keys.event(3), l.Values()[l.keys.event(2)]) }, "3", 3, "holds version 2"},
		{"only snapshots are left", func(l *lab) {
			for version := range int64(6) {
				l.Set(l.keys.event(version+1), nil)
			}
		}, "head", 0, "no event 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.damagedLab(func(l *lab) {
					test.damage(l)
					l.Set(l.keys.head(), nil)
				})
				before := l.Values()
				_, err := l.rebuild()
				d := want[*DamagedError](t, err)
				if d.Key != l.keys.prefix+test.key || d.Version != test.version || !strings.Contains(d.Error(), test.says) || !strings.Contains(d.Error(), "backup") {
					t.Errorf("%v (%+v)", d, d)
				}
				for key, value := range l.Values() {
					if string(before[key]) != string(value) {
						t.Errorf("%s was written", key)
					}
				}
			})
		})
	}
}

func TestALongStreamIsRebuiltWithProgress(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(2499)
		l.Around = nil
		l.settleHead()
		l.Set(l.keys.head(), nil)
		var told []string
		found, err := l.provider().RebuildHead(t.Context(), labStream, func(checked int64) { told = append(told, fmt.Sprint(checked)) })
		if err != nil || found.Version != 2500 || found.Events != 2500 || !slices.Equal(told, []string{"2", "8", "26", "80", "242", "728", "1728", "2500"}) {
			t.Errorf("%+v, %v, told %q", found, err, told)
		}
		l.Set(l.keys.head(), nil)
		l.Set(l.keys.event(2000), nil) // the last event of a chunk
		_, err = l.rebuild()
		if d := want[*DamagedError](t, err); d.Version != 2000 {
			t.Errorf("%v", d)
		}
	})
}

func TestARebuildWhoseAnswerWasLostSaysWhatBecameOfIt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.mixed()
		l.settleHead()
		l.Set(l.keys.head(), nil)
		l.on(commits, 1, unanswered)
		if found, err := l.rebuild(); err != nil || found.Version != 6 {
			t.Errorf("unanswered: %+v, %v", found, err)
		}
		l.Set(l.keys.head(), nil)
		l.on(commits, 1, lost)
		_, err := l.rebuild()
		if want[*StorageError](t, err); !errors.Is(err, errLost) {
			t.Errorf("lost: %v", err)
		}
		if _, err := l.rebuild(); err != nil {
			t.Errorf("again: %v", err)
		}
	})
}

func TestARebuildWaitsForTheLockAndGivesItBack(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.damagedLab(func(l *lab) { l.Set(l.keys.head(), nil) })
		locks := lease{state: l.Store}
		if lock, err := locks.TryLock(t.Context(), l.keys.partition, "other", time.Hour); err != nil || !lock.Acquired {
			t.Fatal(lock, err)
		}
		p := l.provider(WithLocker(locks))
		_, err := p.RebuildHead(t.Context(), labStream, nil)
		if e := want[*OpenTimeoutError](t, err); e.Holder != "other" {
			t.Errorf("%v", e)
		}
		if status, err := locks.Unlock(t.Context(), l.keys.partition, "other"); err != nil || status != driver.Unlocked {
			t.Fatal(status, err)
		}
		for range 2 {
			l.Set(l.keys.head(), nil)
			if _, err := p.RebuildHead(t.Context(), labStream, nil); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := p.RebuildHead(ctx, labStream, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
		_, err = p.RebuildHead(t.Context(), Stream{Type: "account", ID: "1"}, nil)
		want[*ArgumentError](t, err)
	})
}
