package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// feedAuditorVariable turns this executable into an auditor of the feed. It holds the feedConfig.
const feedAuditorVariable = "EVENTSTORES_CHAOS_FEED_AUDITOR"

// logged is what the auditor found about one stream in the log and in the catalogue.
type logged struct {
	Stream string
	Items  []item // in the order of the log
	Listed []listed
	Errors []string
}

// listed is an entry of the catalogue.
type listed struct {
	Version         int64
	Closed, Deleted bool
}

// auditFeed is the main function of the auditor of the feed, a fresh process that has seen nothing
// of the run. It reads the log from the beginning to the end, then backwards, and lists all
// streams.
func auditFeed() {
	var config feedConfig
	configOf(feedAuditorVariable, &config)
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	f := config.open(ctx)
	if f == nil {
		fatal(ctx.Err())
	}
	streams := map[string]*logged{}
	of := func(stream string) *logged {
		if streams[stream] == nil {
			streams[stream] = &logged{Stream: stream}
		}
		return streams[stream]
	}
	var ids []string
	last := feed.Position(0)
	for got, err := range f.Read(ctx, feed.AsRaw()) {
		if err != nil {
			fatal(err)
		}
		l := of(got.Stream.ID)
		i, err := itemOf(got)
		if err != nil {
			l.Errors = append(l.Errors, err.Error())
		}
		if got.Position < last {
			l.Errors = append(l.Errors, fmt.Sprintf("%s has position %d in the log, after %d", got.ID(), got.Position, last))
		}
		last = got.Position
		l.Items = append(l.Items, i)
		ids = append(ids, got.ID())
	}
	slices.Reverse(ids)
	n := 0
	for got, err := range f.Read(ctx, feed.AsRaw(), feed.Backwards()) {
		if err != nil {
			fatal(err)
		}
		if n >= len(ids) || ids[n] != got.ID() {
			l := of(got.Stream.ID)
			l.Errors = append(l.Errors, fmt.Sprintf("the log has %s at another place backwards", got.ID()))
			break
		}
		n++
	}
	if n < len(ids) {
		fatal(fmt.Errorf("the log has %d items, and backwards it has %d", len(ids), n))
	}
	for s, err := range f.Streams(ctx, feed.WithDetails()) {
		if err != nil {
			fatal(err)
		}
		l := of(s.Stream.ID)
		l.Listed = append(l.Listed, listed{s.Version, s.Closed, s.Deleted})
		if s.Err != nil {
			l.Errors = append(l.Errors, s.Err.Error())
		}
	}
	results := json.NewEncoder(os.NewFile(resultsFD, "results"))
	for _, l := range streams {
		if err := results.Encode(l); err != nil {
			fatal(err)
		}
	}
}

// readFeedAudit returns a function that reads the auditor's output into a map by stream.
func readFeedAudit(into map[string]logged) func(io.Reader) error {
	return func(r io.Reader) error {
		for results := json.NewDecoder(r); ; {
			var l logged
			if err := results.Decode(&l); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			into[l.Stream] = l
		}
	}
}
