package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// faultKinds are all kinds of faults, and what each can happen to.
var faultKinds = []struct {
	name  string
	store bool // it happens to the store, otherwise to one of the stations
	draw  func(f *fault, at *station, rng *rand.Rand)
}{
	{name: "sidecar killed", draw: func(f *fault, at *station, rng *rand.Rand) {
		f.part(at.sidecar.Part, "its sidecar")
		f.holds = upTo(rng, 500*time.Millisecond)
	}},
	{name: "sidecar stopped", draw: func(f *fault, at *station, rng *rand.Rand) { // its requests come late, perhaps after their session has ended
		f.target, f.holds = "its sidecar", between(rng, 100*time.Millisecond, sessionTimeout+time.Second)
		f.inject = func() error { return attempt(f.t, at.sidecar.Pause) }
		f.heal = func() error { return attempt(f.t, at.sidecar.Resume) }
	}},
	{name: "process killed", draw: func(f *fault, at *station, rng *rand.Rand) {
		f.target, f.holds = "itself", upTo(rng, 500*time.Millisecond)
		f.inject, f.heal = at.kill, at.start
	}},
	{name: "process stopped", draw: func(f *fault, at *station, rng *rand.Rand) { // for longer than its sessions and leases last
		f.target, f.holds = "itself", sessionTimeout+between(rng, 100*time.Millisecond, 1500*time.Millisecond)
		f.inject, f.heal = at.stop, at.goOn
	}},
	{name: "store killed", store: true, draw: func(f *fault, at *station, rng *rand.Rand) {
		f.part(at.run.store.part, "store")
		if b := at.run.store.broker; b != nil && b.Part != at.run.store.part && rng.IntN(2) == 0 {
			f.part(b.Part, "broker")
		}
		f.holds = upTo(rng, time.Second)
	}},
	{name: "connections reset", draw: func(f *fault, at *station, rng *rand.Rand) {
		d := pick(rng, requests, answers)
		l := f.link(at, rng, string(d))
		f.holds = between(rng, 50*time.Millisecond, time.Second)
		f.inject = func() error { return l.reset(d) }
	}},
	{name: "connections cut", draw: func(f *fault, at *station, rng *rand.Rand) {
		l := f.link(at, rng, "both ways")
		f.holds = upTo(rng, 2*time.Second)
		f.inject = func() error { l.cut(); return nil }
		f.heal = l.mend
	}},
	{name: "connections silent", draw: func(f *fault, at *station, rng *rand.Rand) {
		d := pick(rng, requests, answers)
		l := f.link(at, rng, string(d))
		f.holds = between(rng, 200*time.Millisecond, 3*time.Second)
		f.inject = func() error { return l.silence(d) }
	}},
	{name: "connections delayed", draw: func(f *fault, at *station, rng *rand.Rand) {
		d, by := pick(rng, requests, answers), 10+rng.IntN(400)
		l := f.link(at, rng, fmt.Sprintf("%s by %d ms", d, by))
		f.holds = between(rng, 500*time.Millisecond, 3*time.Second)
		f.inject = func() error { return l.delay(d, by) }
	}},
}

const restartLimit = time.Minute // for a part that was killed

// fault is one fault, which lasts for a while.
type fault struct {
	t      *testing.T
	kind   string
	target string // one target has one fault at a time
	detail string
	holds  time.Duration
	inject func() error
	heal   func() error

	began time.Duration // since the run began
	ended time.Duration
}

func (f *fault) String() string {
	return fmt.Sprintf("%7.3fs to %7.3fs %s: %s %s", f.began.Seconds(), f.ended.Seconds(), f.kind, f.target, f.detail)
}

// part makes f a fault that kills a part and starts it again.
func (f *fault) part(p *servers.Part, target string) {
	f.target = target
	f.inject = func() error { return attempt(f.t, p.Kill) }
	f.heal = func() error { return revive(f.t, p) }
}

// link chooses one of the links of a station.
func (f *fault) link(at *station, rng *rand.Rand, detail string) *link {
	l := pick(rng, at.toSidecar, at.toStore)
	if at.toBroker != nil && l == at.toStore {
		l = pick(rng, at.toBroker, at.toStore)
	}
	f.target, f.detail = "the way to its sidecar", detail
	switch l {
	case at.toStore:
		f.target = "the way from its sidecar to the store"
	case at.toBroker:
		f.target = "the way from its sidecar to the broker"
	}
	f.heal = func() error { l.heal(); return nil }
	return l
}

func upTo(rng *rand.Rand, most time.Duration) time.Duration { return between(rng, 0, most) }

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}

func pick[T any](rng *rand.Rand, one, other T) T {
	if rng.IntN(2) == 0 {
		return one
	}
	return other
}

// attempt runs a function that takes a testing.TB, and returns its failure as an error instead of
// failing the test. It can be called from any goroutine.
func attempt(t *testing.T, do func(testing.TB)) error {
	r := &reporter{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		do(r)
	}()
	<-done
	return r.err
}

// reporter stands in for a test, and records its failure.
type reporter struct {
	testing.TB
	err error
}

func (r *reporter) Fatalf(format string, args ...any) {
	r.err = fmt.Errorf(format, args...)
	runtime.Goexit()
}

// revive starts a part that was killed. The first tries can fail: a sidecar ends while its store is
// down, and a PostgreSQL ends while processes of its predecessor still run.
func revive(t *testing.T, p *servers.Part) error {
	ctx, cancel := context.WithTimeout(context.Background(), restartLimit)
	defer cancel()
	for {
		err := attempt(t, p.Restart)
		if err == nil {
			return nil
		}
		wait(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return err
		}
	}
}

// trouble injects faults and keeps a record of them.
type trouble struct {
	began time.Time
	all   sync.WaitGroup

	mu     sync.Mutex
	busy   map[string]bool
	faults []*fault
	errors []error // of faults that could not be injected or healed
}

// make injects faults until the context ends. It goes through all kinds in a random order, then in
// another order. Each fault waits for a free target.
func (tr *trouble) make(ctx context.Context, r *run, rng *rand.Rand) {
	var coming []int // kinds
	for round := 0; ; {
		wait(ctx, between(rng, 500*time.Millisecond, 3*time.Second))
		if ctx.Err() != nil {
			return
		}
		if len(coming) == 0 {
			coming = rng.Perm(len(faultKinds))
			round++
		}
		kind, at := faultKinds[coming[0]], r.stations[rng.IntN(len(r.stations))]
		if kind.store && round%2 == 0 {
			coming = coming[1:]
			continue // only every other round: it stops all stations, so that nothing else happens meanwhile
		}
		f := &fault{t: r.t, kind: kind.name}
		kind.draw(f, at, rng)
		if !kind.store {
			f.target = at.name + ", " + f.target
		}
		tr.mu.Lock()
		free := !tr.busy[f.target] && len(tr.busy) < 1+len(r.stations)/3
		if free {
			tr.busy[f.target] = true
		}
		tr.mu.Unlock()
		if free {
			coming = coming[1:]
			tr.all.Go(func() { tr.happen(ctx, f) })
		}
	}
}

// happen injects a fault, and heals it after its time or when the run ends.
func (tr *trouble) happen(ctx context.Context, f *fault) {
	f.began = time.Since(tr.began)
	err := f.inject()
	if err == nil {
		wait(ctx, f.holds)
		err = f.heal()
	}
	f.ended = time.Since(tr.began)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err != nil {
		tr.errors = append(tr.errors, fmt.Errorf("%s: %w", f, err))
		return // and its target stays busy
	}
	delete(tr.busy, f.target)
	tr.faults = append(tr.faults, f)
}

// count returns how many faults have ended, and the errors of those that could not be injected or
// healed.
func (tr *trouble) count() (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.faults), errors.Join(tr.errors...)
}

// kinds returns how often each kind of fault came, and which kinds did not come.
func (tr *trouble) kinds() (all, missing []string) {
	counts := map[string]int{}
	for _, kind := range faultKinds {
		counts[kind.name] = 0
	}
	for _, f := range tr.faults {
		counts[f.kind]++
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s=%d", strings.ReplaceAll(name, " ", "-"), counts[name]))
		if counts[name] == 0 {
			missing = append(missing, name)
		}
	}
	return all, missing
}
