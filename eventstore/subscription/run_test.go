package subscription_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// fill appends n commits of two events to streams, and returns their versions.
func (l *lab) fill(n, streams int, versions map[string]int64) map[string]int64 {
	l.t.Helper()
	versions = maps.Clone(versions)
	if versions == nil {
		versions = map[string]int64{}
	}
	for i := range n {
		id := fmt.Sprint(i % streams)
		l.append(id, "a", "b")
		versions[id] += 2
	}
	return versions
}

func total(versions map[string]int64) (n int) {
	for _, v := range versions {
		n += int(v)
	}
	return n
}

func TestEachItemIsDeliveredOnceInTheOrderOfItsStream(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		versions := l.fill(40, 9, nil)
		r := l.main.run(l.main.note)
		l.wait("the first items", func() bool { return l.count() >= total(versions) })
		versions = l.fill(40, 9, versions)
		l.wait("later items", func() bool { return l.count() >= total(versions) })
		r.end()
		l.complete(versions)
		if l.count() != total(versions) {
			l.t.Errorf("%d items were delivered, not %d", l.count(), total(versions))
		}
		again := l.main.run(l.main.note)
		l.append("0", "after")
		versions["0"]++
		l.wait("the item after a restart", func() bool { return l.count() == total(versions) })
		again.end()
		l.complete(versions)
		if l.count() != total(versions) {
			l.t.Errorf("%d items were delivered, not %d: some came again without a crash", l.count(), total(versions))
		}
	})
}

func TestAClosingComesAfterTheEventsThatItTellsOf(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		apart, err := eventstore.NewProvider(l.store, eventstore.WithRegistry(l.main.provider.Registry()))
		l.must(err)
		l.append("x", "1")
		_, err = apart.Append(l.t.Context(), l.stream("x"), eventstore.ExpectAny(), noted{"2"}, noted{"3"}) // without the feed
		l.must(err)
		s, err := l.main.provider.Open(l.t.Context(), l.stream("x"))
		l.must(err)
		l.must(s.CloseStream(l.t.Context(), eventstore.ExpectAny()))
		l.must(s.Close())
		r := l.main.run(l.main.note)
		pass(10 * time.Second)
		r.end()
		if got, want := l.got("x"), []string{"1a", "2a", "3a", "3c"}; !slices.Equal(got, want) {
			l.t.Errorf("delivered were %v, not %v", got, want)
		}
	})
}

func TestInstancesShareThePartitions(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		var versions map[string]int64
		shares := func() []int {
			return slices.Sorted(maps.Values(l.owners()))
		}
		a, b, c := l.process("a"), l.process("b"), l.process("c")
		first := a.run(a.note)
		l.wait("one instance", func() bool { return slices.Equal(shares(), []int{16}) })
		second := b.run(b.note)
		third := c.run(c.note)
		l.wait("three instances", func() bool { return slices.Equal(shares(), []int{5, 5, 6}) })
		versions = l.fill(100, 50, versions)
		l.wait("items of three instances", func() bool { return l.count() >= total(versions) })
		if by := l.by(); by["a"] == 0 || by["b"] == 0 || by["c"] == 0 {
			l.t.Errorf("not all took part: %v", by)
		}
		second.end()
		l.wait("two instances", func() bool { return slices.Equal(shares(), []int{8, 8}) })
		versions = l.fill(100, 50, versions)
		l.wait("items of two instances", func() bool { return l.count() >= total(versions) })
		first.kill()
		versions = l.fill(100, 50, versions)
		l.wait("items after a crash", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return reached(l) == total(versions) })
		l.wait("one instance after a crash", func() bool { return slices.Equal(shares(), []int{16}) })
		third.end()
		l.complete(versions)
	})
}

// reached returns how many different items were delivered. The caller holds l.mu.
func reached(l *lab) int {
	ids := map[string]bool{}
	for _, d := range l.delivered {
		ids[d.item.ID()] = true
	}
	return len(ids)
}

func (l *lab) different() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return reached(l)
}

func TestACrashRepeatsNoMoreThanWasNotSaved(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		for range 50 {
			l.append("only", "x")
		}
		a, b := l.process("a"), l.process("b")
		reached, goOn := make(chan struct{}), make(chan struct{})
		first := a.run(func(ctx context.Context, item feed.Item) error {
			if item.Version == 25 {
				close(reached)
				<-goOn
			}
			return a.note(ctx, item)
		}, subscription.WithSaving(10, time.Hour))
		<-reached
		a.cut.Store(true)
		close(goOn)
		first.kill()
		before := l.count()
		second := b.run(b.note)
		l.wait("the rest", func() bool { return l.different() == 50 })
		second.end()
		l.complete(map[string]int64{"only": 50})
		if again := l.count() - 50; before < 25 || again > before-20 {
			l.t.Errorf("%d items came again of %d: %v", again, before, l.got("only"))
		}
	})
}

func TestAnInstanceThatIsCutOffStopsWhenItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		a, b := l.process("a"), l.process("b")
		entered := make(chan context.Context, 1)
		first := a.run(func(ctx context.Context, item feed.Item) error {
			entered <- ctx
			<-ctx.Done()
			return ctx.Err()
		}, subscription.WithHandlerTimeout(time.Hour))
		l.append("x", "1", "2")
		handling := <-entered
		a.cut.Store(true)
		began := time.Now()
		second := b.run(b.note)
		<-handling.Done()
		if d := time.Since(began); d > 15*time.Second {
			l.t.Errorf("the handler of an instance without a lease went on for %s", d)
		}
		if l.count() != 0 {
			l.t.Error("another instance has taken the partition before the lease was over")
		}
		l.wait("the other instance", func() bool { return l.count() == 2 })
		a.cut.Store(false)
		pass(30 * time.Second)
		select {
		case ctx := <-entered:
			l.t.Errorf("an item came again: %v", ctx)
		default:
		}
		first.end()
		second.end()
	})
}

func TestAHandlerThatHangsLosesItsPartition(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		a, b := l.process("a"), l.process("b")
		entered, release := make(chan struct{}, 1), make(chan struct{})
		first := a.run(func(ctx context.Context, item feed.Item) error {
			if item.Version == 2 {
				entered <- struct{}{}
				<-release // not even when ctx ends
			}
			return a.note(ctx, item)
		}, subscription.WithHandlerTimeout(10*time.Second))
		l.wait("the first instance", func() bool { return len(l.owners()) == 1 })
		l.append("x", "1")
		l.append("x", "2")
		l.append("x", "3")
		<-entered
		second := b.run(b.note)
		l.wait("the other instance", func() bool { return slices.Equal(l.got("x"), []string{"1a", "2a", "3a"}) })
		if by := l.by(); by["b"] != 2 {
			l.t.Errorf("items were delivered by %v", by)
		}
		first.stop()
		if err := <-first.done; err != nil { // the partition was given up before
			l.t.Errorf("Run returned %v", err)
		}
		close(release)
		second.end()
	})
}

// owners returns how many partitions each instance has.
func (l *lab) owners() map[string]int {
	positions, err := l.main.subscribe(l.main.note).Positions(l.t.Context())
	n := map[string]int{}
	if err == nil {
		for _, p := range positions {
			if p.Owner != "" {
				n[p.Owner]++
			}
		}
	}
	return n
}

func TestRunTellsOfAHandlerThatHangs(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		entered, release := make(chan struct{}), make(chan struct{})
		r := l.main.run(func(context.Context, feed.Item) error {
			close(entered)
			<-release
			return nil
		})
		l.append("x", "1")
		<-entered
		r.stop()
		err := <-r.done
		if hung, ok := err.(*subscription.HungError); !ok || hung.Stream != l.stream("x") || hung.Version != 1 {
			l.t.Errorf("Run returned %v", err)
		}
		close(release)
	})
}

var inBubble = regexp.MustCompile(`(?m)^goroutine \d+ .*(synctest bubble \d+)\]:$`)

// goroutines returns the stacks of this test's goroutines that run code of the package.
func goroutines() (stacks []string) {
	synctest.Wait()
	buf := make([]byte, 1<<20)
	own := inBubble.FindSubmatch(buf[:runtime.Stack(buf, false)])
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		found := inBubble.FindStringSubmatch(stack)
		if found != nil && found[1] == string(own[1]) && strings.Contains(stack, "eventstore/subscription.(") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func TestNoGoroutineRemainsWhenRunReturns(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		versions := l.fill(20, 5, nil)
		r := l.main.run(l.main.note)
		l.wait("the items", func() bool { return l.count() == total(versions) })
		if len(goroutines()) == 0 {
			l.t.Fatal("no goroutine is found while it runs")
		}
		r.end()
		if left := goroutines(); len(left) > 0 {
			l.t.Errorf("%d goroutines remain:\n%s", len(left), strings.Join(left, "\n\n"))
		}
		failing := l.process("failing").run(func(context.Context, feed.Item) error { return errPoisoned })
		l.append("0", "x")
		if err := <-failing.done; err == nil {
			l.t.Error("Run returned no error")
		}
		if left := goroutines(); len(left) > 0 {
			l.t.Errorf("%d goroutines remain after an error:\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

func TestRunWithAContextThatHasEndedSendsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstate.Redis()
		l := &lab{t: t, store: store}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := l.process("p").subscribe(none).Run(ctx); err != nil {
			t.Errorf("Run returned %v", err)
		}
		if sent := store.Trace(); len(sent) > 0 {
			t.Errorf("it sent %v", sent)
		}
	})
}

// TestAnIdleSubscriptionTakesFewRequests holds what WithLease says.
func TestAnIdleSubscriptionTakesFewRequests(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		l.append("x", "1")
		r := l.main.run(l.main.note)
		pass(2 * time.Minute)
		before := l.main.requests.Load()
		pass(time.Minute)
		n := l.main.requests.Load() - before
		if most := int64(3 * 24); n == 0 || n > most { // each beat comes after 2.5 s to 5 s
			l.t.Errorf("%d requests in a minute, at most %d are allowed", n, most)
		}
		r.end()
	})
}

func TestAnInstanceThatLostItsPartitionNoticesWhenItSaves(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		r := l.main.run(l.main.note, subscription.WithPartitions(1), subscription.WithSaving(1, 0))
		l.append("x", "1")
		l.wait("the first item", func() bool { return l.count() == 1 })
		const sharedKey, key = "{:subscription:all.mails}:instances", "{:subscription:all.mails}:0"
		sharedRecord, _ := l.store.Value(sharedKey)
		record, _ := l.store.Value(key)
		sharedRecord, record, err := subscription.Steal("all", "mails", 0, sharedRecord, record)
		l.must(err)
		began := time.Now()
		l.store.Set(sharedKey, sharedRecord)
		l.store.Set(key, record)
		l.append("x", "2")
		l.append("x", "3")
		l.wait("an item that is handled by two", func() bool { return l.count() >= 2 })
		if d := time.Since(began); d > 2*time.Second {
			l.t.Fatalf("the item came after %s, when the instance may know already", d)
		}
		pass(time.Minute)
		if l.count() != 2 {
			l.t.Errorf("%d items were delivered", l.count())
		}
		if now, _ := l.store.Value(key); string(now) != string(record) {
			l.t.Errorf("the other instance's record is now\n%s", now)
		}
		r.end()
	})
}
