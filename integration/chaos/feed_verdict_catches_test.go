package chaos

import (
	"slices"
	"strings"
	"testing"
)

// followed is a stream with what the log, the catalogue and the followers have of it.
type followed struct {
	h     *streamHistory
	final audited
	log   logged
}

// followedSample returns a stream without any fault. It has two appends of two events each and was
// closed. One follower got the first append and died, and another one began again.
func followedSample() followed {
	f := followed{
		h: &streamHistory{
			appends: []*appended{
				{name: "a", events: 2, expected: -1, began: 1, ended: 2, outcome: acknowledged, version: 2},
				{name: "b", events: 2, expected: -1, began: 3, ended: 4, outcome: acknowledged, version: 4},
			},
			endsBegan: map[what]bool{closed: true}, ends: map[what]bool{closed: true},
		},
		final: audited{Closed: true},
	}
	for n := range int64(4) {
		name, part := "a", int(n)
		if n >= 2 {
			name, part = "b", int(n)-2
		}
		f.final.Events = append(f.final.Events, stored{Version: n + 1, Append: name, Part: part, Of: 2})
		f.log.Items = append(f.log.Items, item{Version: n + 1, Append: name, Part: part})
	}
	f.log.Items = append(f.log.Items, item{What: closed, Version: 4})
	f.log.Listed = []listed{{Version: 4, Closed: true}}
	f.deliver(10, "f0", f.log.Items[:2]...)
	f.deliver(20, "f1", f.log.Items...)
	return f
}

func (f *followed) deliver(at int64, client string, items ...item) {
	for n, i := range items {
		i.at, i.client = at+int64(n), client
		f.h.deliveries = append(f.h.deliveries, i)
	}
}

// deliveredLater makes the first delivery of a version the last delivery of all.
func (f *followed) deliveredLater(version int64) {
	f.h.deliveries = slices.DeleteFunc(f.h.deliveries, func(i item) bool { return i.Version == version && i.What == appendedEvent })
	f.deliver(50, "f1", f.log.Items[version-1])
}

func (f *followed) delete() {
	f.final = audited{Deleted: true}
	f.h.endsBegan[deleted], f.h.ends[deleted] = true, true
	f.log.Items = append(f.log.Items, item{What: deleted, Version: 5})
	f.log.Listed = []listed{{Version: 5, Closed: true, Deleted: true}}
	f.deliver(60, "f1", f.log.Items[5])
}

func TestWhatTheFeedMayDoIsJudgedSound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                   string
		change                 func(f *followed)
		committed, redelivered int
		outside                bool
	}{
		{"nothing unusual", func(*followed) {}, 3, 2, false},
		{"an item that one follower notes long after another one", func(f *followed) { f.deliver(90, "f0", f.log.Items[1]) }, 3, 3, false},
		{"pipes that are read in another order", func(f *followed) { slices.Reverse(f.h.deliveries) }, 3, 2, false},
		{"a version again in the log, after a writer without the feed", func(f *followed) {
			f.h.mixed = true
			f.log.Items = slices.Insert(f.log.Items, 2, f.log.Items[1])
		}, 3, 2, false},
		{"a deleted stream", func(f *followed) { f.delete() }, 2, 2, false},
		{"a deleted stream whose events are missing", func(f *followed) {
			f.delete()
			f.log.Items, f.h.deliveries = f.log.Items[4:], f.h.deliveries[6:]
		}, 2, 0, false},
		{"a stream that was written only without the feed", func(f *followed) {
			for _, a := range f.h.appends {
				a.apart = true
			}
			f.h.mixed, f.log, f.h.deliveries = true, logged{}, nil
		}, 0, 0, true},
		{"a stream that never began", func(f *followed) {
			f.h.appends = []*appended{{name: "never", events: 1, expected: -1, began: 1}}
			f.h.ends, f.h.deliveries = nil, nil
			f.final, f.log = audited{}, logged{}
		}, 0, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := followedSample()
			test.change(&f)
			v := judgeFeed(f.h, f.final, f.log)
			if len(v.complaints) > 0 || v.missed+v.disordered+v.doubled+v.unlisted > 0 {
				t.Errorf("%+v", v)
			}
			if v.committed != test.committed || v.logged != test.committed || v.delivered != test.committed || v.redelivered != test.redelivered || v.outside != test.outside {
				t.Errorf("%+v, want %d commits and %d redeliveries", v, test.committed, test.redelivered)
			}
		})
	}
}

func TestTheVerdictOfTheFeedCatchesWhatIsWrong(t *testing.T) {
	t.Parallel()
	missed := func(v feedVerdict) int { return v.missed }
	disordered := func(v feedVerdict) int { return v.disordered }
	doubled := func(v feedVerdict) int { return v.doubled }
	unlisted := func(v feedVerdict) int { return v.unlisted }
	for _, test := range []struct {
		name  string
		spoil func(f *followed)
		count func(v feedVerdict) int
		says  string
	}{
		{"an event that the log does not have",
			func(f *followed) { f.log.Items = slices.Delete(f.log.Items, 3, 4) },
			missed, "b is not in the log"},
		{"an event that no follower got",
			func(f *followed) {
				f.h.deliveries = slices.DeleteFunc(f.h.deliveries, func(i item) bool { return i.Version == 3 })
			},
			missed, "b is in the log, but was not delivered"},
		{"a closing that the log does not have",
			func(f *followed) { f.log.Items = f.log.Items[:4] },
			missed, "the closing is not in the log"},
		{"a closing that no follower got",
			func(f *followed) { f.h.deliveries = f.h.deliveries[:6] },
			missed, "the closing is in the log, but was not delivered"},
		{"a deletion that no follower got",
			func(f *followed) {
				f.delete()
				f.h.deliveries = f.h.deliveries[:7]
			},
			missed, "the deletion is in the log, but was not delivered"},
		{"a closing of a stream that was deleted later",
			func(f *followed) {
				f.delete()
				f.log.Items = slices.Delete(f.log.Items, 4, 5)
			},
			missed, "the closing is not in the log"},
		{"a log in another order",
			func(f *followed) { f.log.Items[1], f.log.Items[2] = f.log.Items[2], f.log.Items[1] },
			disordered, "the log got version 2 after a later one"},
		{"a closing before an event",
			func(f *followed) { f.log.Items[3], f.log.Items[4] = f.log.Items[4], f.log.Items[3] },
			disordered, "the log got version 4 after a later one"},
		{"a version that followers first get after a later one",
			func(f *followed) { f.deliveredLater(3) },
			disordered, "the followers got version 3 after a later one"},
		{"a version of a deleted stream that followers first get after a later one",
			func(f *followed) {
				f.delete()
				f.deliveredLater(3)
			},
			disordered, "the followers got version 3 after a later one"},
		{"an event that the log has twice",
			func(f *followed) { f.log.Items = slices.Insert(f.log.Items, 2, f.log.Items[1]) },
			doubled, "the log has version 2 twice"},
		{"a closing that the log has twice",
			func(f *followed) { f.log.Items = append(f.log.Items, f.log.Items[4]) },
			doubled, "the log has version 4closed twice"},
		{"a stream that the catalogue does not have",
			func(f *followed) { f.log.Listed = nil },
			unlisted, "the catalogue has the stream 0 times"},
		{"a stream that the catalogue has twice",
			func(f *followed) { f.log.Listed = append(f.log.Listed, f.log.Listed...) },
			unlisted, "the catalogue has the stream 2 times"},
		{"a stream of which the catalogue says something else",
			func(f *followed) { f.log.Listed[0].Version = 3 },
			unlisted, "the catalogue says {Version:3"},
		{"a deleted stream that the catalogue has as closed",
			func(f *followed) {
				f.delete()
				f.log.Listed[0].Deleted = false
			},
			unlisted, "but the stream is"},
		{"a stream without events in the catalogue",
			func(f *followed) {
				f.h.appends, f.h.ends, f.h.deliveries = nil, nil, nil
				f.final, f.log.Items = audited{}, nil
			},
			unlisted, "the catalogue has a stream without events"},
		{"an event that the stream does not have",
			func(f *followed) {
				f.log.Items = slices.Insert(f.log.Items, 4, item{Version: 5, Append: "ghost"})
			},
			nil, "the log got version 5 of a stream with 4 events"},
		{"another event than the stream has",
			func(f *followed) { f.h.deliveries[5].Append = "other" },
			nil, "part 1 of append other as version 4, which is part 1 of b"},
		{"a deletion of a stream that is there",
			func(f *followed) { f.deliver(60, "f1", item{What: deleted, Version: 5}) },
			nil, "the deletion of a stream that is there"},
		{"an acknowledged deletion of a stream that is there",
			func(f *followed) { f.h.ends[deleted] = true },
			nil, "the deletion was acknowledged, but the stream is there"},
		{"an acknowledged closing of a stream that is open",
			func(f *followed) { f.final.Closed = false },
			nil, "the closing was acknowledged, but the stream is open"},
		{"an end that no client asked for",
			func(f *followed) { f.h.endsBegan = nil },
			nil, "the stream is closed, but no client asked for that"},
		{"an append after the deletion",
			func(f *followed) {
				f.delete()
				f.h.appends[1].version = 6
			},
			nil, "append b was acknowledged at version 6 of a stream that was deleted at version 5"},
		{"a stream that the auditor could not read",
			func(f *followed) { f.final.Error = "damage" },
			nil, "the auditor found: damage"},
		{"what the auditor of the feed found",
			func(f *followed) { f.log.Errors = []string{"lost 0.0/3"} },
			nil, "the auditor of the feed found: lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := followedSample()
			test.spoil(&f)
			v := judgeFeed(f.h, f.final, f.log)
			if len(v.complaints) == 0 {
				t.Fatal("the fault was not found")
			}
			if test.count != nil && test.count(v) == 0 {
				t.Errorf("the fault is not counted: %+v", v)
			}
			if all := strings.Join(v.complaints, "; "); !strings.Contains(all, test.says) {
				t.Errorf("the complaints do not contain %q: %s", test.says, all)
			}
		})
	}
}
