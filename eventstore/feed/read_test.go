package feed_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func TestReadReturnsWhatTheOptionsAskFor(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", opened{"Ada"}, deposited{1})
		l.settle()
		l.add("b", opened{"Bob"}, deposited{2}, withdrawn{1})
		l.settle()
		middle := time.Now()
		pass(time.Minute)
		l.add("a", eventstore.Raw{Type: "paid-in", ContentType: eventstore.JSON.ContentType(), Payload: []byte(`{"Amount":3}`)})
		if _, err := l.p.Append(l.Context(), eventstore.Stream{Database: "other", Type: "order", ID: "c"}, eventstore.ExpectAny(), raw("x")); err != nil {
			l.Fatal(err)
		}
		l.settle()

		all := "a/1, a/2, b/1, b/2, b/3, a/3, c/1 error"
		l.expect(all)
		l.expect("a/1, a/2, b/1, b/2, b/3, a/3, c/1", feed.AsRaw())
		l.expect("c/1 error, a/3, b/3, b/2, b/1, a/2, a/1", feed.Backwards())
		l.expect("a/1, a/2, a/3", feed.OfStream(l.p.Stream("account", "a")))
		l.expect("c/1 error", feed.OfType("order"))
		l.expect("b/1, b/2, b/3", feed.Where(func(s eventstore.Stream) bool { return s.ID == "b" }))
		l.expect("a/1, a/2, b/1, b/2, b/3, a/3", feed.InDatabase("EventStores"))
		l.expect("a/2, b/2, a/3", feed.OfEvent[deposited]())
		l.expect("a/2, b/2, b/3, a/3", feed.OfEvent[moved]())
		l.expect("a/2, b/2, a/3", feed.OfEventType("deposited"))
		l.expect("a/1, b/1, b/3", feed.OfEventType("opened", "withdrawn"))
		l.expect("a/3, c/1 error", feed.Since(middle))
		l.expect(all, feed.Since(time.Time{}.Add(1)))
		l.expect("", feed.Since(time.Now().Add(time.Hour)))
		l.expect(all+", progress", feed.WithProgress())

		for _, item := range l.read(feed.OfEvent[moved]()) {
			if _, ok := item.Event.Data.(moved); !ok {
				l.Errorf("%s is a %T", show(item), item.Event.Data)
			}
		}
	})
}

func TestAReadContinuesAtEachPosition(t *testing.T) {
	inLab(t, func(l *lab) {
		for i := range 40 {
			l.add(fmt.Sprint(i%3), deposited{1}, deposited{2})
			if i%5 == 0 {
				l.settle()
			}
		}
		l.settle()
		for _, direction := range []string{"forwards", "backwards"} {
			var options []feed.ReadOption
			if direction == "backwards" {
				options = append(options, feed.Backwards())
			}
			items := l.read(options...)
			if len(items) != 80 {
				l.Fatalf("%d items %s", len(items), direction)
			}
			for i, item := range items {
				if i%2 == 0 {
					continue // the commit comes again
				}
				want := shown(items[i+1:])
				if direction == "forwards" {
					l.expect(want, feed.After(item.Position))
				} else if item.Position > 1 {
					l.expect(want, feed.Backwards(), feed.Before(item.Position))
				}
			}
		}
		items := l.read()
		if items[0].Position >= items[1].Position {
			l.Error("the first half of a commit has the position after the commit")
		}
		l.expect(shown(items[:40]), feed.Before(items[40].Position+1))
	})
}

func TestTheLastItemOfACommitThatIsAskedForCompletesIt(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1}, withdrawn{2})
		l.settle()
		items := l.read(feed.OfEvent[deposited]())
		if len(items) != 1 {
			l.Fatal(shown(items))
		}
		l.expect("", feed.After(items[0].Position), feed.OfEvent[deposited]())
		l.expect("", feed.After(items[0].Position))
	})
}

func TestStreamsThatEndAreItems(t *testing.T) {
	inLab(t, func(l *lab) {
		for _, id := range []string{"closed", "deleted"} {
			l.add(id, deposited{1})
			l.settle()
		}
		l.endBoth()
		l.settle()
		got := shown(l.read())
		if got != "closed/1, closed/1 closed, deleted/2 deleted" && got != "closed/1, deleted/2 deleted, closed/1 closed" {
			l.Error(got)
		}
		l.expect("closed/1", feed.OfEvent[deposited]())
	})
}

func TestWrongReadsSaySo(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		for name, options := range map[string][]feed.ReadOption{
			"nil": {nil}, "negative": {feed.After(-1)}, "beyond": {feed.After(1_000_000)}, "beyond, live": {feed.After(50), feed.Live()},
			"beyond, backwards": {feed.Before(50), feed.Backwards()},
			"two beginnings":    {feed.After(1), feed.Since(time.Now())}, "now without live": {feed.FromNow()},
			"backwards and live": {feed.Backwards(), feed.Live()}, "no such type": {feed.OfEvent[time.Time]()},
			"no type": {feed.OfType()}, "blank": {feed.InDatabase(" ")}, "details": {feed.WithDetails()}, "nothing between": {feed.After(5), feed.Before(5)},
		} {
			_, err := l.tryRead(options...)
			if argument, ok := errors.AsType[*eventstore.ArgumentError](err); !ok || argument.Reason == "" {
				l.Errorf("%s: the error is %v", name, err)
			}
		}
		for _, err := range l.f.Streams(l.Context(), feed.Live()) {
			if _, ok := errors.AsType[*eventstore.ArgumentError](err); !ok {
				l.Errorf("live streams: the error is %v", err)
			}
		}
	})
}

// follow reads live. It returns a function that returns what came since its last call, and one that
// ends the read and returns its error.
func (l *lab) follow(f *feed.Feed, options ...feed.ReadOption) (came func() string, end func() error) {
	ctx, cancel := context.WithCancel(l.Context())
	items := make(chan feed.Item, 10_000)
	done := make(chan error, 1)
	go func() {
		for item, err := range f.Read(ctx, append(options, feed.Live())...) {
			if err != nil {
				done <- err
				return
			}
			items <- item
		}
		done <- nil
	}()
	came = func() string {
		synctest.Wait()
		var all []feed.Item
		for len(items) > 0 {
			all = append(all, <-items)
		}
		return shown(all)
	}
	return came, func() error { cancel(); return <-done }
}

func TestALiveReadLearnsOfACommitOfItsProcessWithinMilliseconds(t *testing.T) {
	inLab(t, func(l *lab) {
		came, end := l.follow(l.f)
		for i := range 5 {
			pass(5*time.Minute + time.Duration(i)*137*time.Millisecond)
			l.add("a", deposited{i})
			pass(11 * time.Millisecond) // entries wait for others for 10 ms
			if got, want := came(), fmt.Sprintf("a/%d", i+1); got != want {
				l.Errorf("commit %d: %q came", i+1, got)
			}
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
	})
}

func TestALiveReadOfAnotherProcessPollsOrIsRungFor(t *testing.T) {
	inLab(t, func(l *lab) {
		_, other := open(l.T, l.store)
		came, end := l.follow(other, feed.WithProgress())
		if got := came(); got != "progress" {
			l.Error(got)
		}
		pass(time.Hour)
		l.add("a", deposited{1})
		pass(1100 * time.Millisecond)
		if got := came(); got != "a/1, progress" {
			l.Error(got)
		}
		pass(5*time.Minute + 300*time.Millisecond)
		l.add("a", deposited{1})
		pass(20 * time.Millisecond)
		other.Ring()
		if got := came(); got != "a/2, progress" {
			l.Error(got)
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
	})
}

func TestRingWakesTheIndexer(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		p, _ := open(l.T, l.store) // another process
		if _, err := p.Append(l.Context(), l.p.Stream("account", "b"), eventstore.ExpectAny(), deposited{1}); err != nil {
			l.Fatal(err)
		}
		came, end := l.follow(l.f)
		pass(90 * time.Second)
		came()
		if _, err := p.Append(l.Context(), l.p.Stream("account", "b"), eventstore.ExpectAny(), deposited{1}); err != nil {
			l.Fatal(err)
		}
		pass(11 * time.Millisecond) // entries wait for others for 10 ms
		l.f.Ring()
		if got := came(); got != "b/2" {
			l.Errorf("%q came", got)
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
	})
}

func TestFromNowLeavesOutWhatWasBefore(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		came, end := l.follow(l.f, feed.FromNow())
		l.settle()
		l.add("a", deposited{2})
		l.settle()
		if got := came(); got != "a/2" {
			l.Error(got)
		}
		if err := end(); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
	})
}

// counted is a process's own view of a store, which counts its reads.
type counted struct {
	*memstate.Store
	reads atomic.Int64
}

func (c *counted) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	c.reads.Add(1)
	return c.Store.Get(ctx, partition, key)
}

func (c *counted) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	c.reads.Add(1)
	return c.Store.GetMany(ctx, partition, keys)
}

func TestALiveReadTakesFewRequestsForACommit(t *testing.T) {
	for kind, most := range map[string]int64{
		"in one transaction": 3, // the head of the log, the batch and the event
		"the careful way":    3, // the head of the log with the batch, the event and perhaps the stream's head
	} {
		t.Run(kind, func(t *testing.T) {
			inLabOn(t, memstate.Kinds[kind](), func(l *lab) {
				store := &counted{Store: l.store}
				_, other := open(l.T, store)
				came, end := l.follow(other)
				l.add("a", deposited{1})
				l.settle()
				pass(5*time.Minute + 500*time.Millisecond)
				l.add("a", deposited{1})
				pass(100 * time.Millisecond)
				came()
				store.reads.Store(0)
				other.Ring()
				if got := came(); got != "a/2" {
					l.Error(got)
				}
				if n := store.reads.Load(); n > most {
					l.Errorf("it took %d requests", n)
				}
				store.reads.Store(0)
				other.Ring()
				if came(); store.reads.Load() != 1 {
					l.Errorf("looking without news took %d requests", store.reads.Load())
				}
				if err := end(); !errors.Is(err, context.Canceled) {
					l.Error(err)
				}
			})
		})
	}
}

func TestIdleReadsTakeOneRequestASecondTogether(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		l.stop()
		var ends []func() error
		for range 10 {
			_, end := l.follow(l.f)
			ends = append(ends, end)
		}
		pass(time.Minute)
		l.store.Trace()
		pass(time.Minute)
		if n := len(l.store.Trace()); n < 50 || n > 130 {
			l.Errorf("10 idle reads took %d requests in a minute", n)
		}
		for _, end := range ends {
			if err := end(); !errors.Is(err, context.Canceled) {
				l.Error(err)
			}
		}
	})
}

func TestALoopThatEndsEarlyLeavesNothingBehind(t *testing.T) {
	inLab(t, func(l *lab) {
		for i := range 100 {
			l.add(fmt.Sprint(i), deposited{i})
		}
		l.settle()
		l.stop()
		for range l.f.Read(l.Context(), feed.Live()) {
			break
		}
		for range l.f.Streams(l.Context()) {
			break
		}
		// synctest fails if a goroutine is left when the test ends.
		l.store.Trace()
		pass(time.Hour)
		if left := l.store.Trace(); len(left) > 0 {
			l.Error(left)
		}
	})
}

// fill fills a feed by an indexer that had been away, so that batches are large.
func (l *lab) fill(streams, appends int) {
	l.stop()
	for i := range appends {
		l.add(fmt.Sprint(i%streams), deposited{i})
	}
	l.index()
	pass(time.Minute)
}

func TestCatchingUpTakesFewRequests(t *testing.T) {
	inLab(t, func(l *lab) {
		l.fill(50, 3000)
		l.stop()
		l.store.Trace()
		if n := len(l.read()); n != 3000 {
			l.Fatal(n)
		}
		most := 20
		if !l.store.Caps.AnyPartition {
			most += 3000 / 256 * 50 // a request for each stream
		}
		trace := l.store.Trace()
		if len(trace) > most {
			l.Errorf("reading 3000 events took %d requests: %s", len(trace), short(trace))
		}
		last := l.read()[2998].Position
		l.store.Trace()
		l.read(feed.After(last))
		if trace := l.store.Trace(); len(trace) > 10 {
			l.Errorf("continuing near the end took %d requests: %s", len(trace), short(trace))
		}
		l.read(feed.After(5))
		if trace := l.store.Trace(); len(trace) > most {
			l.Errorf("continuing near the beginning took %d requests: %s", len(trace), short(trace))
		}
	})
}

// short returns requests, each cut.
func short(trace []string) string {
	var b strings.Builder
	for _, r := range trace {
		b.WriteString("\n" + r[:min(len(r), 100)])
	}
	return b.String()
}

func TestPagesAndBatchesReadAlike(t *testing.T) {
	inLab(t, func(l *lab) {
		l.fill(20, 1700)
		l.stop()
		want, wantBack := shown(l.read()), shown(l.read(feed.Backwards()))
		positions := []feed.Position{1, 499, 500, 501, 999, 1000, 1001, 1499, 1500, 1501, 1699}
		after := map[feed.Position]string{}
		for _, p := range positions {
			after[p] = shown(l.read(feed.After(p))) + "|" + shown(l.read(feed.Backwards(), feed.Before(p)))
		}
		pages := map[string][]byte{}
		for key, value := range l.store.Values() {
			if strings.HasPrefix(key, "{:feed:all}:page:") {
				pages[key] = value
				l.store.Set(key, nil)
			}
		}
		if len(pages) < 3 {
			l.Fatalf("there are %d pages", len(pages))
		}
		l.expect(want)
		l.expect(wantBack, feed.Backwards())
		for _, p := range positions {
			if got := shown(l.read(feed.After(p))) + "|" + shown(l.read(feed.Backwards(), feed.Before(p))); got != after[p] {
				l.Errorf("from position %d on, pages and batches differ", p)
			}
		}
		l.p, l.f = open(l.T, l.store) // another indexer writes the pages again
		l.index()
		l.settle()
		for key, value := range pages {
			if again, _ := l.store.Value(key); !bytes.Equal(again, value) {
				l.Errorf("%s differs when it is written again", key)
			}
		}
		l.expect(want)
	})
}

func TestPagesThatCouldNotBeWrittenComeLater(t *testing.T) {
	inLab(t, func(l *lab) {
		l.stop()
		l.store.Intervene(refusing("write", "{:feed:all}:page:0"))
		l.fill(20, 1200)
		l.stop()
		if value, _ := l.store.Value("{:feed:all}:page:0"); value != nil {
			l.Fatal("the page was written")
		}
		if n := len(l.read()); n != 1200 {
			l.Errorf("without pages, %d events are in the feed", n)
		}
		l.store.Intervene(nil)
		l.index()
		pass(time.Minute)
		for _, key := range []string{"{:feed:all}:page:0", "{:feed:all}:page:1"} {
			if value, _ := l.store.Value(key); value == nil {
				l.Errorf("%s is missing", key)
			}
		}
		if n := len(l.read()); n != 1200 {
			l.Errorf("%d events are in the feed", n)
		}
	})
}

func TestAPageThatIsMissingBeforeOthersIsNotSkipped(t *testing.T) {
	inLab(t, func(l *lab) {
		l.fill(20, 1700)
		l.stop()
		want := shown(l.read())
		l.store.Set("{:feed:all}:page:1", nil)
		l.expect(want)
		if _, err := l.tryRead(feed.Backwards()); !isA[*eventstore.DamagedError](err) || !strings.Contains(err.Error(), "{:feed:all}:page:1") {
			l.Errorf("the error is %v", err)
		}
	})
}

func TestALiveReadNoticesThatTheLogWasSetBack(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		before, _ := l.store.Value("{:feed:all}:head")
		l.add("a", deposited{2})
		l.settle()
		came, end := l.follow(l.f)
		if got := came(); got != "a/1, a/2" {
			l.Fatal(got)
		}
		position, err := l.f.End(l.Context())
		if err != nil {
			l.Fatal(err)
		}
		l.stop()
		l.store.Set("{:feed:all}:head", before)
		l.settle()
		if err := end(); !isA[*eventstore.LostWritesError](err) {
			l.Errorf("the error is %v", err)
		}
		if _, err := l.tryRead(feed.After(position)); !isA[*eventstore.ArgumentError](err) || !strings.Contains(err.Error(), "lose its last writes") {
			l.Errorf("the error is %v", err)
		}
	})
}

func TestLargeEventsAreReadInSmallChunks(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		big := raw(strings.Repeat("x", 1<<20))
		for i := range 30 {
			l.add(fmt.Sprint(i), big)
		}
		l.settle()
		l.stop()
		largest := 0
		l.store.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
			err := next()
			bytes := 0
			for _, item := range r.Items {
				bytes += len(item.Value)
			}
			largest = max(largest, bytes)
			return err
		})
		if n := len(l.read(feed.AsRaw())); n != 30 {
			l.Error(n)
		}
		if largest > 17<<20 {
			l.Errorf("one request read %d bytes", largest)
		}
	})
}

func TestDamageIsNamed(t *testing.T) {
	for _, key := range []string{"{:feed:all}:page:0", "{:feed:all}:page:1", "{:feed:all}:head", "{:feed:all}:names:0"} {
		t.Run(key, func(t *testing.T) {
			inLabOn(t, memstate.Transactional(), func(l *lab) {
				l.fill(10, 1200)
				l.stop()
				value, _ := l.store.Value(key)
				value[len(value)-3] ^= 1
				l.store.Set(key, value)
				_, err := l.tryRead()
				for _, failed := range l.f.Streams(l.Context()) {
					err = errors.Join(err, failed)
				}
				if damaged, ok := errors.AsType[*eventstore.DamagedError](err); !ok || damaged.Key != key {
					l.Errorf("the error is %v", err)
				}
			})
		})
	}
}

func TestAnEventThatIsDamagedIsAnItem(t *testing.T) {
	inLab(t, func(l *lab) {
		for i := range 20 {
			l.add("a", deposited{i})
		}
		l.settle()
		l.store.Set("{EventStores:account:a}:3", []byte("nonsense"))
		items := l.read()
		if len(items) != 20 {
			l.Fatal(shown(items))
		}
		if damaged, ok := errors.AsType[*eventstore.DamagedError](items[2].Err); !ok || damaged.Key != "{EventStores:account:a}:3" || items[3].Err != nil {
			l.Error(items[2].Err, items[3].Err)
		}
	})
}

func TestACommitThatTheStoreHasLostIsSaid(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		head, _ := l.store.Value("{EventStores:account:a}:head")
		l.add("a", deposited{2})
		l.settle()
		l.store.Set("{EventStores:account:a}:head", head)
		l.store.Set("{EventStores:account:a}:2", nil)
		l.expect("a/1, a/2 lost")
		l.add("a", deposited{3})
		l.settle()
		items := l.read()
		if got := shown(items); got != "a/1, a/2 lost, a/2" {
			l.Fatal(got)
		}
		if items[2].Event.Data != (deposited{3}) {
			l.Errorf("%+v", items[2].Event)
		}
	})
}

// edit changes the text of a record, with a checksum that fits.
func (l *lab) edit(key, from, to string) {
	l.Helper()
	value, _ := l.store.Value(key)
	line, rest, _ := strings.Cut(string(value), "\n")
	edited := strings.Replace(rest, from, to, 1)
	if edited == rest {
		l.Fatalf("%s has no %q: %s", key, from, value)
	}
	sum := crc32.Checksum([]byte(edited), frame.Castagnoli)
	l.store.Set(key, fmt.Appendf(nil, "%s%08x\n%s", line[:len(line)-8], sum, edited))
}

func TestAFeedOfANewerVersionAsksForAnUpdate(t *testing.T) {
	for name, edit := range map[string]func(l *lab){
		"an entry of a batch": func(l *lab) { l.edit("{:feed:all}:1", "appended 0", "renamed 0") },
		"a line of a batch":   func(l *lab) { l.edit("{:feed:all}:1", "first=", "unheard=of\nfirst=") },
		"a kind of event":     func(l *lab) { l.edit("{:feed:all}:1", "type=batch", "type=bundle") },
		"a form of batches":   func(l *lab) { l.edit("{:feed:all}:1", "type=batch", "type=batch\nschema=2") },
		"an entry of a page":  func(l *lab) { l.edit("{:feed:all}:page:0", "appended 0", "renamed 0") },
	} {
		t.Run(name, func(t *testing.T) {
			inLabOn(t, memstate.Transactional(), func(l *lab) {
				if l.fill(5, 10); strings.Contains(name, "page") {
					l.fill(5, 600)
				}
				l.stop()
				edit(l)
				_, err := l.tryRead()
				if !isA[*eventstore.DamagedError](err) || !strings.Contains(err.Error(), "update the library") {
					l.Errorf("the error is %v", err)
				}
			})
		})
	}
}

func TestAnIndexerDoesNotSkipAnEntryOfANewerVersion(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		l.stop()
		l.add("a", deposited{2})
		for key := range l.store.Values() {
			if strings.HasPrefix(key, "{:journal:") {
				l.edit(key, "what=appended", "what=renamed")
			}
		}
		err := l.f.Index(l.Context())
		if !isA[*eventstore.DamagedError](err) || !strings.Contains(err.Error(), "update the library") || !strings.Contains(err.Error(), "{:journal:") {
			l.Errorf("the error is %v", err)
		}
	})
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
