package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// testFeedOfSeveralProcesses lets three processes append at the same time, each to a stream of its
// own and to one that they share.
func testFeedOfSeveralProcesses(t *testing.T, target Target) {
	w := newWorld(t, target)
	reader := w.indexer()
	const writers, rounds = 3, 3
	var wg sync.WaitGroup
	processes := make([]*process, writers)
	for i := range processes {
		p := w.process()
		processes[i] = p
		wg.Go(func() {
			for n := range rounds {
				for _, id := range []string{fmt.Sprint("own", i), "shared"} {
					first, second := deposited{Amount: int64(i)}, deposited{Amount: int64(n)}
					if _, err := p.Append(contextOf(t), p.Stream("account", id), eventstore.ExpectAny(), first, second); err != nil {
						t.Errorf("Append to %s: %v", id, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	const total = writers * rounds * 4
	inOrder := func(items []feed.Item) {
		version := map[string]int64{}
		for _, item := range items {
			if id := item.Stream.ID; item.Version != version[id]+1 || item.Err != nil {
				t.Fatalf("%s came after version %d: %v", show(item), version[id], item.Err)
			}
			version[item.Stream.ID]++
		}
	}
	items := reader.take(total)
	inOrder(items)
	for _, p := range processes {
		if err := p.Close(contextOf(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for i := range items { // two events of each commit
		item := items[i]
		events, err := reader.Reader(item.Stream).Slice(contextOf(t), item.Version, item.Version)
		if err != nil || events[0].Data != item.Event.Data {
			t.Errorf("%s has %v in the feed, but the stream has %v, %v", show(item), item.Event.Data, events, err)
		}
	}
	reader.add("own0", closed{})
	reader.add("last", opened{})
	again := reader.take(total + 2)
	inOrder(again)
	if shown(again[:total]) != shown(items) {
		t.Errorf("the order has changed from %s to %s", shown(items), shown(again))
	}
	reader.expect(shown(again))
}

// testFeedAfterACrash lets a process die after commits and before it told of them. One stream goes
// on, so that its next commit leads to the lost one. Nothing leads to those of the other streams.
func testFeedAfterACrash(t *testing.T, target Target) {
	w := newWorld(t, target)
	reader, dying, other := w.indexer(), w.process(), w.process()
	other.add("goes on", opened{})
	other.add("rests", opened{})
	reader.take(2)
	dying.keepQuiet(1)
	dying.add("begins", opened{}, deposited{})
	dying.add("begins", deposited{})
	dying.add("goes on", deposited{}, deposited{})
	dying.add("rests", deposited{})
	dying.die()
	other.add("goes on", closed{})
	reader.takeUpTo(map[string]int64{"begins": 3, "goes on": 4, "rests": 2})
	if items := reader.toEnd(); len(items) != 9 {
		t.Errorf("of 9 events came %d: %s", len(items), shown(items))
	}
}

// testFeedOfMixedProcesses appends with and without a feed in turn.
func testFeedOfMixedProcesses(t *testing.T, target Target) {
	w := newWorld(t, target)
	reader, with := w.indexer(), w.process()
	without := &process{Provider: w.provider(t), t: t}
	without.add("older", opened{}, deposited{})
	without.add("older", deposited{})
	with.add("older", deposited{})
	with.add("mixed", opened{})
	without.add("mixed", deposited{}, deposited{})
	with.add("mixed", deposited{})
	with.add("left", opened{})
	without.add("left", deposited{})
	reader.takeUpTo(map[string]int64{"older": 4, "mixed": 4, "left": 2})

	s := open(t, without.Provider, "left")
	err := s.DeleteStream(contextOf(t), eventstore.ExpectAny())
	want[*eventstore.ArgumentError](t, err)
}

// testFeedOfStreamsThatEnd closes and deletes streams, after and before the feed knows them.
func testFeedOfStreamsThatEnd(t *testing.T, target Target) {
	w := newWorld(t, target)
	reader, p := w.process(feed.WithWalk(50*time.Millisecond)), w.process()
	end := func(id string, end func(*eventstore.Session) error) {
		t.Helper()
		s := open(t, p.Provider, id)
		if err := end(s); err != nil {
			t.Fatalf("ending %s: %v", id, err)
		}
		s.Close()
	}
	closing := func(s *eventstore.Session) error { return s.CloseStream(contextOf(t), eventstore.ExpectAny()) }
	deleting := func(s *eventstore.Session) error { return s.DeleteStream(contextOf(t), eventstore.ExpectAny()) }
	p.add("early", opened{}, deposited{})
	p.add("early", deposited{})
	end("early", deleting)
	reader.index()
	if got := shown(reader.take(1)); got != "early/4 deleted" {
		t.Errorf("a stream that was deleted before: %s", got)
	}
	at := reader.take(1)[0].Position
	p.add("closed", opened{}, deposited{})
	reader.take(2, feed.After(at))
	p.add("deleted", opened{}, deposited{})
	reader.take(4, feed.After(at))
	end("closed", closing)
	reader.take(5, feed.After(at))
	end("deleted", deleting)
	reader.take(4, feed.After(at)) // without the events that are deleted
	end("closed", deleting)
	for range 2 { // also once all is swept
		items := reader.take(3, feed.After(at))
		if got := shown(items); got != "closed/2 closed, deleted/3 deleted, closed/3 deleted" {
			t.Errorf("read %s", got)
		}
	}
	reader.expect("closed/3 deleted, deleted/3 deleted, closed/2 closed, early/4 deleted", feed.Backwards())
}

// testFeedFilters reads with each option that selects.
func testFeedFilters(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	order := eventstore.Stream{Database: "eventstores", Type: "order", ID: "a"}
	n := 0
	for _, c := range []struct {
		stream eventstore.Stream
		events []any
	}{
		{p.Stream("account", "a"), []any{opened{}, deposited{}, deposited{}}},
		{p.Stream("account", "A"), []any{opened{}}},
		{order, []any{closed{}}},
		{p.Stream("order", "b"), []any{deposited{}, closed{}}},
	} {
		p.addTo(c.stream, c.events...)
		n += len(c.events)
		p.take(n) // so that the order is known
	}
	for name, c := range map[string]struct {
		want    string
		options []feed.ReadOption
	}{
		"all":                {"a/1, a/2, a/3, A/1, a/1, b/1, b/2", nil},
		"database":           {"a/1", []feed.ReadOption{feed.InDatabase("eventstores")}},
		"type":               {"a/1, b/1, b/2", []feed.ReadOption{feed.OfType("order")}},
		"types and database": {"a/1, a/2, a/3, A/1, b/1, b/2", []feed.ReadOption{feed.OfType("order", "account"), feed.InDatabase("EventStores")}},
		"stream":             {"A/1, a/1", []feed.ReadOption{feed.OfStream(p.Stream("account", "A"), order)}},
		"event types":        {"a/1, A/1, a/1, b/2", []feed.ReadOption{feed.OfEventType("opened", "closed")}},
		"Go type":            {"a/2, a/3, b/1", []feed.ReadOption{feed.OfEvent[deposited]()}},
		"function":           {"b/1, b/2", []feed.ReadOption{feed.Where(func(s eventstore.Stream) bool { return s.ID == "b" })}},
		"type and Go type":   {"b/1", []feed.ReadOption{feed.OfType("order"), feed.OfEvent[deposited]()}},
		"backwards":          {"b/2, a/1, A/1, a/1", []feed.ReadOption{feed.OfEventType("opened", "closed"), feed.Backwards()}},
		"none":               {"", []feed.ReadOption{feed.OfType("Account")}},
	} {
		if got := shown(p.toEnd(c.options...)); got != c.want {
			t.Errorf("%s: read %s\nwant %s", name, got, c.want)
		}
	}
}

// testFeedPositions resumes at the position of each item.
func testFeedPositions(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	for i, id := range []string{"a", "b", "a", "c"} {
		p.add(id, deposited{}, deposited{})
		p.take(2 * (i + 1))
	}
	items := p.take(8)
	time.Sleep(2 * time.Millisecond) // times are to the millisecond
	since := time.Now().Truncate(time.Millisecond)
	p.add("d", deposited{}, deposited{})
	items = append(items, p.take(2, feed.After(items[7].Position))...)
	if got := shown(items); got != "a/1, a/2, b/1, b/2, a/3, a/4, c/1, c/2, d/1, d/2" {
		t.Fatalf("read %s", got)
	}
	reader := w.process() // it knows nothing
	for i, item := range items {
		next := (i + 1) / 2 * 2 // in the middle of a commit, all of it comes again
		reader.expect(shown(items[next:]), feed.After(item.Position))
	}
	reader.expect(shown(items[2:6]), feed.After(items[1].Position), feed.Before(items[7].Position))
	reader.expect(shown(items[8:]), feed.Since(since))
	if end := reader.end(); end < items[9].Position { // names count as well
		t.Errorf("the feed ends at %d, before its last item at %d", end, items[9].Position)
	}
	reader.expect("", feed.After(reader.end()))
	slices.Reverse(items)
	backwards := reader.toEnd(feed.Backwards())
	if got := shown(backwards); got != shown(items) {
		t.Fatalf("backwards it read %s", got)
	}
	for i, item := range backwards {
		if next := (i + 1) / 2 * 2; next < len(items) {
			reader.expect(shown(items[next:]), feed.Backwards(), feed.Before(item.Position))
		}
	}
}

// testFeedLive follows the feed in the process of the indexer and in another one.
func testFeedLive(t *testing.T, target Target) {
	w := newWorld(t, target)
	indexer, follower := w.indexer(), w.process()
	indexer.add("before", opened{})
	indexer.take(1)
	for name, p := range map[string]*process{"in the process of the indexer": indexer, "in another process": follower} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var got []string
		waits := false
		for item, err := range p.feed.Read(ctx, feed.FromNow(), feed.Live(), feed.WithProgress()) {
			if err != nil {
				t.Fatalf("%s: after %s: %v", name, strings.Join(got, ", "), err)
			}
			if item.What == feed.Progress && !waits { // it waits now, or is about to
				waits = true
				indexer.add("live "+name, opened{}, closed{})
			}
			if item.What != feed.Progress {
				got = append(got, show(item))
			}
			if len(got) == 2 {
				break
			}
		}
		if want := fmt.Sprintf("live %s/1, live %s/2", name, name); strings.Join(got, ", ") != want {
			t.Errorf("%s: %s", name, strings.Join(got, ", "))
		}
	}
}

// testFeedOfUnreadableEvents reads an event whose type the reader does not know.
func testFeedOfUnreadableEvents(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	raw := eventstore.Raw{Type: "foreign", ContentType: "application/octet-stream", Payload: []byte("\x00\xff")}
	p.add("a", opened{}, raw, closed{})
	items := p.take(3)
	if got := shown(items); got != "a/1, a/2 error, a/3" {
		t.Fatalf("read %s", got)
	}
	if e := want[*eventstore.TypeNotRegisteredError](t, items[1].Err); e.Version != 2 || e.Type != "foreign" || e.Stream != p.Stream("account", "a") {
		t.Errorf("%+v", e)
	}
	p.expect("a/1, a/2, a/3", feed.AsRaw())
}

// testFeedRefusals opens a second feed in a store, and reads where the feed has nothing.
func testFeedRefusals(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	p.add("a", opened{})
	end := p.take(1)[0].Position
	second := Target{w.State, w.Locker}.provider(t, eventstore.WithFeed("second"))
	_, err := second.Append(contextOf(t), second.Stream("account", "b"), eventstore.ExpectAny(), opened{})
	want[*eventstore.ArgumentError](t, err)
	for _, option := range []feed.ReadOption{feed.After(end + 1), feed.After(1 << 40)} {
		for _, err := range p.feed.Read(contextOf(t), option) {
			want[*eventstore.ArgumentError](t, err)
		}
	}
	_, err = feed.Open(w.provider(t))
	want[*eventstore.ArgumentError](t, err)
	p.expect("a/1")
}

// testFeedAwkwardNames gives awkward names to streams and to the feed.
func testFeedAwkwardNames(t *testing.T, target Target) {
	w := newWorld(t, target)
	w.name = "a.b|{:feed:all}:head %ä"
	p := w.indexer()
	ids := []string{"{", "}", "a}:head", "%", "%25", "a b", "A", "a", "😀", "a:b", "a\tb\n"}
	for _, id := range ids {
		p.add(id, opened{id})
	}
	for _, item := range p.take(len(ids)) {
		if item.Event.Data != (opened{item.Stream.ID}) {
			t.Errorf("stream %q has %v", item.Stream.ID, item.Event.Data)
		}
	}
	p.catalogued(len(ids))
	infos, _ := p.streams(feed.WithDetails())
	var listed []string
	for _, s := range infos {
		if listed = append(listed, s.Stream.ID); s.Version != 1 || s.Err != nil {
			t.Errorf("%+v", s)
		}
	}
	slices.Sort(ids)
	slices.Sort(listed)
	if !slices.Equal(listed, ids) {
		t.Errorf("the catalogue has %q, want %q", listed, ids)
	}
}
