package feed_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// These tests hold the numbers of docs/following.md: what a feed sends, how long it takes, and what
// it leaves behind.

// sent counts requests by what they are about.
type sent struct {
	mu     sync.Mutex
	counts map[string]int
	keys   map[string]int
}

// watch counts the requests of a store from now on.
func watch(store *memstate.Store) *sent {
	s := &sent{counts: map[string]int{}, keys: map[string]int{}}
	store.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		what := s.about(r)
		s.counts[what]++
		s.keys[what] += len(r.Keys)
		return next()
	})
	return s
}

func (*sent) about(r *memstate.Request) string {
	key := r.Keys[0]
	switch {
	case key == "{:feed}:journals":
		return "root"
	case strings.HasSuffix(key, ":lease"):
		return "lease"
	case strings.HasPrefix(key, "{:journal:"):
		return "journals"
	case strings.HasPrefix(key, "{:feed:all}:names:"):
		return "names"
	case strings.HasPrefix(key, "{:feed:all}:"):
		return "log"
	}
	return "streams"
}

// during returns what is sent while time passes.
func (s *sent) during(d time.Duration) (counts, keys map[string]int) {
	reset := func() (map[string]int, map[string]int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		counts, keys := s.counts, s.keys
		s.counts, s.keys = map[string]int{}, map[string]int{}
		return counts, keys
	}
	reset()
	<-time.After(d)
	return reset()
}

// holds compares counts with the least and the most that there may be.
func (l *lab) holds(what string, counts map[string]int, limits map[string][2]int) {
	l.Helper()
	for about, n := range counts {
		if limit := limits[about]; n < limit[0] || n > limit[1] {
			l.Errorf("%s: %d requests about %s, want %v", what, n, about, limit)
		}
	}
	for about, limit := range limits {
		if counts[about] < limit[0] {
			l.Errorf("%s: %d requests about %s, want %v", what, counts[about], about, limit)
		}
	}
}

func TestWhatAnIdleIndexerSends(t *testing.T) {
	inLab(t, func(l *lab) {
		s := watch(l.store)
		for i := range 10 {
			l.add(fmt.Sprint(i), deposited{i})
		}
		<-time.After(10 * time.Second)
		heads := 6 // the heads of all streams every 10 s
		if !l.store.Caps.AnyPartition {
			heads *= 10
		}
		limits := map[string][2]int{"root": {58, 62}, "lease": {20, 36}, "log": {5, 9}, "names": {10, 14}, "streams": {heads - heads/6, heads + heads/6}, "journals": {58, 62}}
		counts, keys := s.during(time.Minute)
		l.holds("soon after an append", counts, limits)
		if got, most := keys["journals"], 2*counts["journals"]+10*64; got > most {
			l.Errorf("it looked at %d keys of journals, want at most %d", got, most)
		}
		<-time.After(time.Minute)
		limits["journals"] = [2]int{1, 3}
		for range 2 {
			counts, _ = s.during(time.Minute)
			l.holds("two minutes after an append", counts, limits)
		}
	})
}

func TestWhatAnIndexerSendsThatWaits(t *testing.T) {
	inLab(t, func(l *lab) {
		own := l.store.Clone()
		s := watch(own) // what the waiting one sees does not change
		_, waiting := open(l.T, own)
		own.Set("{:feed:all}:lease", nil)
		_, holder := open(l.T, own)
		ctx, cancel := context.WithCancel(l.Context())
		done := make(chan error, 2)
		go func() { done <- holder.Index(ctx) }()
		<-time.After(3 * time.Minute)
		alone, _ := s.during(time.Minute)
		go func() { done <- waiting.Index(ctx) }()
		<-time.After(3 * time.Minute)
		both, _ := s.during(time.Minute)
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				l.Error(err)
			}
		}
		more := 0
		for about, n := range both {
			more += n - alone[about]
		}
		if more < 30 || more > 125 {
			l.Errorf("an indexer that waits sends %d requests in a minute: %v and %v", more, alone, both)
		}
	})
}

// TestTheWalkHasItsPace holds how often an indexer looks at the heads of streams.
func TestTheWalkHasItsPace(t *testing.T) {
	for _, c := range []struct {
		streams      int
		names, heads int // requests in a minute
	}{
		{1200, 6 * 4, 6 * 3}, // a round begins every 10 s
		{8000, 60, 60 - 3},   // 17 steps a round, one a second
	} {
		t.Run(fmt.Sprint(c.streams), func(t *testing.T) {
			inLabOn(t, memstate.Transactional(), func(l *lab) {
				l.stop()
				for i := range c.streams {
					l.add(fmt.Sprint(i), deposited{i})
				}
				l.index()
				<-time.After(10 * time.Minute)
				s := watch(l.store)
				counts, keys := s.during(time.Minute)
				near := func(n int) [2]int { return [2]int{n - 4, n + 4} }
				l.holds("the walk", map[string]int{"names": counts["names"], "streams": counts["streams"]}, map[string][2]int{"names": near(c.names), "streams": near(c.heads)})
				if n := keys["streams"]; n > 500*60 {
					l.Errorf("it looked at %d heads in a minute", n)
				}
			})
		})
	}
}

func TestWhatReadersSendThatWait(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		l.stop()
		p, f := open(l.T, l.store)
		s := watch(l.store)
		var ends []func() error
		follow := func() {
			_, end := l.follow(f)
			ends = append(ends, end)
			<-time.After(time.Minute)
		}
		follow()
		counts, _ := s.during(time.Minute)
		l.holds("one reader", counts, map[string][2]int{"log": {58, 62}})
		for range 9 {
			follow()
		}
		counts, _ = s.during(time.Minute)
		l.holds("ten readers", counts, map[string][2]int{"log": {58, 122}})
		if _, err := p.Append(l.Context(), p.Stream("account", "a"), eventstore.ExpectAny(), deposited{2}); err != nil {
			l.Fatal(err)
		}
		<-time.After(2 * time.Minute)
		counts, _ = s.during(time.Minute)
		l.holds("ten readers while an entry waits", counts, map[string][2]int{"log": {58, 122}, "journals": {1, 1}})
		for _, end := range ends {
			if err := end(); !errors.Is(err, context.Canceled) {
				l.Error(err)
			}
		}
	})
}

// TestReadersInStepLookOnce lets requests take a while. So readers that wait in step, as after an
// event, do not see in time that another one has looked.
func TestReadersInStepLookOnce(t *testing.T) {
	inLab(t, func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		l.stop()
		_, f := open(l.T, l.store)
		var looks atomic.Int64
		l.store.Intervene(func(_ context.Context, _ *memstate.Request, next func() error) error {
			looks.Add(1)
			pass(10 * time.Millisecond)
			return next()
		})
		var ends []func() error
		for range 10 {
			_, end := l.follow(f)
			ends = append(ends, end)
		}
		pass(time.Minute)
		before := looks.Load()
		pass(time.Minute)
		if n := looks.Load() - before; n < 58 || n > 122 {
			l.Errorf("ten readers looked %d times in a minute, want 58 to 122", n)
		}
		for _, end := range ends {
			if err := end(); !errors.Is(err, context.Canceled) {
				l.Error(err)
			}
		}
	})
}

// TestAnEventTakesItsTimeAcrossProcesses lets one process write, another one index and a third one
// read.
func TestAnEventTakesItsTimeAcrossProcesses(t *testing.T) {
	inLab(t, func(l *lab) {
		writer, _ := open(l.T, l.store)
		_, reader := open(l.T, l.store)
		came := make(chan time.Time)
		go func() {
			for _, err := range reader.Read(l.Context(), feed.Live()) {
				if err != nil { // the test has ended
					return
				}
				came <- time.Now()
			}
		}()
		for i := range 60 {
			between := time.Duration(i) * 317 * time.Millisecond
			<-time.After(between)
			began := time.Now()
			if _, err := writer.Append(l.Context(), writer.Stream("account", "a"), eventstore.ExpectAny(), deposited{i}); err != nil {
				l.Fatal(err)
			}
			at := <-came
			// An entry may wait for others. The indexer and the reader look at times of their own.
			if took, most := at.Sub(began), 20*time.Millisecond+2*min(max(between/8, 20*time.Millisecond), time.Second); took > most {
				l.Errorf("an event %s after the one before took %s, want at most %s", between, took, most)
			}
		}
	})
}

// TestAgeDoesNotMatter compares what it takes to go on in a short log and in one ten times as long.
func TestAgeDoesNotMatter(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		took := map[string][]int{}
		for _, appends := range []int{800, 8000} {
			l.fill(10, appends)
			for i := range 120 { // until the log has a snapshot, which is as old as it can be
				l.add(fmt.Sprint(i%3), deposited{i})
				<-time.After(50 * time.Millisecond)
			}
			l.stop()
			items := l.read()
			old, recent := items[100].Position, items[len(items)-3].Position
			for name, do := range map[string]func(f *feed.Feed){
				"the end": func(f *feed.Feed) {
					if _, err := f.End(l.Context()); err != nil {
						l.Error(err)
					}
				},
				"going on near the end": func(f *feed.Feed) {
					n := 0
					for _, err := range f.Read(l.Context(), feed.After(recent)) {
						if n++; err != nil {
							l.Error(err)
						}
					}
					if n != 2 {
						l.Errorf("%d items came", n)
					}
				},
				"the first item far from the end": func(f *feed.Feed) {
					for _, err := range f.Read(l.Context(), feed.After(old)) {
						if err != nil {
							l.Error(err)
						}
						break
					}
				},
				"the start of an indexer": func(f *feed.Feed) {
					ctx, cancel := context.WithTimeout(l.Context(), time.Millisecond)
					defer cancel()
					if err := f.Index(ctx); err != nil {
						l.Error(err)
					}
				},
			} {
				_, f := open(l.T, l.store)
				l.store.Trace()
				do(f)
				took[name] = append(took[name], len(l.store.Trace()))
			}
			l.index()
		}
		for name, n := range took {
			l.Logf("%s took %d requests in a log of about 1,000 entries, and %d with 9,000 more", name, n[0], n[1])
			if n[1] > n[0]+2 || n[1] > 30 {
				l.Errorf("%s took %d requests in a short log and %d in a long one", name, n[0], n[1])
			}
		}
		if n := took["the end"]; n[0] > 2 || n[1] > 2 {
			l.Errorf("the end took %v requests", n)
		}
	})
}

// TestWhatAProcessLeavesBehind holds how much larger the state of an indexer is for each process
// that has appended and ended.
func TestWhatAProcessLeavesBehind(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		const processes = 500
		size := func() int {
			for range 120 { // until there is a new snapshot
				l.add("0", deposited{1})
				<-time.After(50 * time.Millisecond)
			}
			snapshots := 0
			var largest int
			for key, value := range l.store.Values() {
				if strings.HasPrefix(key, "{:feed:all}:snapshot:") {
					snapshots++
					largest = max(largest, len(value))
				}
			}
			if snapshots == 0 {
				l.Fatal("the log has no snapshot")
			}
			return largest
		}
		before := size()
		for i := range processes {
			p, _ := open(l.T, l.store)
			if _, err := p.Append(l.Context(), p.Stream("account", fmt.Sprint(i%5)), eventstore.ExpectAny(), deposited{1}); err != nil {
				l.Fatal(err)
			}
			if err := p.Close(l.Context()); err != nil {
				l.Fatal(err)
			}
		}
		l.settle()
		each := (size() - before) / processes
		l.Logf("%d bytes for each process", each)
		if each < 10 || each > 35 {
			l.Errorf("a process leaves %d bytes behind", each)
		}
		if value, _ := l.store.Value("{:feed}:journals"); strings.Count(string(value), "\n") > 8 {
			l.Errorf("the root still names those that ended:\n%s", value)
		}
	})
}

func TestStatusTakesFewRequests(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		for i := range 30 {
			p, _ := open(l.T, l.store)
			if _, err := p.Append(l.Context(), p.Stream("account", fmt.Sprint(i)), eventstore.ExpectAny(), deposited{1}); err != nil {
				l.Fatal(err)
			}
		}
		l.settle()
		l.stop()
		l.store.Trace()
		status, err := l.f.Status(l.Context())
		if err != nil || status.Journals != 30 {
			l.Errorf("%+v, %v", status, err)
		}
		if trace := l.store.Trace(); len(trace) > 1+3+2 {
			l.Errorf("it took %d requests: %q", len(trace), trace)
		}
	})
}
