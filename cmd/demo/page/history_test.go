package page

import (
	"iter"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
)

// climb is a history of n events whose balance climbs, but for one deep fall and one peak.
func climb(n, fall, peak int64) iter.Seq2[bank.Entry, error] {
	return func(yield func(bank.Entry, error) bool) {
		for version := int64(1); version <= n; version++ {
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

func TestALongHistoryIsKeptWithinBounds(t *testing.T) {
	t.Parallel()
	const last = 100_003
	h, err := gather(climb(last, 40_001, 77_777), 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.entries) != entriesPerPage || h.entries[0].Version != last-entriesPerPage+1 || h.entries[entriesPerPage-1].Version != last {
		t.Errorf("%d entries, %d to %d", len(h.entries), h.entries[0].Version, h.entries[len(h.entries)-1].Version)
	}
	if len(h.curve.cells) > maxCells || len(h.curve.cells) < maxCells/2-1 {
		t.Errorf("%d cells", len(h.curve.cells))
	}
	var snapshots []int64
	for version := int64(10); version <= last; version += 10 {
		snapshots = append(snapshots, version)
	}
	drawn := h.curve.draw(snapshots, last, h.last.Balance)
	if drawn.Low != 7 || drawn.High != 999_999_999 {
		t.Errorf("from %s to %s: a peak was lost", drawn.Low, drawn.High)
	}
	if len(drawn.Marks) > maxMarks || drawn.Marks[0].Version != 100_000 || drawn.Snapshots != 10_000 {
		t.Errorf("%d marks of %d, the newest at %d", len(drawn.Marks), drawn.Snapshots, drawn.Marks[0].Version)
	}
	if len(drawn.Line) > 32<<10 {
		t.Errorf("the line is %d bytes", len(drawn.Line))
	}
}

func TestACurveIsExactAsLongAsItsVersionsHaveRoom(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{1, 2, 3, maxCells, maxCells + 1} {
		h, err := gather(climb(n, 0, 0), 0)
		if err != nil {
			t.Fatal(err)
		}
		exact := int64(1)
		if n > maxCells {
			exact = 2
		}
		if h.curve.width != exact || int64(len(h.curve.cells)) != (n+exact-1)/exact {
			t.Errorf("%d versions: %d cells of %d", n, len(h.curve.cells), h.curve.width)
		}
		if got := h.curve.at(n); got != 1_000_00+bank.Money(n) {
			t.Errorf("%d versions: the last is %s", n, got)
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
