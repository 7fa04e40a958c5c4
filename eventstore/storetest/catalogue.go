package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// catalogueRules holds what a listing of streams may be relied on for.
var catalogueRules = []rule[Target]{
	{"catalogue: it lists each stream once, and those of a type, of a database and since a position", "what is not listed is forgotten", inEachWay(testCatalogue)},
	{"catalogue: details are those of the streams as of now", "a list shows what can be opened, and what has ended", testCatalogueDetails},
	{"catalogue: more than a page of streams is listed, and more than a page of the feed read", "a store has more streams than fit into one record", testPages},
}

// streams lists streams by their ids.
func (p *process) streams(options ...feed.ReadOption) (infos []feed.StreamInfo, ids string) {
	p.t.Helper()
	var words []string
	for s, err := range p.feed.Streams(contextOf(p.t), options...) {
		if err != nil {
			p.t.Fatalf("Streams: %v", err)
		}
		infos = append(infos, s)
		words = append(words, s.Stream.ID)
	}
	return infos, strings.Join(words, " ")
}

// catalogued waits until the catalogue has n streams, because it follows the feed.
func (p *process) catalogued(n int) (all []feed.StreamInfo) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("the catalogue has %d streams", n), func() bool {
		all, _ = p.streams()
		return len(all) >= n
	})
	return all
}

// testCatalogue begins streams one after the other, and lists them.
func testCatalogue(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	if _, ids := p.streams(); ids != "" {
		t.Errorf("a store without streams lists %s", ids)
	}
	began := time.Now()
	other := eventstore.Stream{Database: "other", Type: "order", ID: "d"}
	for i, s := range []eventstore.Stream{p.Stream("account", "b"), p.Stream("account", "a"), p.Stream("account", "b"), p.Stream("order", "c"), other, p.Stream("account", "a")} {
		p.addTo(s, deposited{})
		p.take(i + 1)
	}
	all := p.catalogued(4)
	lister := w.process()
	for _, c := range []struct {
		want    string
		options []feed.ReadOption
	}{
		{"b a c d", nil},
		{"b a", []feed.ReadOption{feed.OfType("account")}},
		{"c d", []feed.ReadOption{feed.OfType("order")}},
		{"c", []feed.ReadOption{feed.OfType("order"), feed.InDatabase("EventStores")}},
		{"d", []feed.ReadOption{feed.OfStream(other)}},
		{"c d", []feed.ReadOption{feed.After(all[1].Position)}},
		{"", []feed.ReadOption{feed.After(all[3].Position)}},
		{"d", []feed.ReadOption{feed.After(all[1].Position), feed.Where(func(s eventstore.Stream) bool { return s.ID != "c" })}},
	} {
		if _, ids := lister.streams(c.options...); ids != c.want {
			t.Errorf("%d options list %q, want %q", len(c.options), ids, c.want)
		}
	}
	for _, s := range all {
		if s.Begun.Before(began.Add(-time.Second)) || s.Begun.After(time.Now().Add(time.Second)) {
			t.Errorf("%s began at %s, want a time after %s", s.Stream.ID, s.Begun, began)
		}
	}
}

// testCatalogueDetails lists streams that have changed since they began.
func testCatalogueDetails(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	ids := []string{"open", "closed", "deleted"}
	for i, id := range ids {
		p.add(id, opened{})
		p.take(i + 1)
	}
	p.catalogued(3)
	began := time.Now()
	for i, id := range ids {
		p.add(id, deposited{}, deposited{})
		s := open(t, p.Provider, id)
		var err error
		switch i {
		case 1:
			err = s.CloseStream(contextOf(t), eventstore.ExpectAny())
		case 2:
			err = s.DeleteStream(contextOf(t), eventstore.ExpectAny())
		}
		if err != nil {
			t.Fatalf("ending %s: %v", id, err)
		}
		s.Close()
	}
	all, _ := p.streams(feed.WithDetails())
	var got []string
	for _, s := range all {
		got = append(got, fmt.Sprintf("%s %d %t %t", s.Stream.ID, s.Version, s.Closed, s.Deleted))
		if s.Err != nil || s.Changed.Before(began.Add(-time.Second)) {
			t.Errorf("%+v", s)
		}
	}
	if s := strings.Join(got, ", "); s != "open 3 false false, closed 3 true false, deleted 4 true true" {
		t.Error(s)
	}
}

// testPages begins more streams than a page of names holds. The feed is then longer than a page of
// it too.
func testPages(t *testing.T, target Target) {
	w := newWorld(t, target)
	first := w.process()
	stop := first.index()
	const streams, writers = 505, 16
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := n; i < streams; i += writers {
				if _, err := first.Append(contextOf(t), first.Stream("account", fmt.Sprint(i)), eventstore.ExpectAny(), deposited{Amount: int64(i)}); err != nil {
					t.Errorf("Append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	items := first.take(streams)
	lister := w.process()
	all := lister.catalogued(streams)
	listed := map[string]bool{}
	for _, s := range all {
		listed[s.Stream.ID] = true
	}
	for _, item := range items {
		if data, ok := item.Event.Data.(deposited); !ok || fmt.Sprint(data.Amount) != item.Stream.ID {
			t.Errorf("%s has %v, %v", show(item), item.Event.Data, item.Err)
		}
	}
	if len(all) != streams || len(listed) != streams {
		t.Errorf("the catalogue has %d streams with %d names, want %d", len(all), len(listed), streams)
	}
	for _, i := range []int{0, 490, 500, 503} {
		rest, _ := lister.streams(feed.After(all[i].Position))
		if !slices.EqualFunc(rest, all[i+1:], func(a, b feed.StreamInfo) bool { return a.Stream == b.Stream }) {
			t.Errorf("after stream %d there are %d streams, want %d", i, len(rest), streams-i-1)
		}
		lister.expect(shown(items[i+1:]), feed.After(items[i].Position))
		before := slices.Clone(items[:i])
		slices.Reverse(before)
		lister.expect(shown(before), feed.Backwards(), feed.Before(items[i].Position))
	}
	// An indexer that knows nothing goes on at the end.
	stop()
	next := w.indexer()
	end := items[len(items)-1].Position
	next.add("0", closed{})
	next.take(1, feed.After(end))
	next.add("one more", opened{})
	if got := shown(next.take(2, feed.After(end))); got != "0/2, one more/1" {
		t.Errorf("another indexer went on with %s", got)
	}
	if all := lister.catalogued(streams + 1); len(all) != streams+1 || all[streams].Stream.ID != "one more" {
		t.Errorf("the catalogue has %d streams, the last one is %s", len(all), all[len(all)-1].Stream)
	}
}
