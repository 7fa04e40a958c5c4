package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func TestStreamsAreListedByTypeAndPrefixAndInPages(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		for i := range 120 {
			l.append(numbered("order", i), note("x"))
		}
		for i := range 3 {
			l.append(numbered("customer", i), note("x"), note("y"))
		}
		l.index()
		l.indexed(numbered("customer", 2), 2)
		h := l.console()

		first := get(t, h, "/", http.StatusOK)
		says(t, first, "order:0000", "order:0049", "!order:0050", "!First streams", "123 streams in all", ">120<", ">3<")
		second := get(t, h, link(t, first, "Later streams"), http.StatusOK)
		says(t, second, "!order:0049", "order:0050", "order:0099", "!order:0100", "First streams")
		third := get(t, h, link(t, second, "Later streams"), http.StatusOK)
		says(t, third, "order:0100", "customer:0002", "!Later streams")

		customers := get(t, h, "/?type=customer", http.StatusOK)
		says(t, customers, "customer:0000", "!order:", `<td class="number">2</td>`)
		says(t, get(t, h, "/?search=011", http.StatusOK), "order:0110", "order:0119", "!order:0109", "!customer:")
		says(t, get(t, h, "/?search=customer:000", http.StatusOK), "customer:0001", "!order:")
		says(t, get(t, h, "/?type=none", http.StatusOK), "No stream is like that")
		says(t, get(t, h, "/?search=order:7", http.StatusOK), "Go to the stream", "EventStores:order:7")
		get(t, h, "/?after=-1", http.StatusBadRequest)
		get(t, h, "/nothing", http.StatusNotFound)
	})
}

func TestTheStateOfStreamsIsShown(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		closed, deleted := numbered("order", 1), numbered("order", 2)
		l.append(closed, note("x"))
		l.append(deleted, note("x"))
		l.in(closed, func(ctx context.Context, s *eventstore.Session) error {
			return s.CloseStream(ctx, eventstore.ExpectAny())
		})
		l.index()
		l.indexed(deleted, 1)
		l.in(deleted, func(ctx context.Context, s *eventstore.Session) error {
			return s.DeleteStream(ctx, eventstore.ExpectAny())
		})
		h := l.console()
		says(t, get(t, h, "/", http.StatusOK), ">closed<", ">deleted<", "!>open<")
		says(t, get(t, h, pathOf(closed), http.StatusOK), "<dd>closed</dd>", "Note")
		says(t, get(t, h, pathOf(deleted), http.StatusOK), "was deleted for ever", "!Note")
		get(t, h, pathOf(numbered("order", 3)), http.StatusNotFound)
		get(t, h, "/streams/nonsense", http.StatusBadRequest)
	})
}

func TestATimelineHasTheNewestEventsFirstAndPages(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		stream := numbered("order", 1)
		events := make([]any, 120)
		for i := range events {
			events[i] = eventstore.Event{Data: eventstore.Raw{Type: "Ordered", SchemaVersion: 2, ContentType: "application/json", Payload: []byte(`{"By":1}`)}, Metadata: eventstore.Metadata{
				Context: eventstore.ContextMetadata{CorrelationID: "request 7", CausationID: "click", UserID: "ada", Scopes: []string{"read", "write"}}, Custom: map[string]string{"shop": "Berlin"}}}
		}
		l.append(stream, events...)
		l.in(stream, func(ctx context.Context, s *eventstore.Session) error {
			return s.SaveSnapshot(ctx, 118, Total{118}, eventstore.WithCustom(map[string]string{"by": "test"}))
		})
		h := l.console()
		newest := get(t, h, pathOf(stream), http.StatusOK)
		says(t, newest, `id="e120"`, `id="e71"`, `!id="e70"`, `start="120"`, "Ordered (schema 2)", "&#34;By&#34;: 1", "request 7", "click", "ada", "read write", "Custom: shop", "Berlin",
			`/correlation?id=request&#43;7&amp;near=`, "Snapshot<span", "!Newest events")
		if strings.Index(newest, `id="e120"`) > strings.Index(newest, `id="e119"`) {
			t.Error("the newest event is not the first")
		}
		middle := get(t, h, link(t, newest, "Older events"), http.StatusOK)
		says(t, middle, `id="e70"`, `id="e21"`, `!id="e71"`, "Newest events")
		oldest := get(t, h, link(t, middle, "Older events"), http.StatusOK)
		says(t, oldest, `id="e20"`, `id="e1"`, "!Older events")
		says(t, get(t, h, pathOf(stream)+"?before=1", http.StatusOK), "No events before this version")
		get(t, h, pathOf(stream)+"?before=x", http.StatusBadRequest)

		says(t, get(t, h, pathOf(stream)+"/snapshots/118", http.StatusOK), "Snapshot at version 118", "&#34;Sum&#34;: 118", "Custom: by")
		says(t, get(t, h, pathOf(stream)+"/snapshots/118/raw", http.StatusOK), `{"Sum":118}`)
		get(t, h, pathOf(stream)+"/snapshots/117", http.StatusNotFound)
		get(t, h, pathOf(stream)+"/events/121", http.StatusNotFound)
		get(t, h, pathOf(stream)+"/events/0", http.StatusNotFound)
	})
}

// hostile is text that must not act in a browser.
const hostile = "<script>alert(1)</script>\x1b[2J\x00\u202e\"'&\u2028"

func TestHostileNamesAndPayloadsAreOnlyShown(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		stream := eventstore.Stream{Database: hostile, Type: "<b>/../%2e" + hostile, ID: hostile + "/?#;:%"}
		large := strings.Repeat("ü", 1<<19)
		l.append(stream,
			eventstore.Event{Data: eventstore.Raw{Type: hostile, ContentType: hostile, Payload: []byte(hostile)},
				Metadata: eventstore.Metadata{Message: eventstore.MessageMetadata{ID: hostile}, Context: eventstore.ContextMetadata{CorrelationID: hostile, UserID: hostile}, Custom: map[string]string{hostile: hostile}}},
			note("\xff\xfe\x00bytes"), note("line 1\nline 2\t\u202eright"), note(""),
			eventstore.Raw{Type: "Text", Payload: []byte(`"` + "</code><img src=x onerror=alert(1)>" + `"`)},
			note("a"+large))
		l.index()
		l.indexed(stream, 6)
		h := l.console()
		list := get(t, h, "/", http.StatusOK)
		page := get(t, h, pathOf(stream), http.StatusOK)
		for _, body := range []string{list, page, get(t, h, "/?search="+strings.ReplaceAll(pathOf(stream), "/streams/", ""), http.StatusOK)} {
			says(t, body, "!<script>alert", "!<img", "!\x1b", "!\x00", "!\u202e", "!\u2028", "!style=", "!onerror=alert(1)>")
		}
		says(t, list, "&lt;script&gt;", `href="`+pathOf(stream)+`"`)
		says(t, page, "0000  ff fe 00 62", "line 1\nline 2\t\\u202eright", "1024 KiB", "Download all of it", "aü")
		if len(page) > 120<<10 {
			t.Errorf("the page has %d bytes", len(page))
		}

		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, pathOf(stream)+"/events/6", nil))
		if w.Body.String() != "a"+large {
			t.Errorf("the download has %d bytes", w.Body.Len())
		}
		for name, want := range map[string]string{"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Content-Disposition": `attachment; filename="event-6.txt"`} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s is %q", name, got)
			}
		}
	})
}

func TestADamagedEventDoesNotHideTheOthers(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		stream := numbered("order", 1)
		l.append(stream, note("the first"), note("the second"), note("the third"))
		partition := stream.String()
		if err := l.state.Write(t.Context(), partition, []driver.Write{{Key: "{" + partition + "}:2", Value: []byte("nonsense")}}); err != nil {
			t.Fatal(err)
		}
		h := l.console()
		says(t, get(t, h, pathOf(stream), http.StatusOK), "the first", "the third", "Cannot be read", "is damaged at version 2")
		says(t, get(t, h, pathOf(stream)+"/events/2", http.StatusInternalServerError), "Something is damaged")
	})
}

func TestVeryDeepJSONMakesNoHugePage(t *testing.T) {
	t.Parallel()
	l := inMemory(t)
	stream := numbered("deep", 1)
	l.append(stream, note(strings.Repeat("[", 8000)+strings.Repeat("]", 8000)))
	if page := get(t, l.console(), pathOf(stream), http.StatusOK); len(page) > 1<<20 {
		t.Errorf("the page of an event of 16 KB has %d bytes", len(page))
	}
}
