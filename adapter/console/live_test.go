package console_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/console"
)

// watcher reads the live updates of a server.
type watcher struct {
	t     *testing.T
	lines *bufio.Scanner
}

func watch(t *testing.T, address string) *watcher {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %s, %v", address, answer.Status, answer.Header)
	}
	return &watcher{t, bufio.NewScanner(answer.Body)}
}

// next returns the next event with its data.
func (w *watcher) next() string {
	w.t.Helper()
	event := ""
	for w.lines.Scan() {
		line := w.lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		}
		if data, ok := strings.CutPrefix(line, "data:"); ok && event != "" {
			return strings.TrimSpace(event + data)
		}
	}
	w.t.Fatal("the live updates have ended")
	return ""
}

func TestPagesAreToldWhatHappens(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		stream := numbered("order", 1)
		l.append(stream, note("x"))
		l.index()
		l.indexed(stream, 1)
		h := l.console(console.WithPrefix("/console"))
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		page := get(t, h, "/console"+pathOf(stream), http.StatusOK)
		says(t, page, `data-live="/console/live?stream=EventStores%3Aorder%3A0001"`, `data-seen="1 open"`)
		of := watch(t, server.URL+"/console/live?stream="+url.QueryEscape(stream.String()))
		if got := of.next(); got != "at 1 open" {
			t.Errorf("it begins with %q", got)
		}
		all := watch(t, server.URL+"/console/live")
		if got := all.next(); !strings.HasPrefix(got, "at ") || !strings.Contains(get(t, h, "/console/events", http.StatusOK), `data-seen="`+got[3:]+`"`) {
			t.Errorf("it begins with %q", got)
		}
		l.append(numbered("order", 2), note("y"))
		if got := all.next(); got != "changed" {
			t.Errorf("all are told %q", got)
		}
		l.append(stream, note("z"))
		if got := of.next(); got != "changed" {
			t.Errorf("the stream is told %q", got)
		}
		get(t, h, "/console/live?stream=x", http.StatusBadRequest)
	})
}

func TestLiveUpdatesEndWithTheServer(t *testing.T) {
	l := inMemory(t)
	l.index()
	server := httptest.NewServer(l.console())
	t.Cleanup(server.Close)
	all := watch(t, server.URL+"/live")
	all.next()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := server.Config.Shutdown(ctx); err != nil {
		t.Errorf("the server did not end: %v", err)
	}
}

func TestThereAreNotTooManyLiveUpdates(t *testing.T) {
	l := inMemory(t)
	l.index()
	h := l.console()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	for range 64 {
		watch(t, server.URL+"/live")
	}
	says(t, get(t, h, "/live", http.StatusServiceUnavailable), "too many pages")
}
