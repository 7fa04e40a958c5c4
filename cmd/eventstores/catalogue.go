package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// filter says which streams of a store a command is about.
type filter struct {
	types, databases []string
	details          bool // their version, the time of their last event, and whether they are closed
}

// catalogue returns the streams of an open store: those of its feed, or, if it has none, those
// whose keys it lists. It holds only a few at a time. Call closeFeed at the end.
func (f *feedFlags) catalogue(ctx context.Context, o opened, log *slog.Logger, want filter) (_ iter.Seq2[feed.StreamInfo, error], closeFeed func(), err error) {
	all, err := f.openOn(ctx, o, log)
	if err == nil {
		options := want.options()
		if want.details {
			options = append(options, feed.WithDetails())
		}
		return all.Streams(ctx, options...), func() { closeProvider(ctx, all.Provider(), log) }, nil
	}
	lister, lists := o.state.(driver.Lister)
	if !errors.Is(err, errNoFeed) || !lists {
		return nil, nil, err
	}
	provider, err := o.provider(log)
	if err != nil {
		return nil, nil, err
	}
	return stored(ctx, provider, lister, want), func() {}, nil
}

// options returns the filter for a feed.
func (want filter) options() (options []feed.ReadOption) {
	if len(want.types) > 0 {
		options = append(options, feed.OfType(want.types...))
	}
	if len(want.databases) > 0 {
		options = append(options, feed.InDatabase(want.databases...))
	}
	return options
}

// stored returns the streams whose keys a store lists.
func stored(ctx context.Context, provider *eventstore.Provider, lister driver.Lister, want filter) iter.Seq2[feed.StreamInfo, error] {
	return func(yield func(feed.StreamInfo, error) bool) {
		for stream, err := range feed.Stored(ctx, lister) {
			if err != nil {
				yield(feed.StreamInfo{}, err)
				return
			}
			if len(want.types) > 0 && !slices.Contains(want.types, stream.Type) || len(want.databases) > 0 && !slices.Contains(want.databases, stream.Database) {
				continue
			}
			info := feed.StreamInfo{Stream: stream}
			if want.details {
				if err := describe(ctx, provider.Reader(stream), &info); err != nil && ctx.Err() != nil {
					yield(feed.StreamInfo{}, ctx.Err())
					return
				} else if err != nil {
					info.Err = err
				}
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// describe reads the details of a stream.
func describe(ctx context.Context, reader *eventstore.Reader, info *feed.StreamInfo) (err error) {
	for event, err := range reader.Read(ctx, eventstore.Backwards(), eventstore.AsRaw(), eventstore.MustExist()) {
		if deleted, ok := errors.AsType[*eventstore.StreamDeletedError](err); ok {
			info.Version, info.Changed, info.Closed, info.Deleted = deleted.Version, deleted.DeletedAt, true, true
			return nil
		} else if err != nil {
			return err
		}
		info.Version, info.Changed = event.Version, event.Metadata.Message.Created
		break
	}
	info.Closed, err = reader.Closed(ctx)
	return err
}
