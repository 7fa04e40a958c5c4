package simulation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// world is one run: a store, the processes that use it, and what lies between them.
//
// Only the world's scheduler moves anything. It waits until every process waits, for an answer or
// for time to pass, and then lets one thing happen. So a seed always gives the same history.
type world struct {
	setting
	rng   *rand.Rand
	store *memstate.Store
	watch watcher
	audit *audit                   // of the only stream; nil in a history of a feed
	past  map[string][]driver.Item // by key: its earlier values, oldest first, for stale reads

	mu        sync.Mutex
	flights   []*flight // waiting requests, in the order in which they were made
	members   []*process
	processes int // number that still run
	born      int
	clock     int64 // orders calls and returns
	history   []*call
	commits   []commit
	attempts  []*attempt // to open sessions
	lock      *lock      // of the lock component
	violation error

	restarting bool // the store is down: requests do not arrive
	restart    *restart

	notes []string  // lines of the history since the last step
	late  []*flight // writes that may still arrive although their sender gave up
	log   func(format string, args ...any)
}

// watcher checks the store after each request.
type watcher interface {
	after(f *flight) error // checks what a request has changed
	begun() bool           // reports whether something is committed
	forget(r *restart)     // accepts the contents after a restart as a new start
}

// commit is when the stream's version rose to another one.
type commit struct {
	tick    int64
	at      time.Time
	version int64
}

// setting holds the parameters that a seed sets for a run.
type setting struct {
	redis      bool    // the store is like Redis, not transactional
	clients    int     // processes at a time, at most
	lives      int     // processes that may take the place of crashed ones
	faults     float64 // share of requests with a fault
	stale      bool    // reads may return older values
	locked     bool    // sessions take turns with the lease
	component  bool    // sessions take turns with a lock component; if neither is set, nothing keeps them apart
	punctual   bool    // requests for lock and lease arrive (once or twice) before they are answered or given up, or never
	payload    int     // largest event in bytes
	maxRequest int     // largest request in bytes, 0 for no limit
	ends       bool    // the stream may be closed and deleted
	forgets    bool    // the store restarts once and loses its last writes
	misses     bool    // a bulk read may report keys as absent that it did not get to, like Dapr's SQL stores
	tail       int     // events that a head may carry; 0: 1 or 8, by process
	updates    bool    // most processes have a repository
	together   bool    // the goroutines of these processes also append, at whatever version the stream has

	outage  func(*flight) bool // requests that do not get through now
	halts   func(*flight) bool // requests before which their sender pauses
	freezes bool               // a process that stands still does so as a whole
	prompt  bool               // a request arrives before it is answered or given up, or never
}

func newSetting(rng *rand.Rand) setting {
	s := setting{
		redis:   rng.IntN(2) == 0,
		clients: 2 + rng.IntN(3),
		lives:   rng.IntN(3),
		faults:  []float64{0, 0.03, 0.1, 0.25, 0.4}[rng.IntN(5)],
		stale:   rng.IntN(4) == 0,
		locked:  rng.IntN(3) == 0,
		payload: 16,
	}
	switch rng.IntN(8) {
	case 0: // so large that the tail must be dropped
		s.payload = 40 << 10
	case 1: // so large that the tail does not always fit
		s.payload, s.maxRequest = 1500, 8<<10
	}
	return s
}

func (s setting) String() string {
	store := "transactions"
	if s.redis {
		store = "redis"
	}
	return fmt.Sprintf("store=%s clients=%d lives=%d faults=%.0f%% stale=%v locked=%v component=%v punctual=%v payload=%d request=%d ends=%v forgets=%v misses=%v tail=%d together=%v",
		store, s.clients, s.lives, 100*s.faults, s.stale, s.locked, s.component, s.punctual, s.payload, s.maxRequest, s.ends, s.forgets, s.misses, s.tail, s.together)
}

// flight is one request under way.
type flight struct {
	from    *process
	caller  int // which of the goroutines of the process sent it
	number  int
	request *memstate.Request
	next    func() error
	answer  chan error
	refused bool          // it was sent while the store was down
	paused  bool          // its sender pauses just before sending it, without noticing
	part    []driver.Item // the first part of a bulk read that is carried out in two parts
}

func (f *flight) String() string {
	return fmt.Sprintf("p%d #%d %s of %s", f.from.id, f.number, f.request, f.request.Partition)
}

func (f *flight) writes() bool { return f.request.Op != "get" && f.request.Op != "getmany" }

var (
	errNetwork = errors.New("simulation: the connection broke")
	errCrashed = errors.New("simulation: the process has crashed")
)

type senderKey struct{}

// callerKey is the key of a caller's number in the context of its calls.
type callerKey struct{}

// around takes the place of each request. It hands the request to the scheduler and waits.
func (w *world) around(ctx context.Context, r *memstate.Request, next func() error) error {
	p := ctx.Value(senderKey{}).(*process)
	w.mu.Lock()
	if p.crashed {
		w.mu.Unlock()
		return errCrashed
	}
	caller, _ := ctx.Value(callerKey{}).(int)
	f := &flight{from: p, caller: caller, request: r, next: next, answer: make(chan error, 1), refused: w.restarting, paused: p.frozen}
	w.flights = append(w.flights, f)
	w.mu.Unlock()
	done := ctx.Done()
	for {
		select {
		case err := <-f.answer:
			return err
		case <-done:
			w.mu.Lock()
			if p.crashed {
				w.mu.Unlock()
				return errCrashed
			}
			if f.paused {
				done = nil
				w.mu.Unlock()
				continue
			}
			w.flights = slices.DeleteFunc(w.flights, func(other *flight) bool { return other == f })
			if f.writes() && !f.refused {
				w.delay(f)
			}
			if f.number > 0 && f.writes() { // otherwise it depends on the Go scheduler whether it was sent at all, or in which order
				w.log("%s: given up, %v", f, ctx.Err())
			}
			w.mu.Unlock()
			return fmt.Errorf("simulation: %w", ctx.Err())
		}
	}
}

// number numbers the requests that were sent since the last step. A process may send several at
// once, in an order that differs from run to run, so number sorts them first.
func (w *world) number() {
	slices.Sort(w.notes)
	for _, note := range w.notes {
		w.log("%s", note)
	}
	w.notes = nil
	i := slices.IndexFunc(w.flights, func(f *flight) bool { return f.number == 0 })
	if i < 0 {
		return
	}
	slices.SortStableFunc(w.flights[i:], func(a, b *flight) int {
		return cmp.Or(cmp.Compare(a.from.id, b.from.id), cmp.Compare(a.caller, b.caller),
			cmp.Compare(a.request.String(), b.request.String()), cmp.Compare(a.request.Partition, b.request.Partition))
	})
	for _, f := range w.flights[i:] {
		f.from.requests++
		f.number = f.from.requests
	}
}

// maxSteps is the limit of steps of a run. A run normally ends long before.
const maxSteps = 20_000

// run lets things happen until all processes have ended and no request is under way.
func (w *world) run() error {
	for range w.clients {
		w.start((*process).live)
	}
	err := w.until(maxSteps, func() bool { return false })
	w.abandon()
	return err
}

// until lets things happen until enough says that it is enough, or nothing is left to do.
func (w *world) until(steps int, enough func() bool) error {
	for range steps {
		synctest.Wait()
		w.mu.Lock()
		w.number()
		over := enough() || w.step()
		if violation := w.violation; violation != nil || over {
			w.mu.Unlock()
			return violation
		}
		// Time passes a little with each step, so that no two timers fire at the same moment.
		d := time.Duration(1 + w.rng.Int64N(int64(100*time.Microsecond)))
		w.mu.Unlock()
		pass(d)
	}
	return errors.New("the run does not end")
}

// abandon ends all processes that still run.
func (w *world) abandon() {
	for {
		synctest.Wait()
		w.mu.Lock()
		running := w.processes
		for _, p := range w.members {
			p.die()
		}
		for _, f := range w.flights {
			f.from.crashed = true
			f.answer <- errCrashed
		}
		w.flights = nil
		w.mu.Unlock()
		if running == 0 {
			return
		}
		pass(time.Minute)
	}
}

// step lets one thing happen. It reports whether there was nothing left to do.
func (w *world) step() (over bool) {
	if len(w.late) > 0 && (w.rng.IntN(4) == 0 || w.processes == 0) {
		i := w.rng.IntN(len(w.late))
		f := w.late[i]
		w.late = slices.Delete(w.late, i, i+1)
		w.arrives(f, "arrives late")
		return false
	}
	if w.processes == 0 {
		return true
	}
	if w.forgets && w.restart == nil && w.watch.begun() && w.rng.IntN(40) == 0 {
		w.forget()
		return false
	}
	ready := slices.DeleteFunc(slices.Clone(w.flights), func(f *flight) bool { return f.paused })
	if len(ready) > 0 && w.rng.IntN(50) > 0 {
		w.deliver(ready[w.rng.IntN(len(ready))])
		return false
	}
	// Now and then, and whenever all processes wait, time passes.
	d := []time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second}[w.rng.IntN(4)]
	var paused []*flight
	for _, f := range w.flights {
		if f.paused {
			paused = append(paused, f)
		}
	}
	if len(paused) > 0 && w.rng.IntN(3) == 0 {
		f := paused[w.rng.IntN(len(paused))]
		f.paused, f.from.frozen = false, false
		w.log("p%d goes on", f.from.id)
		w.take(f)
		f.answer <- w.arrives(f, "was sent after the pause")
		return false
	}
	w.mu.Unlock()
	pass(d)
	w.mu.Lock()
	return false
}

// restart records a restart in which the store lost its last writes.
type restart struct {
	at, until int64            // when the store went down and came back, by world.tick
	committed map[int64][]byte // by version, before the restart
	kept      int64            // the version of the head after the restart
}

// forget restarts the store. The store loses its last writes, breaks its connections, and is down
// for longer than the event store trusts an ETag. A process that paused just before sending does
// not send any more.
func (w *world) forget() {
	n := 1 + w.rng.IntN(6)
	w.restart = &restart{at: w.tick()}
	w.store.Forget(n)
	w.past = map[string][]driver.Item{}
	w.watch.forget(w.restart)
	w.log("the store restarts without its last %d writes, at version %d", n, w.restart.kept)
	w.late = nil
	w.restarting = true
	w.refuse(func(*flight) bool { return true })
	w.mu.Unlock()
	pass(time.Second)
	w.mu.Lock()
	w.restarting = false
	w.refuse(func(f *flight) bool { return f.refused })
	w.restart.until = w.tick()
}

// refuse fails the matching requests under way, one after another.
func (w *world) refuse(match func(*flight) bool) {
	for _, f := range slices.Clone(w.flights) {
		if !match(f) || !slices.Contains(w.flights, f) {
			continue
		}
		w.take(f)
		f.refused = true
		f.answer <- errNetwork
		w.mu.Unlock()
		pass(time.Duration(1 + w.rng.IntN(1000))) // so that no two continue at the same moment
		synctest.Wait()
		w.mu.Lock()
	}
}

// take removes a request from the waiting ones.
func (w *world) take(f *flight) {
	w.flights = slices.DeleteFunc(w.flights, func(other *flight) bool { return other == f })
}

// arrives carries a request out and audits the store.
func (w *world) arrives(f *flight, how string) error {
	before := w.version()
	err := f.next()
	w.log("%s: %s: %v", f, how, errText(err))
	w.keep(f)
	if violation := w.watch.after(f); violation != nil && w.violation == nil {
		w.violation = fmt.Errorf("%s %s: %w", f, how, violation)
	}
	if now := w.version(); now > before {
		w.commits = append(w.commits, commit{w.tick(), time.Now(), now})
	}
	return err
}

// version returns the version of the only stream, or 0 if the history is one of a feed.
func (w *world) version() int64 {
	if w.audit == nil {
		return 0
	}
	return w.audit.head.version
}

// keep keeps the values that a request has written, for stale reads.
func (w *world) keep(f *flight) {
	if !f.writes() {
		return
	}
	for _, key := range f.request.Keys {
		value, etag := w.store.Value(key)
		kept := w.past[key]
		if len(kept) == 0 {
			kept = append(kept, driver.Item{Key: key})
		}
		if kept[len(kept)-1].ETag != etag {
			kept = append(kept, driver.Item{Key: key, Value: value, ETag: etag})
		}
		w.past[key] = kept
	}
}

func errText(err error) string {
	if err == nil {
		return "ok"
	}
	return err.Error()
}

// deliver carries out a waiting request, or does something worse with it.
func (w *world) deliver(f *flight) {
	if w.outage != nil && w.outage(f) {
		w.take(f)
		w.log("%s: lost in the outage", f)
		f.answer <- errNetwork
		return
	}
	if w.halts != nil && w.halts(f) {
		f.paused = true
		w.log("p%d pauses before sending #%d", f.from.id, f.number)
		return
	}
	if f.request.Op == "getmany" && f.part == nil && w.rng.IntN(4) == 0 {
		_ = w.arrives(f, "the first part arrives") // the items of a bulk read may be from different moments
		f.part = f.request.Items[:w.rng.IntN(len(f.request.Items))]
		return
	}
	if w.rng.Float64() >= w.faults {
		w.take(f)
		err := w.arrives(f, "arrives")
		copy(f.request.Items, f.part)
		w.mayBeStale(f)
		w.mayMiss(f)
		f.answer <- err
		return
	}
	if w.rng.IntN(12) == 0 && w.lives > 0 {
		w.crash(f)
		return
	}
	if w.rng.IntN(12) == 0 {
		f.paused = true
		w.log("p%d stands still before sending #%d", f.from.id, f.number)
		if w.freezes {
			w.freeze(f.from)
		}
		return
	}
	w.take(f)
	if !f.writes() {
		w.failRead(f)
		return
	}
	switch w.rng.IntN(7) {
	case 0:
		w.log("%s: lost", f)
		f.answer <- errNetwork
	case 1:
		w.log("%s: never sent", f)
		f.answer <- fmt.Errorf("%w: %w", errNetwork, driver.ErrRefused)
	case 2:
		_ = w.arrives(f, "arrives, its answer is lost")
		f.answer <- errNetwork
	case 3:
		w.log("%s: delayed", f)
		w.delay(f)
		f.answer <- errNetwork
	case 4:
		f.answer <- w.arrives(f, "arrives, for the first time")
		w.delay(f)
	case 5: // a sidecar that retries
		_ = w.arrives(f, "arrives")
		f.answer <- w.arrives(f, "arrives again, at once")
	case 6:
		w.tear(f)
		f.answer <- errNetwork
	}
}

// freeze makes a process stand still, whichever of its goroutines sends something.
func (w *world) freeze(p *process) {
	p.frozen = true
	for _, f := range w.flights {
		f.paused = f.paused || f.from == p
	}
}

// delay lets a request arrive at some later time, if it may.
func (w *world) delay(f *flight) {
	if !w.prompt && (!w.punctual || !f.locks()) {
		w.late = append(w.late, f)
	}
}

// tear carries out a part of the writes of a request that is not atomic. The rest may follow.
func (w *world) tear(f *flight) {
	if f.request.Op != "write" || len(f.request.Writes) < 2 {
		w.log("%s: lost", f)
		return
	}
	all := f.request.Writes
	part := slices.Clone(all)
	w.rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	f.request.Writes = part[:1+w.rng.IntN(len(part)-1)]
	_ = w.arrives(f, fmt.Sprintf("%d of %d writes arrive", len(f.request.Writes), len(all)))
	f.request.Writes = all
	if w.rng.IntN(2) == 0 {
		w.delay(f)
	}
}

// failRead fails a read, or one item of it.
func (w *world) failRead(f *flight) {
	if f.request.Op == "get" || w.rng.IntN(2) == 0 {
		w.log("%s: failed", f)
		f.answer <- errNetwork
		return
	}
	err := w.arrives(f, "arrives, but for one item")
	i := w.rng.IntN(len(f.request.Items))
	f.request.Items[i] = driver.Item{Key: f.request.Items[i].Key, Err: errNetwork}
	f.answer <- err
}

// mayBeStale answers a read with earlier values, if the run allows it.
func (w *world) mayBeStale(f *flight) {
	if !w.stale || f.writes() {
		return
	}
	for i, item := range f.request.Items {
		before := w.past[item.Key]
		if len(before) > 0 && w.rng.IntN(4) == 0 {
			f.request.Items[i] = before[w.rng.IntN(len(before))]
			w.log("%s: item %d is stale", f, i)
		}
	}
}

// mayMiss cuts the answer to a bulk read off, if the run allows it. The keys after the cut seem to
// be absent. A store returns its rows in any order.
func (w *world) mayMiss(f *flight) {
	if !w.misses || f.request.Op != "getmany" || w.rng.IntN(6) > 0 {
		return
	}
	order := w.rng.Perm(len(f.request.Items))
	for _, i := range order[w.rng.IntN(len(order)):] {
		f.request.Items[i] = driver.Item{Key: f.request.Items[i].Key}
	}
	w.log("%s: its answer is cut off", f)
}

// crash ends a process in the middle of a request. Another process takes its place.
func (w *world) crash(f *flight) {
	w.lives--
	w.log("p%d crashes", f.from.id)
	f.from.crashedAt = time.Now()
	w.kill(f.from)
	w.start(f.from.life)
}

// kill ends a process. Writes that it has sent may still arrive.
func (w *world) kill(p *process) {
	p.die()
	for _, own := range slices.Clone(w.flights) {
		if own.from != p {
			continue
		}
		w.take(own)
		if own.writes() {
			switch w.rng.IntN(3) {
			case 0:
				_ = w.arrives(own, "had been sent")
			case 1:
				w.delay(own)
			}
		}
		own.answer <- errCrashed
	}
}

// start begins a process.
func (w *world) start(life func(*process)) {
	p := &process{world: w, id: w.born, life: life, rng: rand.New(&source{pcg: rand.NewPCG(w.rng.Uint64(), w.rng.Uint64())})}
	w.born++
	w.processes++
	w.members = append(w.members, p)
	go func() {
		p.life(p)
		w.mu.Lock()
		w.processes--
		w.mu.Unlock()
	}()
}

// source is randomness that several goroutines of a process may draw from.
type source struct {
	mu  sync.Mutex
	pcg *rand.PCG
}

func (s *source) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pcg.Uint64()
}

// die makes the process end. From now on it can send nothing. The caller holds w.mu.
func (p *process) die() {
	p.crashed = true
	if p.stop != nil {
		p.stop()
	}
}

// tick orders calls and returns among all processes.
func (w *world) tick() int64 {
	w.clock++
	return w.clock
}

// short returns an error as one line, without parts that differ from run to run.
func short(err error) string {
	if err == nil {
		return "ok"
	}
	name := fmt.Sprintf("%T", err)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// pass lets simulated time pass.
func pass(d time.Duration) { <-time.After(d) }
