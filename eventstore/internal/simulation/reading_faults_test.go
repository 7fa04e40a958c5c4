package simulation

import (
	"fmt"
	"testing"
)

// readingFaults are faults in the code of subscriptions, projections, publications and processes.
// Each leaves out a rule, P1 to P11 or Q1 to Q8 as in ARCHITECTURE.md. A test of package process
// shows that Q5 and Q6 are needed.
var readingFaults = []struct {
	test string
	planted
}{
	{documents, planted{"P1", "a document does not remember its place",
		"	r.through[partition] = at\n", ""}},
	{documents, planted{"P1", "the place of a document is compared without the partition",
		"	return r.through[partition].compare(at) >= 0\n", "	for _, p := range r.through {\n\t\tif p.compare(at) >= 0 {\n\t\t\treturn true\n\t\t}\n\t}\n\treturn false\n"}},
	{documents, planted{"P2", "a document does not remember the late items of a parked stream",
		"		r.late[stream] = at\n", ""}},
	{documents, planted{"P3", "an id is listed after its document",
		"	if err := s.addNew(ctx); err != nil {\n\t\treturn err\n\t}\n", "	var ids []string\n\tfor _, doc := range s.dirty {\n\t\tif !doc.listed {\n\t\t\tids = append(ids, doc.id)\n\t\t}\n\t}\n\tdefer func() { _ = s.add(ctx, ids) }()\n"}},
	{documents, planted{"P3", "a document that a bulk read missed is not in the list",
		"if !item.Found() && p.state.Capabilities().BulkMisses {", "if false {"}},
	{documents, planted{"P4", "the position is saved before the flush",
		"		if err := w.flush(ctx); err != nil {\n\t\t\treturn err\n\t\t}\n", "		defer func() { _ = w.flush(ctx) }()\n"}},
	{documents, planted{"P4", "documents count as written whose request failed",
		"		if err == nil {\n\t\t\tdoc.assumed, doc.record", "		if err == nil || len(docs) > 0 {\n\t\t\tdoc.assumed, doc.record"}},
	{documents, planted{"P4", "a flush runs while a handler hangs",
		"if hangs && w.staged {", "if false {"}},
	{documents, planted{"P4", "a worker that ends during another try does not flush",
		"			w.note() // items before may have been handled, and are no longer held back\n", ""}},
	{documents, planted{"P5", "it is not announced how far effects may be ahead",
		"	if w.last <= w.ahead && len(w.late) == 0 {\n", "	if true {\n"}},
	{documents, planted{"P5", "an item that may have been handled in part is parked",
		"case w.staged && item.Entry(permit.Permit{}) <= w.past:", "case false:"}},
	{documents, planted{"P6", "a parked stream is released while items come again",
		"if w.waits = w.again(); w.waits {", "if w.waits = false; w.waits {"}},
	{documents, planted{"P7", "all of a commit comes again that was handled in part",
		"		newest: p.done, done: p.done,", "		done: p.done,"}},
	{messages, planted{"P8", "one that lost a partition saves its position",
		"			return false, errLost\n\t\t}\n\t\tfor _, e := range p.parked {\n", "			_ = errLost\n\t\t}\n\t\tfor _, e := range p.parked {\n"}},
	{messages, planted{"P9", "a partition counts as read up to the end of the log",
		"	return n, true, nil\n}\n\n// untilWoken", "	if !live {\n\t\tif end, err := r.feed.End(ctx); err == nil {\n\t\t\tfor _, w := range g {\n\t\t\t\tw.advance(end)\n\t\t\t}\n\t\t}\n\t}\n\treturn n, true, nil\n}\n\n// untilWoken"}},
	{messages, planted{"P10", "a message without an answer counts as published",
		"		return fmt.Errorf(\"publishing: %s to topic %q: %w\", item.ID(), p.gatherer.topic, err)\n", "		return nil\n"}},
	{messages, planted{"P11", "an item that is left out is not saved before those after it are delivered",
		"		if err := w.saveInTime(); err != nil {\n\t\t\treturn true, err\n\t\t}\n\t}\n\titems, err", "	}\n\titems, err"}},
	{transfers, planted{"Q1", "commands are sent before the decision is stored",
		"	var before S\n\ta, err := p.instances.Update(", actsFirst + "	var before S\n\ta, err := p.instances.Update("}},
	{transfers, planted{"Q2", "a repeat does not find what was decided",
		"	if repeat {\n\t\tif before, events, err", "	if false {\n\t\tif before, events, err"}},
	{transfers, planted{"Q3", "a command has another id at a repeat",
		"Call{ID: fmt.Sprintf(\"%s:%s/%d/%d\", p.name, id, event.Version, n), ", "Call{ID: fmt.Sprintf(\"%s:%s/%d/%d/%v\", p.name, id, event.Version, n, repeat), "}},
	{transfers, planted{"Q4", "a refusal that is stored is not looked for at a repeat",
		"if repeat && command.refused != nil {", "if false {"}},
	{transfers, planted{"Q7", "a minute that a bulk read missed counts as empty",
		"if !w.state.Capabilities().BulkMisses {", "if true {"}},
	{transfers, planted{"Q8", "an instance wakes up without an id",
		"once := fmt.Sprintf(\"wake/%d/%d\", d.version, d.at.UnixMilli())", "once := fmt.Sprintf(\"wake/%d/%d\", d.version, time.Now().UnixNano())"}},
}

const (
	documents = "TestDocumentsAreTheFoldOfTheStreams"
	messages  = "TestWhatIsCommittedIsPublished"
	transfers = "TestTransfersComplete"

	actsFirst = `	if a, err := p.instances.Load(ctx, id); err == nil && a.Version == 0 {
		events, err := decide(a.State)
		if err != nil {
			return err
		}
		for i, data := range events {
			event := eventstore.Event{Data: data, Version: int64(i + 1)}
			if a.State, err = p.rules.Fold(a.State, event); err != nil {
				return err
			}
			if err := p.act(ctx, id, a.State, event, true); err != nil {
				return err
			}
		}
	}
`
)

// TestEveryRuleOfReadingIsNeeded plants one fault after another into the code. The simulation must
// fail on each.
func TestEveryRuleOfReadingIsNeeded(t *testing.T) {
	for _, p := range readingFaults {
		t.Run(p.rule+" "+p.fault, func(t *testing.T) {
			t.Parallel()
			out, err := p.run(t, []string{"../../subscription", "../../projection", "../../publishing", "../../process"},
				"-test.run="+p.test, "-readings=5000", "-test.timeout=20m")
			caught := failing.FindStringSubmatch(out)
			if err == nil || caught == nil {
				t.Errorf("no history fails without it:\n%s", out)
				return
			}
			fmt.Printf("planted rule=%s fault=%q caught_at_seed=%s\n", p.rule, p.fault, caught[1])
		})
	}
}
