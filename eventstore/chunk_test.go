package eventstore

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// weigher records how many bytes of events each bulk read returns.
type weigher struct {
	mu      sync.Mutex
	answers []int
	all     int
}

func (w *weigher) around(r *memstate.Request, next func() error) error {
	err := next()
	n := 0
	for _, item := range r.Items {
		n += len(item.Value)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, n)
	w.all += n
	return err
}

// large fills the lab's stream with events of that many bytes. If smallFirst is set, a small event
// comes first.
func (l *lab) large(events, bytes int, smallFirst bool) {
	l.t.Helper()
	around := l.Around
	l.Around = nil
	defer func() { l.Around = around }()
	s := l.open()
	text := strings.Repeat("x", bytes)
	if smallFirst {
		l.add(s, "small")
	}
	for range events {
		l.add(s, text)
	}
	if err := s.Close(); err != nil {
		l.t.Fatal(err)
	}
}

// weigh records what an operation reads.
func (l *lab) weigh(operation func()) *weigher {
	w := &weigher{}
	l.on(reads, -1, w.around)
	operation()
	l.heal()
	return w
}

func TestTheFirstOfManyLargeEventsCostsTwoOfThem(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		const size = 1 << 20
		l.large(60, size, false)
		for _, options := range [][]ReadOption{nil, {FromVersion(30)}, {Backwards()}} {
			w := l.weigh(func() {
				for _, err := range l.reader().Read(t.Context(), options...) {
					if err != nil {
						t.Error(err)
					}
					break
				}
			})
			// Opening reads the head with its tail, and event 1. Then there are two chunks.
			if inChunks := w.all - w.answers[0]; inChunks > 5*size/2 {
				t.Errorf("%d bytes of events were read, in answers of %v", inChunks, w.answers)
			}
		}
	})
}

func TestEveryLoopOverEventsAsksForAboutOneChunkAtATime(t *testing.T) {
	const size = 64 << 10
	for name, run := range map[string]func(*testing.T, *lab){
		"read": func(t *testing.T, l *lab) {
			for _, err := range l.reader().Read(t.Context()) {
				if err != nil {
					t.Error(err)
				}
			}
		},
		"read backwards": func(t *testing.T, l *lab) {
			for _, err := range l.reader().Read(t.Context(), Backwards()) {
				if err != nil {
					t.Error(err)
				}
			}
		},
		"verify": func(t *testing.T, l *lab) {
			if found := l.verify(); !found.Sound() {
				t.Errorf("%v", found.Damage)
			}
		},
		"delete": func(t *testing.T, l *lab) {
			if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
				t.Error(err)
			}
		},
		"delete again": func(t *testing.T, l *lab) {
			before := l.Values()
			if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
				t.Error(err)
			}
			// The deletion looks as if it had been cut off in the middle.
			l.Around = nil
			for version := int64(100); version < 200; version++ {
				l.Set(l.keys.event(version), before[l.keys.event(version)])
			}
			l.Around = l.around
			if err := l.open().DeleteStream(t.Context(), ExpectAny()); err != nil {
				t.Error(err)
			}
		},
		"rebuild": func(t *testing.T, l *lab) {
			l.Set(l.keys.head(), nil)
			if found, err := l.provider().RebuildHead(t.Context(), labStream, nil); err != nil || found.Events < 200 {
				t.Errorf("%+v, %v", found, err)
			}
		},
	} {
		for _, smallFirst := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inLabs(t, func(t *testing.T, l *lab) {
					l.large(200, size, smallFirst)
					around := l.Around
					l.Around = nil
					l.settleHead()
					l.Around = around
					w := l.weigh(func() { run(t, l) })
					if most := slices.Max(w.answers); most > 5*chunkBytes/4 && most > blindEvents*(size+1000) || w.all < 100*size {
						t.Errorf("%d bytes in answers of %v", w.all, w.answers)
					}
				})
			})
		}
	}
}

func TestTheNextChunkIsAsManyEventsAsTheLastOneSaysFitIntoItsBytes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		size  int64
		found int
		bytes int
		want  int64
	}{
		{"small events make it grow", 16, 16, 16 * 100, 48},
		{"at most to its limit", 900, 900, 900 * 100, 1000},
		{"large events make it shrink", 16, 16, 16 << 17, 8},
		{"an event that is larger comes alone", 4, 4, 12 << 20, 1},
		{"what is missing has no size", 16, 2, 2 << 19, 2},
		{"nothing found tells nothing", 16, 0, 0, 48},
		{"and does not make it grow far", 48, 0, 0, blindEvents},
		{"nor shrink", 1000, 0, 0, 1000},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s sizeHint
			if got := s.after(chunk{found: test.found, bytes: test.bytes}, test.size, false); got != test.want {
				t.Errorf("after %d events the next are %d, want %d", test.size, got, test.want)
			}
		})
	}
}
