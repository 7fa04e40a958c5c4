package eventstore

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// This file notices that no process indexes the feed. The provider keeps in mind one entry that it
// wrote. If the entry still stands a minute later, no indexer has taken it over. Looking at that
// entry takes one request, once a minute, in an append that looks at the root anyway, or in a loop
// that waits for news of the feed.

// indexedWithin is how long an indexer may take. It is also how often a provider looks.
const indexedWithin = time.Minute

// sample is the entry that a provider keeps in mind.
type sample struct {
	slot   journal.Slot // zero: none
	since  time.Time    // when it was known to stand
	after  int          // how many entries have come to stand since then
	looked time.Time
}

// stands notes that an entry stands.
func (s *sample) stands(slot journal.Slot) {
	if s.slot.IsZero() {
		s.slot, s.since, s.after = slot, time.Now(), 0
		return
	}
	s.after++
}

// due reports whether it is time to look whether the entry still stands.
func (s *sample) due() bool {
	return !s.slot.IsZero() && time.Since(s.since) >= indexedWithin && time.Since(s.looked) >= indexedWithin
}

// checkIndexed looks whether an indexer has taken the sample over, if it is time to look, and warns
// if not.
func (j *journals) checkIndexed(ctx context.Context) {
	j.mu.Lock()
	if !j.sample.due() {
		j.mu.Unlock()
		return
	}
	j.sample.looked = time.Now()
	slot := j.sample.slot
	j.mu.Unlock()

	bounded, cancel := context.WithTimeout(ctx, j.patience)
	defer cancel()
	item, err := j.state.Get(bounded, j.feed.Partition(slot.Journal), j.feed.Key(slot))
	if err != nil {
		return // the caller's own requests tell
	}
	j.mu.Lock()
	waiting := JournalReport{Feed: string(j.feed)}
	if item.Found() {
		waiting.Waiting, waiting.Age = 1+j.sample.after, time.Since(j.sample.since)
	} else {
		j.sample.slot = journal.Slot{}
	}
	j.mu.Unlock()
	if item.Found() {
		j.logHandle().log.WarnContext(ctx, "commits wait for an indexer of the feed", "count", waiting.Waiting, "duration", waiting.Age,
			"note", "does a process run Feed.Index, and does its log have warnings?")
	}
	report(ctx, j.observer, waiting)
}
