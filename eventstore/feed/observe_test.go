package feed_test

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/internal/polling"
)

// witness keeps what an observer is told.
type witness struct {
	mu         sync.Mutex
	operations []string
	reports    []eventstore.FeedReport
	log        strings.Builder
}

func (w *witness) Begin(ctx context.Context, operation eventstore.Operation) context.Context {
	return ctx
}

func (w *witness) End(_ context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.operations = append(w.operations, operation.Name+" "+operation.Stream.Type)
}

func (w *witness) ObserveFeed(_ context.Context, report eventstore.FeedReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, report)
}

// Write keeps a line of the log.
func (w *witness) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// warnings returns how often it was logged that no process indexes.
func (w *witness) warnings() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.log.String(), "commits wait for an indexer of the feed")
}

// take returns what was told since the last call.
func (w *witness) take() (operations []string, reports []eventstore.FeedReport) {
	w.mu.Lock()
	defer w.mu.Unlock()
	operations, reports = w.operations, w.reports
	w.operations, w.reports = nil, nil
	return operations, reports
}

// of returns the reports of one kind.
func of[R eventstore.FeedReport](reports []eventstore.FeedReport) (found []R) {
	for _, r := range reports {
		if r, ok := r.(R); ok {
			found = append(found, r)
		}
	}
	return found
}

// inWatchedLab runs a test on a store of each kind. No indexer runs when it begins.
func inWatchedLab(t *testing.T, test func(l *lab, w *witness)) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		w := &witness{}
		l := &lab{T: t, store: store, stop: func() {}}
		l.p, l.f = open(t, store, eventstore.WithObserver(w), eventstore.WithLogger(slog.New(slog.NewTextHandler(w, nil))))
		test(l, w)
		l.stop()
		pass(time.Second) // until the flusher has ended
	})
}

func TestAnIndexerTellsWhatItDoes(t *testing.T) {
	inWatchedLab(t, func(l *lab, w *witness) {
		l.add("1", deposited{1}, deposited{2})
		l.add("2", deposited{3})
		pass(time.Hour)
		w.take()
		l.index()
		l.settle()
		operations, reports := w.take()
		if !slices.Equal(operations, []string{"index feed"}) {
			l.Errorf("observed were %q", operations)
		}
		rounds := of[eventstore.IndexReport](reports)
		first, last := rounds[0], rounds[len(rounds)-1]
		if first.Feed != "all" || first.Logged < 2 || first.Delay < time.Hour || first.Delay > time.Hour+time.Second || first.Derived != 0 {
			l.Errorf("the first round was %+v", first)
		}
		if last.Position != int64(first.Logged) || last.Logged != 0 || last.Delay != 0 || last.Unindexed != 0 || last.OpenNumbers != 0 || last.Journals != 1 || last.Ended {
			l.Errorf("the last round was %+v", last)
		}
		pass(time.Minute)
		operations, reports = w.take()
		if len(operations) != 0 {
			l.Errorf("while nothing happened observed were %q", operations)
		}
		rounds = of[eventstore.IndexReport](reports)
		if n := len(rounds); n < 50 || n > 300 {
			l.Errorf("there were %d rounds in a minute", n)
		}
		for _, r := range rounds { // a lap takes 10 s, and its last step is in the second after it began
			if r.WalkAge > 14*time.Second {
				l.Errorf("the walk was %s old", r.WalkAge)
			}
		}
		l.stop()
		if _, reports = w.take(); reports[len(reports)-1] != (eventstore.IndexReport{Feed: "all", Ended: true}) {
			l.Errorf("in the end it told %+v", reports[len(reports)-1])
		}
	})
}

func TestAnIndexerTellsOfOpenNumbersAndOfWhatWaits(t *testing.T) {
	inWatchedLab(t, func(l *lab, w *witness) {
		for _, id := range []string{"1", "1", "2", "2", "3"} {
			l.add(id, deposited{1})
		}
		for id, version := range map[string]int{"1": 2, "2": 2, "3": 1} {
			l.stands(id, version)
		}
		lost := regexp.MustCompile(`\nof=\S+:account:1\nticket=\S+ 1 1 |\nof=\S+:account:2\nticket=\S+ 2 2 `)
		for key, value := range l.store.Values() { // as in a crash
			if strings.HasPrefix(key, "{:journal:") && lost.Match(value) {
				l.store.Set(key, nil)
			}
		}
		l.index()
		pass(20 * time.Second) // until the walk has come by
		_, reports := w.take()
		var waited, derived, open int
		for _, r := range of[eventstore.IndexReport](reports) {
			waited, derived, open = max(waited, r.Unindexed), derived+r.Derived, max(open, r.OpenNumbers)
		}
		// The second entry of stream 1 waits, and its number is as open as those of the lost ones.
		if waited != 1 || derived != 2 || open != 3 {
			l.Errorf("%d entries waited, %d were derived, %d numbers were open", waited, derived, open)
		}
		l.expect("2/1, 3/1, 1/1, 1/2, 2/2")
	})
}

func TestALiveReaderWarnsWhileNoProcessIndexes(t *testing.T) {
	inWatchedLab(t, func(l *lab, w *witness) {
		ctx, cancel := context.WithCancel(l.Context())
		var polled atomic.Int64
		l.store.Intervene(func(ctx context.Context, r *memstate.Request, next func() error) error {
			if polling.Is(ctx) {
				polled.Add(1)
			}
			return next()
		})
		l.add("1", deposited{1})
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for item, err := range l.f.Read(ctx, feed.Live()) {
				if err == nil {
					got = append(got, show(item))
				}
			}
		}()
		pass(59 * time.Second)
		if w.warnings() != 0 {
			l.Error("it warned too early")
		}
		pass(2 * time.Minute)
		_, reports := w.take()
		waits := of[eventstore.JournalReport](reports)
		if w.warnings() != 2 || len(waits) != 2 || waits[1].Waiting == 0 || waits[1].Age < 2*time.Minute {
			l.Errorf("after three minutes it warned %d times, and told %+v", w.warnings(), waits)
		}
		if n := polled.Load(); n < 300 || n > 450 { // two requests a second, because the log does not exist
			l.Errorf("there were %d polls in three minutes", n)
		}
		l.index()
		pass(3 * time.Minute)
		_, reports = w.take()
		waits = of[eventstore.JournalReport](reports)
		reads := of[eventstore.ReadReport](reports)
		if w.warnings() != 2 || len(waits) != 1 || waits[0].Waiting != 0 {
			l.Errorf("when one did it warned %d times, and told %+v", w.warnings(), waits)
		}
		if len(reads) != 1 || reads[0].Items != 1 || !reads[0].Live || reads[0].Position == 0 || reads[0].Delay < 2*time.Minute || reads[0].Delay > 4*time.Minute {
			l.Errorf("it told of reads %+v", reads)
		}
		cancel()
		<-done
		if !slices.Equal(got, []string{"1/1"}) {
			l.Errorf("it read %q", got)
		}
	})
}
