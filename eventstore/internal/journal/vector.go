package journal

import (
	"fmt"
	"maps"
	"slices"
)

// Progress is how far the log has taken over one journal: all numbers up to High, except those in
// Open, which were absent. (Rule F7)
type Progress struct {
	High  int64
	Open  []int64 // ascending
	Ended bool    // everything was taken over, and no more comes
}

// Covers reports whether a number was taken over.
func (p Progress) Covers(n int64) bool {
	if p.Ended {
		return true
	}
	_, open := slices.BinarySearch(p.Open, n)
	return n <= p.High && !open
}

// Complete reports whether all numbers below n were taken over, except for those in void.
func (p Progress) Complete(n int64, void []int64) bool {
	for _, i := range p.Open {
		if i < n && !slices.Contains(void, i) {
			return false
		}
	}
	for i := p.High + 1; i < n; i++ {
		if !slices.Contains(void, i) {
			return false
		}
	}
	return true
}

// take returns the progress after one more number was taken over.
func (p Progress) take(n int64) Progress {
	next := Progress{High: max(p.High, n), Ended: p.Ended}
	for _, i := range p.Open {
		if i != n {
			next.Open = append(next.Open, i)
		}
	}
	for i := p.High + 1; i < n; i++ {
		next.Open = append(next.Open, i)
	}
	return next
}

// Vector is how far the log has taken over every journal, by the ids of the journals.
type Vector map[string]Progress

// Covers reports whether the log has taken over the entry of a slot. No slot is always covered.
func (v Vector) Covers(s Slot) bool { return s.IsZero() || v[s.Journal].Covers(s.Number) }

// Take notes that the log takes over an entry.
func (v Vector) Take(e Entry) {
	if e.What == Ended {
		v[e.Journal] = Progress{High: e.Number, Ended: true}
		return
	}
	v[e.Journal] = v[e.Journal].take(e.Number)
}

// maxGap limits how many numbers of a journal may be remembered as absent at once. Far fewer are
// absent in practice: fewer than 64 of a process, and as many more as a store may have lost.
const maxGap = 1 << 16

// Check returns an error if the number of a slot is so high that it cannot be meant: the log has
// taken over nothing near it. Taking over such an entry would remember all numbers below it.
func (v Vector) Check(s Slot) error {
	if high := v[s.Journal].High; s.Number < 1 || s.Number-high > maxGap {
		return fmt.Errorf("the slot %s is not possible: the highest number that was read of the journal is %d", s, high)
	}
	return nil
}

// Ready reports whether the log may take over an entry now. It may after the entry that the ticket
// names as the one before, and the end of a journal comes last. (Rules F7 and F11)
func (v Vector) Ready(e Entry) bool {
	if e.What == Ended {
		return v[e.Journal].Complete(e.Number, e.Void)
	}
	return v.Covers(e.After) && v.Check(e.Slot) == nil
}

// Clone returns a copy that shares nothing that changes.
func (v Vector) Clone() Vector { return maps.Clone(v) }
