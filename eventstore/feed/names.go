package feed

import (
	"context"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file makes the catalogue: the names of all streams, in the order in which the log took them
// over, on pages. It is a projection of the log. A page and how far it is made are one key.

// names is how far the catalogue is made.
type names struct {
	page int64 // the last one
	at   page
	etag string
}

// page is a page of names.
type page struct {
	position int64 // up to which the log is in the catalogue, as of this page
	names    []string
}

// page reads a page. A page that is absent is empty.
func (f *Feed) page(ctx context.Context, number int64) (page, error) {
	p, _, err := f.pageTagged(ctx, number)
	return p, err
}

func (f *Feed) pageTagged(ctx context.Context, number int64) (page, string, error) {
	key := f.name.Names(number)
	item, err := f.inside.State().Get(ctx, f.name.Log(), key)
	if err != nil {
		return page{}, "", &eventstore.StorageError{Operation: indexing, Cause: err}
	}
	position, names, err := journal.DecodeNames(f.name, item.Value)
	if err != nil {
		return page{}, "", &eventstore.DamagedError{Key: key, Cause: err}
	}
	return page{position, names}, item.ETag, nil
}

// catchUpNames finds the last page, and adds the names of batches that are in the log but not in
// the catalogue.
func (ix *indexer) catchUpNames(ctx context.Context, s *eventstore.Session) error {
	last, err := ix.lastPage(ctx)
	if err != nil {
		return err
	}
	ix.names.page = last
	if ix.names.at, ix.names.etag, err = ix.pageTagged(ctx, last); err != nil {
		return err
	}
	if err := ix.mark(ctx, ix.names.at.names); err != nil {
		return err
	}
	done := max(ix.names.at.position, ix.state.Kept) // the log gets a snapshot after the names are added
	if done >= ix.state.Position {
		return nil
	}
	for batch, err := range ix.batchesAfter(ctx, s.Reader, done) {
		if err != nil {
			return err
		}
		if err := ix.addNames(ctx, batch.Batch); err != nil {
			return err
		}
	}
	return nil
}

// lastPage returns the number of the last page. It takes as many requests as the number has binary
// digits, twice.
func (ix *indexer) lastPage(ctx context.Context) (int64, error) {
	exists := func(n int64) (bool, error) {
		p, err := ix.page(ctx, n)
		return p.position > 0, err
	}
	low, high := int64(0), int64(1) // low exists, or is 0; high does not
	for {
		there, err := exists(high)
		if err != nil {
			return 0, err
		}
		if !there {
			break
		}
		low, high = high, 2*high
	}
	for high-low > 1 {
		middle := (low + high) / 2
		there, err := exists(middle)
		if err != nil {
			return 0, err
		}
		if there {
			low = middle
		} else {
			high = middle
		}
	}
	return low, nil
}

// addNames adds the streams of a batch that the catalogue does not have.
func (ix *indexer) addNames(ctx context.Context, batch journal.Batch) error {
	if batch.Last() <= ix.names.at.position {
		return nil
	}
	var begun []string
	for i, e := range batch.Entries {
		if batch.First+int64(i) > ix.names.at.position && (e.What == journal.Named || e.From == 1 && e.Stream != "") && !slices.Contains(begun, e.Stream) {
			begun = append(begun, e.Stream)
		}
	}
	if len(begun) == 0 {
		return nil // the position is of no use, because no name is missing
	}
	keys := make([]string, len(begun))
	for i, name := range begun {
		keys[i] = ix.name.Mark(name)
	}
	items, err := ix.inside.GetMany(ctx, indexing, keys)
	if err != nil {
		return err
	}
	var added []string
	for i, item := range items {
		// A name on the present page may have no mark yet, or a stale one.
		if !item.Found() && !slices.Contains(ix.names.at.names, begun[i]) {
			added = append(added, begun[i])
		}
	}
	if len(added) == 0 {
		return nil
	}
	for rest := added; len(rest) > 0; {
		if len(ix.names.at.names) >= journal.PageNames {
			ix.names = names{page: ix.names.page + 1, at: page{position: ix.names.at.position}}
		}
		n := min(len(rest), journal.PageNames-len(ix.names.at.names))
		part := rest[:n]
		next := page{position: ix.names.at.position, names: slices.Concat(ix.names.at.names, part)}
		if rest = rest[n:]; len(rest) == 0 {
			next.position = batch.Last()
		} else {
			next.position = max(next.position, batch.First-1, 1)
		}
		value := journal.EncodeNames(ix.name, next.position, next.names)
		err := ix.inside.State().Swap(ctx, ix.name.Log(), driver.Swap{Key: ix.name.Names(ix.names.page), Value: value, ETag: ix.names.etag})
		if err != nil {
			return &eventstore.StorageError{Operation: indexing, Cause: err}
		}
		_, etag, err := ix.pageTagged(ctx, ix.names.page)
		if err != nil {
			return err
		}
		ix.names.at, ix.names.etag = next, etag
		// A crash leaves names without marks on the last page only, where catchUpNames marks them.
		if err := ix.mark(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// mark notes for each name that a page has it.
func (ix *indexer) mark(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	writes := make([]driver.Write, len(names))
	for i, name := range names {
		writes[i] = driver.Write{Key: ix.name.Mark(name), Value: journal.EncodeMark(ix.name, name)}
	}
	if err := ix.inside.State().Write(ctx, ix.name.Log(), writes); err != nil {
		return &eventstore.StorageError{Operation: indexing, Cause: err}
	}
	return nil
}
