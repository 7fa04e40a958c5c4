package projection

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Handler applies one item of a feed to documents of type D. It must depend on nothing but the item
// and the documents. An error leaves all documents as they were.
type Handler[D any] func(ctx context.Context, docs *Documents[D], item feed.Item) error

// Projection keeps documents of type D in the store, as JSON. It is safe for concurrent use.
type Projection[D any] struct {
	feed         *feed.Feed
	subscription *subscription.Subscription
	state        driver.State
	name         string
	version      int
	apply        Handler[D]
}

// New returns a projection. Its name is the same in all instances of a service, and different from
// those of other projections and subscriptions of the feed. New sends nothing. It returns an
// [eventstore.ArgumentError] for a nil feed or handler, for a name that [subscription.New] refuses
// or that ends in "@" and a number, and for a wrong option.
func New[D any](f *feed.Feed, name string, apply Handler[D], options ...Option) (*Projection[D], error) {
	switch {
	case f == nil:
		return nil, bad("feed", "it is nil: make one with feed.Open")
	case apply == nil:
		return nil, bad("handler", "it is nil")
	case namesVersion(name):
		return nil, bad("name", "%q ends like the name of a version: use WithVersion", name)
	}
	c := config{version: 1, state: f.Provider().Inside(permit.Permit{}).State()}
	c.options = []subscription.Option{subscription.WithSaving(1000, time.Second)}
	for _, option := range options {
		if option == nil {
			return nil, bad("option", "it is nil")
		}
		if err := option(&c); err != nil {
			return nil, err
		}
	}
	p := &Projection[D]{feed: f, state: c.state, name: name, version: c.version, apply: apply}
	var err error
	p.subscription, err = subscription.NewStaged(permit.Permit{}, f, subscriptionName(name, c.version), func(partition int) subscription.Stage {
		return p.Stage(permit.Permit{}, partition)
	}, c.options...)
	if err != nil {
		return nil, err
	}
	p.subscription.Patient(permit.Permit{})
	p.subscription.Kind(permit.Permit{}, "projection")
	return p, nil
}

// Stage returns what applies the items of a partition. It is for the packages of this module.
func (p *Projection[D]) Stage(_ permit.Permit, partition int) subscription.Stage {
	return &stage[D]{Projection: p, number: partition, known: map[string]*document[D]{}}
}

// subscriptionName returns the name of the subscription of a version.
func subscriptionName(name string, version int) string {
	if version == 1 {
		return name
	}
	return name + "@" + strconv.Itoa(version)
}

// namesVersion reports whether a name is that of the subscription of a version.
func namesVersion(name string) bool {
	i := strings.LastIndexByte(name, '@')
	_, err := strconv.Atoi(name[i+1:])
	return i >= 0 && err == nil
}

// Subscription returns the subscription that reads the feed. Its positions tell how far this
// version is, and its parked streams what could not be handled.
func (p *Projection[D]) Subscription() *subscription.Subscription { return p.subscription }

// Version returns the version of the projection.
func (p *Projection[D]) Version() int { return p.version }

// Run keeps the documents up to date until ctx ends. Run it in every instance of a service. It
// returns what [subscription.Subscription.Run] returns.
func (p *Projection[D]) Run(ctx context.Context) error { return p.subscription.Run(ctx) }

// Get returns a document, and whether it exists. It returns an [eventstore.ArgumentError] for an id
// that no document can have, see [Documents], and an [eventstore.StorageError] if the store does
// not answer.
func (p *Projection[D]) Get(ctx context.Context, id string) (value D, exists bool, err error) {
	stored, _, err := p.read(ctx, id)
	if err != nil || stored.deleted {
		return value, false, err
	}
	if err := json.Unmarshal(stored.value, &value); err != nil {
		return value, false, fmt.Errorf("document %q does not fit %T: %w", id, value, err)
	}
	return value, true, nil
}

// Document is one document of a list.
type Document[D any] struct {
	ID    string
	Value D
}

// List returns all documents, in no particular order. A document that is made or deleted meanwhile
// may be in the list or not.
func (p *Projection[D]) List(ctx context.Context) iter.Seq2[Document[D], error] {
	return func(yield func(Document[D], error) bool) {
		partitions, err := p.partitions(ctx)
		if err != nil {
			yield(Document[D]{}, err)
			return
		}
		for number := range partitions {
			if !p.home(ctx, number, yield) {
				return
			}
		}
	}
}

// Home returns the documents that a partition has made. It is for the packages of this module.
func (p *Projection[D]) Home(_ permit.Permit, ctx context.Context, partition int) iter.Seq2[Document[D], error] {
	return func(yield func(Document[D], error) bool) { p.home(ctx, partition, yield) }
}

// home yields the documents that a partition has made. It reports whether to go on.
func (p *Projection[D]) home(ctx context.Context, partition int, yield func(Document[D], error) bool) bool {
	for ids, err := range p.listed(ctx, partition) {
		if err != nil {
			return yield(Document[D]{}, err) && false
		}
		if !p.yieldAll(ctx, partition, ids, yield) {
			return false
		}
	}
	return true
}

// listed returns the ids that a partition lists, page by page.
func (p *Projection[D]) listed(ctx context.Context, number int) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		read := func(key string) (list, error) {
			item, err := p.state.Get(ctx, p.shared(), key)
			if err != nil {
				return list{}, p.failed("list documents", err)
			}
			l, err := decodeList(p.shared(), item.Value)
			if err != nil {
				return l, p.damaged(key, err)
			}
			return l, nil
		}
		open, err := read(p.listKey(number))
		if err != nil {
			yield(nil, err)
			return
		}
		for n := range open.pages {
			page, err := read(p.pageKey(number, n))
			if !yield(page.ids, err) || err != nil {
				return
			}
		}
		yield(open.ids, nil)
	}
}

func (p *Projection[D]) yieldAll(ctx context.Context, number int, ids []string, yield func(Document[D], error) bool) bool {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = p.key(id)
	}
	items, err := p.readAll(ctx, keys, func(i int) string { return p.part(ids[i]) })
	if err != nil {
		return yield(Document[D]{}, err) && false
	}
	for i, item := range items {
		if !item.Found() && p.state.Capabilities().BulkMisses {
			if item, err = p.state.Get(ctx, p.part(ids[i]), keys[i]); err != nil {
				return yield(Document[D]{}, p.failed(reading, err)) && false
			}
		}
		r, err := decodeRecord(p.part(ids[i]), item.Value)
		doc := Document[D]{ID: ids[i]}
		switch {
		case err != nil:
			err = p.damaged(item.Key, err)
		case r.deleted || r.home != number:
			continue
		default:
			if err = json.Unmarshal(r.value, &doc.Value); err != nil {
				err = fmt.Errorf("document %q does not fit %T: %w", ids[i], doc.Value, err)
			}
		}
		if !yield(doc, err) {
			return false
		}
	}
	return true
}

// partitions returns into how many partitions the streams are divided.
func (p *Projection[D]) partitions(ctx context.Context) (int, error) {
	return p.subscription.Partitions(permit.Permit{}, ctx)
}

// readAll reads keys of several partitions of the store, in few requests if the store allows it.
func (p *Projection[D]) readAll(ctx context.Context, keys []string, part func(i int) string) ([]driver.Item, error) {
	items := make([]driver.Item, len(keys))
	if len(keys) == 0 {
		return items, nil
	}
	errs := make([]error, len(keys))
	if p.state.Capabilities().AnyPartition {
		var err error
		if items, err = p.state.GetMany(ctx, p.shared(), keys); err != nil {
			return nil, p.failed(reading, err)
		}
	} else {
		inParallel(len(keys), func(i int) { items[i], errs[i] = p.state.Get(ctx, part(i), keys[i]) })
	}
	for i, item := range items {
		if err := cmp.Or(errs[i], item.Err); err != nil {
			return nil, p.failed(reading, err)
		}
	}
	return items, nil
}

const reading = "read documents"

// inParallel calls do for each index, a few at the same time.
func inParallel(count int, do func(i int)) {
	var all sync.WaitGroup
	room := make(chan struct{}, flushAtOnce)
	for i := range count {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			do(i)
		})
	}
	all.Wait()
}

// check returns an error if no document can have an id.
func (p *Projection[D]) check(id string) error {
	limit, size := p.state.Capabilities().MaxKeyBytes, len(p.key(id))
	switch {
	case id == "":
		return bad("id", "it is empty")
	case !utf8.ValidString(id):
		return bad("id", "%q is not valid UTF-8", id)
	case limit > 0 && size > limit:
		return bad("id", "%q makes a key of %d bytes, but the store takes at most %d", id, size, limit)
	}
	return nil
}

// read reads what the store has of a document, and its ETag.
func (p *Projection[D]) read(ctx context.Context, id string) (record, string, error) {
	if err := p.check(id); err != nil {
		return record{}, "", err
	}
	item, err := p.state.Get(ctx, p.part(id), p.key(id))
	if err != nil {
		return record{}, "", p.failed("read a document", err)
	}
	r, err := decodeRecord(p.part(id), item.Value)
	if err != nil {
		return r, "", p.damaged(p.key(id), err)
	}
	return r, item.ETag, nil
}

func (p *Projection[D]) stream() eventstore.Stream {
	return eventstore.Stream{Type: "projection", ID: p.name}
}

func (p *Projection[D]) failed(operation string, cause error) error {
	return &eventstore.StorageError{Stream: p.stream(), Operation: operation, Cause: cause}
}

func (p *Projection[D]) damaged(key string, cause error) error {
	return &eventstore.DamagedError{Stream: p.stream(), Key: key, Cause: cause}
}

// WaitFor waits until the documents include a version of a stream, as
// [subscription.Subscription.WaitFor] does.
func (p *Projection[D]) WaitFor(ctx context.Context, stream eventstore.Stream, version int64) error {
	return p.subscription.WaitFor(ctx, stream, version)
}
