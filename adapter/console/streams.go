package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// perPage is how many streams or events a page has.
const perPage = 50

// streamsView is the page of all streams.
type streamsView struct {
	Types         []typeCount
	AllTypes      int64
	Counted       bool // all of the catalogue was counted
	Type, Search  string
	Open          *streamName // the stream that the search may mean
	Rows          []streamRow
	First, Next   string // addresses of other pages; empty if there are none
	Stopped       bool   // the search was not done with the catalogue when its time was over
	Looked        int    // at how many streams
	FeedIsMissing bool
}

// streamRow is a stream of the list.
type streamRow struct {
	streamName
	Version int64
	State   string
	Changed time.Time
	Trouble string
}

// streamName is the name of a stream, and the path of its page.
type streamName struct {
	Database, Type, ID string // visible
	Full               string // escaped
	Path               string
}

func (c *console) nameOf(stream eventstore.Stream) streamName {
	full := stream.String()
	name := streamName{Type: visible(stream.Type), ID: visible(stream.ID), Full: full, Path: c.prefix + "/streams/" + url.PathEscape(full)}
	if stream.Database != c.defaultDatabase() {
		name.Database = visible(stream.Database)
	}
	return name
}

// defaultDatabase returns the database that names do not show.
func (c *console) defaultDatabase() string { return c.feed.Provider().Stream("type", "id").Database }

func (c *console) listStreams(w http.ResponseWriter, r *http.Request) error {
	after, err := numberOf(r, "after")
	if err != nil {
		return err
	}
	v := streamsView{Type: r.FormValue("type"), Search: strings.TrimSpace(r.FormValue("search"))}
	if err := c.page(r.Context(), &v, feed.Position(after)); err != nil {
		return err
	}
	if v.Types, v.AllTypes, v.Counted, err = c.census.count(r.Context(), c.feed); err != nil {
		return err
	}
	if stream, ok := c.meant(v.Search); ok {
		name := c.nameOf(stream)
		v.Open = &name
	}
	if after > 0 {
		v.First = c.listPath(v.Type, v.Search, 0)
	}
	for i := range v.Types {
		v.Types[i].Path = c.listPath(v.Types[i].Name, v.Search, 0)
	}
	v.Type, v.Search = visible(v.Type), visible(v.Search)
	return c.render(w, http.StatusOK, "streams", v)
}

// page finds the streams of a page. It looks at names first, and then reads the heads of those that
// it shows.
func (c *console) page(ctx context.Context, v *streamsView, after feed.Position) error {
	names := map[eventstore.Stream]bool{}
	last, began := after, time.Now()
	more := false
	for info, err := range c.feed.Streams(ctx, feed.After(after)) {
		if err != nil {
			return err
		}
		if more = len(names) == perPage; more {
			break
		}
		if v.Looked++; (v.Type == "" || info.Stream.Type == v.Type) && matches(info.Stream, v.Search) {
			names[info.Stream] = true
		}
		if last = info.Position; time.Since(began) > readFor {
			v.Stopped, more = true, true
			break
		}
	}
	if more {
		v.Next = c.listPath(v.Type, v.Search, last)
	}
	if len(names) == 0 {
		return nil
	}
	for info, err := range c.feed.Streams(ctx, feed.After(after), feed.WithDetails(), feed.Where(func(s eventstore.Stream) bool { return names[s] })) {
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, c.rowOf(info))
		if len(v.Rows) == len(names) {
			break
		}
	}
	return nil
}

func (c *console) rowOf(info feed.StreamInfo) streamRow {
	row := streamRow{streamName: c.nameOf(info.Stream), Version: info.Version, State: "open", Changed: info.Changed}
	switch {
	case info.Err != nil:
		row.State, row.Trouble = "damaged", visible(info.Err.Error())
	case info.Deleted:
		row.State = "deleted"
	case info.Closed:
		row.State = "closed"
	}
	return row
}

// matches reports whether an id, or a whole name, begins with a text.
func matches(stream eventstore.Stream, search string) bool {
	return strings.HasPrefix(stream.ID, search) || strings.HasPrefix(stream.Type+":"+stream.ID, search) || strings.HasPrefix(stream.String(), search)
}

// meant returns the stream whose name someone has written: escaped or not, with its database or
// without.
func (c *console) meant(text string) (eventstore.Stream, bool) {
	if stream, err := eventstore.ParseStream(text); err == nil {
		return stream, true
	}
	kind, id, ok := strings.Cut(text, ":")
	if !ok || kind == "" || strings.TrimSpace(id) == "" || len(kind) > 200 || len(id) > 200 {
		return eventstore.Stream{}, false
	}
	return c.feed.Provider().Stream(kind, id), true
}

// listPath returns the address of a page of the list.
func (c *console) listPath(kind, search string, after feed.Position) string {
	q := url.Values{}
	if kind != "" {
		q.Set("type", kind)
	}
	if search != "" {
		q.Set("search", search)
	}
	if after > 0 {
		q.Set("after", strconv.FormatInt(int64(after), 10))
	}
	return withQuery(c.prefix+"/", q)
}

func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// numberOf returns a parameter of the query that is not negative, or 0 if it is missing.
func numberOf(r *http.Request, name string) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, errBadQuery
	}
	return n, nil
}
