package eventstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/bell"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// This file gives numbers to commits and names, and writes entries. The numbers of rules in
// comments, F1 to F14, are those in ARCHITECTURE.md.

// rootCheck is how often a process that appends makes sure that the root still names its journals.
// After it was idle for as long, it also tells an indexer that it is back. (Rule F14)
const rootCheck = time.Minute

// maxWaiting is how many entries may wait to be written before an append waits for them to be
// written, so that a store that takes no entries does not get one journal after the other.
const maxWaiting = 1024

// journals are the journals of one provider. They are safe for concurrent use.
type journals struct {
	feed      journal.Feed
	state     driver.State
	patience  time.Duration        // how long a change of the root may take
	logHandle func() *streamHandle // of the feed's log, which is in no feed itself
	handle    func(Stream) *streamHandle
	observer  Observer // or nil

	// registering holds a token while the root is looked at or changed, which takes requests. Its
	// holder may use pending, the id of a journal that the root may name already.
	registering chan struct{}
	pending     string

	stood  bell.Bell // rings when the entry of a commit is known to stand
	ringer *ringer   // rings then for other processes; nil: it does not

	mu      sync.Mutex
	open    []*ownJournal
	checked time.Time // when the root was known to name them all
	used    time.Time // when a number was given last
	flusher flusher
	sample  sample
}

// ownJournal is a journal of this process. Only this process gives its numbers.
type ownJournal struct {
	id        string
	next      int64                  // the number that was never given
	free      []int64                // numbers whose commit certainly never takes effect, ascending
	undecided map[int64]*giving      // numbers of commits under way or of unknown outcome
	unknown   map[int64]commit       // commits that were kept, without their events
	unwritten map[int64]driver.Write // entries that are not known to stand
	ended     bool                   // it gives no more numbers, and its end is to be written
}

func newJournals(feed string, state driver.State, patience time.Duration) *journals {
	j := &journals{feed: journal.Feed(feed), state: state, patience: patience, registering: make(chan struct{}, 1)}
	j.flusher.kick = make(chan struct{}, 1)
	return j
}

func (j *ownJournal) outstanding() int { return len(j.undecided) + len(j.unwritten) }

// hasRoom reports whether the journal can give a number. (Rule F3)
func (j *ownJournal) hasRoom() bool { return !j.ended && j.outstanding() < journal.Window-1 }

// number is a number that was given. The zero number is for a writer without a feed.
type number struct {
	journal.Slot
	of  *journals
	own *ownJournal

	*giving
}

// giving is one time at which a number was given. A caller may retry an append again whose number
// has been given to another commit since. Its field is guarded by journals.mu.
type giving struct {
	free bool // the number was given back
}

// give gives a number. It registers a journal if this process has none with room. Its errors match
// driver.ErrRefused, because nothing of the commit was sent.
func (j *journals) give(ctx context.Context) (number, error) {
	for {
		if n, ok := j.giveNow(); ok {
			return n, nil
		}
		select {
		case j.registering <- struct{}{}:
		case <-ctx.Done():
			return number{}, fmt.Errorf("%w: %w", driver.ErrRefused, contextErr(ctx))
		}
		var n number
		ok, err := false, j.prepare(ctx)
		if err == nil { // take a number before others take all
			n, ok = j.giveNow()
		}
		<-j.registering
		if ok {
			j.checkIndexed(ctx)
			return n, nil
		}
		if err != nil {
			return number{}, fmt.Errorf("the feed %q gives no number: %w: %w", string(j.feed), driver.ErrRefused, err)
		}
	}
}

// giveNow gives a number of a journal that has room. It reports false if there is none, or if it is
// time to look at the root.
func (j *journals) giveNow() (number, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i := slices.IndexFunc(j.open, (*ownJournal).hasRoom)
	if i < 0 || time.Since(j.checked) >= rootCheck {
		return number{}, false
	}
	own := j.open[i]
	n := own.next
	if len(own.free) > 0 {
		n, own.free = own.free[0], own.free[1:]
	} else {
		own.next++
	}
	g := &giving{}
	own.undecided[n], j.used = g, time.Now()
	return number{journal.Slot{Journal: own.id, Number: n}, j, own, g}, true
}

// prepare does what giveNow waits for, unless another goroutine has done it meanwhile. The caller
// has the token of registering.
func (j *journals) prepare(ctx context.Context) error {
	j.mu.Lock()
	var ids []string
	room := false
	for _, own := range j.open {
		ids = append(ids, own.id)
		room = room || own.hasRoom()
	}
	due, idle := time.Since(j.checked) >= rootCheck, time.Since(j.used) >= rootCheck
	waiting := j.waiting()
	j.mu.Unlock()
	if room && !due {
		return nil
	}
	if waiting >= maxWaiting {
		return j.flush(ctx)
	}
	id := ""
	if !room {
		if j.pending == "" {
			j.pending = newJournalID(ctx)
		}
		id = j.pending
	}
	if err := j.list(ctx, ids, due && idle, id); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.checked = time.Now()
	if id == "" {
		return nil
	}
	j.pending = ""
	j.logHandle().log.DebugContext(ctx, "a journal of the feed begins", "journal", id)
	j.open = append(j.open, &ownJournal{id: id, next: 1, undecided: map[int64]*giving{}, unknown: map[int64]commit{}, unwritten: map[int64]driver.Write{}})
	return nil
}

// newJournalID returns an id that no other journal has. It begins with the time, for people who
// look at a store.
func newJournalID(ctx context.Context) string {
	random := strconv.FormatUint(jitter.Uint64(ctx), 36)
	return strconv.FormatInt(time.Now().Unix(), 36) + random[max(0, len(random)-8):]
}

// list makes the root name journals before anything stands in them, and again if the store has lost
// the root. If wake is true, it also tells an indexer that they are no longer idle. The journal
// begins is to be named too, unless its id is empty. (Rules F1 and F14)
func (j *journals) list(ctx context.Context, ids []string, wake bool, begins string) error {
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, j.patience)
	defer cancel()
	var last error
	for n := 0; n == 0 && ctx.Err() == nil || n > 0 && pause.For(ctx, jitter.Of(ctx, min(20*time.Millisecond<<min(n-1, 10), time.Second))); n++ {
		root, etag, err := j.root(ctx)
		if err != nil {
			return err
		}
		next := root
		for _, id := range ids {
			if wake || !next.Names(id) {
				next = next.With(id)
			}
		}
		if begins != "" && !next.Names(begins) {
			next = next.With(begins)
		}
		if slices.Equal(next, root) {
			return nil
		}
		last = j.state.Swap(ctx, journal.RootPartition, driver.Swap{Key: journal.RootKey, Value: next.Encode(j.feed), ETag: etag})
		if last == nil {
			return nil
		}
		if denied(last) || refused(last) {
			break
		}
	}
	if caller.Err() != nil {
		return contextErr(caller)
	}
	return fmt.Errorf("the root takes no journal: %w", last)
}

// root reads the root of the feed.
func (j *journals) root(ctx context.Context) (journal.Root, string, error) {
	item, err := j.state.Get(ctx, journal.RootPartition, journal.RootKey)
	if err != nil {
		return nil, "", &StorageError{Stream: j.stream(), Operation: "read the root of the feed", Cause: err}
	}
	root, err := journal.DecodeRoot(j.feed, item.Value)
	if other, ok := err.(*journal.OtherFeedError); ok {
		return nil, "", &ArgumentError{Argument: "WithFeed", Reason: fmt.Sprintf("%q is not the feed of this store", string(j.feed)), Cause: other}
	}
	if err != nil {
		return nil, "", &DamagedError{Stream: j.stream(), Key: journal.RootKey, Cause: err}
	}
	return root, item.ETag, nil
}

// stream returns the name of the log as a stream.
func (j *journals) stream() Stream { return Stream{Type: "feed", ID: string(j.feed)} }

// keep notes that it is not known what becomes of the number's commit, for example because a caller
// has the commit, and may send it at any time. Then close looks it up, unless the caller retries
// before. It returns false if the number was given back. Then the commit never took effect, and no
// caller may send it.
func (n number) keep(c commit) bool {
	if n.own == nil {
		return true
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.own.undecided[n.Number] == n.giving {
		c.events, c.beside, c.leaves = nil, nil, nil
		n.own.unknown[n.Number] = c
	}
	return !n.free
}

// rejected gives a number back. Its commit never takes effect, whoever sends it.
func (n number) rejected() { n.giveBack(true) }

// unused gives a number back whose commit has not taken effect and is not under way, unless keep
// was called.
func (n number) unused() { n.giveBack(false) }

func (n number) giveBack(forGood bool) {
	if n.own == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.own.undecided[n.Number] != n.giving {
		return
	}
	if _, kept := n.own.unknown[n.Number]; kept && !forGood {
		return
	}
	n.free = true
	n.own.decided(n.Number)
	i, _ := slices.BinarySearch(n.own.free, n.Number)
	n.own.free = slices.Insert(n.own.free, i, n.Number)
}

// decided notes that it is known what became of the commit of a number.
func (j *ownJournal) decided(n int64) {
	delete(j.undecided, n)
	delete(j.unknown, n)
}

// stands notes that the number's entry stands.
func (n number) stands() {
	if n.own == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.own.undecided[n.Number] == n.giving {
		n.own.decided(n.Number)
	}
	delete(n.own.unwritten, n.Number)
	n.of.sample.stands(n.Slot)
}

// used notes that the number's commit took effect, and sees to it that its entry will stand. (Rule
// F4)
func (n number) used(entry driver.Write) {
	if n.own == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.own.undecided[n.Number] != n.giving {
		return
	}
	n.own.decided(n.Number)
	n.own.unwritten[n.Number] = entry
	n.of.flushSoon()
}

// entryWrite returns the write of an entry.
func (j *journals) entryWrite(e journal.Entry) driver.Write {
	return driver.Write{Partition: j.feed.Partition(e.Journal), Key: j.feed.Key(e.Slot), Value: e.Encode(j.feed)}
}

// name makes the name of a stream stand in a journal. (Rule F2)
func (j *journals) name(ctx context.Context, stream string) error {
	n, err := j.give(ctx)
	if err != nil {
		return err
	}
	w := j.entryWrite(journal.Entry{Slot: n.Slot, What: journal.Named, Stream: stream})
	if err := j.state.Write(ctx, w.Partition, []driver.Write{w}); err != nil {
		n.used(w) // to be written again, because nothing tells whether it stands
		return fmt.Errorf("the feed %q cannot take the name of the stream: %w: %w", string(j.feed), driver.ErrRefused, err)
	}
	n.stands()
	return nil
}

// decide looks up what became of commits of unknown outcome, which their callers have not retried.
// What may still take effect stays undecided.
func (j *journals) decide(ctx context.Context) error {
	j.mu.Lock()
	var all []commit
	for _, own := range j.open {
		for _, n := range slices.Sorted(maps.Keys(own.unknown)) {
			all = append(all, own.unknown[n])
		}
	}
	j.mu.Unlock()
	for _, c := range all {
		found, err := j.handle(c.stream).lookup(ctx, c)
		switch {
		case isA[*StorageError](err):
			return err
		case err != nil: // what the stream has lost, or no longer has, does not tell
		case found.outcome == OutcomeCommitted:
			c.number.used(c.entry)
		case found.outcome == OutcomeRejected:
			c.number.rejected()
		}
	}
	return nil
}

// close writes what is not known to stand, and ends the journals in which nothing is undecided.
// (Rule F11)
func (j *journals) close(ctx context.Context) error {
	var failed []error
	if err := j.decide(ctx); err != nil {
		failed = append(failed, err)
	}
	if err := j.flush(ctx); err != nil {
		failed = append(failed, err)
	}
	j.mu.Lock()
	var ended []*ownJournal
	for _, own := range j.open {
		if own.ended = own.ended || own.outstanding() == 0; own.ended {
			ended = append(ended, own)
		}
	}
	j.mu.Unlock()
	for _, own := range ended { // nothing changes them any more
		w := j.entryWrite(journal.Entry{Slot: journal.Slot{Journal: own.id, Number: own.next}, What: journal.Ended, Void: own.free})
		if err := j.state.Write(ctx, w.Partition, []driver.Write{w}); err != nil {
			failed = append(failed, fmt.Errorf("the journal %s has no end: %w", own.id, err))
			continue
		}
		j.mu.Lock()
		j.open = slices.DeleteFunc(j.open, func(o *ownJournal) bool { return o == own })
		j.mu.Unlock()
	}
	return errors.Join(failed...)
}

// tell tells indexers that entries stand.
func (j *journals) tell() {
	j.stood.Ring()
	j.ringer.ring(NewsOfJournals)
}

// flush writes the entries that are not known to stand.
func (j *journals) flush(ctx context.Context) error {
	j.mu.Lock()
	open := slices.Clone(j.open)
	j.mu.Unlock()
	var failed []error
	for _, own := range open {
		j.mu.Lock()
		numbers := slices.Sorted(maps.Keys(own.unwritten))
		writes := make([]driver.Write, len(numbers))
		for i, n := range numbers {
			writes[i] = own.unwritten[n]
		}
		j.mu.Unlock()
		if len(writes) == 0 {
			continue
		}
		if err := j.state.Write(ctx, j.feed.Partition(own.id), writes); err != nil {
			failed = append(failed, err)
			continue
		}
		j.mu.Lock()
		for _, n := range numbers {
			delete(own.unwritten, n)
			j.sample.stands(journal.Slot{Journal: own.id, Number: n})
		}
		j.mu.Unlock()
		j.tell()
	}
	return errors.Join(failed...)
}

// waiting returns how many entries are not known to stand. The caller holds j.mu.
func (j *journals) waiting() (n int) {
	for _, own := range j.open {
		n += len(own.unwritten)
	}
	return n
}
