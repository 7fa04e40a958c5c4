package subscription_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// TestClocksOfInstancesNeedNotAgree lets an instance crash whose clock is far ahead of that of the
// one that takes over, or far behind.
func TestClocksOfInstancesNeedNotAgree(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"ahead": 10 * time.Hour, "behind": -10 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			store := memstate.Transactional()
			synctest.Test(t, func(t *testing.T) {
				memstate.GoOn(t)
				<-time.After(10 * time.Hour) // so that the next one can begin before
				on(t, store, func(l *lab) {
					p := l.process("p")
					r := p.run(p.note)
					l.append("x", "1")
					l.wait("the first item", func() bool { return l.count() == 1 })
					<-time.After(20 * time.Second) // so that its position is saved
					r.kill()
				})
			})
			memstate.SetBack(ahead)
			synctest.Test(t, func(t *testing.T) {
				on(t, store, func(l *lab) {
					p := l.process("p")
					r := p.run(p.note)
					began := time.Now()
					l.append("x", "2")
					l.wait("the next item", func() bool { return l.count() == 1 })
					if took := time.Since(began); took < 15*time.Second || took > 25*time.Second {
						t.Errorf("it took over after %s", took)
					}
					if got := l.got("x"); !slices.Equal(got, []string{"2a"}) {
						t.Errorf("it got %q", got)
					}
					r.end()
				})
			})
		})
	}
}

// TestAnInstanceWhoseClockJumpsAheadMissesNothing lets the lease of an instance be over by its
// clock of the day, and not by the clock that only counts.
func TestAnInstanceWhoseClockJumpsAheadMissesNothing(t *testing.T) {
	t.Parallel()
	jumped := shifted(time.Now().Add(time.Hour), -1)
	l := &lab{t: t, store: memstate.Transactional()}
	p := l.process("p")
	ctx, stop := context.WithCancel(t.Context())
	indexed := make(chan error, 1)
	go func() { indexed <- p.feed.Index(ctx) }()
	l.main = p
	handled := make(chan string, 100)
	r := p.run(func(_ context.Context, item feed.Item) error {
		handled <- item.ID()
		return nil
	}, subscription.WithPartitions(1), subscription.WithSaving(1, 0))
	for _, want := range []string{"EventStores:account:x/1", "EventStores:account:x/2", "EventStores:account:x/3"} {
		l.append("x", "text")
		for got := ""; got != want; { // the one before may come again
			select {
			case got = <-handled:
			case <-time.After(30 * time.Second):
				t.Fatalf("%s did not come", want)
			}
		}
		r.SetLease(jumped)
	}
	r.end()
	stop()
	if err := <-indexed; err != nil {
		t.Error(err)
	}
	l.must(p.provider.Close(t.Context()))
	l.mu.Lock()
	defer l.mu.Unlock()
	if !strings.Contains(l.logs.String(), "a subscription lost a partition") {
		t.Error("it did not notice that its lease was over")
	}
}

// shifted returns a time that is some days later by the clock of the day, and the same by the clock
// that only counts. That is how times look that were made before the clock of the day was set. A
// Time has both clocks, but no function moves one of them alone.
func shifted(t time.Time, days int64) time.Time {
	both := (*struct {
		wall  uint64 // seconds from bit 30 on
		count int64
		place *time.Location
	})(unsafe.Pointer(&t))
	both.wall += uint64(days * 24 * 60 * 60 << 30)
	return t
}

// TestALeaseIsOverByEitherClock: the clock that only counts stands still while a computer sleeps,
// and the clock of the day may be set.
func TestALeaseIsOverByEitherClock(t *testing.T) {
	t.Parallel()
	now := time.Now()
	if day := shifted(now, -1); !day.Equal(now) || now.Round(0).Sub(day.Round(0)) != 24*time.Hour {
		t.Fatal("a Time no longer looks as this test expects")
	}
	for name, c := range map[string]struct {
		until time.Time
		alive bool
	}{
		"it lasts by both clocks":            {now.Add(time.Hour), true},
		"it is over by both clocks":          {now, false},
		"it is over by the day alone":        {shifted(now.Add(time.Hour), -1), false},
		"it is over by the count alone":      {shifted(now, 1), false},
		"without a count it is over as well": {now.Round(0), false},
	} {
		if got := subscription.AliveUntil(c.until); got != c.alive {
			t.Errorf("%s: %t", name, got)
		}
	}
}
