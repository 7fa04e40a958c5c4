package eventtest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// Projected is a projection of what happened. See [Projecting].
type Projected[D any] struct {
	t        testing.TB
	apply    projection.Handler[D]
	happened []Happening
	history  history
	options  []cmp.Option
	inOrder  bool
	ended    bool
}

// Projecting tests the handler of a projection, which it gives what happened, without a store. The
// test fails if it ends before Then or ThenError.
//
//	eventtest.Projecting(t, add,
//		eventtest.On("Account", "ada", Deposited{70}, Deposited{30}),
//		eventtest.On("Account", "bob", Deposited{50}, feed.Deleted)).
//		Then(map[string]Balance{"ada": {100}})
//
// Events and documents are encoded and decoded as if they had been stored and read. The codec of
// events is [eventstore.JSON], unless [Projected.Using] sets a registry.
//
// The handler is called several times for each item. The test fails if the documents differ when
// they are written after each item, or when the streams come in another order. Both can happen in a
// running projection, see package projection.
func Projecting[D any](t testing.TB, apply projection.Handler[D], happened ...Happening) *Projected[D] {
	t.Helper()
	if apply == nil {
		t.Fatalf("eventtest: Projecting needs a handler: the function that changes documents")
	}
	p := &Projected[D]{t: t, apply: apply, happened: happened, history: newHistory(), options: everyField()}
	t.Cleanup(func() {
		if !p.ended && !t.Failed() {
			t.Errorf("eventtest: the projection tests nothing: end it with Then or ThenError")
		}
	})
	return p
}

// Using sets the registry that is used to store events, as [Scenario.Using] does.
func (p *Projected[D]) Using(registry *eventstore.Registry) *Projected[D] {
	p.t.Helper()
	p.history.carrier.registry = needRegistry(p.t, registry)
	return p
}

// Comparing sets options for comparing documents, as [Scenario.Comparing] does.
func (p *Projected[D]) Comparing(options ...cmp.Option) *Projected[D] {
	p.options = append(p.options, options...)
	return p
}

// InOrder says that the projection has one partition, so that the items of all streams come in the
// order in which they happened. The test then tries no other order of streams.
func (p *Projected[D]) InOrder() *Projected[D] {
	p.inOrder = true
	return p
}

// Then checks that there are exactly these documents, by their ids.
func (p *Projected[D]) Then(documents map[string]D) {
	p.t.Helper()
	p.ended = true
	items := p.items()
	got, err := p.documents(items, false)
	if err != nil {
		p.t.Errorf("eventtest: %v", err)
		return
	}
	want := map[string]D{}
	for id, document := range documents {
		want[id] = document
	}
	if diff := cmp.Diff(want, got, p.options...); diff != "" {
		p.t.Errorf("eventtest: the documents differ (-want +got):\n%s", diff)
		return
	}
	p.again(got, items, true, "if they are written after each item: Update may depend on nothing but the document and the item")
	if !p.inOrder {
		p.again(got, byStream(items), false, "if the streams come in another order, which may happen: see InOrder")
	}
}

// again applies the items in another way, and checks that the documents are the same.
func (p *Projected[D]) again(want map[string]D, items []feed.Item, each bool, why string) {
	p.t.Helper()
	got, err := p.documents(items, each)
	if err != nil {
		p.t.Errorf("eventtest: an item can't be handled %s: %v", why, err)
		return
	}
	if diff := cmp.Diff(want, got, p.options...); diff != "" {
		p.t.Errorf("eventtest: the documents differ %s (-before +after):\n%s", why, diff)
	}
}

// ThenError checks that an item could not be handled, and the error of the handler, as
// [Decision.ThenError] does.
func (p *Projected[D]) ThenError(target any) {
	p.t.Helper()
	p.ended = true
	got, err := p.documents(p.items(), false)
	wantError(p.t, err, target, fmt.Sprintf("%d documents", len(got)), fmt.Sprintf(": %+v", got))
}

// items returns the items of what happened.
func (p *Projected[D]) items() (items []feed.Item) {
	p.t.Helper()
	for _, h := range p.happened {
		p.history.now = p.history.now.Add(h.later)
		for _, value := range h.events {
			item, err := p.history.item(h.stream, value)
			if err != nil {
				p.t.Fatalf("eventtest: %s %q can't have this event: %v\n%s", h.stream.Type, h.stream.ID, err, list(value))
			}
			items = append(items, item)
		}
	}
	return items
}

// byStream returns the items stream by stream, the last stream first.
func byStream(items []feed.Item) (sorted []feed.Item) {
	var streams []eventstore.Stream
	for _, item := range items {
		if !slices.Contains(streams, item.Stream) {
			streams = append(streams, item.Stream)
		}
	}
	for _, stream := range slices.Backward(streams) {
		for _, item := range items {
			if item.Stream == stream {
				entry := feed.Position(len(sorted) + 1)
				item.Position = entry
				sorted = append(sorted, item.WithEntry(permit.Permit{}, entry))
			}
		}
	}
	return sorted
}

// documents applies items with the code that a running projection has. If each is set, documents
// are written after each item, and read again.
func (p *Projected[D]) documents(items []feed.Item, each bool) (map[string]D, error) {
	p.t.Helper()
	ctx := context.Background()
	provider, err := eventstore.NewProvider(memstate.Transactional(), eventstore.WithFeed("test"), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	f, err := feed.Open(provider)
	if err != nil {
		return nil, err
	}
	of, err := projection.New(f, "test", p.apply)
	if err != nil {
		return nil, err
	}
	const partition = 0
	stage := of.Stage(permit.Permit{}, partition)
	for _, item := range items {
		if err := stage.Handle(ctx, item); err != nil {
			return nil, fmt.Errorf("the item %s can't be handled: %w", describe(item), err)
		}
		if each {
			if err := stage.Flush(ctx); err != nil {
				return nil, err
			}
			stage = of.Stage(permit.Permit{}, partition)
		}
	}
	if err := stage.Flush(ctx); err != nil {
		return nil, err
	}
	documents := map[string]D{}
	for document, err := range of.Home(permit.Permit{}, ctx, partition) {
		if err != nil {
			return nil, err
		}
		documents[document.ID] = document.Value
	}
	return documents, nil
}
