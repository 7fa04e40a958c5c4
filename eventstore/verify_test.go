package eventstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// mixed fills the lab's stream with six events, one of them with an idempotency id, and two
// snapshots.
func (l *lab) mixed() {
	l.t.Helper()
	s := l.open()
	l.add(s, "a", "b")
	if _, err := s.Append(l.t.Context(), ExpectAny(), once("i", "c")); err != nil {
		l.t.Fatal(err)
	}
	l.add(s, "d", "e", "f")
	for _, version := range []int64{2, 4} {
		if err := s.SaveSnapshot(l.t.Context(), version, noted{}); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *lab) verify() Verification {
	l.t.Helper()
	found, err := l.reader().Verify(l.t.Context(), nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return found
}

func TestASoundStreamHasNoDamage(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		if found := l.verify(); !found.Sound() || found.Version != 0 || found.Events != 0 {
			t.Errorf("an empty stream: %+v", found)
		}
		l.mixed()
		found := l.verify()
		if !found.Sound() || found.First != 1 || found.Version != 6 || found.Events != 6 || !slices.Equal(found.Snapshots, []int64{2, 4}) || found.Stream != labStream {
			t.Errorf("%+v", found)
		}
	})
}

func TestEventsThatOnlyTheHeadCarriesAreNoDamage(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.on(writes, -1, lost)
		if _, err := s.Append(t.Context(), ExpectAny(), once("i", "a"), noted{"b"}); err != nil {
			t.Fatal(err)
		}
		if found := l.verify(); !found.Sound() || found.Events != 2 || found.InHead != 2 {
			t.Errorf("%+v", found)
		}
	}, carefully...)
}

func TestEachDamageIsFoundByKeyAndVersionAndTheRestIsStillChecked(t *testing.T) {
	for _, test := range []struct {
		name    string
		key     string
		value   func(l *lab) []byte // nil removes the key
		version int64
		sound   int64 // events
		says    string
	}{
		{"a missing event", "5", func(*lab) []byte { return nil }, 5, 5, "missing"},
		{"a changed byte", "5", func(l *lab) []byte { v := l.Values()[l.keys.event(5)]; v[len(v)-1] ^= 1; return v }, 5, 5, "checksum"},
		{"another event in its place", "2", func(l *lab) []byte { return l.Values()[l.keys.event(1)] }, 2, 5, "version 1"},
		{"a value that is not ours", "2", func(*lab) []byte { return []byte("hello") }, 2, 5, "not written by"},
		{"an idempotency id that leads nowhere", "idem:i", func(*lab) []byte { return nil }, 3, 6, "leads to version 0"},
		{"an idempotency id that leads elsewhere", "idem:i", func(l *lab) []byte {
			return encodeIdempotency(l.keys.partition, record{version: 1, commit: "x", idempotencyID: "i"})
		}, 3, 6, "leads to version 1"},
		{"an event above the head", "7", func(l *lab) []byte { return l.Values()[l.keys.event(6)] }, 7, 6, "above the head"},
		{"a snapshot that can't be read", "snapshot:4", func(*lab) []byte { return []byte("x") }, 4, 6, ""},
		{"a list of snapshots that can't be read", "snapshots", func(*lab) []byte { return []byte("x") }, 0, 6, ""},
		{"a missing head", "head", func(*lab) []byte { return nil }, 0, 0, "evict"},
		{"a head that can't be read", "head", func(*lab) []byte { return []byte("x") }, 0, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.mixed()
				// Otherwise Verify would take these events from the head, which still carries them.
				l.Around = nil
				l.settleHead()
				l.Set(l.keys.prefix+test.key, test.value(l))
				found := l.verify()
				if len(found.Damage) != 1 {
					t.Fatalf("found %v", found.Damage)
				}
				d := found.Damage[0]
				if d.Key != l.keys.prefix+test.key || d.Version != test.version || d.Stream != labStream || !strings.Contains(d.Error(), test.says) {
					t.Errorf("found %v (%+v)", d, d)
				}
				if found.Events != test.sound || found.Sound() {
					t.Errorf("%d events are sound, want %d", found.Events, test.sound)
				}
			})
		})
	}
}

// settleHead drops the tail from the head.
func (l *lab) settleHead() {
	h, err := decodeHead(labStream, l.keys.partition, l.Values()[l.keys.head()])
	if err != nil {
		l.t.Fatal(err)
	}
	h.tail = nil
	l.Set(l.keys.head(), h.encode(l.keys.partition))
}

func TestAnEventUnderItsKeyThatDiffersFromTheHeadIsDamage(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.open()
		l.add(s, "a")
		l.Around = nil
		l.Set(l.keys.event(1), []byte("x"))
		found := l.verify()
		if len(found.Damage) != 1 || found.Damage[0].Version != 1 || found.Events != 1 {
			t.Errorf("%+v", found)
		}
	}, carefully...)
}

func TestWhatIsAppendedDuringAVerificationIsNoDamage(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(2)
		s := l.open()
		l.on(exactly("get 4"), 1, func(_ *memstate.Request, next func() error) error {
			l.heal()
			l.add(s, "later")
			return next()
		})
		if found := l.verify(); !found.Sound() || found.Version != 3 {
			t.Errorf("%+v", found)
		}
	})
}

func TestAVerificationTellsItsProgressAndEndsWithTheStore(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(2499)
		var told []string
		found, err := l.reader().Verify(t.Context(), func(checked, of int64) { told = append(told, fmt.Sprint(checked, "/", of)) })
		if err != nil || !found.Sound() || !slices.Equal(told, []string{"32/2500", "128/2500", "416/2500", "1280/2500", "2280/2500", "2500/2500"}) {
			t.Errorf("%v, %v, told %q", found, err, told)
		}
		l.on(func(r *memstate.Request) bool { return r.Has(":1500") }, -1, lost)
		found, err = l.reader().Verify(t.Context(), nil)
		if want[*StorageError](t, err); !errors.Is(err, errLost) || found.Events != 1280 || found.Version != 2500 {
			t.Errorf("%+v, %v", found, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.reader().Verify(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	})
}

// ruin damages every event of the lab's stream, which then has n+1 events and a short tail.
func (l *lab) ruin(n int) {
	l.t.Helper()
	l.fill(n)
	l.Around = nil
	l.settleHead()
	for version := range int64(n + 1) {
		l.Set(l.keys.event(version+1), []byte("ruined"))
	}
}

func TestAStreamDamagedFromEndToEndIsVerifiedInFewRequestsAndBoundedMemory(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		const events = 5000
		l.ruin(events - 1)
		l.Trace()
		var last int64
		found, err := l.reader().Verify(t.Context(), nil, WithFindings(func(err error) error {
			if d := want[*DamagedError](t, err); d.Version != last+1 {
				t.Errorf("version %d is found after %d", d.Version, last)
			}
			last++
			return nil
		}))
		if err != nil || found.Sound() || found.Damaged != events || last != events || found.Events != 0 {
			t.Errorf("%d of %d are damaged, told %d, %v", found.Damaged, events, last, err)
		}
		if len(found.Damage) != MaxFindings || found.Damage[0].Version != 1 {
			t.Errorf("the verification holds %d findings", len(found.Damage))
		}
		// One request is for the stream. Each of the 9 chunks takes three: the chunk, a new read of
		// the head, and the keys again.
		if n := len(l.Trace()); n > 1+3*9+3 {
			t.Errorf("it took %d requests", n)
		}
	})
}

func TestWhatTypesCannotReadIsToldAndCountedAndHeldInBounds(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(1999)
		registry, err := NewRegistry(Type[noted]("other"))
		if err != nil {
			t.Fatal(err)
		}
		r := l.provider(WithRegistry(registry)).Reader(labStream)
		told := 0
		found, err := r.Verify(t.Context(), nil, WithFindings(func(err error) error {
			want[*TypeNotRegisteredError](t, err)
			told++
			return nil
		}))
		if err != nil || !found.Sound() || found.Misfits != 2000 || told != 2000 || len(found.Unreadable) != MaxFindings {
			t.Errorf("%d misfits, told %d, held %d, %v", found.Misfits, told, len(found.Unreadable), err)
		}
	})
}

func TestAVerificationEndsWithItsContextAndWithItsFindings(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.ruin(999)
		ctx, cancel := context.WithCancel(t.Context())
		found, err := l.reader().Verify(ctx, nil, WithFindings(func(error) error { cancel(); return nil }))
		if want[*StorageError](t, err); !errors.Is(err, context.Canceled) || found.Damaged > firstEvents {
			t.Errorf("%v after %d findings", err, found.Damaged)
		}
		enough := errors.New("enough")
		l.Trace()
		found, err = l.reader().Verify(t.Context(), nil, WithFindings(func(error) error { return enough }))
		if err != enough || found.Damaged != 1 {
			t.Errorf("%v after %d findings", err, found.Damaged)
		}
		for _, option := range []VerifyOption{nil, WithFindings(nil)} {
			_, err := l.reader().Verify(t.Context(), nil, option)
			want[*ArgumentError](t, err)
		}
	})
}
