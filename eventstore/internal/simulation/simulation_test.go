package simulation

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

var (
	seeds = flag.Uint64("seeds", 2000, "how many histories to run")
	first = flag.Uint64("first", 0, "the first seed")
	one   = flag.Int64("seed", -1, "run this one history and print it")

	joint  = flag.Bool("together", false, "run only histories in which goroutines of one process append together")
	ending = flag.Bool("ending", false, "run only histories in which the stream may be closed and deleted")
)

// TestNothingIsLostTornOrDoubled runs histories of sessions until one fails, and prints that one.
func TestNothingIsLostTornOrDoubled(t *testing.T) { histories(t, false) }

// TestNothingIsLostByUpdates does the same with histories in which most processes have a
// repository.
func TestNothingIsLostByUpdates(t *testing.T) { histories(t, true) }

func histories(t *testing.T, updates bool) {
	if *one >= 0 {
		if err := history(t, uint64(*one), updates, t.Logf); err != nil {
			t.Error(err)
		}
		return
	}
	var (
		totals  tally
		totalMu sync.Mutex
	)
	failed, ok := lowest(*seeds, func(seed uint64) error {
		if *ending && !ends(seed, updates) || *joint && !together(seed, updates) {
			return nil
		}
		var counts tally
		err := count(t, seed, updates, &counts, silent)
		totalMu.Lock()
		defer totalMu.Unlock()
		totals.add(counts)
		return err
	})
	if ok {
		t.Logf("seed %d fails; run it alone with -run %s -seed %d", failed, t.Name(), failed)
		t.Error(history(t, failed, updates, t.Logf))
		return
	}
	fmt.Printf("simulation seeds=%d %s violations=0\n", *seeds, totals)
}

// lowest runs seeds until one fails, and returns the lowest that did.
func lowest(seeds uint64, run func(seed uint64) error) (failed uint64, ok bool) {
	var (
		next  atomic.Uint64
		worst atomic.Uint64 // the lowest seed that failed, plus 1
		all   sync.WaitGroup
	)
	next.Store(*first)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for worst.Load() == 0 {
				seed := next.Add(1) - 1
				if seed >= *first+seeds {
					return
				}
				if run(seed) == nil {
					continue
				}
				for {
					was := worst.Load()
					if was != 0 && was <= seed+1 || worst.CompareAndSwap(was, seed+1) {
						break
					}
				}
			}
		})
	}
	all.Wait()
	return worst.Load() - 1, worst.Load() > 0
}

// TestASeedIsOneHistory runs each history twice, to prove that the printed history is the one that
// failed.
func TestASeedIsOneHistory(t *testing.T) {
	t.Parallel()
	for _, updates := range []bool{false, true} {
		for seed := range uint64(200) {
			var runs [2]string
			for i := range runs {
				_ = history(t, seed, updates, func(format string, args ...any) { runs[i] += fmt.Sprintf(format, args...) + "\n" })
			}
			if runs[0] != runs[1] {
				t.Fatalf("seed %d, updates %v, gave two histories:\n%s\nand\n%s", seed, updates, runs[0], runs[1])
			}
		}
	}
}

func silent(string, ...any) {}

func history(t *testing.T, seed uint64, updates bool, log func(string, ...any)) error {
	return count(t, seed, updates, &tally{}, log)
}

// count runs the history of one seed, counts what happens in it, and returns what is wrong with it.
func count(t *testing.T, seed uint64, updates bool, counts *tally, log func(string, ...any)) (failure error) {
	synctest.Test(t, func(*testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0x65766e74))
		w := &world{setting: newSetting(rng), rng: rng, log: log}
		w.updates = updates
		w.ends = ends(seed, updates)
		w.together = together(seed, updates)
		if w.forgets = seed%4 == 1; w.forgets {
			w.stale = false
			if rng.IntN(3) == 0 {
				w.payload, w.maxRequest = 1500, 8<<10
			}
		}
		w.component = !w.locked && seed%5 < 2
		w.tail = []int{1, 1, 1, 8, 8, 8, 0}[seed%7]
		w.punctual = seed%3 > 0
		w.lock = &lock{}
		w.store = memstate.Redis()
		if !w.redis {
			w.store = memstate.Transactional()
		}
		w.misses = !w.redis && seed%5 >= 2
		w.store.Caps.MaxRequestBytes = w.maxRequest
		w.store.Caps.BulkMisses = w.misses
		w.store.Around = w.around
		w.store.Remembers = w.forgets
		w.past = map[string][]driver.Item{}
		w.audit = &audit{store: w.store, partition: "EventStores:" + aggregateType + ":" + aggregateID, committed: map[int64][]byte{}, written: map[string]int{}}
		w.watch = w.audit
		log("seed %d: %s", seed, w.setting)
		failure = w.run()
		if failure == nil {
			failure = w.verdict()
		}
		if failure != nil {
			failure = fmt.Errorf("seed %d: %w", seed, failure)
		}
		counts.of(w)
	})
	return failure
}

// ends reports whether the stream of a history may be closed and deleted.
func ends(seed uint64, updates bool) bool { return seed%4 == 3 && !updates }

// together reports whether the goroutines of one process append together in a history.
func together(seed uint64, updates bool) bool { return updates && (seed%4 == 2 || seed%16 == 5) }

// tally counts what happened in histories.
type tally struct{ appends, gathered, updates, batched, decided, repeats, unknown, refused, reads, crashes, restarts, events int64 }

func (c *tally) of(w *world) {
	c.crashes = int64(w.born - w.clients)
	c.events = w.audit.head.version
	if w.restart != nil {
		c.restarts = 1
	}
	for _, call := range w.history {
		switch {
		case call.kind != "append" && call.kind != "update":
			c.reads++
		case call.ended == 0:
			c.unknown++
		case call.kind == "update" && call.err == nil && call.repeatOf > 0:
			c.repeats++
		case call.kind == "update" && call.err == nil && call.stored == nil, errors.Is(call.err, errRefused):
			c.decided++
		case call.err != nil:
			c.refused++
		case call.kind == "update":
			c.updates++
		default:
			c.appends++
		}
	}
	c.batched, c.gathered = w.batched("p"), w.batched("a")
}

func (c *tally) add(other tally) {
	c.appends += other.appends
	c.gathered += other.gathered
	c.updates += other.updates
	c.batched += other.batched
	c.decided += other.decided
	c.repeats += other.repeats
	c.unknown += other.unknown
	c.refused += other.refused
	c.reads += other.reads
	c.crashes += other.crashes
	c.restarts += other.restarts
	c.events += other.events
}

func (c tally) String() string {
	updates := ""
	if c.updates > 0 {
		updates = fmt.Sprintf("updates=%d batched=%d decided=%d repeats=%d gathered=%d ", c.updates, c.batched, c.decided, c.repeats, c.gathered)
	}
	return updates + fmt.Sprintf("appends=%d unknown=%d refused=%d reads=%d crashes=%d restarts=%d events=%d",
		c.appends, c.unknown, c.refused, c.reads, c.crashes, c.restarts, c.events)
}
