package page

import (
	"iter"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// Limits of what a page reads of a history and shows of it.
const (
	entriesPerPage = 200  // events in the timeline
	eventsInChart  = 1000 // versions in the chart
	maxCells       = 512  // points of the chart
	maxMarks       = 100  // marked snapshots in the chart
)

// span is the versions from first to last.
type span struct{ first, last int64 }

// spans returns the versions that the page of an account shows. The timeline ends before a version,
// or with the newest if before is 0. The chart includes the shown version.
func spans(current, shown, before int64) (timeline, chart span) {
	timeline.last = current
	if before > 0 {
		timeline.last = min(before-1, current)
	}
	timeline.first = max(1, timeline.last-entriesPerPage+1)
	chart.last = current
	if chart.last-shown >= eventsInChart {
		chart.last = shown + eventsInChart/2
	}
	chart.first = max(1, chart.last-eventsInChart+1)
	return timeline, chart
}

// history is the part of an account's events that a page shows.
type history struct {
	entries []bank.Entry // the timeline, ascending, without gaps
	curve   curve
	last    bank.Entry // the last event of the curve
}

// gather reads both spans. It reads their common versions once.
func gather(read func(span) iter.Seq2[bank.Entry, error], timeline, chart span) (history, error) {
	var h history
	for entry, err := range read(chart) {
		if err != nil {
			return history{}, err
		}
		h.curve.add(entry.Version, entry.Balance)
		h.last = entry
		if timeline.first <= entry.Version && entry.Version <= timeline.last {
			h.entries = append(h.entries, entry)
		}
	}
	if int64(len(h.entries)) == timeline.last-timeline.first+1 || timeline.last < timeline.first {
		return h, nil
	}
	h.entries = nil // the timeline is outside the chart
	for entry, err := range read(timeline) {
		if err != nil {
			return history{}, err
		}
		h.entries = append(h.entries, entry)
	}
	return h, nil
}
