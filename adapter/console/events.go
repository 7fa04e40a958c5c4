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
// more than [perPage].
const maxRows = 200

// eventsView is the page of what happened last, in all streams.
type eventsView struct {
	Type    string
	Types   []typeCount
	Events  []eventView
	Hidden  int // events of the last commit that are left out
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
		if v.Seen, err = c.now(r.Context()); err != nil {
			return err
		}
		v.Live = c.livePath("")
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
	options := []feed.ReadOption{feed.Backwards(), feed.AsRaw()}
	if before > 0 {
		options = append(options, feed.Before(before))
	}
	if v.Type != "" {
		options = append(options, feed.OfType(v.Type))
	}
	reading, stop := context.WithTimeout(ctx, readFor)
	defer stop()
	last, size := before, 0
	for item, err := range c.feed.Read(reading, options...) {
		if err != nil && reading.Err() != nil && ctx.Err() == nil {
			v.Stopped = true
			if len(v.Events) > 0 {
				v.Older = c.eventsPath(v.Type, last)
			}
			return nil
		} else if err != nil {
			return err
		}
		ends := item.Position < last || last == 0 // otherwise the commit goes on
		last = item.Position
		raw, _ := item.Event.Data.(eventstore.Raw)
		if size += len(raw.Payload); len(v.Events) < maxRows {
			v.Events = append(v.Events, c.itemOf(item))
		} else {
			v.Hidden++
		}
		if ends && (len(v.Events) >= perPage || size >= pageBytes) {
			if last > 1 {
				v.Older = c.eventsPath(v.Type, last)
			}
			break
		}
	}
	return nil
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
