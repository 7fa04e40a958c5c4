package console

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

const (
	pageBytes     = 8 << 20 // how many bytes of payloads a page reads
	listSnapshots = 12      // how many snapshots a page lists
)

// streamView is the page of a stream.
type streamView struct {
	streamName
	State     string // "open", "closed" or "deleted"
	Version   int64
	DeletedAt time.Time
	Events    []eventView
	Before    int64  // the events shown are before this version; 0 if they are the newest
	Newest    string // address of the page with the newest events; empty on that page
	Older     string // address of the page with older events; empty if there are none
	Snapshots []snapshotLink
	AllOfThem int
	HasFold   bool
	Live      string // where to ask for live updates
	Seen      string // what they tell while nothing has changed
}

// snapshotLink is a snapshot of a stream.
type snapshotLink struct {
	Version int64
	Path    string
}

// eventView is an event, or something else that happened to a stream.
type eventView struct {
	ID       string // of the element
	Stream   *streamName
	Version  int64
	Position int64
	What     string // "closed", "deleted" or "lost"; empty for an event
	Created  time.Time
	payload
	Snapshot string // the path of the snapshot at this version, if there is one
	Download string
	Path     string // of the event on the page of its stream
	Facts    []fact
	Trouble  string // why it cannot be shown
}

// fact is one thing that an event's metadata says.
type fact struct{ Name, Value, Path string }

// streamOf returns the stream that the path of a request names.
func (c *console) streamOf(r *http.Request) (eventstore.Stream, error) {
	stream, err := eventstore.ParseStream(r.PathValue("stream"))
	if err != nil {
		return eventstore.Stream{}, errBadStream
	}
	return stream, nil
}

func (c *console) showStream(w http.ResponseWriter, r *http.Request) error {
	stream, err := c.streamOf(r)
	if err != nil {
		return err
	}
	before, err := numberOf(r, "before")
	if err != nil {
		return err
	}
	v := streamView{streamName: c.nameOf(stream), Before: before}
	reader := c.feed.Provider().Reader(stream)
	if err := c.describe(r.Context(), reader, &v); err != nil {
		return err
	}
	if v.Before > v.Version {
		v.Before = 0
	}
	_, v.HasFold = c.folds[stream.Type]
	v.Seen = seen(v.Version, v.State)
	if v.Before == 0 && v.State != "deleted" {
		v.Live = c.livePath(v.Full)
	}
	if v.State != "deleted" {
		if err := c.timeline(r.Context(), reader, &v); err != nil {
			return err
		}
	}
	return c.render(w, http.StatusOK, "stream", v)
}

// describe reads what is known of a stream without its events.
func (c *console) describe(ctx context.Context, reader *eventstore.Reader, v *streamView) error {
	var err error
	v.Version, err = reader.Version(ctx)
	if deleted, ok := errors.AsType[*eventstore.StreamDeletedError](err); ok {
		v.State, v.Version, v.DeletedAt = "deleted", deleted.Version, deleted.DeletedAt
		return nil
	} else if err != nil {
		return err
	}
	if v.Version == 0 {
		return errNoStream
	}
	closed, err := reader.Closed(ctx)
	if err != nil {
		return err
	}
	v.State = "open"
	if closed {
		v.State = "closed"
	}
	return nil
}

// timeline reads the events of a page, the newest first.
func (c *console) timeline(ctx context.Context, reader *eventstore.Reader, v *streamView) error {
	snapshots, err := reader.Snapshots(ctx)
	if err != nil {
		return err
	}
	v.AllOfThem = len(snapshots)
	for i := len(snapshots) - 1; i >= 0 && len(v.Snapshots) < listSnapshots; i-- {
		v.Snapshots = append(v.Snapshots, snapshotLink{snapshots[i], v.snapshotPath(snapshots[i])})
	}
	top := v.Version
	if v.Before > 0 {
		top = v.Before - 1
		v.Newest = v.Path
	}
	next, size := top, 0
	for next > 0 && len(v.Events) < perPage && size < pageBytes {
		damaged, err := c.readDown(ctx, reader, v, &next, &size)
		if err != nil {
			return err
		}
		if damaged != nil && next > 0 {
			v.Events = append(v.Events, eventView{ID: "e" + strconv.FormatInt(next, 10), Version: next, Trouble: visible(damaged.Error())})
			next--
		}
	}
	for i, event := range v.Events {
		if _, ok := slices.BinarySearch(snapshots, event.Version); ok {
			v.Events[i].Snapshot = v.snapshotPath(event.Version)
		}
	}
	if next > 0 {
		v.Older = v.Path + "?before=" + strconv.FormatInt(next+1, 10)
	}
	return nil
}

// readDown adds events from version next down. If it comes to one that is damaged, it returns why.
func (c *console) readDown(ctx context.Context, reader *eventstore.Reader, v *streamView, next *int64, size *int) (damaged, err error) {
	from := max(1, *next+1-int64(perPage-len(v.Events))) // so that the store is not asked for more than the page needs
	for event, err := range reader.Read(ctx, eventstore.Backwards(), eventstore.FromVersion(from), eventstore.ToVersion(*next), eventstore.AsRaw()) {
		if d, ok := errors.AsType[*eventstore.DamagedError](err); ok {
			return d, nil
		} else if err != nil {
			return nil, err
		}
		raw, _ := event.Data.(eventstore.Raw)
		*size += len(raw.Payload)
		v.Events = append(v.Events, c.eventOf(v.streamName, event))
		*next = event.Version - 1
		if len(v.Events) == perPage || *size >= pageBytes {
			break
		}
	}
	return nil, nil
}

// eventOf returns an event that was read with AsRaw.
func (c *console) eventOf(stream streamName, event eventstore.Event) eventView {
	number := strconv.FormatInt(event.Version, 10)
	return eventView{ID: "e" + number, Version: event.Version, Created: event.Metadata.Message.Created, payload: payloadOf(event.Data),
		Download: stream.Path + "/events/" + number, Facts: c.factsOf(event.Metadata)}
}

// factsOf returns what metadata says, each with a name.
func (c *console) factsOf(m eventstore.Metadata) (facts []fact) {
	add := func(name, value, path string) {
		if value != "" {
			facts = append(facts, fact{name, visible(value), path})
		}
	}
	add("Event id", m.Message.ID, "")
	if id := m.Context.CorrelationID; id != "" {
		add("Correlation", id, c.correlationPath(id, m.Message.Created))
	}
	add("Caused by", m.Context.CausationID, "")
	add("User", m.Context.UserID, "")
	add("Session", m.Context.SessionID, "")
	add("Idempotency id", m.Context.IdempotencyID, "")
	add("Scopes", strings.Join(m.Context.Scopes, " "), "")
	if t := m.Context.Timestamp; !t.IsZero() && !t.Equal(m.Message.Created) {
		add("Happened", when(t), "")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Custom)) {
		facts = append(facts, fact{"Custom: " + visible(name), visible(m.Custom[name]), ""})
	}
	return facts
}

// correlationPath returns the address of the page with all events of a correlation, one of which
// was committed at a time.
func (c *console) correlationPath(id string, near time.Time) string {
	q := url.Values{"id": {id}}
	if !near.IsZero() {
		q.Set("near", stamp(near))
	}
	return withQuery(c.prefix+"/correlation", q)
}

func (s streamName) snapshotPath(version int64) string {
	return fmt.Sprintf("%s/snapshots/%d", s.Path, version)
}
