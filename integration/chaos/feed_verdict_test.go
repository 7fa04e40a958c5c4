package chaos

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// feedVerdict is what became of a stream's commits in the feed, and what is wrong with that.
//
// A commit is an append, a closing or a deletion. It is logged or delivered when all its events
// are. Nothing is known of the events of a deleted stream, so only its ends count there.
//
// The log has each version of a stream once and in order. Only where a writer without the feed took
// part may a version come again. Nothing is asked of a stream that was written only without the
// feed, unless the catalogue has it.
//
// Followers get items at least once, so an item may come again at any time, from the same process
// or another. What must be in order is the first delivery of each item, by the machine's clock: it
// is disordered if a later item of its stream was delivered before.
type feedVerdict struct {
	outside                      bool // the stream is not in the feed, and need not be
	committed, logged, delivered int  // commits
	missed                       int  // commits that are not logged or not delivered
	disordered                   int  // items that came after a later one of their stream, in the log or to the followers
	doubled                      int  // items that the log has twice
	unlisted                     int  // streams that the catalogue does not have exactly once, as they are
	events                       int
	again                        int // items that the log may have twice
	redelivered                  int // items
	complaints                   []string
}

func (v *feedVerdict) complain(count *int, format string, args ...any) {
	if count != nil {
		*count++
	}
	v.complaints = append(v.complaints, fmt.Sprintf(format, args...))
}

func (v *feedVerdict) add(other feedVerdict) {
	v.committed += other.committed
	v.logged += other.logged
	v.delivered += other.delivered
	v.missed += other.missed
	v.disordered += other.disordered
	v.doubled += other.doubled
	v.unlisted += other.unlisted
	v.events += other.events
	v.again += other.again
	v.redelivered += other.redelivered
}

// The places of items in their stream are the versions of events. The ends come after them.
const (
	closedPlace  = math.MaxInt64 - 1
	deletedPlace = math.MaxInt64
)

func (i item) place() int64 {
	switch i.What {
	case closed:
		return closedPlace
	case deleted:
		return deletedPlace
	}
	return i.Version
}

// commitsOf returns the commits of a stream that must be in the feed, as the places of their items.
func commitsOf(h *streamHistory, final audited, log logged) map[string][]int64 {
	commits := map[string][]int64{}
	if outside(h, final, log) {
		return commits
	}
	for _, event := range final.Events {
		commits[event.Append] = append(commits[event.Append], event.Version)
	}
	if final.Deleted {
		commits["the deletion"] = []int64{deletedPlace}
	}
	if final.Closed || h.ends[closed] && !h.mixed { // or else the deletion tells both
		commits["the closing"] = []int64{closedPlace}
	}
	return commits
}

// missing returns the commits of which some item is not among the items.
func missing(commits map[string][]int64, among []item) []string {
	there := map[int64]bool{}
	for _, i := range among {
		there[i.place()] = true
	}
	var absent []string
	for _, name := range slices.Sorted(maps.Keys(commits)) {
		if slices.ContainsFunc(commits[name], func(place int64) bool { return !there[place] }) {
			absent = append(absent, name)
		}
	}
	return absent
}

// inTime returns deliveries in the order of their times.
func inTime(deliveries []item) []item {
	return slices.SortedStableFunc(slices.Values(deliveries), func(a, b item) int { return cmp.Compare(a.at, b.at) })
}

// judgeFeed compares a stream with the log, with the catalogue, and with what followers got.
func judgeFeed(h *streamHistory, final audited, log logged) feedVerdict {
	v := feedVerdict{events: len(final.Events)}
	if final.Error != "" {
		v.complain(nil, "the auditor found: %s", final.Error)
	}
	for _, wrong := range log.Errors {
		v.complain(nil, "the auditor of the feed found: %s", wrong)
	}
	v.outside = outside(h, final, log)
	commits := commitsOf(h, final, log)
	notLogged, notDelivered := missing(commits, log.Items), missing(commits, h.deliveries)
	v.committed = len(commits)
	v.logged, v.delivered = v.committed-len(notLogged), v.committed-len(notDelivered)
	for _, name := range notLogged {
		v.complain(&v.missed, "%s is not in the log", name)
	}
	for _, name := range notDelivered {
		if !slices.Contains(notLogged, name) {
			v.complain(&v.missed, "%s is in the log, but was not delivered", name)
		}
	}
	repeated := v.order("the log", final, log.Items)
	if h.mixed {
		v.again = len(repeated)
	} else {
		for _, i := range repeated {
			v.complain(&v.doubled, "the log has version %d%s twice", i.Version, i.What)
		}
	}
	v.redelivered = len(v.order("the followers", final, inTime(h.deliveries)))
	v.ends(h, final)
	if !v.outside {
		v.listed(h, final, log.Listed)
	}
	return v
}

// outside reports whether a stream need not be in the feed. It then holds only appends that were
// made without the feed, and the catalogue does not have it.
func outside(h *streamHistory, final audited, log logged) bool {
	apart := map[string]bool{}
	for _, a := range h.appends {
		apart[a.name] = a.apart
	}
	return len(log.Listed) == 0 && !final.Deleted && !slices.ContainsFunc(final.Events, func(event stored) bool { return !apart[event.Append] })
}

// order complains about items that come after a later one for the first time, and about items that
// the stream does not hold. It returns those that come again.
func (v *feedVerdict) order(whose string, final audited, items []item) (again []item) {
	seen := map[int64]bool{}
	last := int64(0)
	for _, i := range items {
		if !final.Deleted {
			v.is(whose, final, i)
		}
		place := i.place()
		switch {
		case seen[place]:
			again = append(again, i)
		case place < last:
			v.complain(&v.disordered, "%s got version %d%s after a later one", whose, i.Version, i.What)
		}
		seen[place] = true
		last = max(last, place)
	}
	return again
}

// is complains about an item that is not what the stream holds.
func (v *feedVerdict) is(whose string, final audited, i item) {
	switch n := int64(len(final.Events)); {
	case i.What == deleted:
		v.complain(nil, "%s got the deletion of a stream that is there", whose)
	case i.What == closed && (!final.Closed || i.Version != n):
		v.complain(nil, "%s got the closing at version %d of a stream with %d events, closed %t", whose, i.Version, n, final.Closed)
	case i.What != appendedEvent:
	case i.Version < 1 || i.Version > n:
		v.complain(nil, "%s got version %d of a stream with %d events", whose, i.Version, n)
	case final.Events[i.Version-1].Append != i.Append || final.Events[i.Version-1].Part != i.Part:
		v.complain(nil, "%s got part %d of append %s as version %d, which is part %d of %s", whose,
			i.Part, i.Append, i.Version, final.Events[i.Version-1].Part, final.Events[i.Version-1].Append)
	}
}

// ends compares how the stream ended with what clients were told.
func (v *feedVerdict) ends(h *streamHistory, final audited) {
	switch {
	case h.ends[deleted] && !final.Deleted:
		v.complain(nil, "the deletion was acknowledged, but the stream is there")
	case h.ends[closed] && !final.Closed && !final.Deleted:
		v.complain(nil, "the closing was acknowledged, but the stream is open")
	case final.Deleted && !h.endsBegan[deleted]:
		v.complain(nil, "the stream is deleted, but no client asked for that")
	case final.Closed && !h.endsBegan[closed]:
		v.complain(nil, "the stream is closed, but no client asked for that")
	}
}

// listed compares the stream with its entries in the catalogue.
func (v *feedVerdict) listed(h *streamHistory, final audited, entries []listed) {
	want := listed{int64(len(final.Events)), final.Closed || final.Deleted, final.Deleted}
	begun := want.Version > 0 || final.Deleted
	switch {
	case !begun && len(entries) > 0:
		v.complain(&v.unlisted, "the catalogue has a stream without events")
	case !begun:
	case len(entries) != 1:
		v.complain(&v.unlisted, "the catalogue has the stream %d times", len(entries))
	case final.Deleted:
		want.Version = entries[0].Version
		for _, a := range h.appends {
			if a.outcome == acknowledged && a.version >= want.Version {
				v.complain(nil, "append %s was acknowledged at version %d of a stream that was deleted at version %d", a.name, a.version, want.Version)
			}
		}
		fallthrough
	default:
		if entries[0] != want {
			v.complain(&v.unlisted, "the catalogue says %+v, but the stream is %+v", entries[0], want)
		}
	}
}
