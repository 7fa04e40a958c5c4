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
)

// This file gives numbers to commits and names, and writes entries. The numbers of rules in
// comments, F1 to F14, are those in ARCHITECTURE.md.

const (
	// rootCheck is how often a process that appends makes sure that the root still names its
	// journals. After it was idle for as long, it also tells an indexer that it is back. (Rule F14)
	rootCheck = time.Minute
)

// journals are the journals of one provider. They are safe for concurrent use.
type journals struct {
	feed      journal.Feed
	state     driver.State
	logHandle func() *streamHandle // of the feed's log, which is in no feed itself

	// registering holds a token while a journal is added to the root, which takes requests.
	registering chan struct{}

	stood bell.Bell // rings when the entry of a commit is known to stand

	mu      sync.Mutex
	open    []*ownJournal
	flusher flusher
}

// ownJournal is a journal of this process. Only this process gives its numbers.
type ownJournal struct {
	id        string
	next      int64                  // the number that was never given
	free      []int64                // numbers whose commit certainly never takes effect, ascending
	given     int64                  // how often a number was given, also again
	undecided map[int64]int64        // numbers of commits under way or of unknown outcome; values are as of given
	unwritten map[int64]driver.Write // entries that are not known to stand
	checked   time.Time              // when the root was known to name it
	used      time.Time              // when a number was given last
}

func newJournals(feed string, state driver.State) *journals {
	j := &journals{feed: journal.Feed(feed), state: state, registering: make(chan struct{}, 1)}
	j.flusher.kick = make(chan struct{}, 1)
	return j
}

func (j *ownJournal) outstanding() int { return len(j.undecided) + len(j.unwritten) }

// number is a number that was given. The zero number is for a writer without a feed.
type number struct {
	journal.Slot
	of  *journals
	own *ownJournal

	// giving tells apart several times at which one number was given. A caller may retry an append
	// again whose number has been given to another commit since.
	giving int64
}

// give gives a number. It registers a journal if this process has none with room.
func (j *journals) give(ctx context.Context) (number, error) {
	for {
		if n, ok, err := j.giveNow(ctx); ok || err != nil {
			return n, err
		}
		select {
		case j.registering <- struct{}{}:
		case <-ctx.Done():
			return number{}, contextErr(ctx)
		}
		var n number
		ok, err := false, j.register(ctx)
		if err == nil { // take a number before others take all
			n, ok, err = j.giveNow(ctx)
		}
		<-j.registering
		if ok || err != nil {
			return n, err
		}
	}
}

// giveNow gives a number of a journal that has room. It reports false if there is none.
func (j *journals) giveNow(ctx context.Context) (number, bool, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	// All journals are looked up, also those without room: entries may still be written to them.
	hasRoom := func(own *ownJournal) bool { return own.outstanding() < journal.Window-1 }
	giving := slices.IndexFunc(j.open, hasRoom)
	for i, own := range slices.Clone(j.open) {
		if time.Since(own.checked) < rootCheck {
			continue
		}
		idle := i == giving && time.Since(own.used) >= rootCheck
		own.checked = time.Now()
		j.mu.Unlock()
		err := j.add(ctx, own.id, idle)
		j.mu.Lock()
		if err != nil {
			own.checked = time.Time{}
			return number{}, false, err
		}
	}
	for _, own := range j.open {
		if !hasRoom(own) {
			continue
		}
		n := own.next
		if len(own.free) > 0 {
			n, own.free = own.free[0], own.free[1:]
		} else {
			own.next++
		}
		own.given++
		own.undecided[n], own.used = own.given, time.Now()
		return number{journal.Slot{Journal: own.id, Number: n}, j, own, own.given}, true, nil
	}
	return number{}, false, nil
}

// register begins another journal. The root names it before anything stands in it. (Rule F1)
func (j *journals) register(ctx context.Context) error {
	j.mu.Lock()
	room := slices.ContainsFunc(j.open, func(own *ownJournal) bool { return own.outstanding() < journal.Window-1 })
	j.mu.Unlock()
	if room { // another goroutine has registered one meanwhile
		return nil
	}
	id := newJournalID(ctx)
	if err := j.add(ctx, id, false); err != nil {
		return err
	}
	j.logHandle().log.DebugContext(ctx, "a journal of the feed begins", "journal", id)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open = append(j.open, &ownJournal{id: id, next: 1, undecided: map[int64]int64{}, unwritten: map[int64]driver.Write{}, checked: time.Now(), used: time.Now()})
	return nil
}

// newJournalID returns an id that no other journal has. It begins with the time, for people who
// look at a store.
func newJournalID(ctx context.Context) string {
	random := strconv.FormatUint(jitter.Uint64(ctx), 36)
	return strconv.FormatInt(time.Now().Unix(), 36) + random[max(0, len(random)-8):]
}

// add makes the root name a journal. If wake is true and the root names it already, add tells an
// indexer that the journal is no longer idle.
func (j *journals) add(ctx context.Context, id string, wake bool) error {
	var last error
	for n := 0; backoff(ctx, n); n++ {
		item, err := j.state.Get(ctx, j.feed.Log(), j.feed.Root())
		if err != nil {
			last = err
			continue
		}
		root, err := journal.DecodeRoot(j.feed, item.Value)
		if err != nil {
			return &DamagedError{Stream: j.stream(), Key: j.feed.Root(), Cause: err}
		}
		if root.Names(id) && !wake {
			return nil
		}
		value := root.With(id).Encode(j.feed)
		if last = j.state.Swap(ctx, j.feed.Log(), driver.Swap{Key: j.feed.Root(), Value: value, ETag: item.ETag}); last == nil {
			return nil
		}
		if denied(last) || refused(last) {
			break
		}
	}
	if last == nil {
		last = contextErr(ctx)
	}
	return fmt.Errorf("the feed %q cannot take a journal: %w: %w", string(j.feed), driver.ErrRefused, last)
}

// stream returns the name of the log as a stream.
func (j *journals) stream() Stream { return Stream{Type: "feed", ID: string(j.feed)} }

// unused gives a number back. Its commit certainly never takes effect.
func (n number) unused() {
	if n.own == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.own.undecided[n.Number] != n.giving {
		return
	}
	delete(n.own.undecided, n.Number)
	i, _ := slices.BinarySearch(n.own.free, n.Number)
	n.own.free = slices.Insert(n.own.free, i, n.Number)
}

// stands notes that the number's entry stands.
func (n number) stands() {
	if n.own == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.own.undecided[n.Number] == n.giving {
		delete(n.own.undecided, n.Number)
	}
	delete(n.own.unwritten, n.Number)
}

// used notes that the number's commit took effect, and sees to it that its entry will stand. (Rule
// F4)
func (n number) used(e journal.Entry) {
	if n.own == nil {
		return
	}
	n.of.mu.Lock()
	defer n.of.mu.Unlock()
	if n.own.undecided[n.Number] != n.giving {
		return
	}
	delete(n.own.undecided, n.Number)
	n.own.unwritten[n.Number] = n.of.entryWrite(e)
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
	e := journal.Entry{Slot: n.Slot, What: journal.Named, Stream: stream}
	w := j.entryWrite(e)
	if err := j.state.Write(ctx, w.Partition, []driver.Write{w}); err != nil {
		n.used(e) // to be written again, because nothing tells whether it stands
		return fmt.Errorf("the feed %q cannot take the name of the stream: %w", string(j.feed), err)
	}
	n.stands()
	return nil
}

// close writes what is not known to stand, and ends the journals in which nothing is undecided.
// (Rule F11)
func (j *journals) close(ctx context.Context) error {
	var failed []error
	if err := j.flush(ctx); err != nil {
		failed = append(failed, err)
	}
	j.mu.Lock()
	ending := slices.DeleteFunc(slices.Clone(j.open), func(own *ownJournal) bool { return own.outstanding() > 0 })
	j.open = slices.DeleteFunc(j.open, func(own *ownJournal) bool { return slices.Contains(ending, own) })
	j.mu.Unlock()
	for _, own := range ending {
		e := journal.Entry{Slot: journal.Slot{Journal: own.id, Number: own.next}, What: journal.Ended, Void: own.free}
		w := j.entryWrite(e)
		if err := j.state.Write(ctx, w.Partition, []driver.Write{w}); err != nil {
			failed = append(failed, fmt.Errorf("the journal %s has no end: %w", own.id, err))
		}
	}
	return errors.Join(failed...)
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
		}
		j.mu.Unlock()
		j.stood.Ring()
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
