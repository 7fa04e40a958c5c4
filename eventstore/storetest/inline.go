package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// conditionRules holds the rules for a store that declares Conditions.
var conditionRules = []rule[store]{
	{"a commit whose writes have conditions depends on each of them", "declared as Conditions: a document that another append has changed meanwhile must not be overwritten", testConditions},
}

// testConditions commits heads together with documents that several of them change.
func testConditions(t *testing.T, s store) {
	n := newNames()
	create := func(head string) error {
		return s.Commit(contextOf(t), n.partition, driver.Swap{Key: n.key(head), Value: []byte("1")}, []driver.Write{
			{Key: n.key("event"), Value: []byte(head)},
			{Key: n.key("new"), Value: []byte(head), IfAbsent: true},
			{Key: n.key("doc"), Value: []byte(head), ETag: get(t, s, n, "doc").ETag},
		})
	}
	swap(t, s, n, "doc", "0", "")
	if err := create("a"); err != nil {
		t.Fatal(err)
	}
	wantValue(t, get(t, s, n, "new"), "a")
	wantValue(t, get(t, s, n, "doc"), "a")
	if create("b") == nil {
		t.Error("a commit that creates a key which exists succeeded")
	}
	stale := get(t, s, n, "doc").ETag
	swap(t, s, n, "doc", "a", stale)
	if s.Commit(contextOf(t), n.partition, driver.Swap{Key: n.key("b"), Value: []byte("1")}, []driver.Write{
		{Key: n.key("event"), Value: []byte("b")},
		{Key: n.key("doc"), Value: []byte("b"), ETag: stale},
	}) == nil {
		t.Error("a commit with a stale ETag of a document succeeded")
	}
	wantValue(t, get(t, s, n, "b"), "")
	wantValue(t, get(t, s, n, "event"), "a")
	wantValue(t, get(t, s, n, "doc"), "a")
	for round := range 10 {
		etag := get(t, s, n, "doc").ETag
		var wins atomic.Int32
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				head := n.key(fmt.Sprintf("head%d.%d", round, i))
				if s.Commit(contextOf(t), n.partition, driver.Swap{Key: head, Value: []byte("1")}, []driver.Write{{Key: n.key("doc"), Value: []byte("x"), ETag: etag}}) == nil {
					wins.Add(1)
				}
			})
		}
		all.Wait()
		if wins.Load() != 1 {
			t.Fatalf("%d of 8 commits with one ETag of a document succeeded, want exactly 1", wins.Load())
		}
	}
}

// testInline appends in several processes to streams of their own, which change one document.
// Answers are lost.
func testInline(t *testing.T, target Target) {
	w := newWorld(t, target)
	name := "b.a|l {}: %ä" + unique()
	inline := func(p *process) (*projection.Inline[account], error) {
		return projection.NewInline(p.Provider, name, func(_ context.Context, docs *projection.Documents[account], item feed.Item) error {
			for _, id := range []string{item.Stream.ID, "all of them"} {
				if err := docs.Update(id, func(a *account) error { a.Balance += item.Event.Data.(deposited).Amount; a.Events++; return nil }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	caps := target.State.Capabilities()
	p := w.process()
	documents, err := inline(p)
	if !caps.Atomic || !caps.Conditions || !caps.AnyPartition {
		if !errors.As(err, new(*projection.UnsupportedError)) {
			t.Errorf("the store cannot do it, and the error is %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	const processes, appends = 4, 5
	var all sync.WaitGroup
	for i := range processes {
		q := w.process()
		if _, err := inline(q); err != nil {
			t.Fatal(err)
		}
		var sent, answered atomic.Int32
		q.link.set(func(op, _ string) error {
			if op == "commit" && sent.Add(1) == 2 { // p overtakes it
				p.add(fmt.Sprint("of p ", i), deposited{Amount: 2})
			}
			return nil
		}, func(op, _ string) error {
			if op == "commit" && answered.Add(1)%2 == 0 {
				return errLost
			}
			return nil
		})
		all.Go(func() {
			for range appends {
				q.add(fmt.Sprint("of ", i), deposited{Amount: 2})
			}
		})
	}
	all.Wait()
	want := map[string]account{"all of them": {2 * processes * (appends + 1), processes * (appends + 1)}}
	for i := range processes {
		want[fmt.Sprint("of ", i)] = account{2 * appends, appends}
		wantVersions(t, collect(t, reader(t, p.Provider, fmt.Sprint("of ", i)).Read(contextOf(t))), upTo(appends))
	}
	for id, want := range want {
		if got, _, err := documents.Get(contextOf(t), id); err != nil || got != want {
			t.Errorf("document %q is %+v %v, want %+v", id, got, err, want)
		}
	}
}
