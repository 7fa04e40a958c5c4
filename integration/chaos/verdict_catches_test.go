package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample returns a history without any fault, and the events of its stream. It has three
// acknowledged appends, a refused one and reads. Of two appends with unknown outcome, one took
// effect and one did not.
func sample() (*streamHistory, []stored) {
	h := &streamHistory{
		appends: []*appended{
			{name: "a", client: "w0", events: 2, expected: 0, idem: "a", began: 10, ended: 20, outcome: acknowledged, version: 2},
			{name: "b", client: "w1", events: 3, expected: -1, began: 30, ended: 40, outcome: acknowledged, version: 5},
			{name: "late", client: "w1", events: 1, expected: -1, began: 45},
			{name: "mismatch", client: "w0", events: 2, expected: 2, began: 50, ended: 60, outcome: refused, err: "is at version 5, not 2"},
			{name: "again", client: "w0", events: 1, expected: -1, idem: "a", began: 61, ended: 65, outcome: refused, used: 1},
			{name: "c", client: "w0", events: 1, expected: -1, began: 70, ended: 80, outcome: acknowledged, version: 6},
			{name: "never", client: "w0", events: 4, expected: -1, began: 90},
		},
	}
	var final []stored
	for _, a := range []*appended{h.appends[0], h.appends[1], h.appends[5], h.appends[2]} {
		for part := range a.events {
			s := stored{Version: int64(len(final)) + 1, Append: a.name, Part: part, Of: a.events, Digest: fmt.Sprint(a.name, part)}
			if part == 0 {
				s.Idem = a.idem
			}
			final = append(final, s)
		}
	}
	h.reads = []*read{
		{Began: 1, Ended: 2, From: 1, To: 0, Digest: digestOf(nil), Current: true, Complete: true},
		{Began: 15, Ended: 18, From: 1, To: 2, Digest: digestOf(final[:2]), Current: true, Complete: true}, // before the append was acknowledged
		{Began: 35, Ended: 36, From: 1, To: 2, Digest: digestOf(final[:2]), Current: true, Complete: true}, // while append b was under way
		{Began: 41, Ended: 42, From: 2, To: 5, Digest: digestOf(final[1:5]), Current: true, Complete: true},
		{Began: 43, Ended: 44, From: 1, To: 4, Digest: digestOf(final[:4])},                 // the read broke off
		{Began: 85, Ended: 86, From: 1, To: 2, Digest: digestOf(final[:2]), Complete: true}, // in a session
		{Began: 100, Ended: 101, From: 1, To: 7, Current: true, Complete: true},             // the version of the stream
	}
	return h, final
}

func renumbered(events []stored) []stored {
	events = slices.Clone(events)
	for i := range events {
		events[i].Version = int64(i) + 1
	}
	return events
}

func TestASoundHistoryIsJudgedSound(t *testing.T) {
	t.Parallel()
	h, final := sample()
	if v := judge(h, final); !v.sound() {
		t.Errorf("%+v", v)
	}
}

func TestTheVerdictCatchesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(h *streamHistory, final []stored) []stored
		count func(v verdict) int
		says  string
	}{
		{"an acknowledged append that is lost",
			func(h *streamHistory, final []stored) []stored { return final[:5] },
			func(v verdict) int { return v.lost }, "append c was acknowledged at version 6 but is lost"},
		{"an acknowledged append that was overwritten by another",
			func(h *streamHistory, final []stored) []stored {
				final[5].Append = "never"
				return final
			},
			func(v verdict) int { return v.lost }, "append c was acknowledged at version 6 but is lost"},
		{"an acknowledged append that stands elsewhere",
			func(h *streamHistory, final []stored) []stored {
				final[5], final[6] = final[6], final[5]
				return renumbered(final)
			},
			func(v verdict) int { return v.lost }, "append c was acknowledged at version 6 but ends at 7"},
		{"a gap",
			func(h *streamHistory, final []stored) []stored { return slices.Delete(final, 5, 6) },
			func(v verdict) int { return v.lost }, "got version 7, want 6"},
		{"a version that was read and is gone",
			func(h *streamHistory, final []stored) []stored { return final[:6] },
			func(v verdict) int { return v.lost }, "saw version 7, but the stream ends at 6"},
		{"an acknowledged append of which a part is there",
			func(h *streamHistory, final []stored) []stored { return renumbered(slices.Delete(final, 4, 5)) },
			func(v verdict) int { return v.torn }, "append b is torn: of its 3 events 2 are stored"},
		{"an append of unknown outcome of which a part is there",
			func(h *streamHistory, final []stored) []stored {
				return append(final, stored{Version: 8, Append: "never", Part: 0, Of: 4})
			},
			func(v verdict) int { return v.torn }, "append never is torn: of its 4 events 1 are stored"},
		{"an append with another in the middle",
			func(h *streamHistory, final []stored) []stored {
				final[4], final[5] = final[5], final[4]
				return renumbered(final)
			},
			func(v verdict) int { return v.torn }, "append b is torn: its events are at versions [3 4 6]"},
		{"events of an append out of order",
			func(h *streamHistory, final []stored) []stored {
				final[2], final[3] = final[3], final[2]
				return renumbered(final)
			},
			func(v verdict) int { return v.torn }, "append b is torn"},
		{"a read that saw a part of an append",
			func(h *streamHistory, final []stored) []stored {
				h.reads[4].Complete = true
				return final
			},
			func(v verdict) int { return v.torn }, "saw append b only up to version 4"},
		{"an append that is stored twice",
			func(h *streamHistory, final []stored) []stored { return renumbered(append(final, final[5])) },
			func(v verdict) int { return v.doubled }, "append c of 1 events is stored more than once"},
		{"an append that took effect although it was refused",
			func(h *streamHistory, final []stored) []stored {
				return renumbered(append(final, stored{Append: "mismatch", Of: 2}, stored{Append: "mismatch", Part: 1, Of: 2}))
			},
			func(v verdict) int { return v.doubled }, "append mismatch was refused but is stored"},
		{"an idempotency id that is stored twice",
			func(h *streamHistory, final []stored) []stored {
				final[6].Idem = "a"
				return final
			},
			func(v verdict) int { return v.doubled }, `idempotency id "a" is stored twice, at versions 1 and 7`},
		{"an idempotency id that is not at the reported version",
			func(h *streamHistory, final []stored) []stored {
				h.appends[4].used = 2
				return final
			},
			nil, `idempotency id "a" at version 2, but the id is not there`},
		{"an event that no client has made",
			func(h *streamHistory, final []stored) []stored {
				return append(final, stored{Version: 8, Append: "ghost", Of: 1})
			},
			nil, `append "ghost", which no client has made`},
		{"an append that is not where it was expected",
			func(h *streamHistory, final []stored) []stored {
				h.appends[5].expected = 4
				return final
			},
			nil, "append c expected version 4 but follows version 5"},
		{"an event that changed after it was read",
			func(h *streamHistory, final []stored) []stored {
				final[1].Digest = "other bytes"
				return final
			},
			func(v verdict) int { return v.changed }, "saw other events in versions 1 to 2 than the stream has"},
		{"a read that missed what was acknowledged before",
			func(h *streamHistory, final []stored) []stored {
				h.reads[3].To, h.reads[3].From, h.reads[3].Digest = 0, 1, digestOf(nil) // the stream looked empty
				return final
			},
			linearizability, "not linearizable"},
		{"a read that saw what was appended later",
			func(h *streamHistory, final []stored) []stored {
				h.reads[3].To, h.reads[3].Digest = 6, digestOf(final[1:6])
				return final
			},
			linearizability, "not linearizable"},
		{"two reads of which the later saw less",
			func(h *streamHistory, final []stored) []stored {
				h.reads[2].To, h.reads[2].Digest = 5, digestOf(final[:5])
				h.reads = append(h.reads, &read{Began: 37, Ended: 38, From: 1, To: 2, Digest: digestOf(final[:2]), Current: true, Complete: true})
				return final
			},
			linearizability, "not linearizable"},
		{"appends in another order than they were made",
			func(h *streamHistory, final []stored) []stored {
				h.appends[2].began = 85 // after c
				final[5], final[6] = final[6], final[5]
				h.appends[5].version, h.reads = 7, nil
				return renumbered(final)
			},
			linearizability, "not linearizable"},
		{"an idempotency id that was said to be used before it was",
			func(h *streamHistory, final []stored) []stored {
				h.appends[4].began, h.appends[4].ended = 3, 5
				return final
			},
			linearizability, "not linearizable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, final := sample()
			v := judge(h, test.spoil(h, final))
			if v.sound() {
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

func linearizability(v verdict) int {
	if v.notLinearizable {
		return 1
	}
	return 0
}

// A stream of a run has a few hundred operations. This one has many more, all concurrent.
func TestALongHistoryIsJudgedInTime(t *testing.T) {
	t.Parallel()
	h := &streamHistory{}
	var final []stored
	for i := range int64(3000) {
		a := &appended{name: fmt.Sprint(i), events: 1, expected: -1, began: 10 * i, ended: 10*i + 55, outcome: acknowledged, version: i + 1}
		if i%20 == 0 {
			a.outcome, a.ended, a.version = unknown, 0, 0
		}
		h.appends = append(h.appends, a)
		final = append(final, stored{Version: i + 1, Append: a.name, Of: 1})
		h.reads = append(h.reads, &read{Began: 10*i - 30, Ended: 10*i + 9, From: i + 1, To: i, Current: true, Complete: true})
	}
	began := time.Now()
	if v := judge(h, final); !v.sound() {
		t.Errorf("%+v", v.complaints)
	}
	t.Logf("%d operations took %s", len(h.appends)+len(h.reads), time.Since(began))
}

func TestAJournalThatBreaksOffLeavesItsAppendsUnknown(t *testing.T) {
	t.Parallel()
	h := newHistory()
	err := h.follow(strings.NewReader(`{"Kind":"append","At":1,"Client":"w0","Stream":"0.0","Append":"a","Events":2,"Expected":-1}
{"Kind":"append","At":2,"Client":"w0","Stream":"3.7","Append":"b","Events":1,"Expected":4}
{"Kind":"ended","At":3,"Client":"w0","Stream":"0.0","Append":"a","Outcome":"acknowledged","Version":2}
{"Kind":"ended","At":4,"Client":"w0","Stream":"3.7","Append":"b","Outc`))
	if err != nil {
		t.Fatal(err)
	}
	if acked, notKnown, refusals := h.outcomes(); acked != 1 || notKnown != 1 || refusals != 0 {
		t.Errorf("got %d acknowledged, %d unknown, %d refused", acked, notKnown, refusals)
	}
	if a := h.streams["3.7"].appends[0]; a.ended != 0 || a.expected != 4 {
		t.Errorf("%+v", a)
	}
	if got := h.generations(4); !slices.Equal(got, []int{0, 0, 0, 7}) {
		t.Errorf("the streams in use are %v", got)
	}
}
