package feed

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// StreamInfo is a stream of the catalogue.
type StreamInfo struct {
	Stream eventstore.Stream

	// Position has the place of the stream's first commit in the feed. Pass it to [After] to go on
	// after this stream.
	Position Position
	Begun    time.Time // time of the first commit, to the millisecond; zero if it is not known

	// With [WithDetails], these fields are as of now.
	Version         int64     // of the stream
	Changed         time.Time // when the stream was last appended to, closed or deleted
	Closed, Deleted bool      // a deleted stream is closed too
	Err             error     // an eventstore.DamagedError if the head cannot be read or is missing
}

var errHeadLost = errors.New("the head is missing but the stream has begun: did the store evict or expire it?")

const (
	namePagesAtOnce = 8   // pages of names in one request
	headsAtOnce     = 250 // heads in one request; a head can carry some events
)

// Streams returns the streams of the store in the order in which they began, as far as the feed
// knows. That includes streams that were closed or deleted. To list those that began since an
// earlier call, pass the last Position to [After].
//
// A page of 500 names is one key, so without [WithDetails] listing takes one request for every
// 4,000 streams. With it, each 250 streams take one more. The options [OfType], [InDatabase],
// [OfStream] and [Where] need no details. Memory does not grow with the number of streams.
//
// The catalogue follows the feed, so a new stream enters it a little later. The errors that end the
// loop are those of [Feed.Read].
func (f *Feed) Streams(ctx context.Context, options ...ReadOption) iter.Seq2[StreamInfo, error] {
	return func(yield func(StreamInfo, error) bool) {
		q, err := f.newQuery("Streams", options, func(name string) bool {
			switch name {
			case "After", "OfType", "InDatabase", "OfStream", "Where", "WithDetails":
				return true
			}
			return false
		})
		if err == nil {
			l := listing{Feed: f, query: q}
			err = l.run(ctx, func(s StreamInfo) bool { return yield(s, nil) })
		}
		if err != nil && err != errStop {
			if ctx.Err() != nil {
				err = ended(ctx)
			}
			yield(StreamInfo{}, err)
		}
	}
}

// listing is one loop over the catalogue.
type listing struct {
	*Feed
	query query
}

// run reads the catalogue, one request ahead of the caller.
func (l *listing) run(ctx context.Context, yield func(StreamInfo) bool) error {
	return ahead(ctx, l.fetch, func(part []StreamInfo) error {
		for _, s := range part {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !yield(s) {
				return errStop
			}
		}
		return nil
	})
}

func (l *listing) fetch(ctx context.Context, send func([]StreamInfo) error) error {
	number := int64(0)
	if after := int64(l.query.after); after > 0 {
		var err error
		if number, err = l.firstPage(ctx, func(p journal.NamesPage) bool { return p.Position == 0 || p.Position > after }); err != nil {
			return err
		}
	}
	for ; ; number += namePagesAtOnce {
		keys := make([]string, namePagesAtOnce)
		for i := range keys {
			keys[i] = l.name.Names(number + int64(i))
		}
		items, err := l.inside.GetMany(ctx, readingFeed, keys)
		if err != nil {
			return err
		}
		if !items[0].Found() && number == 0 {
			return l.checkName(ctx)
		}
		var part []StreamInfo
		more := true
		for _, item := range items {
			if more = item.Found(); !more {
				break
			}
			page, err := journal.DecodeNames(l.name, item.Value)
			if err == nil {
				part, err = l.wanted(part, page)
			}
			if err != nil {
				return l.damaged(item.Key, 0, err)
			}
		}
		if err := l.send(ctx, part, send); err != nil || !more {
			return err
		}
	}
}

// wanted adds the streams of a page that the query asks for.
func (l *listing) wanted(part []StreamInfo, page journal.NamesPage) ([]StreamInfo, error) {
	for _, n := range page.Names {
		if !n.Begun || n.Position <= int64(l.query.after) {
			continue
		}
		s, err := eventstore.ParseStream(n.Stream)
		if err != nil {
			return nil, err
		}
		if l.query.wantsStream(n.Stream, s) {
			part = append(part, StreamInfo{Stream: s, Position: Position(n.Position), Begun: n.Time})
		}
	}
	return part, nil
}

// send sends streams, with their details if they are asked for.
func (l *listing) send(ctx context.Context, part []StreamInfo, send func([]StreamInfo) error) error {
	if !l.query.details {
		if len(part) == 0 {
			return nil
		}
		return send(part)
	}
	for len(part) > 0 {
		some := part[:min(len(part), headsAtOnce)]
		part = part[len(some):]
		names := make([]string, len(some))
		for i, s := range some {
			names[i] = s.Stream.String()
		}
		heads, errs, err := l.inside.Heads(ctx, readingFeed, names)
		if err != nil {
			return err
		}
		for i, h := range heads {
			s := &some[i]
			s.Version, s.Changed, s.Closed, s.Deleted, s.Err = h.Version, h.Time, h.Closed || h.Deleted, h.Deleted, errs[i]
			if s.Err == nil && s.Version == 0 {
				s.Err = &eventstore.DamagedError{Stream: s.Stream, Key: "{" + names[i] + "}:head", Cause: errHeadLost}
			}
		}
		if err := send(some); err != nil {
			return err
		}
	}
	return nil
}
