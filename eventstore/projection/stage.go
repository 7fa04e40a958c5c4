package projection

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

const (
	flushAtOnce = 16   // documents that are written at the same time
	mostDirty   = 1000 // documents that wait for a flush
	mostKnown   = 4000 // documents that a stage remembers
	flushTries  = 4    // how often a request may fail
)

// stage applies the items of one partition. It keeps the changes in memory until they are flushed.
type stage[D any] struct {
	*Projection[D]
	number int
	known  map[string]*document[D]
	dirty  []*document[D] // in the order of their first change
}

// document returns a document as the handler sees it.
func (s *stage[D]) document(ctx context.Context, id string) (*document[D], error) {
	if id == "" {
		return nil, &eventstore.ArgumentError{Argument: "id", Reason: "it is empty"}
	}
	if doc := s.known[id]; doc != nil {
		return doc, nil
	}
	stored, _, err := s.read(ctx, id)
	if err != nil {
		return nil, err
	}
	doc := &document[D]{id: id}
	if err := doc.rebase(s.number, stored); err != nil {
		return nil, err
	}
	s.known[id] = doc
	return doc, nil
}

// Handle applies an item. After an error no document is changed.
func (s *stage[D]) Handle(ctx context.Context, item feed.Item) error {
	if len(s.dirty) >= mostDirty {
		if err := s.Flush(ctx); err != nil {
			return err
		}
	}
	s.forget()
	d := &Documents[D]{stage: s, ctx: ctx, at: placeOf(item), stream: item.Stream.String()}
	applied := false
	defer func() {
		for _, doc := range d.touched {
			s.settle(d, doc, applied)
		}
	}()
	err := s.apply(ctx, d, item)
	applied = err == nil
	return err
}

// settle keeps the changes of the item, or undoes them.
func (s *stage[D]) settle(d *Documents[D], doc *document[D], applied bool) {
	changes := doc.item
	doc.item = nil
	if !applied {
		if err := doc.rebase(s.number, doc.record); err != nil { // it is read again
			delete(s.known, doc.id)
		}
		return
	}
	if len(doc.pending) == 0 {
		s.dirty = append(s.dirty, doc)
	}
	doc.pending = append(doc.pending, pending[D]{d.at, d.stream, changes})
}

// forget keeps the memory of the stage within its limit.
func (s *stage[D]) forget() {
	if len(s.known) < mostKnown {
		return
	}
	for id, doc := range s.known {
		if len(doc.pending) == 0 {
			delete(s.known, id)
		}
	}
}

// Flush writes all documents that were changed.
func (s *stage[D]) Flush(ctx context.Context) error {
	if len(s.dirty) == 0 {
		return nil
	}
	if err := s.addNew(ctx); err != nil {
		return err
	}
	keys := make([]string, len(s.dirty))
	for i, doc := range s.dirty {
		keys[i] = s.key(doc.id)
	}
	items, err := s.readAll(ctx, keys, func(i int) string { return s.part(s.dirty[i].id) })
	if err != nil {
		return err
	}
	errs := make([]error, len(s.dirty))
	inParallel(len(s.dirty), func(i int) { errs[i] = s.store(ctx, s.dirty[i], items[i]) })
	var rest []*document[D]
	for i, doc := range s.dirty {
		if errs[i] != nil {
			err = cmp.Or(err, errs[i])
			rest = append(rest, doc)
		}
	}
	s.dirty = rest
	return err
}

// addNew lists the documents that are about to be made.
func (s *stage[D]) addNew(ctx context.Context) error {
	var ids []string
	for _, doc := range s.dirty {
		if !doc.listed {
			ids = append(ids, doc.id)
		}
	}
	return s.add(ctx, ids)
}

// store writes one document, on top of what others have made of it meanwhile. The item is what the
// store had of it.
func (s *stage[D]) store(ctx context.Context, doc *document[D], item driver.Item) error {
	for n := 0; ; n++ {
		err := s.storeOnce(ctx, doc, item)
		if _, fails := errors.AsType[*eventstore.StorageError](err); !fails || n == flushTries {
			return err
		}
		if !pause.For(ctx, jitter.Of(ctx, backoff(n+1))) {
			return s.failed(saving, context.Cause(ctx))
		}
		if item, err = s.state.Get(ctx, s.part(doc.id), s.key(doc.id)); err != nil {
			return s.failed(saving, err)
		}
	}
}

const saving = "save a document"

// storeOnce tries to write a document. It returns a StorageError if the document must be read again
// to know what became of it.
func (s *stage[D]) storeOnce(ctx context.Context, doc *document[D], item driver.Item) error {
	part := s.part(doc.id)
	stored, err := decodeRecord(part, item.Value)
	if err != nil {
		return s.damaged(item.Key, err)
	}
	if !bytes.Equal(stored.encode(part), doc.record.encode(part)) {
		if err := doc.rebase(s.number, stored); err != nil {
			return err
		}
	}
	if len(doc.pending) == 0 {
		return nil
	}
	next, err := doc.next(s.number)
	if err != nil {
		return err
	}
	if err := s.state.Swap(ctx, part, driver.Swap{Key: s.key(doc.id), Value: next.encode(part), ETag: item.ETag}); err != nil {
		return s.failed(saving, fmt.Errorf("%q: %w", doc.id, err))
	}
	doc.record, doc.pending = next, nil
	return nil
}
