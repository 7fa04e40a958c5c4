package feed

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// This file takes in streams that were written before the feed.

// ImportResult is what became of a stream in an import.
type ImportResult int

const (
	ImportAdded   ImportResult = iota // the stream has entered the feed
	ImportKnown                       // the feed had all of it
	ImportDeleted                     // the stream was deleted, so there is nothing to import
	ImportAbsent                      // the store has no such stream
	ImportFailed                      // Err says why
)

// String returns "added", "known", "deleted", "absent" or "failed".
func (r ImportResult) String() string {
	if r < ImportAdded || r > ImportFailed {
		return "ImportResult(" + strconv.Itoa(int(r)) + ")"
	}
	return [...]string{"added", "known", "deleted", "absent", "failed"}[r]
}

// Imported is one stream of an import.
type Imported struct {
	Stream  eventstore.Stream
	Result  ImportResult
	Version int64 // of the stream; 0 if it is absent or failed
	Err     error // if it failed
}

const (
	importing     = "import into the feed"
	importAtOnce  = 16 // streams that are changed at a time
	importTries   = 5  // how often a stream is tried while other writers come first
	headKeySuffix = "}:head"
)

// Import makes streams enter the feed that were written before the feed, or by writers without it.
// Otherwise such a stream enters at its next append. It changes only the heads of the streams. An
// indexer then takes them over: see [Feed.Index].
//
// The loop runs the import: it returns each stream once that stream is done. An error of a stream
// is in Imported.Err, for example an [eventstore.DamagedError] for a head that cannot be read, and
// the loop goes on. A closed stream is imported like others. A deleted stream has no events any
// more, so it is left out. The error that comes with the last pair ends the loop. It is one of
// streams, the error of ctx, or that of the feed's root, such as an [eventstore.ArgumentError] if
// the store has a feed of another name.
//
// Import can run beside writers and indexers, and again at any time: what is in the feed is left
// alone, in one request for 250 streams. A stream that is not takes four requests. Streams that
// come twice in short succession are returned once. Memory does not grow with the number of
// streams. [Named] and [Stored] make the argument.
func (f *Feed) Import(ctx context.Context, streams iter.Seq2[eventstore.Stream, error]) iter.Seq2[Imported, error] {
	return func(yield func(Imported, error) bool) {
		if _, _, err := f.inside.Root(ctx); err != nil {
			yield(Imported{}, err)
			return
		}
		var batch []Imported
		flush := func() bool {
			f.importAll(ctx, batch)
			for _, i := range batch {
				if i.Result == ImportFailed && ctx.Err() != nil {
					yield(Imported{}, endedIn(ctx, importing))
					return false
				}
				if !yield(i, nil) {
					return false
				}
			}
			batch = batch[:0]
			return true
		}
		for s, err := range streams {
			if err == nil && ctx.Err() != nil {
				err = endedIn(ctx, importing)
			}
			if err != nil {
				if flush() {
					yield(Imported{}, err)
				}
				return
			}
			if slices.ContainsFunc(batch, func(i Imported) bool { return i.Stream == s }) {
				continue
			}
			if batch = append(batch, Imported{Stream: s}); len(batch) == headsAtOnce && !flush() {
				return
			}
		}
		flush()
	}
}

// Named returns these streams, for [Feed.Import].
func Named(streams ...eventstore.Stream) iter.Seq2[eventstore.Stream, error] {
	return func(yield func(eventstore.Stream, error) bool) {
		for _, s := range streams {
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Stored returns the streams that a store holds, for [Feed.Import]. It finds them by their keys,
// which only a store that is opened in this process can list. Streams whose head is missing are not
// found. A stream may come twice. The order is that of the store.
func Stored(ctx context.Context, store driver.Lister) iter.Seq2[eventstore.Stream, error] {
	return func(yield func(eventstore.Stream, error) bool) {
		for key, err := range store.ListKeys(ctx, headKeySuffix) {
			if err != nil {
				yield(eventstore.Stream{}, &eventstore.StorageError{Operation: "list the keys of the store", Cause: err})
				return
			}
			name, ok := strings.CutPrefix(strings.TrimSuffix(key, headKeySuffix), "{")
			if !ok || strings.HasPrefix(name, ":") { // of another program, or of the feed itself
				continue
			}
			if s, err := eventstore.ParseStream(name); err == nil && !yield(s, nil) {
				return
			}
		}
	}
}

// importAll imports streams, and notes for each what became of it.
func (f *Feed) importAll(ctx context.Context, batch []Imported) {
	todo := make([]*Imported, 0, len(batch))
	for i := range batch {
		if err := f.inside.Check(batch[i].Stream); err != nil {
			batch[i].fail(err)
			continue
		}
		todo = append(todo, &batch[i])
	}
	for try := 0; len(todo) > 0; try++ {
		todo = f.importTry(ctx, todo, try)
	}
}

func (i *Imported) fail(err error) { i.Result, i.Version, i.Err = ImportFailed, 0, err }

// importTry looks at the heads of streams, and adopts those that the feed does not have. It returns
// the streams that it has tried to adopt, to be looked at again.
func (f *Feed) importTry(ctx context.Context, todo []*Imported, try int) (again []*Imported) {
	fail := func(err error) {
		for _, i := range todo {
			i.fail(err)
		}
	}
	names := make([]string, len(todo))
	for n, i := range todo {
		names[n] = i.Stream.String()
	}
	heads, errs, err := f.inside.Heads(ctx, importing, names)
	if err != nil {
		fail(err)
		return nil
	}
	var unnamed []string
	for n, h := range heads {
		i := todo[n]
		i.Version = h.Version
		switch {
		case errs[n] != nil:
			i.fail(errs[n])
		case h.Version == 0:
			i.Result = ImportAbsent
		case h.Deleted:
			i.Result = ImportDeleted
		case h.Ticketed() && try == 0:
			i.Result = ImportKnown
		case h.Ticketed() || try > 0 && !h.Ticket().IsZero(): // the rest is up to the walk
			i.Result = ImportAdded
		case try == importTries:
			i.fail(&eventstore.StorageError{Stream: i.Stream, Operation: importing, Cause: errors.New("other writers have come first again and again")})
		default:
			again = append(again, i)
			if try == 0 && h.Ticket().IsZero() {
				unnamed = append(unnamed, names[n])
			}
		}
	}
	if err := f.inside.Name(ctx, importing, unnamed); err != nil {
		for _, i := range again {
			i.fail(err)
		}
		return nil
	}
	return f.adoptAll(ctx, again)
}

// adoptAll adopts streams whose names stand. It returns those that did not fail.
func (f *Feed) adoptAll(ctx context.Context, streams []*Imported) []*Imported {
	turns := make(chan struct{}, importAtOnce)
	var all sync.WaitGroup
	for _, i := range streams {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			if err := f.inside.AdoptNamed(ctx, importing, i.Stream.String()); err != nil {
				i.fail(err)
			}
		})
	}
	all.Wait()
	return slices.DeleteFunc(streams, func(i *Imported) bool { return i.Err != nil })
}
