package page

import (
	"iter"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// What a page reads of a history and shows of it, however long it is.
const (
	entriesPerPage = 200  // events in the timeline
	eventsInChart  = 1000 // versions that the chart spans
	maxCells       = 512  // places of the chart along its versions
	maxMarks       = 100  // snapshots that are marked in the chart
)

// span is the versions from first to last.
type span struct{ first, last int64 }

// spans are what the page of an account shows that is at a version: the timeline before a version,
// or the newest where before is 0, and the chart, which has the version that is shown in it.
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

// history is what a page shows of an account's events.
type history struct {
	entries []bank.Entry // of the timeline, ascending, without gaps
	curve   curve
	last    bank.Entry // of the curve
}

// gather reads both spans. What lies in both is read once.
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
	h.entries = nil // the timeline is elsewhere
	for entry, err := range read(timeline) {
		if err != nil {
			return history{}, err
		}
		h.entries = append(h.entries, entry)
	}
	return h, nil
}
