package page

import (
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
)

// climb is versions of a history whose balance climbs, but for one deep fall and one peak.
func climb(s span, fall, peak int64) iter.Seq2[bank.Entry, error] {
	return func(yield func(bank.Entry, error) bool) {
		for version := s.first; version <= s.last; version++ {
			entry := bank.Entry{Event: eventstore.Event{Version: version, Data: bank.FundsDeposited{}}, Balance: 1_000_00 + bank.Money(version)}
			switch version {
			case fall:
				entry.Balance = 7
			case peak:
				entry.Balance = 999_999_999
			}
			if !yield(entry, nil) {
				return
			}
		}
	}
}

func TestOfALongHistoryOnlyWhatIsShownIsRead(t *testing.T) {
	t.Parallel()
	const last = 1_000_003
	for name, c := range map[string]struct {
		shown, before   int64
		timeline, chart span
	}{
		"the newest":         {last, 0, span{last - 199, last}, span{last - 999, last}},
		"one of the newest":  {last - 100, last, span{last - 200, last - 1}, span{last - 999, last}},
		"one long ago":       {500_000, 500_100, span{499_900, 500_099}, span{499_501, 500_500}},
		"the first":          {1, 101, span{1, 100}, span{1, 501}},
		"paged back":         {last, 301, span{101, 300}, span{last - 999, last}},
		"before all":         {last, 1, span{1, 0}, span{last - 999, last}},
		"past the end":       {last, last + 50, span{last - 199, last}, span{last - 999, last}},
		"the most before it": {last, math.MaxInt64, span{last - 199, last}, span{last - 999, last}},
	} {
		timeline, chart := spans(last, c.shown, c.before)
		if timeline != c.timeline || chart != c.chart {
			t.Errorf("%s: timeline %v, chart %v, want %v and %v", name, timeline, chart, c.timeline, c.chart)
			continue
		}
		read := 0
		h, err := gather(func(s span) iter.Seq2[bank.Entry, error] {
			return func(yield func(bank.Entry, error) bool) {
				for entry := range climb(s, c.shown-1, c.shown) {
					if read++; !yield(entry, nil) {
						return
					}
				}
			}
		}, timeline, chart)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(h.entries); int64(n) != timeline.last-timeline.first+1 || n > 0 && (h.entries[0].Version != timeline.first || h.entries[n-1].Version != timeline.last) {
			t.Errorf("%s: %d entries, want those of %v", name, len(h.entries), timeline)
		}
		if read > eventsInChart+entriesPerPage || len(h.curve.cells) > maxCells {
			t.Errorf("%s: %d events were read for %d cells", name, read, len(h.curve.cells))
		}
		var snapshots []int64
		for version := int64(10); version <= last; version += 10 {
			snapshots = append(snapshots, version)
		}
		drawn := h.curve.draw(snapshots, c.shown, h.curve.at(c.shown))
		if drawn.High != 999_999_999 || c.shown > 1 && drawn.Low != 7 {
			t.Errorf("%s: from %s to %s: a peak was lost", name, drawn.Low, drawn.High)
		}
		if drawn.First != chart.first || drawn.Last != chart.last || len(drawn.Marks) != int(chart.last/10-(chart.first-1)/10) || drawn.Snapshots != 100_000 {
			t.Errorf("%s: %d marks of %d, from %d to %d", name, len(drawn.Marks), drawn.Snapshots, drawn.First, drawn.Last)
		}
		if len(drawn.Line) > 32<<10 {
			t.Errorf("%s: the line is %d bytes", name, len(drawn.Line))
		}
	}
}

func TestACurveIsExactAsLongAsItsVersionsHaveRoom(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{1, 2, 3, maxCells, maxCells + 1} {
		for _, first := range []int64{1, 4_712} {
			var c curve
			for entry := range climb(span{first, first + n - 1}, 0, 0) {
				c.add(entry.Version, entry.Balance)
			}
			exact := int64(1)
			if n > maxCells {
				exact = 2
			}
			if c.width != exact || int64(len(c.cells)) != (n+exact-1)/exact {
				t.Errorf("%d versions: %d cells of %d", n, len(c.cells), c.width)
			}
			if last := first + n - 1; c.at(last) != 1_000_00+bank.Money(last) {
				t.Errorf("%d versions from %d: the last is %s", n, first, c.at(last))
			}
		}
	}
}

func TestAChartStepsFromVersionToVersion(t *testing.T) {
	t.Parallel()
	var c curve
	for i, balance := range []bank.Money{10_00, 40_00, 20_00} {
		c.add(int64(i+1), balance)
	}
	d := c.draw([]int64{2}, 3, 20_00)
	if d.Line != "M0 75H500V0H1000V50H1012" {
		t.Errorf("line %s", d.Line)
	}
	if want := "0 10 20 30 40"; strings.Join(d.Labels, " ") != want {
		t.Errorf("labels %v, want %s", d.Labels, want)
	}
	if len(d.Marks) != 1 || d.Marks[0] != (mark{2, 40_00, "500", "0"}) || d.Shown != (mark{3, 20_00, "1000", "50"}) {
		t.Errorf("marks %v, shown %v", d.Marks, d.Shown)
	}
}

func TestAScaleHasRoundSteps(t *testing.T) {
	t.Parallel()
	for high, want := range map[bank.Money]struct {
		step  bank.Money
		rules int
	}{
		0: {50, 2}, 1_00: {50, 2}, 1_01: {50, 3}, 40_00: {10_00, 4}, 41_00: {10_00, 5}, 51_00: {20_00, 3}, 1_234_56: {500_00, 3}, 1<<63 - 1: {2e18, 5},
	} {
		if step, rules := scale(high); step != want.step || rules != want.rules {
			t.Errorf("%s: %d steps of %s, want %d of %s", high, rules, step, want.rules, want.step)
		}
	}
}

func TestTheTimelineShowsCustomMetadata(t *testing.T) {
	t.Parallel()
	entry := bank.Entry{Event: eventstore.Event{Version: 1, Data: bank.FundsDeposited{}}}
	plain := len(rowOf(entry).Metadata)
	entry.Metadata.Custom = map[string]string{"terminal": "ATM 17", "app": "", "<b>": "=\n"}
	want := []field{{"<b>", "=\n"}, {"app", ""}, {"terminal", "ATM 17"}}
	if got := rowOf(entry).Metadata[plain:]; !slices.Equal(got, want) {
		t.Errorf("it shows %q, want %q", got, want)
	}
}
