package simulation

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

var (
	readings   = flag.Uint64("readings", 40, "how many histories of each kind of subscription to run")
	oneReading = flag.Int64("reading", -1, "run this one history of each kind of subscription and print it")
)

// reading is one run of something that follows a feed to have an effect: a projection, a
// publication or a process. Several instances of it share the work.
type reading struct {
	*following
	readingSetting
	effect effect
	seed   uint64

	logVersion int64
	places     map[string][]span         // by stream: how the log tells of it
	saved      map[int]int64             // by partition: the position
	skipped    map[string]map[int64]bool // by stream: versions that an operator asked to leave out
	tries      map[string]int            // by item: how often it was handled
	handled    int64

	writer func(*process) // the life of a process that appends
	looked bool           // a process has read what the others have made
}

// effect is what a reading is about.
type effect interface {
	name() string                                                   // of the subscription
	consume(p *process, from *feed.Feed) runner                     // makes an instance
	after(f *flight) error                                          // checks what a request has changed
	saves(number int, position int64, parked map[string]held) error // checks what a position says
	complete() error                                                // checks that nothing is missing
	look(ctx context.Context, from *feed.Feed) error                // checks what a reader sees
}

// readingSetting holds parameters that a seed sets for a reading.
type readingSetting struct {
	instances  int
	partitions int
	parking    bool
	skips      bool   // operators also leave items out
	poison     uint64 // one item in so many cannot be handled at first; 0: none
	lingering  uint64 // at one item in so many the handler does not return when it should; 0: none
}

func (r *reading) String() string {
	return fmt.Sprintf("%s of=%s instances=%d partitions=%d parking=%v skips=%v poison=%d lingering=%d prompt=%v",
		r.following, r.effect.name(), r.instances, r.partitions, r.parking, r.skips, r.poison, r.lingering, r.prompt)
}

// span is an entry of the log about a stream.
type span struct {
	position, to int64
	what         journal.What
}

// held is what a record of a partition says of a stream that is parked.
type held struct {
	from            int64
	closed, deleted bool
}

func newReading(seed uint64, of func(*reading) effect, log func(string, ...any)) *reading {
	f := newFollowing(seed, log)
	rng := rand.New(rand.NewPCG(seed, 0x72656164))
	r := &reading{following: f, seed: seed, places: map[string][]span{}, saved: map[int]int64{}, skipped: map[string]map[int64]bool{}, tries: map[string]int{}}
	r.readingSetting = readingSetting{
		instances:  1 + rng.IntN(3),
		partitions: 1 + rng.IntN(3),
		parking:    rng.IntN(3) > 0,
		skips:      rng.IntN(3) == 0,
		poison:     []uint64{0, 3, 10}[rng.IntN(3)],
		lingering:  []uint64{0, 0, 20}[rng.IntN(3)],
	}
	// What a store forgets, and writers without the feed, are not what these promises are about.
	f.forgets, f.mixed, f.store.Remembers = false, "", false
	f.indexing = 1 + rng.IntN(2)
	f.lives += rng.IntN(4)
	f.freezes = true
	f.types = types
	f.watch = r
	r.writer = f.write
	r.effect = of(r)
	f.chronicle.staleReads = f.stale
	return r
}

func (r *reading) begun() bool     { return r.chronicle.begun() }
func (r *reading) forget(*restart) {}

// after checks what a request has changed.
func (r *reading) after(f *flight) error {
	if f.request.Op == "publish" {
		return r.effect.after(f)
	}
	if err := r.chronicle.after(f); err != nil || !f.writes() {
		return err
	}
	r.readLog()
	if err := r.effect.after(f); err != nil {
		return err
	}
	for _, key := range f.request.Keys {
		if number, ok := strings.CutPrefix(key, "{:subscription:all."+r.effect.name()+"}:"); ok && number != "instances" {
			if err := r.positioned(number, key); err != nil {
				return fmt.Errorf("partition %s: %w", number, err)
			}
		}
	}
	return nil
}

// readLog notes what is new in the log.
func (r *reading) readLog() {
	a := r.chronicle.audits[feedName.Log()]
	for a != nil && r.logVersion < a.head.version {
		r.logVersion++
		_, payload, _ := bytes.Cut(a.committed[r.logVersion], []byte("\n\n"))
		batch, err := journal.DecodeBatch(payload)
		if err != nil {
			panic(err) // the chronicle could read it
		}
		for i, e := range batch.Entries {
			r.places[e.Stream] = append(r.places[e.Stream], span{batch.First + int64(i), e.To, e.What})
		}
	}
}

// positioned checks a record of a partition.
func (r *reading) positioned(number, key string) error {
	value, _ := r.store.Value(key)
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	position, _ := strconv.ParseInt(field(value, "position"), 10, 64) // 0 is left out
	if position < r.saved[n] {
		return fmt.Errorf("its position fell from %d to %d", r.saved[n], position)
	}
	r.saved[n] = position
	parked := map[string]held{}
	header, _, _ := bytes.Cut(value, []byte("\n\n"))
	for line := range bytes.Lines(header) {
		text, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "parked=")
		if !ok {
			continue
		}
		words := strings.Fields(text)
		of := func(name string) (n int64) {
			for _, word := range words[1:] {
				if value, ok := strings.CutPrefix(word, name+"="); ok {
					n, _ = strconv.ParseInt(value, 10, 64)
				}
			}
			return n
		}
		parked[words[0]] = held{of("from"), of("closed") > 0, of("deleted") > 0}
		if skip := of("skip"); skip > 0 {
			if r.skipped[words[0]] == nil {
				r.skipped[words[0]] = map[int64]bool{}
			}
			r.skipped[words[0]][skip] = true
		}
	}
	return r.effect.saves(n, position, parked)
}

// shardOf returns the partition of the subscription that has a stream.
func (r *reading) shardOf(stream string) int {
	h := fnv.New64a()
	h.Write([]byte(stream))
	return int(h.Sum64() % uint64(r.partitions))
}

// before returns what a position of the log says of a stream: its last version, and whether it is
// closed.
func (r *reading) before(stream string, position int64) (to int64, closed bool) {
	for _, s := range r.places[stream] {
		if s.position <= position {
			to, closed = max(to, s.to), closed || s.what == journal.Closed
		}
	}
	return to, closed
}

// fails decides whether the handler fails at an item, and how much of its work it does before: 0 if
// it does not fail.
func (r *reading) fails(item feed.Item) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", r.seed, item.ID())
	n := r.tries[item.ID()]
	r.tries[item.ID()]++
	r.handled++
	at := 0
	if sum := h.Sum64(); r.poison > 0 && sum%r.poison == 0 && n < int(sum>>16%10) {
		at = 1 + int(sum>>32+uint64(n))%3
	}
	r.notes = append(r.notes, fmt.Sprintf("%s of entry %d is handled, fails=%d", item.ID(), item.Entry(permit.Permit{}), at))
	return at
}

// lingers passes the time that the handler needs for an item, whatever its context says.
func (r *reading) lingers(item feed.Item) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d lingers %s", r.seed, item.ID())
	r.mu.Lock()
	sum, resting := h.Sum64(), r.resting
	r.mu.Unlock()
	if r.lingering > 0 && sum%r.lingering == 0 && !resting {
		pass(time.Duration(sum>>16%60_000) * time.Millisecond)
	}
}

var errPoison = errors.New("simulation: the item cannot be handled now")

// moved notes that something came of what was committed.
func (r *reading) moved() { r.progress = time.Now() }

// runner is an instance that a process runs.
type runner interface {
	Run(ctx context.Context) error
	Parked(ctx context.Context) ([]subscription.Parked, error)
	Retry(ctx context.Context, stream eventstore.Stream) error
	Skip(ctx context.Context, stream eventstore.Stream) error
}

// options returns the options of an instance.
func (r *reading) options(p *process) []subscription.Option {
	lease := time.Duration([...]int{1, 2, 3, 20}[p.rng.IntN(4)]) * time.Second
	r.mu.Lock()
	if r.resting {
		lease = 10 * time.Second
	}
	r.mu.Unlock()
	options := []subscription.Option{
		subscription.WithPartitions(r.partitions), subscription.WithLease(lease),
		subscription.WithRetries(p.rng.IntN(3)), subscription.WithBackoff(50*time.Millisecond, time.Second),
		subscription.WithHandlerTimeout(time.Duration(1+p.rng.IntN(20)) * time.Second),
		subscription.WithSaving(1+p.rng.IntN(12), time.Duration(p.rng.IntN(1500))*time.Millisecond),
	}
	if r.parking {
		options = append(options, subscription.WithParking())
	}
	return options
}

// open opens the feed in a process.
func (r *reading) open(p *process) *feed.Feed {
	f, err := feed.Open(r.provider(p, p.rng, "all", false))
	if err != nil {
		panic(err)
	}
	return f
}

// consume is the life of a process that has an instance.
func (r *reading) consume(p *process) {
	ctx, stop := r.stoppable(p)
	defer stop()
	pass(time.Duration(p.rng.Int64N(int64(time.Millisecond))))
	s := r.effect.consume(p, r.open(p))
	for ctx.Err() == nil {
		some, cancel := context.WithCancel(ctx)
		if p.rng.IntN(3) == 0 { // it ends in good order
			time.AfterFunc(time.Duration(p.rng.IntN(20_000))*time.Millisecond, cancel)
		}
		err := s.Run(some)
		cancel()
		r.record(p, "p%d runs: %s", p.id, short(err))
		r.failed(p, "run", err)
		pass(time.Duration(10+p.rng.IntN(600)) * time.Millisecond)
	}
}

// operate is the life of a process that asks for another try of what is parked.
func (r *reading) operate(p *process) {
	ctx, stop := r.stoppable(p)
	defer stop()
	s := r.effect.consume(p, r.open(p))
	for ctx.Err() == nil {
		pass(time.Duration(100+p.rng.IntN(3000)) * time.Millisecond)
		all, err := s.Parked(ctx)
		r.failed(p, "parked", err)
		for _, parked := range all {
			ask, what := s.Retry, "retries"
			if r.skips && p.rng.IntN(4) == 0 {
				ask, what = s.Skip, "skips"
			}
			err := ask(ctx, parked.Stream)
			r.record(p, "p%d %s %s: %s", p.id, what, parked.Stream, short(err))
			r.failed(p, what, err)
		}
	}
}

// run lets all processes run among faults, and then without.
func (r *reading) run() error {
	err := r.play(func() {
		for range r.writing {
			r.start(r.writer)
		}
		for range r.indexing {
			r.start(r.index)
		}
		for range r.instances {
			r.start(r.consume)
		}
		r.start(r.operate)
		r.start(r.looks)
	}, func() {
		r.start(r.index)
		for range r.instances {
			r.start(r.consume)
		}
		r.start(r.operate)
		r.start(r.looks)
	}, func() error {
		if err := r.effect.complete(); err != nil || r.looked {
			return err
		}
		return errors.New("what the others have made was not read")
	})
	return err
}

// looks is the life of a process that reads what the others make, or once what they have made.
func (r *reading) looks(p *process) {
	ctx, stop := r.stoppable(p)
	defer stop()
	from := r.open(p)
	for ctx.Err() == nil && !r.hasLooked() {
		err := r.effect.look(ctx, from)
		r.mu.Lock()
		r.looked = r.resting && err == nil
		r.mu.Unlock()
		r.record(p, "p%d looks: %s", p.id, short(err))
		r.failed(p, "look", err)
		pass(time.Duration(1+p.rng.IntN(2000)) * time.Millisecond)
	}
}

func (r *reading) hasLooked() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.looked
}

// TestDocumentsAreTheFoldOfTheStreams runs histories of a projection.
func TestDocumentsAreTheFoldOfTheStreams(t *testing.T) { readAll(t, newShowing) }

// TestWhatIsCommittedIsPublished runs histories of a publication.
func TestWhatIsCommittedIsPublished(t *testing.T) { readAll(t, newPosting) }

// TestTransfersComplete runs histories of a process.
func TestTransfersComplete(t *testing.T) { readAll(t, newMoving) }

// readAll runs histories until one fails, and prints that one.
func readAll(t *testing.T, of func(*reading) effect) {
	t.Parallel()
	if *oneReading >= 0 {
		if err := read(t, uint64(*oneReading), of, new(atomic.Int64), t.Logf); err != nil {
			t.Error(err)
		}
		return
	}
	var handled atomic.Int64
	failed, ok := lowest(*readings, func(seed uint64) error {
		// The history is kept. A seed may give another one the next time, because goroutines of one
		// process may act at the same moment.
		var history []byte
		err := read(t, seed, of, &handled, func(format string, args ...any) { history = append(fmt.Appendf(history, format, args...), '\n') })
		if err != nil {
			t.Errorf("%s%v", history, err)
		}
		return err
	})
	if ok {
		t.Logf("seed %d fails; run it alone with -run %s -reading %d", failed, t.Name(), failed)
		return
	}
	fmt.Printf("simulation of=%s seeds=%d handled=%d violations=0\n", t.Name(), *readings, handled.Load())
}

// read runs the history of one seed and returns what is wrong with it.
func read(t *testing.T, seed uint64, of func(*reading) effect, handled *atomic.Int64, log func(string, ...any)) (failure error) {
	synctest.Test(t, func(*testing.T) {
		r := newReading(seed, of, log)
		log("seed %d: %s", seed, r)
		if failure = r.run(); failure != nil {
			failure = fmt.Errorf("seed %d: %w", seed, failure)
		}
		handled.Add(r.handled)
	})
	return failure
}

// copied is a list that an effect has made of the items of a stream. Items are named by their
// versions, "closed" and "deleted".
type copied struct {
	of    string // what has the list
	items []string
	wants func(item string) bool
}

// holds checks that a list has items of a stream in order, each once, from the first one on.
func (r *reading) holds(stream string, c copied) error {
	a := r.chronicle.audits[stream]
	if a == nil {
		return fmt.Errorf("%s has items of %s, which was never written", c.of, stream)
	}
	version, last := int64(0), ""
	for _, item := range c.items {
		switch {
		case last == "deleted", last == "closed" && item != "deleted":
			return fmt.Errorf("%s has %s of %s after it was %s", c.of, item, stream, last)
		case item == "deleted" && a.head.state == "deleted", item == "closed" && a.head.state != "":
			if item == "closed" {
				if err := r.gap(stream, c, version, a.head.version); err != nil {
					return err
				}
			}
			last = item
			continue
		}
		v, err := strconv.ParseInt(item, 10, 64)
		if err != nil || v > a.head.version || v <= version {
			return fmt.Errorf("%s has %v of %s, which is at %d", c.of, c.items, stream, a.head.version)
		}
		if err := r.gap(stream, c, version, v-1); err != nil {
			return err
		}
		version = v
	}
	return nil
}

// gap checks that a list needs no version after the first one up to the last one.
func (r *reading) gap(stream string, c copied, after, to int64) error {
	for v := after + 1; v <= to; v++ {
		if c.wants(strconv.FormatInt(v, 10)) && !r.skipped[stream][v] && r.chronicle.audits[stream].head.state != "deleted" {
			return fmt.Errorf("%s lacks version %d of %s", c.of, v, stream)
		}
	}
	return nil
}

// reaches checks that a list has a stream up to a version and, if closed is true, the closing.
func (r *reading) reaches(stream string, c copied, to int64, closed bool) error {
	if r.chronicle.audits[stream].head.state == "deleted" {
		return nil
	}
	last, hasClosed := int64(0), slices.Contains(c.items, "closed")
	for _, item := range c.items {
		if v, err := strconv.ParseInt(item, 10, 64); err == nil {
			last = v
		}
	}
	if closed && c.wants("closed") && !hasClosed && !r.skipped[stream][to+1] {
		return fmt.Errorf("%s does not have that %s was closed", c.of, stream)
	}
	return r.gap(stream, c, last, to)
}

// reachesSaved checks lists of a stream against what the record of its partition says.
func (r *reading) reachesSaved(stream string, all []copied, position int64, parked map[string]held) error {
	to, closed := r.before(stream, position)
	if p, ok := parked[stream]; ok {
		to, closed = min(to, p.from-1), closed && !p.closed && p.from > to
	}
	for _, c := range all {
		if err := r.reaches(stream, c, to, closed); err != nil {
			return fmt.Errorf("position %d is saved, but %w", position, err)
		}
	}
	return nil
}

// whole checks lists of a stream in the end.
func (r *reading) whole(stream string, all []copied) error {
	a := r.chronicle.audits[stream]
	if s := r.chronicle.streams[stream]; !s.ticketed {
		return nil
	}
	for _, c := range all {
		switch {
		case a.head.state == "deleted" && c.wants("deleted") && !slices.Contains(c.items, "deleted") && len(r.skipped[stream]) == 0:
			return fmt.Errorf("%s does not have that %s was deleted", c.of, stream)
		}
		if err := r.reaches(stream, c, a.head.version, a.head.state == "closed"); err != nil {
			return err
		}
	}
	// What an operator left out is nowhere.
	for v := range r.skipped[stream] {
		item := strconv.FormatInt(v, 10)
		var with, without string
		for _, c := range all {
			if !c.wants(item) || v > a.head.version {
				continue
			}
			if slices.Contains(c.items, item) {
				with = c.of
			} else {
				without = c.of
			}
		}
		if with != "" && without != "" && a.head.state != "deleted" {
			return fmt.Errorf("%s has version %s of %s, and %s does not", with, item, stream, without)
		}
	}
	return nil
}
