package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// selection says which streams of a store a command processes: those that are named, or all.
type selection struct {
	names
	feed string
	all  bool

	named []eventstore.Stream
}

// aboutAll is part of the usage of commands.
const aboutAll = `With --all it takes the names from the catalogue of the store's feed. Streams that were written before
the feed are not in it until eventstores feed import was run. A store without a feed is asked for its
keys instead, which works for sqlite: and redis: stores.
`

// allFlags adds the flags that select all streams.
func (s *selection) allFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&s.all, "all", false, "all streams of the store")
	flags.StringVar(&s.feed, "feed", "", "the `name` of the feed, for --all; by default that of the store's feed")
}

// check reads the names. It returns how many there are, or 0 if all streams are selected.
func (s *selection) check(c *call, args []string) (int, error) {
	if !s.all {
		named, err := s.streams(args, c.stdin)
		s.named = named
		return len(named), err
	}
	switch {
	case len(args) > 0 || s.file != "":
		return 0, errors.New("give --all or the names of streams, not both")
	case s.parallel < 1:
		return 0, errNotParallel(s.parallel)
	}
	return 0, nil
}

// of returns the selected streams of an open store. Call done at the end.
func (s *selection) of(ctx context.Context, o opened, log *slog.Logger) (_ iter.Seq2[eventstore.Stream, error], done func(), err error) {
	if !s.all {
		return feed.Named(s.named...), func() {}, nil
	}
	infos, done, err := (&feedFlags{feed: s.feed}).catalogue(ctx, o, log, filter{})
	if err != nil {
		return nil, nil, err
	}
	return func(yield func(eventstore.Stream, error) bool) {
		for info, err := range infos {
			if !yield(info.Stream, err) {
				return
			}
		}
	}, done, nil
}
