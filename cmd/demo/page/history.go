package page

import (
	"iter"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// What a page keeps of a history, however long it is.
const (
	entriesPerPage = 200 // events in the timeline
	maxCells       = 512 // places of the chart along its versions
	maxMarks       = 100 // snapshots that are marked in the chart
)

// history is what a page shows of an account's events. It is gathered in one pass, and does not grow with them.
type history struct {
	owner   string
	entries []bank.Entry // ascending, without gaps
	last    bank.Entry   // the newest of all
	curve   curve
}

// gather goes through a history once. It keeps the last entries before a version, or the last of all where before is 0.
func gather(events iter.Seq2[bank.Entry, error], before int64) (history, error) {
	var h history
	ring := make([]bank.Entry, 0, entriesPerPage)
	oldest := 0 // where the ring begins, once it is full
	for entry, err := range events {
		if err != nil {
			return history{}, err
		}
		if opened, ok := entry.Data.(bank.AccountOpened); ok {
			h.owner = opened.Owner
		}
		h.curve.add(entry.Version, entry.Balance)
		h.last = entry
		switch {
		case before > 0 && entry.Version >= before:
		case len(ring) < cap(ring):
			ring = append(ring, entry)
		default:
			ring[oldest] = entry
			oldest = (oldest + 1) % len(ring)
		}
	}
	h.entries = append(ring[oldest:len(ring):len(ring)], ring[:oldest]...)
	return h, nil
}
