package feed_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func TestAReaderInAnotherProcessWaitsForASmallPartOfTheTimeBetweenCommits(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		_, other := open(l.T, l.store)
		arrived := make(chan time.Time)
		go func() {
			for _, err := range other.Read(l.Context(), feed.Live()) {
				if err != nil { // the test has ended
					return
				}
				arrived <- time.Now()
			}
		}()
		for _, between := range []time.Duration{0, time.Second, 3 * time.Second, 300 * time.Millisecond} {
			pass(between)
			began := time.Now()
			l.add("1", deposited{1})
			if took, most := (<-arrived).Sub(began), between/8+30*time.Millisecond; took > most {
				l.Errorf("a commit %s after the one before took %s, want at most %s", between, took, most)
			}
		}
	})
}

// A look at a journal in use asks for about as many numbers as are likely to have come. A burst is
// found all the same.
func TestABusyIndexerLooksAtFewNumbers(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.add("1", deposited{0})
		l.settle()
		s := watch(l.store)
		go func() {
			for i := range 1000 {
				l.add(fmt.Sprint(i%7), deposited{i})
				pass(20 * time.Millisecond)
			}
		}()
		counts, keys := s.during(20 * time.Second)
		if looks, asked := counts["journals"], keys["journals"]; asked > 10*looks {
			l.Errorf("%d looks asked for %d numbers", looks, asked)
		}
		l.settle()
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() { l.add(fmt.Sprintf("burst %d", i), deposited{i}) })
		}
		all.Wait()
		pass(time.Second)
		status, err := l.f.Status(l.Context())
		if err != nil || status.Waiting > 0 {
			l.Errorf("a second after the burst the status is %+v, %v", status, err)
		}
	})
}

func TestAnIndexerStartsInFewRequests(t *testing.T) {
	store := memstate.Transactional()
	store.Caps.BulkMisses = true
	inLabOn(t, store, func(l *lab) {
		for i := range 250 {
			l.add(fmt.Sprint(i%3), deposited{i})
			pass(50 * time.Millisecond)
		}
		l.stop()
		l.store.Trace()
		l.index()
		pass(time.Millisecond)
		if trace := l.store.Trace(); len(trace) > 25 {
			l.Errorf("it took %d requests: %q", len(trace), trace)
		}
	})
}

func TestIndexersThatEndSoonSaveHowFarTheJournalsWereRead(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		for i := range 110 {
			l.add("1", deposited{i})
			pass(100 * time.Millisecond)
			l.stop()
			l.index()
		}
		for key := range l.store.Values() {
			if strings.HasPrefix(key, "{:feed:all}:snapshot") {
				return
			}
		}
		l.Error("the log has no snapshot after 110 batches")
	})
}
