package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore"
)

// booksVerdict is what became of the money, of the pages and of the messages, and what is wrong
// with that.
type booksVerdict struct {
	transfers, completed, returned, held int
	documents                            int
	published, repeated                  int   // messages, and how many of them came again
	paid, balances, underway             int64 // money
	complaints                           []string
}

func (v *booksVerdict) complain(format string, args ...any) {
	v.complaints = append(v.complaints, fmt.Sprintf(format, args...))
}

// money says whether all that was paid in is in accounts or under way.
func (v *booksVerdict) money() string {
	switch has := v.balances + v.underway; {
	case has < v.paid:
		return fmt.Sprintf("lost:%d", v.paid-has)
	case has > v.paid:
		return fmt.Sprintf("made:%d", has-v.paid)
	}
	return "conserved"
}

// judgeBooks compares everything that the bank has.
func judgeBooks(b books) booksVerdict {
	var v booksVerdict
	for _, s := range b.Streams {
		if s.Error != "" {
			v.complain("the auditor found in %s: %s", s.Stream, s.Error)
		}
	}
	for _, parked := range b.Parked {
		v.complain("%s", parked)
	}
	v.judgeTransfers(b)
	v.judgePages(b)
	v.judgeMessages(b)
	if money := v.money(); money != "conserved" {
		v.complain("%d was paid in, but accounts have %d, and %d is under way: %s", v.paid, v.balances, v.underway, money)
	}
	return v
}

// receipt is money that an account got by a transfer.
type receipt struct {
	account, kind string
	fact          fact
}

// judgeTransfers looks at the accounts and at the transfers. Each transfer must have come to an end
// and have moved its money once.
func (v *booksVerdict) judgeTransfers(b books) {
	isClosed := map[string]bool{}
	transfers := map[string]bankStream{}
	receipts := map[string][]receipt{}
	orders := map[string][]fact{} // Sent, by transfer
	for _, s := range b.Streams {
		if s.Stream.Type == transferType {
			transfers[s.Stream.ID] = s
			continue
		}
		isClosed[s.Stream.ID] = s.Closed
		account := int64(0)
		for i, event := range s.Events {
			if account += event.Fact.moves(event.Kind); account < 0 {
				v.complain("account %s has %d at version %d", s.Stream.ID, account, i+1)
			}
			switch event.Kind {
			case "PaidIn":
				v.paid += event.Fact.Amount
			case "Sent":
				f := event.Fact
				f.From = s.Stream.ID
				orders[f.Op] = append(orders[f.Op], f)
			case "Received", "Returned":
				receipts[event.Fact.Op] = append(receipts[event.Fact.Op], receipt{s.Stream.ID, event.Kind, event.Fact})
			}
		}
		v.balances += account
	}
	for _, id := range slices.Sorted(maps.Keys(orders)) {
		v.transfers++
		f := orders[id][0]
		if n := len(orders[id]); n > 1 {
			v.complain("transfer %s was sent %d times", id, n)
		}
		steps := transfers[id].Events
		kinds := make([]string, len(steps))
		for i, step := range steps {
			kinds[i] = step.Kind
		}
		if len(steps) > 0 && steps[0].Fact != f {
			v.complain("transfer %s is %+v, but %+v was sent", id, steps[0].Fact, f)
		}
		var want []receipt
		switch course := strings.Join(kinds, " "); course {
		case "Started Completed":
			v.completed++
			want = []receipt{{f.To, "Received", f}}
		case "Started Rejected TakenBack":
			v.returned++
			want = []receipt{{f.From, "Returned", f}}
		case "Started Rejected Held":
			v.held++
			v.underway += f.Amount
			if !isClosed[f.From] {
				v.complain("transfer %s is held, although account %s is open", id, f.From)
			}
		default:
			v.underway += f.Amount
			v.complain("transfer %s has not come to an end: its events are %q", id, course)
		}
		if slices.Contains(kinds, "Rejected") && !isClosed[f.To] {
			v.complain("transfer %s was rejected, although account %s is open", id, f.To)
		}
		if got := receipts[id]; !slices.Equal(got, want) {
			v.complain("transfer %s brought %+v, and not %+v", id, got, want)
		}
	}
	for _, from := range []map[string]bool{keysOf(transfers), keysOf(receipts)} {
		for _, id := range slices.Sorted(maps.Keys(from)) {
			if orders[id] == nil {
				v.complain("no account has sent transfer %s", id)
			}
		}
	}
}

func keysOf[V any](m map[string]V) map[string]bool {
	keys := map[string]bool{}
	for key := range m {
		keys[key] = true
	}
	return keys
}

// folded are pages in memory.
type folded map[string]page

func (f folded) Update(id string, change func(*page) error) error {
	p := f[id]
	err := change(&p)
	f[id] = p
	return err
}

func (f folded) Delete(id string) error { delete(f, id); return nil }

// judgePages compares the pages with a fold of all streams.
func (v *booksVerdict) judgePages(b books) {
	want := folded{}
	for _, s := range b.Streams {
		for i, event := range s.Events {
			if err := keep(want, s.Stream, int64(i+1), event.Kind, event.Fact); err != nil {
				v.complain("the fold of %s: %v", s.Stream, err)
			}
		}
		if s.Closed {
			if err := keep(want, s.Stream, int64(len(s.Events)), closedKind, fact{}); err != nil {
				v.complain("the fold of %s: %v", s.Stream, err)
			}
		}
	}
	v.documents = len(b.Pages)
	seen := map[string]bool{}
	for _, p := range b.Pages {
		right, exists := want[p.ID]
		switch {
		case seen[p.ID]:
			v.complain("document %s is there twice", p.ID)
		case !exists:
			v.complain("document %s should not exist, but is %+v", p.ID, p.Page)
		case p.Page != right:
			v.complain("document %s is %+v, and not %+v", p.ID, p.Page, right)
		}
		seen[p.ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if !seen[id] {
			v.complain("document %s is missing", id)
		}
	}
}

// judgeMessages compares what was published with the accounts. The first of the messages with one
// id counts for the order.
func (v *booksVerdict) judgeMessages(b books) {
	type place struct {
		stream eventstore.Stream
		number int
	}
	want, places := map[string]message{}, map[string]place{}
	for _, s := range b.Streams {
		if s.Stream.Type != accountType {
			continue
		}
		add := func(id string, kind string, f fact) {
			want[id], places[id] = message{ID: id, Kind: kind, Fact: f}, place{s.Stream, len(places)}
		}
		for i, event := range s.Events {
			if event.Kind != "Noted" {
				add(idOf(s.Stream, i+1), event.Kind, event.Fact)
			}
		}
		if s.Closed {
			add(idOf(s.Stream, len(s.Events))+"/closed", closedKind, fact{})
		}
	}
	seen, last := map[string]bool{}, map[eventstore.Stream]int{}
	v.published = len(b.Messages)
	for _, m := range b.Messages {
		right, committed := want[m.ID]
		at := places[m.ID]
		switch {
		case !committed:
			v.complain("message %s was published, but not committed: %+v", m.ID, m)
			continue
		case m != right:
			v.complain("message %s is %+v, and not %+v", m.ID, m, right)
		case seen[m.ID]:
			v.repeated++
		case at.number < last[at.stream]:
			v.complain("message %s was published after a later one of its stream", m.ID)
		}
		seen[m.ID] = true
		last[at.stream] = max(last[at.stream], at.number)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if !seen[id] {
			v.complain("message %s was committed, but not published", id)
		}
	}
}

func idOf(stream eventstore.Stream, version int) string {
	return stream.String() + "/" + strconv.Itoa(version)
}

// judgeOperations compares the accounts with what clients did, and were told.
func (v *booksVerdict) judgeOperations(b books, ops map[string]*operation) {
	found := map[string]int{}
	isClosed := map[string]bool{}
	mayBeClosed := map[string]bool{}
	for _, s := range b.Streams {
		if s.Stream.Type != accountType {
			continue
		}
		isClosed[s.Stream.ID] = s.Closed
		for i, event := range s.Events {
			if event.Kind == "Received" || event.Kind == "Returned" {
				continue
			}
			o := ops[event.Fact.Op]
			if o == nil || o.Account != s.Stream.ID || o.Kind != event.Kind || o.Amount != event.Fact.Amount || o.To != event.Fact.To {
				v.complain("version %d of account %s is a %s %+v, which no client asked for", i+1, s.Stream.ID, event.Kind, event.Fact)
				continue
			}
			found[o.Name]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		o := ops[name]
		if o.Kind == closedKind {
			mayBeClosed[o.Account] = mayBeClosed[o.Account] || o.Outcome != refused
			if o.Outcome == acknowledged && !isClosed[o.Account] {
				v.complain("operation %s closed account %s, which is open", name, o.Account)
			}
			continue
		}
		switch n := found[name]; {
		case n > 1:
			v.complain("account %s has operation %s %d times", o.Account, name, n)
		case n == 0 && o.Outcome == acknowledged:
			v.complain("account %s does not have operation %s, which was acknowledged: %s %d", o.Account, name, o.Kind, o.Amount)
		case n == 1 && o.Outcome == refused:
			v.complain("account %s has operation %s, which was refused: %s", o.Account, name, o.Error)
		}
	}
	for _, account := range slices.Sorted(maps.Keys(isClosed)) {
		if isClosed[account] && !mayBeClosed[account] {
			v.complain("account %s is closed, but no client asked for that", account)
		}
	}
}

// judgeReceived compares what the receiver got with what the broker has. It returns how many
// messages the receiver handled, and how many of them again.
func (v *booksVerdict) judgeReceived(b books, got map[string][]message) (received, again int) {
	has := map[string]message{}
	for _, m := range b.Messages {
		has[m.ID] = m
		if len(got[m.ID]) == 0 {
			v.complain("message %s was published, but did not come to the receiver", m.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		received++
		again += len(got[id]) - 1
		for _, m := range got[id] {
			if m != has[id] {
				v.complain("the receiver got %+v, but the broker has %+v", m, has[id])
			}
		}
	}
	return received, again
}
