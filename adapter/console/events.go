package console

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// maxRows is how many events a page has at most. A page ends after a whole commit, so it can have
// more than [perPage]. It leaves out the rest of a commit that is larger, such as an import.
const maxRows = 200

// eventsView is the page of what happened last, in all streams.
type eventsView struct {
	Type    string
	Types   []typeCount
	Events  []eventView
	Rest    string // address of the events of the last commit that are left out; empty if there are none
	Newest  string
	Older   string
	Stopped bool // reading took too long
	Live    string
	Seen    string
}

func (c *console) listEvents(w http.ResponseWriter, r *http.Request) error {
	before, err := numberOf(r, "before")
	if err != nil {
		return err
	}
	v := eventsView{Type: r.URL.Query().Get("type")}
	if before == 0 {
		end, err := c.feed.End(r.Context())
		if err != nil {
			return err
		}
		before = int64(end) + 1
		v.Seen, v.Live = seenAt(end), c.livePath("")
	} else {
		v.Newest = c.eventsPath(v.Type, 0)
	}
	if err := c.newest(r.Context(), &v, feed.Position(before)); err != nil {
		return positioned(err, before)
	}
	if v.Types, _, _, err = c.census.count(r.Context(), c.feed); err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "events", v)
}

// How many positions of the feed are looked through at a time. The number grows, and a page whose
// time is over goes on where the last look ended.
const (
	firstWindow = 1000
	maxWindow   = 50_000
)

// positioned returns the error of reading from a position that the address of a page has, if any.
// It may be an old address, of a feed that has lost its end.
func positioned(err error, position int64) error {
	if _, ok := errors.AsType[*eventstore.ArgumentError](err); ok && position > 0 {
		return fmt.Errorf("%w: %w", errNoPosition, err)
	}
	return err
}

// newest reads the events of a page, the newest first.
func (c *console) newest(ctx context.Context, v *eventsView, before feed.Position) error {
	reading, stop := context.WithTimeout(ctx, readFor)
	defer stop()
	last, size := before, 0
	for window := feed.Position(firstWindow); before > 1; window = min(2*window, maxWindow) {
		after := max(0, before-1-window)
		full, err := c.newestIn(reading, v, after, before, &last, &size)
		if err != nil && reading.Err() != nil && ctx.Err() == nil {
			v.Stopped = true
			v.Older = c.eventsPath(v.Type, last)
			return nil
		} else if err != nil {
			return err
		}
		if full {
			break
		}
		before = after + 1
		last = min(last, before)
	}
	if last > 1 {
		v.Older = c.eventsPath(v.Type, last)
	}
	return nil
}

// newestIn reads the events between two positions of the feed, until the page is full. It updates
// the position before which the page goes on, and how many bytes were read.
func (c *console) newestIn(ctx context.Context, v *eventsView, after, before feed.Position, last *feed.Position, size *int) (full bool, err error) {
	options := []feed.ReadOption{feed.Backwards(), feed.AsRaw(), feed.Before(before), feed.After(after)}
	if v.Type != "" {
		options = append(options, feed.OfType(v.Type))
	}
	for item, err := range c.feed.Read(ctx, options...) {
		if err != nil {
			return false, err
		}
		ends := item.Position < *last // otherwise the commit goes on
		*last = item.Position
		raw, _ := item.Event.Data.(eventstore.Raw)
		*size += len(raw.Payload)
		v.Events = append(v.Events, c.itemOf(item))
		switch {
		case !ends && (len(v.Events) >= maxRows || *size >= pageBytes):
			v.Rest = fmt.Sprintf("%s?before=%d", c.nameOf(item.Stream).Path, item.Version)
			*last-- // the position of the commit
			return true, nil
		case ends && (len(v.Events) >= perPage || *size >= pageBytes):
			return true, nil
		}
	}
	return false, nil
}

// itemOf returns an item of the feed that was read with AsRaw.
func (c *console) itemOf(item feed.Item) eventView {
	name := c.nameOf(item.Stream)
	e := eventView{Version: item.Version, Created: item.Time}
	switch {
	case item.What == feed.Appended && item.Event.Data != nil:
		e = c.eventOf(name, item.Event)
	case item.What != feed.Appended:
		e.What = item.What.String()
	}
	if item.Err != nil {
		e.Trouble = visible(item.Err.Error())
	}
	e.Stream = &name
	e.Path = fmt.Sprintf("%s?before=%d#e%d", name.Path, item.Version+1, item.Version)
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(item.ID()))
	e.ID = "i" + strconv.FormatUint(sum.Sum64(), 36)
	return e
}

func (c *console) eventsPath(kind string, before feed.Position) string {
	q := url.Values{}
	if kind = strings.TrimSpace(kind); kind != "" {
		q.Set("type", kind)
	}
	if before > 0 {
		q.Set("before", strconv.FormatInt(int64(before), 10))
	}
	return withQuery(c.prefix+"/events", q)
}
