package console_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/console"
	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// lab is a store with a feed.
type lab struct {
	t     *testing.T
	state driver.State
	p     *eventstore.Provider
	feed  *feed.Feed
}

// Counted is an event.
type Counted struct{ By int }

// Total is a state.
type Total struct{ Sum int }

// onEach runs a test on a store in memory and on a SQLite file.
func onEach(t *testing.T, test func(t *testing.T, l *lab)) {
	t.Run("memory", func(t *testing.T) {
		state := memory.New()
		t.Cleanup(func() { _ = state.Close() })
		test(t, newLab(t, state))
	})
	t.Run("SQLite", func(t *testing.T) {
		state, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "events.db"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = state.Close() })
		test(t, newLab(t, state))
	})
}

func inMemory(t *testing.T) *lab {
	state := memory.New()
	t.Cleanup(func() { _ = state.Close() })
	return newLab(t, state)
}

func newLab(t *testing.T, state driver.State) *lab {
	t.Helper()
	registry, err := eventstore.NewRegistry(eventstore.Type[Counted]("Counted"), eventstore.Type[Total]("Total"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{t, state, p, f}
}

// index runs an indexer until the test ends.
func (l *lab) index() {
	l.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.feed.Index(ctx) }()
	l.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
}

// indexed waits until the feed has a version of a stream, and its catalogue the stream.
func (l *lab) indexed(stream eventstore.Stream, version int64) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	if _, err := l.feed.WaitFor(ctx, stream, version); err != nil {
		l.t.Fatal(err)
	}
	for listed := false; !listed; {
		for _, err := range l.feed.Streams(ctx, feed.OfStream(stream)) {
			if listed = true; err != nil {
				l.t.Fatal(err)
			}
		}
	}
}

// append appends events to a stream.
func (l *lab) append(stream eventstore.Stream, events ...any) int64 {
	l.t.Helper()
	version, err := l.p.Append(l.t.Context(), stream, eventstore.ExpectAny(), events...)
	if err != nil {
		l.t.Fatal(err)
	}
	return version
}

// in does something in a session of a stream.
func (l *lab) in(stream eventstore.Stream, do func(ctx context.Context, s *eventstore.Session) error) {
	l.t.Helper()
	s, err := l.p.Open(l.t.Context(), stream)
	if err != nil {
		l.t.Fatal(err)
	}
	defer s.Close()
	if err := do(l.t.Context(), s); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) console(options ...console.Option) http.Handler {
	l.t.Helper()
	h, err := console.New(l.feed, options...)
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

// note returns an event of type "Note" with a payload.
func note(payload string) eventstore.Raw {
	return eventstore.Raw{Type: "Note", ContentType: "text/plain", Payload: []byte(payload)}
}

// caused returns an event with metadata.
func caused(id, correlation, causation string) eventstore.Event {
	return eventstore.Event{Data: note(id), Metadata: eventstore.Metadata{
		Message: eventstore.MessageMetadata{ID: id}, Context: eventstore.ContextMetadata{CorrelationID: correlation, CausationID: causation}}}
}

// get requests a page.
func get(t *testing.T, h http.Handler, path string, wantStatus int) string {
	t.Helper()
	path, _, _ = strings.Cut(path, "#")
	return send(t, h, httptest.NewRequest(http.MethodGet, path, nil), wantStatus)
}

func send(t *testing.T, h http.Handler, r *http.Request, wantStatus int) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	if w.Code != wantStatus {
		t.Fatalf("%s %s: status %d, want %d:\n%s", r.Method, r.URL, w.Code, wantStatus, body)
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'self'; script-src 'self';") {
		t.Errorf("%s: the policy is %q", r.URL, policy)
	}
	if !strings.Contains(r.URL.Path, "/assets/") && w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control is %q", r.URL, w.Header().Get("Cache-Control"))
	}
	return string(body)
}

// says checks what a page says. Parts that begin with ! must not be there.
func says(t *testing.T, page string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		text, absent := strings.CutPrefix(part, "!")
		if strings.Contains(page, text) == absent {
			t.Errorf("the page says %q: %t\n%s", text, absent, page[max(0, strings.Index(page, "<main")):])
		}
	}
}

func pathOf(stream eventstore.Stream) string { return "/streams/" + url.PathEscape(stream.String()) }

// link returns the address of the link with a text.
func link(t *testing.T, page, text string) string {
	t.Helper()
	before, _, ok := strings.Cut(page, ">"+text+"</a>")
	i := strings.LastIndex(before, `href="`)
	if !ok || i < 0 {
		t.Fatalf("there is no link %q:\n%s", text, page)
	}
	address, _, _ := strings.Cut(before[i+len(`href="`):], `"`)
	return html.UnescapeString(address)
}

func numbered(kind string, n int) eventstore.Stream {
	return eventstore.Stream{Database: "EventStores", Type: kind, ID: fmt.Sprintf("%04d", n)}
}
