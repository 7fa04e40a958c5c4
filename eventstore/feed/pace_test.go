package feed_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
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

// Many processes have written to the same streams while none indexed, so most entries wait for one
// in another journal. They are taken over in few requests all the same.
func TestABacklogInManyJournals(t *testing.T) {
	const processes, commits, streams = 30, 6000, 100
	for name, writer := range map[string]func(i int, random *rand.Rand) int{
		"side by side": func(i int, random *rand.Rand) int {
			if i/200%2 == 0 {
				return i / 200 % processes // one writes much
			}
			return random.IntN(processes)
		},
		"one after the other": func(i int, random *rand.Rand) int {
			return min(processes-1, i*processes/commits+random.IntN(3))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.stop()
				random := rand.New(rand.NewPCG(1, 1))
				var writers []*eventstore.Provider
				for range processes {
					p, _ := open(l.T, l.store)
					writers = append(writers, p)
				}
				for i := range commits {
					p := writers[writer(i, random)]
					if _, err := p.Append(l.Context(), p.Stream("account", fmt.Sprint(random.IntN(streams))), eventstore.ExpectAny(), deposited{i}); err != nil {
						l.Fatal(err)
					}
					pass(time.Millisecond)
				}
				pass(time.Second)
				s := watch(l.store)
				l.index()
				counts, keys := map[string]int{}, map[string]int{}
				l.waitFor("the end of the backlog", func() bool {
					more, of := s.during(time.Millisecond)
					for about := range more {
						counts[about] += more[about]
						keys[about] += of[about]
					}
					status, err := l.f.Status(l.Context())
					if err != nil {
						l.Fatal(err)
					}
					return status.Waiting == 0
				})
				l.Logf("%d commits: %v requests of %v keys", commits, counts, keys)
				if keys["journals"] > 3*commits || keys["streams"] > 0 || counts["root"] > 20 {
					l.Errorf("%d commits took %v requests of %v keys", commits, counts, keys)
				}
			})
		})
	}
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
