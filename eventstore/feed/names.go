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
//
// The walk needs a name before the stream begins, see rule F2. Readers of the catalogue want
// streams that have begun. So a stream whose name came first gets a second line when it begins. If
// the first line is on the last page, the second replaces it.

// names is how far the catalogue is made.
type names struct {
	page int64 // the last one
	at   journal.NamesPage
	etag string
}

// page reads a page. A page that is absent is empty.
func (f *Feed) page(ctx context.Context, number int64) (journal.NamesPage, error) {
	p, _, err := f.pageTagged(ctx, number)
	return p, err
}

func (f *Feed) pageTagged(ctx context.Context, number int64) (journal.NamesPage, string, error) {
	key := f.name.Names(number)
	item, err := f.inside.State().Get(ctx, f.name.Log(), key)
	if err != nil {
		return journal.NamesPage{}, "", f.failed(indexing, err)
	}
	p, err := journal.DecodeNames(f.name, item.Value)
	if err != nil {
		return journal.NamesPage{}, "", f.damaged(key, 0, err)
	}
	return p, item.ETag, nil
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
	unmarked, err := ix.unmarked(ctx, ix.names.at.Names)
	if err != nil {
		return err
	}
	if err := ix.mark(ctx, unmarked); err != nil {
		return err
	}
	ix.names.at.Position = min(ix.names.at.Position, ix.state.Position) // the store may have lost a part of the log
	done := max(ix.names.at.Position, ix.state.Kept)                    // the log gets a snapshot after the names are added
	if done >= ix.state.Position {
		return nil
	}
	for batch, err := range ix.batchesAfter(ctx, s.Reader, done, snapshot{ix.state.Kept, ix.state.KeptVersion}) {
		if err != nil {
			return err
		}
		if err := ix.addNames(ctx, batch.Batch); err != nil {
			return err
		}
	}
	return nil
}

// lastPage returns the number of the last page of the catalogue, or 0 if there is none.
func (f *Feed) lastPage(ctx context.Context) (int64, error) {
	n, err := f.firstPage(ctx, func(p journal.NamesPage) bool { return p.Position == 0 })
	return max(n-1, 0), err
}

// firstPage returns the number of the first page for which is reports true. It has to report true
// for all pages after that as well, and for pages that are absent.
func (f *Feed) firstPage(ctx context.Context, is func(journal.NamesPage) bool) (int64, error) {
	return search(func(pages []int64) (int, error) {
		keys := make([]string, len(pages))
		for i, n := range pages {
			keys[i] = f.name.Names(n)
		}
		items, err := f.inside.GetManyUnproven(ctx, indexing, keys)
		if err != nil {
			return 0, err
		}
		for i, item := range items {
			if !item.Found() && f.inside.State().Capabilities().BulkMisses { // the others need no proof
				if item, err = f.inside.State().Get(ctx, f.name.Log(), item.Key); err != nil {
					return 0, f.failed(indexing, err)
				}
			}
			p, err := journal.DecodeNames(f.name, item.Value)
			if err != nil {
				return 0, f.damaged(item.Key, 0, err)
			}
			if is(p) {
				return i, nil
			}
		}
		return len(items), nil
	})
}

// addNames adds the streams of a batch that the catalogue does not have.
func (ix *indexer) addNames(ctx context.Context, batch journal.Batch) error {
	added, err := ix.notListed(ctx, batch)
	if err != nil || len(added) == 0 {
		return err // the position of the catalogue is of no use if no name is missing
	}
	for rest := added; len(rest) > 0; {
		isAdded := func(n journal.Name) bool {
			return !n.Begun && slices.ContainsFunc(rest, func(a journal.Name) bool { return a.Stream == n.Stream })
		}
		next := journal.NamesPage{Names: slices.DeleteFunc(slices.Clone(ix.names.at.Names), isAdded)}
		if len(next.Names) >= journal.PageNames {
			ix.names = names{page: ix.names.page + 1}
			next.Names = nil
		}
		part := rest[:min(len(rest), journal.PageNames-len(next.Names))]
		next.Names = append(next.Names, part...)
		if rest = rest[len(part):]; len(rest) == 0 {
			next.Position = batch.Last()
		} else {
			next.Position = part[len(part)-1].Position
		}
		swap := driver.Swap{Key: ix.name.Names(ix.names.page), Value: next.Encode(ix.name), ETag: ix.names.etag}
		if err := ix.inside.State().Swap(ctx, ix.name.Log(), swap); err != nil {
			return ix.failed(indexing, err)
		}
		_, etag, err := ix.pageTagged(ctx, ix.names.page)
		if err != nil {
			return err
		}
		ix.names.at, ix.names.etag = next, etag
		if err := ix.mark(ctx, part); err != nil { // before another page begins, since only the last page is marked again
			return err
		}
	}
	return nil
}

// notListed returns the lines that the catalogue lacks for a batch.
func (ix *indexer) notListed(ctx context.Context, batch journal.Batch) (lines []journal.Name, err error) {
	at := map[string]int{} // in all
	var all []journal.Name
	for i, e := range batch.Entries {
		n := journal.Name{Stream: e.Stream, Position: batch.First + int64(i)}
		switch {
		case n.Position <= ix.names.at.Position || e.What != journal.Named && (e.From != 1 || e.Stream == ""):
			continue
		case e.What != journal.Named:
			n.Begun, n.Time = true, e.Time
		}
		if before, twice := at[n.Stream]; !twice {
			at[n.Stream] = len(all)
			all = append(all, n)
		} else if n.Begun && !all[before].Begun {
			all[before].Stream = "" // replaced by the line of its beginning
			at[n.Stream] = len(all)
			all = append(all, n)
		}
	}
	all = slices.DeleteFunc(all, func(n journal.Name) bool { return n.Stream == "" })
	if len(all) == 0 {
		return nil, nil
	}
	keys := make([]string, len(all))
	for i, n := range all {
		keys[i] = ix.name.Mark(n.Stream)
	}
	items, err := ix.inside.GetMany(ctx, indexing, keys)
	if err != nil {
		return nil, err
	}
	present := map[string]bool{} // on the present page; a name there may have no mark yet, or a stale one
	for _, n := range ix.names.at.Names {
		present[n.Stream] = present[n.Stream] || n.Begun
	}
	for i, item := range items {
		if begun, listed := present[all[i].Stream]; begun || listed && !all[i].Begun {
			continue
		}
		if item.Found() {
			begun, err := journal.DecodeMark(ix.name, item.Value)
			if err != nil {
				return nil, ix.damaged(item.Key, 0, err)
			}
			if begun || !all[i].Begun {
				continue
			}
		}
		lines = append(lines, all[i])
	}
	return lines, nil
}

// unmarked returns those of some names whose marks are missing, or do not say that the stream has
// begun.
func (ix *indexer) unmarked(ctx context.Context, listed []journal.Name) (missing []journal.Name, err error) {
	if len(listed) == 0 {
		return nil, nil
	}
	keys := make([]string, len(listed))
	for i, n := range listed {
		keys[i] = ix.name.Mark(n.Stream)
	}
	items, err := ix.inside.GetManyUnproven(ctx, indexing, keys) // to mark a name twice does no harm
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		begun := false
		if item.Found() {
			if begun, err = journal.DecodeMark(ix.name, item.Value); err != nil {
				return nil, ix.damaged(item.Key, 0, err)
			}
		}
		if !item.Found() || listed[i].Begun && !begun {
			missing = append(missing, listed[i])
		}
	}
	return missing, nil
}

// mark notes for each name that a page has it.
func (f *Feed) mark(ctx context.Context, names []journal.Name) error {
	if len(names) == 0 {
		return nil
	}
	writes := make([]driver.Write, len(names))
	for i, n := range names {
		writes[i] = driver.Write{Key: f.name.Mark(n.Stream), Value: journal.EncodeMark(f.name, n)}
	}
	if err := f.inside.State().Write(ctx, f.name.Log(), writes); err != nil {
		return f.failed(indexing, err)
	}
	return nil
}
