package subscription

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/internal/polling"
)

const running = "run a subscription"

// Run delivers items to the handler until ctx ends. Run it in every instance of a service: they
// share the partitions. It creates the subscription if it does not exist.
//
// Run returns nil when ctx has ended. Before that it saves its positions and gives its partitions
// to the other instances. It goes on after errors of the store, which it logs as warnings. It
// returns a [HandlerError] if an item could not be handled, unless an option says otherwise, and an
// [AheadError], a [NotFoundError] or an [eventstore.DamagedError] for what a person has to look at.
// It returns an [eventstore.ArgumentError] if the subscription exists with another number of
// partitions, or if its name is of something else, such as a projection.
// No goroutine of it remains, except for a handler that does not return: then it is a [HungError].
func (s *Subscription) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	inner, cancel := context.WithCancel(polling.Mark(ctx))
	defer cancel()
	r := &run{
		Subscription: s, id: newInstanceID(ctx), ctx: inner, cancel: cancel,
		seen: map[string]sighting{}, unowned: map[int]time.Time{}, stuck: map[int]<-chan struct{}{}, workers: map[int]*worker{},
		wake: make(chan struct{}, 1), poked: make(chan struct{}, 1), failed: make(chan error, 1),
	}
	s.mu.Lock()
	s.runs[r] = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.runs, r)
	}()
	r.lapse = time.AfterFunc(s.lease, func() { r.endWorkers(errLapsed) })
	defer r.lapse.Stop()
	r.all.Go(func() { r.read(inner) })
	err := r.manage(inner)
	r.end()
	s.inside.Report(ctx, eventstore.SubscriptionReport{Feed: s.feed.Name(), Subscription: s.name, Ended: true})
	if err == nil {
		err = r.hung
	}
	return err
}

// run is one call of Run: an instance of the subscription.
type run struct {
	*Subscription
	id     string
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup // the reader and the workers

	// Of manage:
	joined  bool
	born    int64
	epoch   int64
	size    int // how many partitions there are; the reader sees it after the first worker
	beats   int64
	seen    map[string]sighting
	unowned map[int]time.Time // since when a partition has had no living owner
	hungry  bool              // this instance has less than its fair share
	lapse   *time.Timer

	until atomic.Pointer[time.Time] // the lease of this instance
	known atomic.Int64              // the highest position of the feed that this instance knows of

	wake   chan struct{} // for the reader: a worker has room
	poked  chan struct{} // for manage: something has changed
	failed chan error    // why Run must stop

	mu      sync.Mutex
	workers map[int]*worker         // by their partitions
	stuck   map[int]<-chan struct{} // partitions in which a handler of this instance hangs, until it returns
	hung    error
}

// sighting is when another instance was last seen to be alive, by the clock of this one. So clocks
// need not agree.
type sighting struct {
	beat int64
	at   time.Time
}

// newInstanceID returns an id that no other instance has. It begins with the name of the host, for
// people who look at a store.
func newInstanceID(ctx context.Context) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host[:min(len(host), 60)] + "-" + strconv.FormatUint(jitter.Uint64(ctx), 36)
}

// alive reports whether the lease of this instance lasts, by both clocks of the computer: one
// stands still while the computer sleeps, and the other may be set.
func (r *run) alive() bool {
	until, now := r.until.Load(), time.Now()
	return until != nil && now.Before(*until) && now.Round(0).Before(until.Round(0))
}

// fail makes Run stop with an error.
func (r *run) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

// manage tells the others that this instance lives, and takes and gives partitions.
func (r *run) manage(ctx context.Context) error {
	failures := 0
	for {
		err := r.beat(ctx)
		r.report(ctx)
		next := r.lease / 3
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			if r.hungry {
				next = r.lease / 15
			}
		case eventstore.Advise(err) != eventstore.AdviceRetry:
			return err
		default:
			if failures == 0 {
				r.log.WarnContext(ctx, "a subscription cannot use the store", "error", err)
			}
			failures++
			next = min(100*time.Millisecond<<min(failures, 6), next)
		}
		timer := time.NewTimer(jitter.Of(ctx, next))
		select {
		case <-ctx.Done():
		case err := <-r.failed:
			timer.Stop()
			return err
		case <-r.poked:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// beat tells the others that this instance lives, and takes and gives partitions by what it finds.
func (r *run) beat(ctx context.Context) error {
	if !r.joined {
		if err := r.join(ctx); err != nil {
			return err
		}
	}
	r.beats++ // also if the last one may not have arrived, since others look for another number
	began := time.Now()
	dead := []string{}
	sh, err := r.updateShared(ctx, running, func(sh *shared) (bool, error) {
		if sh.dropped || sh.born != r.born {
			return false, &NotFoundError{r.name}
		}
		dead = r.observe(sh, time.Now())
		i, found := sh.find(r.id)
		me := member{id: r.id, beat: r.beats, lease: r.lease}
		if !found {
			sh.instances = slices.Insert(sh.instances, i, me)
		}
		sh.instances[i] = me
		return true, nil
	})
	if err != nil {
		return err
	}
	until := began.Add(r.lease)
	r.until.Store(&until)
	r.lapse.Reset(time.Until(until))
	if sh.epoch != r.epoch {
		r.endWorkers(errMoved)
		r.epoch = sh.epoch
	}
	all, etags, err := r.readPartitions(ctx, running, sh)
	if err != nil {
		return err
	}
	return r.share(ctx, sh, all, etags, dead)
}

// observe returns the instances that have not shown themselves for their lease. It removes those
// that have been dead for long.
func (r *run) observe(sh *shared, now time.Time) (dead []string) {
	sh.instances = slices.DeleteFunc(slices.Clone(sh.instances), func(m member) bool {
		if m.id == r.id {
			return false
		}
		was, known := r.seen[m.id]
		if !known || was.beat != m.beat {
			was = sighting{m.beat, now}
			r.seen[m.id] = was
		}
		silent := now.Sub(was.at)
		if silent > m.lease {
			dead = append(dead, m.id)
		}
		return silent > 4*m.lease
	})
	for id := range r.seen {
		if _, there := sh.find(id); !there {
			delete(r.seen, id)
		}
	}
	return dead
}

// share gives partitions to other instances, or takes some, so that each living instance has its
// fair share.
func (r *run) share(ctx context.Context, sh shared, all []partition, etags []string, dead []string) error {
	living := slices.DeleteFunc(slices.Clone(sh.instances), func(m member) bool { return slices.Contains(dead, m.id) })
	rank := slices.IndexFunc(living, func(m member) bool { return m.id == r.id })
	fair := len(all) / len(living)
	if rank < len(all)%len(living) {
		fair++
	}
	lives := func(owner string) bool {
		return slices.ContainsFunc(living, func(m member) bool { return m.id == owner })
	}
	now := time.Now()
	var free []partition
	for i := range all {
		k := (i + rank*len(all)/len(living)) % len(all) // so that instances that begin together do not want the same
		p := all[k]
		w := r.worker(k)
		if w != nil {
			delete(r.unowned, k)
			if p.owner != r.id || p.term != w.term {
				w.cancel(errLost)
			} else if p.asked() {
				signal(w.asked)
			}
			continue
		}
		if p.owner != "" && p.owner != r.id && lives(p.owner) {
			delete(r.unowned, k)
			continue
		}
		if _, known := r.unowned[k]; !known {
			r.unowned[k] = now
		}
		if !r.isStuck(k) {
			free = append(free, p)
		}
	}
	mine := r.held()
	for len(mine) > fair {
		mine[0].giveUp() // the one that this instance has had longest
		mine = mine[1:]
	}
	have := len(mine)
	end := feed.Position(-1)
	var wanted []partition
	for _, p := range free {
		// Where a handler hangs, its instance cannot take the partition again although it has room.
		if have >= fair && now.Sub(r.unowned[p.number]) < r.lease {
			continue
		}
		if p.position > 0 && end < 0 {
			var err error
			if end, err = r.feed.End(ctx); err != nil {
				return err
			}
			r.knows(end)
		}
		if p.position > 0 && p.position > end {
			return &AheadError{r.name, p.number, p.position, end}
		}
		wanted = append(wanted, p)
		have++
	}
	taken, err := r.takeTogether(ctx, sh, wanted, etags)
	if err != nil {
		return err
	}
	have += taken - len(wanted)
	r.hungry = have < fair
	r.log.DebugContext(ctx, "a subscription has shared its partitions", "instances", len(living), "partitions", have)
	return nil
}

// takeTogether takes partitions in one request if no other instance changes them meanwhile, and
// otherwise one by one. It returns how many it took. The workers begin together, so that one pass
// of the reader serves all of them.
func (r *run) takeTogether(ctx context.Context, sh shared, wanted []partition, etags []string) (taken int, err error) {
	if len(wanted) > 1 {
		swaps := make([]driver.Swap, len(wanted))
		for i, p := range wanted {
			p.owner, p.term = r.id, p.term+1
			swaps[i] = driver.Swap{Key: r.keys.of(p.number), Value: p.encode(r.keys.partition), ETag: etags[p.number]}
		}
		if err := driver.SwapMany(ctx, r.inside.State(), r.keys.partition, swaps); err == nil {
			for _, p := range wanted {
				p.owner, p.term = r.id, p.term+1
				r.begin(sh, p)
			}
			signal(r.wake)
			return len(wanted), nil
		}
	}
	defer func() {
		if taken > 0 {
			signal(r.wake)
		}
	}()
	for _, p := range wanted {
		ok, err := r.take(ctx, sh, p)
		if err != nil {
			return taken, err
		}
		if ok {
			taken++
		}
	}
	return taken, nil
}

// begin starts the worker of a partition that this instance has taken.
func (r *run) begin(sh shared, p partition) {
	delete(r.unowned, p.number)
	w := newWorker(r, sh, p)
	r.mu.Lock()
	r.workers[p.number] = w
	r.mu.Unlock()
	r.all.Go(w.work)
}

// take makes this instance the owner of a partition, and starts its worker. It returns false if
// another instance was quicker.
func (r *run) take(ctx context.Context, sh shared, seen partition) (bool, error) {
	var taken partition
	err := r.updatePartition(ctx, running, seen.number, sh, func(p *partition) (bool, error) {
		taken = *p
		if p.owner == r.id && p.term == seen.term+1 {
			return false, nil // an earlier try took effect
		}
		if p.owner != seen.owner || p.term != seen.term {
			return false, errLost
		}
		p.owner, p.term = r.id, seen.term+1
		taken = *p
		return true, nil
	})
	switch {
	case errors.Is(err, errLost):
		return false, nil
	case err != nil:
		return false, err
	}
	r.begin(sh, taken)
	return true, nil
}

func (r *run) worker(number int) *worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.workers[number]
}

// held returns the workers whose partitions this instance keeps, the oldest first.
func (r *run) held() []*worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*worker
	for _, w := range r.workers {
		if w.ctx.Err() == nil && !w.given() {
			all = append(all, w)
		}
	}
	slices.SortFunc(all, func(a, b *worker) int {
		if c := a.began.Compare(b.began); c != 0 {
			return c
		}
		return b.number - a.number
	})
	return all
}

// isStuck reports whether a handler of this instance still hangs in a partition.
func (r *run) isStuck(number int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	done, stuck := r.stuck[number]
	if !stuck {
		return false
	}
	select {
	case <-done:
		delete(r.stuck, number)
		return false
	default:
		return true
	}
}

// endWorkers ends all workers without saving.
func (r *run) endWorkers(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.workers {
		w.cancel(why)
	}
}

// ended notes that a worker has ended. If its handler hangs, done is closed when that returns.
func (r *run) ended(w *worker, done <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if done != nil {
		r.stuck[w.number] = done
	}
	delete(r.workers, w.number)
	signal(r.poked)
}

// end ends all workers, which save where they are, and leaves the other instances.
func (r *run) end() {
	r.mu.Lock()
	for _, w := range r.workers {
		w.giveUp()
	}
	r.mu.Unlock()
	r.cancel()
	r.all.Wait()
	if !r.joined {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), r.lease)
	defer cancel()
	_, err := r.updateShared(ctx, running, func(sh *shared) (bool, error) {
		i, found := sh.find(r.id)
		if found {
			sh.instances = slices.Delete(slices.Clone(sh.instances), i, i+1)
		}
		return found && sh.born == r.born, nil
	})
	if err != nil {
		r.log.WarnContext(ctx, "a subscription did not sign off, so that other instances wait for its lease", "error", err)
	}
}

// join makes sure that the subscription exists, and that this instance agrees with it.
func (r *run) join(ctx context.Context) error {
	end, err := r.feed.End(ctx) // before anything is written: it fails if the store has another feed
	if err != nil {
		return err
	}
	// The name comes first, so that each subscription is in the list.
	err = r.update(ctx, running, directory(r.feed.Name()), directoryKey(r.feed.Name()), func(value []byte) ([]byte, error) {
		names, err := namesOf(r.feed, value)
		i, found := slices.BinarySearch(names, r.name)
		if err != nil || found {
			return nil, err
		}
		return encodeNames(r.feed.Name(), slices.Insert(names, i, r.name)), nil
	})
	if err != nil {
		return err
	}
	position := r.start.position
	if r.start.atEnd {
		position = end
	}
	sh, err := r.updateShared(ctx, running, func(sh *shared) (bool, error) {
		if !sh.dropped {
			if sh.kind != "" && sh.kind != r.kind {
				return false, bad("name", "the subscription %s is of a %s: the %s needs another name, because each of them would handle only a part of the items", r.name, sh.kind, r.kind)
			}
			if r.partitions != 0 && r.partitions != sh.partitions {
				return false, bad("WithPartitions", "subscription %s has %d partitions for ever, not %d", r.name, sh.partitions, r.partitions)
			}
			return false, nil
		}
		if err := r.checkEnd(ctx, "WithStart", position); err != nil {
			return false, err
		}
		epoch := sh.epoch + 1
		*sh = shared{partitions: r.partitions, born: epoch, epoch: epoch, start: position, kind: r.kind}
		if r.partitions == 0 {
			sh.partitions = defaultPartitions
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	r.joined, r.born, r.epoch, r.size = true, sh.born, sh.epoch, sh.partitions
	return nil
}
