package projection

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

const (
	flushTogether = 250  // documents that are written in one request
	flushAtOnce   = 16   // documents that are written at the same time
	mostDirty     = 1000 // documents that wait for a flush
	mostKnown     = 4000 // documents that a stage remembers
	flushTries    = 4    // how often a request may fail
)

// stage applies the items of one partition. It keeps the changes in memory until they are flushed.
type stage[D any] struct {
	*Projection[D]
	number int
	known  map[string]*document[D]
	dirty  []*document[D] // in the order of their first change
	looked bool
	made   bool // see hasMade
	listed bool // an id; if not, and made is false, there is no list
}

// document returns a document as the handler sees it.
func (s *stage[D]) document(ctx context.Context, id string) (*document[D], error) {
	if doc := s.known[id]; doc != nil {
		return doc, nil
	}
	if err := s.check(id); err != nil {
		return nil, err
	}
	made, err := s.hasMade(ctx)
	if err != nil {
		return nil, err
	}
	doc := &document[D]{id: id, record: record{deleted: true}}
	if !made {
		doc.assumed, doc.fresh = true, true
	} else if err := s.learn(ctx, doc); err != nil {
		return nil, err
	}
	s.known[id] = doc
	return doc, nil
}

// hasMade reports whether there may be documents of this partition that the stage does not know. If
// not, a document that it does not know is assumed not to exist, so that nothing is read while a
// projection is built from the beginning. If another partition has made that document, the swap
// that would create it fails, and its changes are made again on what is there.
func (s *stage[D]) hasMade(ctx context.Context) (bool, error) {
	if s.looked {
		return s.made, nil
	}
	item, err := s.state.Get(ctx, s.shared(), s.listKey(s.number))
	if err != nil {
		return true, s.failed(listing, err)
	}
	s.looked, s.made = true, item.Found()
	return s.made, nil
}

// learn reads a document.
func (s *stage[D]) learn(ctx context.Context, doc *document[D]) error {
	stored, etag, err := s.read(ctx, doc.id)
	if err != nil {
		return err
	}
	return doc.learn(s.number, stored, etag)
}

// Handle applies an item. After an error no document is changed.
func (s *stage[D]) Handle(ctx context.Context, item feed.Item) error {
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
	if len(changes) == 0 { // it turned out that the document includes the item
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
			s.made = true
		}
	}
}

// Full reports whether many documents wait for a flush.
func (s *stage[D]) Full() bool { return len(s.dirty) >= mostDirty }

// Flush writes all documents that were changed.
func (s *stage[D]) Flush(ctx context.Context) error {
	for _, doc := range s.dirty { // the ETag of a key that is absent is always good
		doc.fresh = doc.fresh && (doc.etag == "" || s.state.Capabilities().UniqueETags)
	}
	if err := s.refresh(ctx); err != nil {
		return err
	}
	if err := s.addNew(ctx); err != nil {
		return err
	}
	for some := range slices.Chunk(s.dirty, flushTogether) {
		if err := s.storeTogether(ctx, some); err != nil {
			return err
		}
	}
	s.dirty = slices.DeleteFunc(s.dirty, func(doc *document[D]) bool { return len(doc.pending) == 0 })
	if err := s.refresh(ctx); err != nil {
		return err
	}
	errs := make([]error, len(s.dirty))
	inParallel(len(s.dirty), func(i int) { errs[i] = s.store(ctx, s.dirty[i]) })
	var err error
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

// refresh reads the changed documents of which the stage does not know the ETag.
func (s *stage[D]) refresh(ctx context.Context) error {
	var docs []*document[D]
	var keys []string
	for _, doc := range s.dirty {
		if !doc.fresh {
			docs, keys = append(docs, doc), append(keys, s.key(doc.id))
		}
	}
	items, err := s.readAll(ctx, keys, func(i int) string { return s.part(docs[i].id) })
	if err != nil {
		return err
	}
	for i, doc := range docs {
		if err := s.take(doc, items[i]); err != nil {
			return err
		}
	}
	return nil
}

// take makes a document what was read of it, with the pending items.
func (s *stage[D]) take(doc *document[D], item driver.Item) error {
	part := s.part(doc.id)
	stored, err := decodeRecord(part, item.Value)
	if err != nil {
		return s.damaged(item.Key, err)
	}
	if bytes.Equal(stored.encode(part), doc.record.encode(part)) {
		doc.assumed, doc.fresh, doc.etag = false, true, item.ETag
		return nil
	}
	return doc.learn(s.number, stored, item.ETag)
}

// storeTogether tries to write documents in one request. Those that are then still pending are
// written one by one. So are documents that other partitions change as well, since one that was
// changed meanwhile would hold up all others.
func (s *stage[D]) storeTogether(ctx context.Context, docs []*document[D]) error {
	if !s.state.Capabilities().AnyPartition {
		return nil
	}
	var together []*document[D]
	var records []record
	var swaps []driver.Swap
	for _, doc := range docs {
		if len(doc.pending) == 0 || doc.isShared(s.number) {
			continue
		}
		next, err := doc.next(s.number)
		if err != nil {
			return err
		}
		together, records = append(together, doc), append(records, next)
		swaps = append(swaps, driver.Swap{Key: s.key(doc.id), Value: next.encode(s.part(doc.id)), ETag: doc.etag})
	}
	if len(swaps) < 2 {
		return nil
	}
	err := driver.SwapMany(ctx, s.state, s.shared(), swaps)
	for i, doc := range together {
		doc.fresh = false
		if err == nil {
			doc.assumed, doc.record, doc.pending = false, records[i], nil
		}
	}
	return nil
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

// store writes one document, on top of what others have made of it meanwhile.
func (s *stage[D]) store(ctx context.Context, doc *document[D]) error {
	for n := 0; ; n++ {
		err := s.storeOnce(ctx, doc)
		if _, fails := errors.AsType[*eventstore.StorageError](err); !fails || n == flushTries {
			return err
		}
		if !pause.Again(ctx, n+1) {
			return s.failed(saving, context.Cause(ctx))
		}
		item, err := s.state.Get(ctx, s.part(doc.id), s.key(doc.id))
		if err != nil {
			return s.failed(saving, err)
		}
		if err := s.take(doc, item); err != nil {
			return err
		}
	}
}

const saving = "save a document"

// storeOnce tries to write a document whose ETag is known. It returns a StorageError if the
// document must be read again to know what became of it.
func (s *stage[D]) storeOnce(ctx context.Context, doc *document[D]) error {
	if len(doc.pending) == 0 {
		return nil
	}
	next, err := doc.next(s.number)
	if err != nil {
		return err
	}
	part := s.part(doc.id)
	doc.fresh = false
	if err := s.state.Swap(ctx, part, driver.Swap{Key: s.key(doc.id), Value: next.encode(part), ETag: doc.etag}); err != nil {
		return s.failed(saving, fmt.Errorf("%q: %w", doc.id, err))
	}
	doc.assumed, doc.record, doc.pending = false, next, nil
	return nil
}
