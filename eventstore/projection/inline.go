package projection

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Inline keeps documents of type D that change in the transaction of each append. A document
// includes an event if and only if the event is stored, at every moment and for every reader. Make
// one with [NewInline]. It is safe for concurrent use.
type Inline[D any] struct {
	state driver.State
	name  string
	apply Handler[D]
}

// UnsupportedError says why a store cannot keep documents in the transaction of an append. Use a
// [Projection] there: it works on every store, and [Projection.WaitFor] waits for what was just
// appended.
type UnsupportedError struct {
	Projection string
	Store      string // the kind of store
	Reason     string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("projection: %q cannot be updated in the transaction of an append on %s, because %s: use projection.New and WaitFor",
		e.Projection, e.Store, e.Reason)
}

// NewInline makes every append of a provider change documents in its own transaction. It holds from
// then on, for all streams, all open sessions and all repositories of the provider. It holds for as
// long as the provider lives. Its name has at most 200 bytes, and no other inline projection of the
// store has it. NewInline sends nothing. On a store whose transactions do not allow it, it returns
// an [UnsupportedError].
//
// The documents begin with the first append after the call. They lack what was appended before, and
// what is appended through providers without the projection. So call NewInline in every service
// that appends, before it appends. There is no list of the documents, and no second version. A
// [Projection] has both.
//
// The handler gets the events of an append one by one, in order. The items have no Position. An
// event that the provider cannot decode has an error in its item. Closing and deleting a stream is
// no append, so the handler is not told. If the handler returns an error, nothing is appended, and
// the append returns an [eventstore.InlineError] with that error. So a handler can refuse an append
// that contradicts a document, such as a second account with one e-mail address.
//
// All documents that the handler reads or changes are part of the transaction. If another append
// changes one of them first, the documents are read again and the handler is called again. The
// events stay the same. That goes on for half of Settings.CommitTimeout. Then the append returns an
// InlineError, and nothing is stored. So appends that change the same document take turns. The
// handler must not append, and must depend on nothing but the item and the documents.
//
// An append reads each document that it changes, by a request each. It takes no request more to
// write them. Events and documents must fit into one request together.
func NewInline[D any](provider *eventstore.Provider, name string, apply Handler[D]) (*Inline[D], error) {
	switch {
	case provider == nil:
		return nil, bad("provider", "it is nil: make one with eventstore.NewProvider")
	case strings.TrimSpace(name) == "":
		return nil, bad("name", "it is blank")
	case len(name) > maxNameBytes:
		return nil, bad("name", "it has %d bytes, and at most %d are possible", len(name), maxNameBytes)
	case apply == nil:
		return nil, bad("handler", "it is nil")
	}
	inside := provider.Inside(permit.Permit{})
	p := &Inline[D]{state: inside.State(), name: name, apply: apply}
	caps := p.state.Capabilities()
	if reason := unsupported(caps); reason != "" {
		return nil, &UnsupportedError{Projection: name, Store: caps.Store, Reason: reason}
	}
	return p, inside.Inline(permit.Permit{}, eventstore.Inline{Name: name, Apply: p.commit})
}

const maxNameBytes = 200

// unsupported says why a store cannot keep documents in the transaction of an append, or returns
// nothing.
func unsupported(caps driver.Capabilities) string {
	switch {
	case !caps.Atomic:
		return "its transactions are not known to roll back: an event could be stored without the documents, or the documents without the event"
	case !caps.AnyPartition:
		return "it places data by a partition key: a transaction cannot hold a stream and the documents of other streams"
	case !caps.Conditions:
		return "its transactions do not heed the condition of each write: two appends could overwrite each other's change of a document"
	}
	return ""
}

// Get returns a document, and whether it exists. It takes one request.
func (p *Inline[D]) Get(ctx context.Context, id string) (value D, exists bool, err error) {
	if err := p.check(id); err != nil {
		return value, false, err
	}
	item, err := p.state.Get(ctx, p.part(id), p.key(id))
	if err != nil {
		return value, false, &eventstore.StorageError{Stream: p.stream(), Operation: "read a document", Cause: err}
	}
	return p.decode(id, item)
}

// commit puts what the handler makes of the events of a commit.
func (p *Inline[D]) commit(ctx context.Context, beside *eventstore.Beside, at time.Time, events []eventstore.Committed) error {
	docs := &inlineDocuments[D]{of: p, beside: beside, known: map[string]*inlineDocument[D]{}}
	d := &Documents[D]{inline: docs, ctx: ctx}
	for _, e := range events {
		item := feed.Item{Stream: e.Stream, What: feed.Appended, Version: e.Version, Time: at, Event: e.Event, Err: e.Err}
		if err := p.apply(ctx, d, item); err != nil {
			return err
		}
	}
	return docs.put()
}

// inlineDocuments are the documents that a commit reads and changes.
type inlineDocuments[D any] struct {
	of     *Inline[D]
	beside *eventstore.Beside
	known  map[string]*inlineDocument[D]
}

type inlineDocument[D any] struct {
	stored  driver.Item
	value   D // with all changes
	exists  bool
	changes []change[D]
}

func (d *inlineDocuments[D]) get(ctx context.Context, id string) (*inlineDocument[D], error) {
	if doc := d.known[id]; doc != nil {
		return doc, nil
	}
	if err := d.of.check(id); err != nil {
		return nil, err
	}
	item, err := d.beside.Get(ctx, d.of.part(id), d.of.key(id))
	if err != nil {
		return nil, err
	}
	doc := &inlineDocument[D]{stored: item}
	if doc.value, doc.exists, err = d.of.decode(id, item); err != nil {
		return nil, err
	}
	d.known[id] = doc
	return doc, nil
}

// change changes a document. After an error the document is what it was.
func (d *inlineDocuments[D]) change(ctx context.Context, id string, change change[D]) error {
	doc, err := d.get(ctx, id)
	if err != nil {
		return err
	}
	if doc.value, doc.exists, err = change(doc.value, doc.exists); err == nil {
		doc.changes = append(doc.changes, change)
		return nil
	}
	failure := err
	if doc.value, doc.exists, err = d.of.decode(id, doc.stored); err != nil {
		return err
	}
	for _, change := range doc.changes {
		if doc.value, doc.exists, err = change(doc.value, doc.exists); err != nil {
			return err
		}
	}
	return failure
}

// put writes all documents that were read, also those that are the same as before. So the commit
// depends on all of them. A document that does not exist is written as a deleted one.
func (d *inlineDocuments[D]) put() error {
	for id, doc := range d.known {
		r := record{deleted: !doc.exists}
		if doc.exists {
			value, err := json.Marshal(doc.value)
			if err != nil {
				return fmt.Errorf("document %q cannot be encoded: %w", id, err)
			}
			r.value = value
		}
		d.beside.Put(d.of.part(id), d.of.key(id), r.encode(d.of.part(id)))
	}
	return nil
}

func (p *Inline[D]) decode(id string, item driver.Item) (value D, exists bool, err error) {
	r, err := decodeRecord(p.part(id), item.Value)
	if err != nil {
		return value, false, &eventstore.DamagedError{Stream: p.stream(), Key: item.Key, Cause: err}
	}
	if r.deleted {
		return value, false, nil
	}
	if err := json.Unmarshal(r.value, &value); err != nil {
		return value, false, fmt.Errorf("document %q does not fit %T: %w", id, value, err)
	}
	return value, true, nil
}

func (p *Inline[D]) check(id string) error {
	if id == "" {
		return bad("id", "it is empty")
	}
	if key, limit := p.key(id), p.state.Capabilities().MaxKeyBytes; limit > 0 && len(key) > limit {
		return bad("id", "with %q a key would have %d bytes, but the store takes at most %d", id, len(key), limit)
	}
	return nil
}

func (p *Inline[D]) stream() eventstore.Stream {
	return eventstore.Stream{Type: "inline projection", ID: p.name}
}

// part returns the partition of the store in which a document is.
func (p *Inline[D]) part(id string) string {
	return ":inline:" + frame.Escape(p.name) + ":" + frame.Escape(id)
}

func (p *Inline[D]) key(id string) string { return "{" + p.part(id) + "}:document" }
