package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// projectionRules holds what a projection promises.
var projectionRules = []rule[Target]{
	{"projections: each document includes each item once, also after a crash", "a balance that counts a deposit twice is wrong", testProjectionIncludesOnce},
	{"projections: documents with awkward ids are listed once, read and deleted", "no id may reach into another record", testProjectionAwkwardIDs},
	{"projections: a write is read after waiting for it, by another process too", "a page shows what its user just did", testProjectionWaits},
	{"projections: a new version takes over in one switch, and the old one is dropped", "a read model changes while it is read", testProjectionSwitches},
	{"projections: documents in the transaction of an append include it once, or are refused", "who relies on a transaction must have one", testInline},
}

// balances runs a projection of the balance of each account, and of all together. stop ends it.
func (p *process) balances(options ...projection.Option) (b *projection.Projection[account], stop func() error) {
	p.t.Helper()
	options = append([]projection.Option{projection.With(subscription.WithPartitions(2), subscription.WithLease(2*time.Second))}, options...)
	b, err := projection.New(p.feed, "b.a|l {}: %ä", func(_ context.Context, docs *projection.Documents[account], item feed.Item) error {
		switch data := item.Event.Data.(type) {
		case deposited:
			for _, id := range []string{item.Stream.ID, "all of them"} {
				if err := docs.Update(id, func(a *account) error { a.Balance += data.Amount; a.Events++; return nil }); err != nil {
					return err
				}
			}
		case closed:
			return docs.Delete(item.Stream.ID)
		}
		return nil
	}, options...)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	p.t.Cleanup(func() { _ = stop() })
	return b, stop
}

// documents returns all documents by their ids.
func documents(t *testing.T, b *projection.Projection[account]) map[string]account {
	t.Helper()
	all := map[string]account{}
	for doc, err := range b.List(contextOf(t)) {
		if errors.As(err, new(*subscription.NotFoundError)) { // it is about to run
			break
		}
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if _, twice := all[doc.ID]; twice {
			t.Errorf("document %q is listed twice", doc.ID)
		}
		all[doc.ID] = doc.Value
	}
	return all
}

// testProjectionIncludesOnce cuts off an instance that has written documents without saving its
// position.
func testProjectionIncludesOnce(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, dying := w.indexer(), w.process()
	for n := range 6 {
		p.add(fmt.Sprint(n%3), deposited{Amount: 10})
	}
	p.take(6)
	b, stop := dying.balances(projection.With(subscription.WithSaving(2, 50*time.Millisecond)))
	eventually(t, "something is written", func() bool { return documents(t, b)["all of them"].Events > 0 })
	dying.die()
	_ = stop()
	b, _ = w.process().balances()
	for n := range 6 {
		p.add(fmt.Sprint(n%3), deposited{Amount: 1})
	}
	want := map[string]account{"all of them": {66, 12}, "0": {22, 4}, "1": {22, 4}, "2": {22, 4}}
	eventually(t, fmt.Sprintf("the documents are %v", want), func() bool { return documents(t, b)["all of them"].Events >= 12 && maps.Equal(documents(t, b), want) })
}

func testProjectionAwkwardIDs(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	b, _ := p.balances()
	ids := []string{"{", "}", "a}:document", "%", "%25", "a b", "A", "a", "😀", "a:b", "a\tb\n", "gone"}
	want := map[string]account{"all of them": {int64(len(ids)), len(ids)}}
	for _, id := range ids {
		p.add(id, deposited{Amount: 1})
		want[id] = account{1, 1}
	}
	p.add("gone", closed{})
	delete(want, "gone")
	eventually(t, fmt.Sprintf("the documents are %v", want), func() bool { return maps.Equal(documents(t, b), want) })
	if _, exists, err := b.Get(contextOf(t), "gone"); exists || err != nil {
		t.Errorf("a document that was deleted: %v, %v", exists, err)
	}
}

func testProjectionWaits(t *testing.T, target Target) {
	w := newWorld(t, target)
	p, other := w.indexer(), w.process()
	_, _ = p.balances()
	b, err := projection.New(other.feed, "b.a|l {}: %ä", func(context.Context, *projection.Documents[account], feed.Item) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the projection runs", func() bool { _, err := b.Subscription().Positions(contextOf(t)); return err == nil })
	for n := range 5 {
		other.add("a", deposited{Amount: 1})
		if err := b.WaitFor(contextOf(t), other.Stream("account", "a"), int64(n+1)); err != nil {
			t.Fatalf("WaitFor: %v", err)
		}
		if a, _, err := b.Get(contextOf(t), "a"); err != nil || a.Events != n+1 {
			t.Errorf("after version %d the document is %+v, %v", n+1, a, err)
		}
	}
}

func testProjectionSwitches(t *testing.T, target Target) {
	w := newWorld(t, target)
	p := w.indexer()
	one, stop := p.balances()
	for n := range 4 {
		p.add(fmt.Sprint(n), deposited{Amount: 1})
	}
	want := map[string]account{"all of them": {4, 4}, "0": {1, 1}, "1": {1, 1}, "2": {1, 1}, "3": {1, 1}}
	eventually(t, "the first version has everything", func() bool { return maps.Equal(documents(t, one), want) })
	two, _ := p.balances(projection.WithVersion(2))
	if err := two.Switch(contextOf(t)); err != nil {
		t.Fatalf("Switch: %v", err)
	}
	view, err := projection.NewView(one, two)
	if err != nil {
		t.Fatal(err)
	}
	if active, err := view.Active(contextOf(t)); active != two || err != nil {
		t.Errorf("another version is active: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := one.Drop(contextOf(t)); err != nil {
		t.Errorf("Drop: %v", err)
	}
	if a, exists, err := one.Get(contextOf(t), "0"); exists || err != nil {
		t.Errorf("a document that was dropped: %v, %v", a, err)
	}
	if got := documents(t, two); !maps.Equal(got, want) {
		t.Errorf("the second version has %v, want %v", got, want)
	}
}
