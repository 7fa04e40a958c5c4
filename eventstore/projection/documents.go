package projection

import (
	"context"
	"encoding/json"
	"fmt"
)

// Documents are the documents that a handler may change for one item. What it does takes effect
// when it returns nil, and only once for each document and item, however often the item is
// delivered. It is not safe for concurrent use, and not after the handler has returned.
//
// The id of a document is not empty, valid UTF-8, and not too long for the keys of the store. Other
// ids are an [eventstore.ArgumentError]. While the store does not answer, the methods return an
// [eventstore.StorageError], which the handler passes on. The item is then tried again for as long
// as that takes.
type Documents[D any] struct {
	stage   *stage[D]
	inline  *inlineDocuments[D] // instead of stage, for an Inline
	ctx     context.Context
	at      place
	stream  string
	touched []*document[D]
}

// change makes a document from what it was. It reports whether the document exists afterwards.
type change[D any] func(value D, exists bool) (D, bool, error)

// Get returns a document, and whether it exists. Do not modify what it points to: use
// [Documents.Update]. If the item was delivered before, the document may include it already.
func (d *Documents[D]) Get(id string) (value D, exists bool, err error) {
	if d.inline != nil {
		doc, err := d.inline.get(d.ctx, id)
		if err != nil {
			return value, false, err
		}
		return doc.value, doc.exists, nil
	}
	doc, err := d.stage.document(d.ctx, id)
	if err == nil && doc.assumed {
		err = d.learn(doc)
	}
	if err != nil {
		return value, false, err
	}
	return doc.value, doc.exists, nil
}

// Put makes a document, or replaces it.
func (d *Documents[D]) Put(id string, value D) error {
	return d.change(id, func(D, bool) (D, bool, error) { return value, true, nil })
}

// Update changes a document. If it does not exist, change begins with the zero value. change may be
// called again later with another value, because another partition may have changed the document
// meanwhile, or made it. So it must depend on nothing but the value and the item, and nothing else
// may depend on the value that it gets: use [Documents.Get] for that. An error of change leaves the
// document as it is, and Update returns it.
func (d *Documents[D]) Update(id string, change func(*D) error) error {
	return d.change(id, func(value D, _ bool) (D, bool, error) {
		err := change(&value)
		return value, true, err
	})
}

// Delete removes a document. It does nothing if there is none.
func (d *Documents[D]) Delete(id string) error {
	return d.change(id, func(D, bool) (zero D, exists bool, err error) { return zero, false, nil })
}

func (d *Documents[D]) change(id string, change change[D]) error {
	if d.inline != nil {
		return d.inline.change(d.ctx, id, change)
	}
	doc, err := d.stage.document(d.ctx, id)
	if err != nil || doc.includes(d.stage.number, d.stream, d.at) {
		return err
	}
	if len(doc.item) == 0 {
		d.touched = append(d.touched, doc)
	}
	doc.item = append(doc.item, change)
	before, existed := doc.value, doc.exists
	if doc.value, doc.exists, err = change(before, existed); err == nil || !doc.assumed {
		return err
	}
	doc.value, doc.exists = before, existed
	return d.learn(doc) // which calls change again
}

// learn reads a document that was assumed not to exist, and repeats what the item has changed.
func (d *Documents[D]) learn(doc *document[D]) error {
	if err := d.stage.learn(d.ctx, doc); err != nil {
		return err
	}
	changes := doc.item
	if doc.includes(d.stage.number, d.stream, d.at) {
		doc.item = nil
		return nil
	}
	for _, change := range changes {
		var err error
		if doc.value, doc.exists, err = change(doc.value, doc.exists); err != nil {
			return err
		}
	}
	return nil
}

// document is a document that a stage knows.
type document[D any] struct {
	record  // as the store has it
	id      string
	value   D // with all changes
	exists  bool
	assumed bool   // that it does not exist, without a look
	fresh   bool   // the stage has not written it since it knows the ETag
	etag    string // of record

	pending []pending[D] // items that the store does not include yet
	item    []change[D]  // of the item that is being handled
}

// pending are the changes of one item.
type pending[D any] struct {
	at      place
	stream  string
	changes []change[D]
}

// learn makes the document what was read of it, with the pending items.
func (doc *document[D]) learn(partition int, stored record, etag string) error {
	if err := doc.rebase(partition, stored); err != nil {
		return err
	}
	doc.assumed, doc.fresh, doc.etag = false, true, etag
	return nil
}

// isShared reports whether other partitions change the document as well.
func (doc *document[D]) isShared(partition int) bool {
	for n := range doc.through {
		if n != partition {
			return true
		}
	}
	return false
}

// rebase makes the document what the store has of it, with the pending items that this does not
// include.
func (doc *document[D]) rebase(partition int, stored record) error {
	var value D
	if !stored.deleted {
		if err := json.Unmarshal(stored.value, &value); err != nil {
			return fmt.Errorf("document %q does not fit %T: %w", doc.id, value, err)
		}
	}
	doc.record, doc.value, doc.exists = stored, value, !stored.deleted
	rest := doc.pending
	doc.pending = nil
	for _, p := range rest {
		if doc.includes(partition, p.stream, p.at) {
			continue
		}
		for _, change := range p.changes {
			var err error
			if doc.value, doc.exists, err = change(doc.value, doc.exists); err != nil {
				doc.pending = rest
				return fmt.Errorf("document %q was changed meanwhile, and now an update of it fails: %w", doc.id, err)
			}
		}
		doc.pending = append(doc.pending, p)
	}
	return nil
}

// includes reports whether the document includes an item, in the store or as a pending one.
func (doc *document[D]) includes(partition int, stream string, at place) bool {
	for _, p := range doc.pending {
		if p.at == at && p.stream == stream {
			return true
		}
	}
	return doc.record.includes(partition, stream, at)
}

// next returns the record with the pending items.
func (doc *document[D]) next(partition int) (record, error) {
	r := doc.record
	if !r.listed {
		r.listed, r.home = true, partition
	}
	for _, p := range doc.pending {
		r.include(partition, p.stream, p.at)
	}
	if r.deleted, r.value = !doc.exists, nil; r.deleted {
		return r, nil
	}
	value, err := json.Marshal(doc.value)
	if err != nil {
		return r, fmt.Errorf("document %q cannot be encoded: %w", doc.id, err)
	}
	r.value = value
	return r, nil
}
