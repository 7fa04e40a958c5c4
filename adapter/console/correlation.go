package console

import (
	"context"
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
	v := correlationView{ID: q.Get("id")}
	after, err := numberOf(r, "after")
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
		if err := c.relate(r.Context(), &v, feed.Position(after)); err != nil {
			return positioned(err, after)
		}
	}
	v.ID = visible(v.ID)
	return c.render(w, http.StatusOK, "correlation", v)
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
	known := map[string]*related{} // by both ids under which an event can be a cause
	streams := map[eventstore.Stream]bool{}
	whole := after // all up to here was looked at
	started := time.Now()
	for item, err := range c.feed.Read(ctx, options...) {
		if err != nil {
			return err
		}
		if item.What != feed.Progress {
			v.Read++
		}
		if item.What == feed.Appended && item.Event.Metadata.Context.CorrelationID == v.ID && known[item.ID()] == nil { // an event can come twice
			v.Events = append(v.Events, c.relatedOf(item, known))
			streams[item.Stream] = true
		}
		ends := item.Position > whole // otherwise the commit goes on
		if whole = item.Position; ends && (v.Read >= maxRead || len(v.Events) >= maxRelated || time.Since(started) > readFor) {
			v.Next = c.relatedPath(v, whole)
			break
		}
	}
	v.Streams = len(streams)
	v.Width = draw(v.Events) * laneWidth
	return nil
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

func (c *console) relatedPath(v *correlationView, after feed.Position) string {
	return withQuery(c.prefix+"/correlation", url.Values{"id": {v.ID}, "after": {strconv.FormatInt(int64(after), 10)}})
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
