package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const (
	maxRead    = 50_000    // how many events a page about a correlation reads
	maxRelated = 300       // how many it shows
	around     = time.Hour // how long before an event its correlation is looked for
	laneWidth  = 18        // pixels
	maxLanes   = 20        // more share the last one
)

// correlationView is the page of all events of one correlation.
type correlationView struct {
	ID      string
	Near    time.Time // zero if the whole feed is looked through
	Events  []*related
	Streams int
	Width   int // of the diagram, in pixels
	Read    int // events that were looked at
	Whole   string
	Next    string // address that goes on; empty if all was looked at

	known   map[string]*related // by both ids under which an event can be a cause
	streams map[eventstore.Stream]bool
	started time.Time
}

// remainder is what a page has left out of a commit that is too large for it. An import, for
// example, makes one commit of a whole stream.
type remainder struct {
	stream   eventstore.Stream
	from, to int64 // versions; to is 0 if nothing was left out
}

// related is an event of a correlation.
type related struct {
	eventView
	By       *related // its cause, if that is one of them
	ByOther  string   // the id of its cause, if that is not
	Lines    []string // SVG paths of the diagram, beside the name of the event
	Dot      string
	Rest     []string // and below that, however high the event is
	children []*related
}

func (c *console) showCorrelation(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	v := correlationView{ID: q.Get("id"), known: map[string]*related{}, streams: map[eventstore.Stream]bool{}, started: time.Now()}
	after, err := numberOf(r, "after")
	if err != nil {
		return err
	}
	rest, err := remainderOf(r)
	if err != nil {
		return err
	}
	if near := q.Get("near"); near != "" {
		if v.Near, err = time.Parse(time.RFC3339, near); err != nil {
			return errBadQuery
		}
		v.Whole = withQuery(c.prefix+"/correlation", url.Values{"id": {v.ID}})
	}
	if v.ID != "" {
		if err := c.relateRest(r.Context(), &v, feed.Position(after), rest); err != nil {
			return positioned(err, after)
		}
		v.Streams = len(v.streams)
		v.Width = draw(v.Events) * laneWidth
	}
	v.ID = visible(v.ID)
	return c.render(w, http.StatusOK, "correlation", v)
}

// remainderOf returns what the page before has left out of its last commit.
func remainderOf(r *http.Request) (rest remainder, err error) {
	name := r.URL.Query().Get("stream")
	if name == "" {
		return rest, nil
	}
	if rest.stream, err = eventstore.ParseStream(name); err != nil {
		return rest, errBadStream
	}
	if rest.from, err = numberOf(r, "from"); err != nil {
		return rest, err
	}
	if rest.to, err = numberOf(r, "to"); err == nil && (rest.from < 1 || rest.to < rest.from) {
		err = errBadQuery
	}
	return rest, err
}

// isFull reports whether a page has read or found enough.
func (v *correlationView) isFull() bool {
	return v.Read >= maxRead || len(v.Events) >= maxRelated || time.Since(v.started) > readFor
}

// relateRest finds what is left of a commit, and then goes on with the feed.
func (c *console) relateRest(ctx context.Context, v *correlationView, after feed.Position, rest remainder) error {
	reader := c.feed.Provider().Reader(rest.stream)
	for damaged := rest.to > 0; damaged; {
		damaged = false
		for event, err := range reader.Read(ctx, eventstore.FromVersion(rest.from), eventstore.ToVersion(rest.to), eventstore.AsRaw()) {
			if _, damaged = errors.AsType[*eventstore.DamagedError](err); damaged {
				break // the page of the stream shows it
			} else if _, deleted := errors.AsType[*eventstore.StreamDeletedError](err); deleted {
				break
			} else if err != nil {
				return err
			}
			c.consider(v, feed.Item{Stream: rest.stream, Version: event.Version, Time: event.Metadata.Message.Created, Event: event})
			if rest.from = event.Version + 1; v.isFull() {
				v.Next = c.relatedPath(v, after, rest)
				return nil
			}
		}
		if damaged {
			rest.from++
			v.Read++
		}
		if damaged = damaged && rest.from <= rest.to; damaged && v.isFull() {
			v.Next = c.relatedPath(v, after, rest)
			return nil
		}
	}
	return c.relate(ctx, v, after)
}

// relate finds the events of a correlation and what caused them.
func (c *console) relate(ctx context.Context, v *correlationView, after feed.Position) error {
	options := []feed.ReadOption{feed.AsRaw(), feed.WithProgress()}
	switch {
	case after > 0:
		options = append(options, feed.After(after))
	case !v.Near.IsZero():
		options = append(options, feed.Since(v.Near.Add(-around)))
	}
	whole := after // all up to here was looked at
	for item, err := range c.feed.Read(ctx, options...) {
		if err != nil {
			return err
		}
		if item.What != feed.Progress {
			c.consider(v, item)
		}
		goesOn := item.Position == whole && item.What != feed.Progress // the commit after whole
		if whole = item.Position; !v.isFull() {
			continue
		}
		if !goesOn {
			v.Next = c.relatedPath(v, whole, remainder{})
			break
		}
		last, err := c.lastOf(ctx, whole+1)
		if err == nil {
			v.Next = c.relatedPath(v, whole+1, remainder{item.Stream, item.Version + 1, last})
		}
		return err
	}
	return nil
}

// lastOf returns the last version of the commit at a position.
func (c *console) lastOf(ctx context.Context, position feed.Position) (int64, error) {
	for item, err := range c.feed.Read(ctx, feed.Backwards(), feed.Before(position+1), feed.AsRaw()) {
		return item.Version, err
	}
	return 0, nil
}

// consider adds an item to a page if it belongs to the correlation.
func (c *console) consider(v *correlationView, item feed.Item) {
	v.Read++
	if item.What == feed.Appended && item.Event.Metadata.Context.CorrelationID == v.ID && v.known[item.ID()] == nil { // an event can come twice
		v.Events = append(v.Events, c.relatedOf(item, v.known))
		v.streams[item.Stream] = true
	}
}

// relatedOf returns an event with its cause, if that is known, and makes it known.
func (c *console) relatedOf(item feed.Item, known map[string]*related) *related {
	cause := item.Event.Metadata.Context.CausationID
	e := &related{eventView: c.itemOf(item), By: known[cause]}
	if e.By != nil {
		e.By.children = append(e.By.children, e)
	} else {
		e.ByOther = visible(cause)
	}
	for _, id := range []string{item.Event.Metadata.Message.ID, item.ID()} {
		if id != "" && known[id] == nil {
			known[id] = e
		}
	}
	return e
}

func (c *console) relatedPath(v *correlationView, after feed.Position, rest remainder) string {
	q := url.Values{"id": {v.ID}, "after": {strconv.FormatInt(int64(after), 10)}}
	if rest.from <= rest.to && rest.to > 0 {
		q.Set("stream", rest.stream.String())
		q.Set("from", strconv.FormatInt(rest.from, 10))
		q.Set("to", strconv.FormatInt(rest.to, 10))
	}
	return withQuery(c.prefix+"/correlation", q)
}

// draw draws the diagram of causes, a piece for each event. A line leads from each cause to what it
// caused, in a lane that is theirs until then. Pieces are 100 high, and the page stretches them.
// Draw returns the number of lanes.
func draw(events []*related) (lanes int) {
	var taken []*related // what each lane leads to
	free := func() int {
		if i := slices.Index(taken, nil); i >= 0 {
			return i
		}
		taken = append(taken, nil)
		return len(taken) - 1
	}
	for _, e := range events {
		lane := slices.Index(taken, e)
		for i, to := range taken {
			switch {
			case i == lane:
				e.Lines = append(e.Lines, fmt.Sprintf("M%s 0V50", across(i)))
			case to != nil && i < maxLanes:
				e.Lines = append(e.Lines, fmt.Sprintf("M%s 0V100", across(i)))
			}
		}
		if lane < 0 {
			lane = free()
		}
		e.Dot = fmt.Sprintf("M%s 50h.01", across(lane))
		taken[lane] = nil
		lanes = max(lanes, len(taken))
		for _, child := range e.children {
			to := lane
			if taken[lane] != nil {
				to = free()
			}
			taken[to] = child
			e.Lines = append(e.Lines, fmt.Sprintf("M%s 50C%s 80 %s 70 %s 100", across(lane), across(lane), across(to), across(to)))
		}
		lanes = max(lanes, len(taken))
		for i, to := range taken {
			if to != nil && i < maxLanes {
				e.Rest = append(e.Rest, fmt.Sprintf("M%s 0V100", across(i)))
			}
		}
		for len(taken) > 0 && taken[len(taken)-1] == nil {
			taken = taken[:len(taken)-1]
		}
	}
	return min(lanes, maxLanes)
}

// across returns where a lane is.
func across(lane int) string {
	return strings.TrimSuffix(strconv.FormatFloat(float64(min(lane, maxLanes-1))*laneWidth+laneWidth/2, 'f', 1, 64), ".0")
}
