package console_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/console"
	"github.com/hexalith/eventstores-go/eventstore"
)

func TestEventsOfAllStreamsComeNewestFirstAndInPages(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		long := numbered("order", 999)
		var many []any
		for i := range 60 {
			many = append(many, note("of one commit "+strconv.Itoa(i+1)+"."))
		}
		for i := range 70 {
			l.append(numbered("order", i), note("small "+strconv.Itoa(i)+"."))
		}
		l.append(long, many...)
		l.append(numbered("customer", 1), note("a customer"))
		l.in(numbered("order", 3), func(ctx context.Context, s *eventstore.Session) error {
			return s.CloseStream(ctx, eventstore.ExpectAny())
		})
		l.index()
		l.indexed(numbered("customer", 1), 1)
		h := l.console()

		seen := map[string]int{}
		pages := 0
		for path := "/events"; path != ""; pages++ {
			page := get(t, h, path, http.StatusOK)
			for i := range 70 {
				seen["small "+strconv.Itoa(i)] += strings.Count(page, `class="code">small `+strconv.Itoa(i)+".<")
			}
			for i := range 60 {
				seen["of one commit "+strconv.Itoa(i+1)] += strings.Count(page, `class="code">of one commit `+strconv.Itoa(i+1)+".<")
			}
			path = ""
			if strings.Contains(page, ">Older events<") {
				path = link(t, page, "Older events")
			}
			if pages == 0 {
				says(t, page, `data-live="/live"`, ">closed<", "a customer")
			} else {
				says(t, page, "!data-live", "Newest events")
			}
		}
		if pages < 2 {
			t.Errorf("%d pages", pages)
		}
		for name, n := range seen {
			if n != 1 {
				t.Errorf("%q came %d times", name, n)
			}
		}
		place := link(t, get(t, h, "/events?type=customer", http.StatusOK), `<bdi>customer</bdi><span class="quiet">:</span><bdi class="id">0001</bdi>`)
		says(t, get(t, h, place, http.StatusOK), `id="e1"`, "a customer", "data-live")
		says(t, get(t, h, "/events?type=customer", http.StatusOK), "a customer", "!small")
		says(t, get(t, h, "/events?type=none", http.StatusOK), "There are no events here")
	})
}

func TestTheStateAtAVersionIsShown(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		stream, other := numbered("sum", 1), numbered("other", 1)
		l.append(stream, Counted{1}, Counted{2}, Counted{3}, Counted{-1}, Counted{5})
		l.append(other, note("x"), note("y"))
		l.in(stream, func(ctx context.Context, s *eventstore.Session) error { return s.SaveSnapshot(ctx, 2, Total{3}) })
		l.in(other, func(ctx context.Context, s *eventstore.Session) error { return s.SaveSnapshot(ctx, 1, Total{77}) })
		h := l.console(console.WithFold("sum", Total{}, func(s Total, e eventstore.Event) (Total, error) {
			counted := e.Data.(Counted)
			if counted.By < 0 {
				panic("negative")
			}
			if counted.By == 5 {
				return s, errors.New("five")
			}
			return Total{s.Sum + counted.By}, nil
		}))
		says(t, get(t, h, pathOf(stream)+"/state?version=1", http.StatusOK), "&#34;Sum&#34;: 1", "From all events", ">Version 2<", "!>Version 0<")
		says(t, get(t, h, pathOf(stream)+"/state?version=3", http.StatusOK), "&#34;Sum&#34;: 6", "snapshot at version 2")
		says(t, get(t, h, pathOf(stream)+"/state?version=4", http.StatusOK), "panicked at version 4: negative")
		says(t, get(t, h, pathOf(stream)+"/state", http.StatusOK), "State at version 5", "panicked at version 4", "!>Version 6<")
		get(t, h, pathOf(stream)+"/state?version=6", http.StatusNotFound)
		says(t, get(t, h, pathOf(other)+"/state", http.StatusOK), "knows no fold", "&#34;Sum&#34;: 77", "snapshots/1/raw")
		says(t, get(t, h, pathOf(stream), http.StatusOK), "Show the state")

		if _, err := console.New(l.feed, console.WithFold("sum", 0, func(n int, _ eventstore.Event) (int, error) { return n, nil }),
			console.WithFold("sum", 0, func(n int, _ eventstore.Event) (int, error) { return n, nil })); err == nil {
			t.Error("two folds of one type: no error")
		}
	})
}

func TestEventsOfACorrelationAreShownWithTheirCauses(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		a, b := numbered("order", 1), numbered("stock", 1)
		l.append(a, caused("e1", "buy", "click"))
		l.append(b, caused("e2", "buy", "e1"), caused("other", "else", "e1"))
		l.append(a, caused("e3", "buy", "e1"), caused("e4", "buy", b.String()+"/1"), caused("e5", "buy", ""))
		l.append(numbered("x", 1), caused("loop 1", "loop", "loop 2"), caused("loop 2", "loop", "loop 1"))
		l.index()
		l.indexed(numbered("x", 1), 2)
		h := l.console()
		page := get(t, h, "/correlation?id=buy", http.StatusOK)
		says(t, page, "5 events of 2 streams among 8", "caused by <bdi class=\"code\">click<", "without a cause", "!other", "!Search on", "<svg")
		if n := strings.Count(page, `caused by <a href="#i`); n != 3 {
			t.Errorf("%d events have a cause among the others", n)
		}
		// e1 leads to e2 in its own lane, and to e3 in another that passes e2. Then e2 leads to e4.
		says(t, page, `d="M9 50C9 80 9 70 9 100"`, `d="M9 50C9 80 27 70 27 100"`, `d="M27 0V100"`, `d="M27 0V50"`)
		at, _, _ := strings.Cut(page[strings.Index(page, `datetime="`)+len(`datetime="`):], `"`)
		says(t, get(t, h, "/correlation?id=buy&near="+at, http.StatusOK), "5 events of 2 streams", "from an hour before", "Search the whole feed")
		says(t, get(t, h, "/correlation?id=loop", http.StatusOK), "2 events of 1 stream ", "loop 2")
		says(t, get(t, h, "/correlation?id=nothing", http.StatusOK), "No event has this correlation id.")
		says(t, get(t, h, "/correlation", http.StatusOK), "!No event")
		get(t, h, "/correlation?id=buy&near=yesterday", http.StatusBadRequest)
		for _, path := range []string{"/correlation?id=buy&after=1000", "/events?before=1000"} {
			says(t, get(t, h, path, http.StatusNotFound), "No such position", "beyond the end of the feed")
		}
	})
}
