package simulation

import (
	"fmt"
	"testing"
)

// feedFaults are faults in the feed's code. Each leaves out a rule of following, F1 to F14 as in
// ARCHITECTURE.md.
var feedFaults = []planted{
	{"F1", "a journal is registered without a condition",
		"		last = j.state.Swap(ctx, journal.RootPartition,", "\t\tnow, _ := j.state.Get(ctx, journal.RootPartition, journal.RootKey)\n\t\tetag = now.ETag\n\t\tlast = j.state.Swap(ctx, journal.RootPartition,"},
	{"F1", "a journal is used although the root may not name it",
		"	if err := j.list(ctx, ids, due && idle, id); err != nil {\n\t\treturn err\n\t}\n", "\t_ = j.list(ctx, ids, due && idle, id)\n"},
	{"F2", "the name of a stream does not stand before its first commit",
		"case last.IsZero() && nameFirst && !w.named:", "case false:"},
	{"F2", "the name of a stream is only sent before its first commit",
		"\t\tn.used(w) // to be written again, because nothing tells whether it stands\n\t\treturn fmt.Errorf(\"the feed %q cannot take the name of the stream: %w: %w\", string(j.feed), driver.ErrRefused, err)\n", "\t\tn.stands()\n\t\treturn nil\n"},
	{"F3", "the number of a commit of unknown outcome is given again",
		"\t\tc.number.keep(c)\n\t\treturn\n", "\t\tc.number.rejected()\n\t\treturn\n"},
	{"F3", "there is no window",
		"return !j.ended && j.outstanding() < journal.Window-1 }", "return !j.ended }"},
	{"F4", "the entry stands before the commit",
		"\tnext.tail = append(w.carry(), c.events...)\n", "\tif c.number.own != nil {\n\t\t_ = w.state.Write(ctx, c.entry.Partition, []driver.Write{c.entry})\n\t}\n\tnext.tail = append(w.carry(), c.events...)\n"},
	{"F5", "a writer without the feed drops the ticket of the head",
		"	if c.number.own == nil {\n\t\treturn w.head.ticket\n\t}\n\treturn c.ticket", "\treturn c.ticket"},
	{"F5", "a commit covers only its own versions",
		"return max(w.head.ticket.To+1, w.head.first) }", "return w.head.version + 1 }"},
	{"F5", "a stream that a writer without the feed has changed is not adopted",
		"hd.version == 0 || hd.ticketed() {", "true {"},
	{"F5", "the entry of a ticket that only the head carries need not stand before the next commit",
		"case last.Alone != \"\" && last.Slot != w.alone:", "case false:"},
	{"F6", "the log is written without a condition",
		"	if ix.loaded && version == ix.version && ix.inside.Commit(s) == ix.commit {\n", "	if ix.loaded {\n\t\tix.version = version\n"},
	{"F6", "how far the journals were read is kept apart from the log",
		"	if err := ix.state.Take(batch); err != nil {\n\t\treturn err\n\t}\n\tix.version, ix.commit = version, ix.inside.Commit(s)\n", "\tix.version, ix.commit = version, ix.inside.Commit(s)\n\tif ix.batches%2 == 0 {\n\t\tif err := ix.state.Take(batch); err != nil {\n\t\t\treturn err\n\t\t}\n\t} else {\n\t\tix.state.Position = batch.Last()\n\t}\n"},
	{"F7", "an entry does not wait for the one before",
		"			if !b.vector.Ready(e) {", "			if e.What == journal.Ended && !b.vector.Ready(e) {"},
	{"F7", "numbers that were absent are forgotten",
		"		next.Open = append(next.Open, i)\n\t}\n\treturn next", "\t\t_ = i\n\t}\n\treturn next"},
	{"F8", "the heads of streams are not walked",
		"if ix.walkDue() {", "if false {"},
	{"F8", "only the last commit of a stream is derived",
		"			entries, slot, highest, e = append(entries, e.Entry), e.After, e.From-1, unfinished{}\n", "			return append(entries, e.Entry), nil\n"},
	{"F8", "what an entry waits for is not derived",
		"if err := ix.repair(ctx); err != nil {", "if err := error(nil); err != nil {"},
	{"F9", "entries are deleted before the log has them",
		"	version, err := s.Append(ctx,", "	_ = ix.clear(ctx, batch)\n\tversion, err := s.Append(ctx,"},
	{"F9", "an indexer that takes over does not delete what the one before it left",
		"if err := ix.clear(ctx, last.Batch); err != nil {", "_ = last\n\t\tif err := error(nil); err != nil {"},
	{"F10", "a deleted stream is swept at once",
		"if err := w.journalChain(ctx, operation); err != nil {", "if err := error(nil); err != nil {"},
	{"F10", "the head of a deleted stream drops events that only the head before it carried",
		"if next.deleted && written != w.head.commit && w.current() && len(w.carry()) > 0 {", "if false && written == \"\" {"},
	{"F11", "a journal ends although numbers are undecided",
		"own.ended = own.ended || own.outstanding() == 0; own.ended {", "own.ended = own.ended || len(own.unwritten) == 0; own.ended {"},
	{"F11", "a journal ends although a commit of unknown outcome may still take effect",
		"case found.outcome == OutcomeRejected:\n\t\t\tc.number.rejected()", "default:\n\t\t\tc.number.rejected()"},
	{"F11", "the end of a journal is taken over before the rest",
		"return v[e.Journal].Complete(e.Number, e.Void)", "return true"},
	{"F12", "a follower keeps its position before it makes the effects",
		"	if err := handle(); err != nil {\n\t\treturn err\n\t}\n\treturn keep()\n", "	for _, item := range items {\n\t\tposition = int64(item.Position)\n\t}\n\tif err := keep(); err != nil {\n\t\treturn err\n\t}\n\treturn handle()\n"},
	{"F14", "a process does not look whether the root still names its journal",
		"if i < 0 || time.Since(j.checked) >= rootCheck {", "if i < 0 {"},
	{"names", "names of the last page that have no mark are not marked after a crash",
		"if err := ix.mark(ctx, unmarked); err != nil {", "_ = unmarked\n\tif err := error(nil); err != nil {"},
	{"names", "the catalogue does not catch up with the log after a crash",
		"done >= ix.state.Position {", "true {"},
}

// TestEveryRuleOfFollowingIsNeeded plants one fault after another into the feed's code. The
// simulation must fail on each.
func TestEveryRuleOfFollowingIsNeeded(t *testing.T) {
	for _, p := range feedFaults {
		t.Run(p.rule+" "+p.fault, func(t *testing.T) {
			t.Parallel()
			out, err := p.run(t, []string{"follower_test.go", "../..", "../../feed", "../journal"}, "-test.run=TestEveryCommitIsFollowed", "-feeds=20000", "-test.timeout=20m")
			caught := failing.FindStringSubmatch(out)
			if err == nil || caught == nil {
				t.Errorf("no history fails without it:\n%s", out)
				return
			}
			fmt.Printf("planted rule=%s fault=%q caught_at_seed=%s\n", p.rule, p.fault, caught[1])
		})
	}
}
