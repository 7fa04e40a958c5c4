package subscription_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// TestNothingIsMissedWhateverGoesWrong lets instances begin, end and crash while requests and
// answers are lost or late and handlers fail, panic and take too long.
func TestNothingIsMissedWhateverGoesWrong(t *testing.T) {
	t.Parallel()
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		bench(t, func(l *lab) { l.goWrong(seed) })
	}
}

func (l *lab) goWrong(seed uint64) {
	chance := &faults{Rand: rand.New(rand.NewPCG(seed, 1))}
	var mended atomic.Bool
	handle := func(p *process) subscription.Handler {
		return func(ctx context.Context, item feed.Item) error {
			pass(chance.upTo(50 * time.Millisecond))
			if !mended.Load() {
				switch {
				case chance.one(100):
					panic("by chance")
				case chance.one(50), item.Version%7 == 0 && item.Stream.ID < "4":
					return errPoisoned
				case chance.one(200):
					<-ctx.Done()
				}
			}
			if p.cut.Load() {
				return errCut // the process is no more
			}
			return p.note(ctx, item)
		}
	}
	names := 0
	begin := func() *running {
		names++
		p := l.process(fmt.Sprint("p", names))
		p.faults = chance
		return p.run(handle(p), subscription.WithPartitions(8), subscription.WithParking(), subscription.WithRetries(1),
			subscription.WithHandlerTimeout(3*time.Second), subscription.WithLease(5*time.Second), subscription.WithSaving(5, time.Second))
	}
	running := []*running{begin(), begin()}
	var versions map[string]int64
	for range 15 {
		versions = l.fill(20, 12, versions)
		pass(chance.upTo(4 * time.Second))
		i := int(chance.upTo(time.Duration(len(running))))
		switch {
		case len(running) < 4 && chance.one(2):
			running = append(running, begin())
		case len(running) > 1 && chance.one(2):
			running[i].kill()
			running = slices.Delete(running, i, i+1)
		case len(running) > 1 && chance.one(2):
			running[i].end()
			running = slices.Delete(running, i, i+1)
		case chance.one(3): // cut off for longer than its lease
			p := running[i].p
			p.cut.Store(true)
			pass(10 * time.Second)
			p.cut.Store(false)
		}
	}
	mended.Store(true)
	chance.over.Store(true)
	operator := l.main.subscribe(l.main.note)
	l.wait("what is parked", func() bool {
		parked, err := operator.Parked(l.t.Context())
		l.must(err)
		for _, p := range parked {
			l.must(operator.Retry(l.t.Context(), p.Stream))
		}
		return len(parked) == 0 && l.different() == total(versions)
	})
	for _, r := range running {
		r.end()
	}
	l.complete(versions)
}

func TestASlowPartitionDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		release := make(chan struct{})
		r := l.main.run(func(ctx context.Context, item feed.Item) error {
			if item.Stream.ID == "slow" {
				select {
				case <-release:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return l.main.note(ctx, item)
		}, subscription.WithHandlerTimeout(time.Hour))
		for range 300 {
			l.append("slow", "x")
		}
		versions := l.fill(900, 30, nil)
		var others int // streams of the other partitions
		l.wait("items of the others", func() bool {
			others = 0
			for id := range versions {
				if len(l.got(id)) == int(versions[id]) {
					others++
				}
			}
			return others > 20
		})
		close(release)
		versions["slow"] = 300
		l.wait("all items", func() bool { return l.count() == total(versions) })
		r.end()
		l.complete(versions)
		if l.count() != total(versions) {
			l.t.Errorf("%d items were delivered, not %d", l.count(), total(versions))
		}
	})
}

func TestAQueueThatWasFullIsFilledAgain(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		for range 600 {
			l.append("x", "1")
		}
		r := l.main.run(func(ctx context.Context, item feed.Item) error {
			pass(10 * time.Millisecond)
			return l.main.note(ctx, item)
		}, subscription.WithPartitions(1))
		l.wait("all items", func() bool { return l.count() == 600 })
		r.end()
		l.complete(map[string]int64{"x": 600})
	})
}
