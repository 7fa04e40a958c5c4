package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/console"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// parks runs a subscription whose handler fails for one event until well is set.
func (l *lab) parks(name string) (well *atomic.Bool) {
	l.t.Helper()
	well = new(atomic.Bool)
	s, err := subscription.New(l.feed, name, func(_ context.Context, item feed.Item) error {
		if item.Event.Data == (Counted{-1}) && !well.Load() {
			return errors.New("<b>a bad note</b>")
		}
		return nil
	}, subscription.WithParking(), subscription.WithRetries(0), subscription.WithSaving(1, 0), subscription.WithPartitions(2))
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	l.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	})
	return well
}

// until reads a page until it has a text.
func until(t *testing.T, h http.Handler, path, text string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		page := get(t, h, path, http.StatusOK)
		if strings.Contains(page, text) {
			return page
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never says %q:\n%s", path, text, page)
		}
	}
}

func post(t *testing.T, h http.Handler, path string, form url.Values, status int) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return send(t, h, r, status)
}

func TestParkedStreamsAreShownAndCanBeRetriedAndSkipped(t *testing.T) {
	l := inMemory(t)
	first, second := numbered("order", 1), numbered("order", 2)
	for _, stream := range []eventstore.Stream{first, second} {
		l.append(stream, Counted{1}, Counted{-1}, Counted{1})
	}
	l.index()
	well := l.parks("mails <i>")
	readOnly, h := l.console(), l.console(console.WithChanges())

	page := until(t, readOnly, "/projections", ">2<span class=\"unseen\"> parked")
	says(t, page, "mails &lt;i&gt;", "&lt;b&gt;a bad note", "at version 2", "!<button", "active", "Read-only")
	form := url.Values{"follower": {"mails <i>"}, "stream": {first.String()}}
	post(t, readOnly, "/projections/retry", form, http.StatusNotFound)
	says(t, get(t, h, "/projections", http.StatusOK), "Try again", "Leave it out", "Changes are allowed")
	says(t, until(t, h, "/health", "has parked 2 streams"), "warning")

	post(t, h, "/projections/other", form, http.StatusNotFound)
	post(t, h, "/projections/retry", url.Values{"follower": {"mails <i>"}, "stream": {"x"}}, http.StatusBadRequest)
	post(t, h, "/projections/retry", url.Values{"stream": {first.String()}}, http.StatusBadRequest)
	foreign := httptest.NewRequest(http.MethodPost, "/projections/skip", strings.NewReader(form.Encode()))
	foreign.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	foreign.Header.Set("Sec-Fetch-Site", "cross-site")
	send(t, h, foreign, http.StatusForbidden)

	post(t, h, "/projections/skip", form, http.StatusBadRequest)
	form.Set("version", "1")
	says(t, post(t, h, "/projections/skip", form, http.StatusConflict), "parked at another version now")
	says(t, get(t, h, "/projections", http.StatusOK), ">2<span class=\"unseen\"> parked", `name="version" value="2"`)
	form.Set("version", "2")
	post(t, h, "/projections/skip", form, http.StatusSeeOther)
	page = until(t, h, "/projections?asked=skip", ">1<span class=\"unseen\"> parked")
	says(t, page, "The event will be left out", second.String())
	well.Store(true)
	post(t, h, "/projections/retry", url.Values{"follower": {"mails <i>"}, "stream": {second.String()}}, http.StatusSeeOther)
	says(t, until(t, h, "/projections", "<td class=\"number\">0</td>\n</tr>"), "!Parked by")
	for _, what := range []string{"retry", "skip"} { // which is not parked any more
		r := httptest.NewRequest(http.MethodPost, "/projections/"+what, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		says(t, get(t, h, w.Header().Get("Location"), http.StatusOK), "The stream is not parked any more.", "!will be left out", "!was asked for")
	}
	form.Set("follower", "nosuch")
	says(t, post(t, h, "/projections/retry", form, http.StatusNotFound), "No such projection")
}

func TestHealthSaysWhatIsWrong(t *testing.T) {
	l := inMemory(t)
	l.append(numbered("order", 1), note("x"))
	h := l.console(
		console.WithCheck("Redis", func(context.Context) ([]string, error) { return []string{"it evicts <keys>"}, nil }),
		console.WithCheck("Disk", func(context.Context) ([]string, error) { return nil, errors.New("no answer") }),
		console.WithCheck("Clock", func(context.Context) ([]string, error) { return nil, nil }))
	says(t, get(t, h, "/health", http.StatusOK), "it evicts &lt;keys&gt;", "cannot be checked: no answer", "nothing was found", "does an indexer work?", "3 warnings")
	l.index()
	l.indexed(numbered("order", 1), 1)
	says(t, get(t, l.console(), "/health", http.StatusOK), "Nothing is wrong", "1 stream<")
}
