package eventstore

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// feedWitness is a witness that also keeps the reports about journals.
type feedWitness struct {
	witness
	reports []JournalReport
}

func (w *feedWitness) ObserveFeed(_ context.Context, report FeedReport) {
	w.reports = append(w.reports, report.(JournalReport))
}

// index deletes all entries, as an indexer does that has taken them over.
func (l *lab) index() {
	for _, e := range l.standing() {
		l.Set(journal.Feed("all").Key(e.Slot), nil)
	}
}

func TestAProviderWarnsOnceAMinuteWhileItsCommitsAreNotIndexed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		var log strings.Builder
		w := &feedWitness{}
		p := l.feeding(WithObserver(w), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		warnings := func() int { return strings.Count(log.String(), "commits wait for an indexer of the feed") }
		add := func() { l.add(l.session(p, Shared()), "a"); l.flushed(p) }
		for range 3 {
			add()
			pass(indexedWithin / 4)
		}
		if warnings() != 0 || len(w.reports) != 0 {
			t.Errorf("it warned after less than a minute: %s", &log)
		}
		pass(indexedWithin / 2)
		for range 5 {
			add()
		}
		if warnings() != 1 || len(w.reports) != 1 || w.reports[0].Feed != "all" || w.reports[0].Waiting < 3 || w.reports[0].Age < indexedWithin {
			t.Errorf("after a minute it reported %+v and warned: %s", w.reports, &log)
		}
		for range 2 {
			pass(indexedWithin)
			add()
			p.Inside(permit.Permit{}).CheckIndexed(t.Context()) // has just been done
		}
		if warnings() != 3 || len(w.reports) != 3 || w.reports[2].Waiting < 9 || w.reports[2].Age < 3*indexedWithin {
			t.Errorf("after three minutes it reported %+v and warned %d times", w.reports, warnings())
		}
		l.index()
		pass(indexedWithin)
		add()
		if last := w.reports[len(w.reports)-1]; len(w.reports) != 4 || warnings() != 3 || last.Waiting != 0 || last.Age != 0 {
			t.Errorf("once all was indexed it reported %+v and warned %d times", w.reports, warnings())
		}
	})
}

func TestToLookWhetherCommitsAreIndexedTakesOneRequestAMinute(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		in := p.Inside(permit.Permit{})
		l.add(l.session(p, Shared()), "a")
		l.flushed(p)
		asked := 0
		around := l.Around
		l.Intervene(func(ctx context.Context, r *memstate.Request, next func() error) error {
			asked++
			return around(ctx, r, next)
		})
		look := func(want int) {
			t.Helper()
			for range 1000 {
				pass(time.Millisecond)
				in.CheckIndexed(t.Context())
			}
			if asked != want {
				t.Errorf("it sent %d requests, not %d", asked, want)
			}
		}
		look(0) // it is too early
		pass(indexedWithin)
		look(1)
		pass(indexedWithin)
		l.on(everything, -1, lost)
		look(2)
		l.heal()
		l.index()
		pass(indexedWithin)
		look(3)
		pass(indexedWithin)
		look(3) // nothing waits
	})
}
