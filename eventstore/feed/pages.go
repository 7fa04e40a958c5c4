package feed

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file makes the pages of the log. The log itself has a batch for every few entries, because
// an indexer takes over what there is. Followers that are behind read pages, many at once. A page
// also tells at which version of the log to go on, so the place of a position is found in a few
// requests, however long the log is. Nothing needs a page: without it, the log is searched.

// pages is how far the pages are made.
type pages struct {
	behind bool // a page could not be written; the rest is of no use

	next int64         // the number of the next page
	rest journal.Batch // the entries that it has so far
}

// keepPages is for the error of writing pages. Indexing goes on without pages if the store does not
// take them, and tries again in its next turn.
func (ix *indexer) keepPages(ctx context.Context, err error) error {
	if !unsure(ctx, err) {
		return err
	}
	ix.pages = pages{behind: true}
	ix.log.WarnContext(ctx, "the log of the feed has fewer pages than it could have", "error", err)
	return nil
}

// catchUpPages finds the last page, and writes those that follow from the log and are missing.
func (ix *indexer) catchUpPages(ctx context.Context, s *eventstore.Session) error {
	full := ix.state.Position / journal.PageEntries // so many pages can be written
	var last journal.Page
	if full > 0 {
		found, err := ix.logPages(ctx, full-1, full-1)
		if err != nil {
			return err
		}
		if last = found[0]; last.Version == 0 {
			if full, last, err = ix.lastLogPage(ctx); err != nil {
				return err
			}
		}
	}
	ix.pages = pages{next: full, rest: journal.Batch{First: full*journal.PageEntries + 1}}
	for event, err := range s.Read(ctx, eventstore.FromVersion(max(1, last.Version)), eventstore.AsRaw()) {
		if err != nil {
			return err
		}
		batch, err := ix.decode(event)
		if err != nil {
			return err
		}
		if err := ix.addPages(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// addPages writes the pages that a batch completes.
func (ix *indexer) addPages(ctx context.Context, batch logged) error {
	p := &ix.pages
	if p.behind {
		return nil
	}
	for i, e := range batch.Entries {
		if batch.First+int64(i) != p.rest.First+int64(len(p.rest.Entries)) {
			continue // it is on an earlier page
		}
		p.rest.Entries = append(p.rest.Entries, e)
		if len(p.rest.Entries) < journal.PageEntries {
			continue
		}
		page := journal.Page{Batch: p.rest, Version: batch.version}
		page.Time = batch.Time
		write := driver.Write{Key: ix.name.Page(p.next), Value: page.Encode(ix.name)}
		if err := ix.inside.State().Write(ctx, ix.name.Log(), []driver.Write{write}); err != nil {
			return ix.failed(indexing, err)
		}
		*p = pages{next: p.next + 1, rest: journal.Batch{First: page.Last() + 1}}
	}
	return nil
}

// logPages reads the pages from one number to another, both included, in one request. One that is
// absent is a zero Page. The store may have missed it.
func (f *Feed) logPages(ctx context.Context, first, last int64) ([]journal.Page, error) {
	return f.logPagesOf(ctx, numbersFrom(first, last), f.inside.GetManyUnproven)
}

// allLogPages is logPages, but it proves that a page is absent.
func (f *Feed) allLogPages(ctx context.Context, first, last int64) ([]journal.Page, error) {
	return f.logPagesOf(ctx, numbersFrom(first, last), f.inside.GetMany)
}

func numbersFrom(first, last int64) []int64 {
	numbers := make([]int64, 0, last-first+1)
	for n := first; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

func (f *Feed) logPagesOf(ctx context.Context, numbers []int64, get func(context.Context, string, []string) ([]driver.Item, error)) ([]journal.Page, error) {
	keys := make([]string, len(numbers))
	for i, n := range numbers {
		keys[i] = f.name.Page(n)
	}
	items, err := get(ctx, readingFeed, keys)
	if err != nil {
		return nil, err
	}
	found := make([]journal.Page, len(numbers))
	for i, item := range items {
		if !item.Found() {
			continue
		}
		if found[i], err = journal.DecodePage(f.name, numbers[i], item.Value); err != nil {
			return nil, f.damaged(item.Key, 0, err)
		}
	}
	return found, nil
}

// lastLogPage returns the last page, and how many there are. There may be more, if the store has
// missed one.
func (f *Feed) lastLogPage(ctx context.Context) (count int64, last journal.Page, err error) {
	return f.firstLogPage(ctx, func(p journal.Page) bool { return p.Version == 0 })
}

// firstLogPage returns the number of the first page for which is reports true, and the page before
// it. It has to report true for all pages after that as well, and for pages that are absent.
func (f *Feed) firstLogPage(ctx context.Context, is func(journal.Page) bool) (number int64, before journal.Page, err error) {
	number, err = search(func(numbers []int64) (int, error) {
		found, err := f.logPagesOf(ctx, numbers, f.inside.GetManyUnproven)
		if err != nil {
			return 0, err
		}
		for i, p := range found {
			if is(p) {
				return i, nil
			}
			before = p
		}
		return len(found), nil
	})
	return number, before, err
}

// search returns the lowest number from 0 on that has a property, which all numbers above it have
// as well. probe returns the index of the first of some ascending numbers that has it, or how many
// there are. One call of it is one request, so search asks for many numbers at once.
func search(probe func([]int64) (int, error)) (int64, error) {
	low, high := int64(-1), int64(1)<<60 // low does not have it
	numbers := []int64{0}
	for n := int64(1); n < high; n *= 8 {
		numbers = append(numbers, n)
	}
	for {
		i, err := probe(numbers)
		if err != nil {
			return 0, err
		}
		if i > 0 {
			low = numbers[i-1]
		}
		if i < len(numbers) {
			high = numbers[i]
		}
		if high-low <= 1 {
			return high, nil
		}
		numbers = numbers[:0]
		step := max(1, (high-low)/16)
		for n := low + step; n < high && len(numbers) < 16; n += step {
			numbers = append(numbers, n)
		}
	}
}
