package chaos

import (
	"slices"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
)

// banked is what a run of the bank leaves behind.
type banked struct {
	books
	ops map[string]*operation
	got map[string][]message
}

func (b *banked) stream(kind, id string) *bankStream {
	for i := range b.Streams {
		if b.Streams[i].Stream.Type == kind && b.Streams[i].Stream.ID == id {
			return &b.Streams[i]
		}
	}
	panic("there is no " + kind + " " + id)
}

func (b *banked) account(id string) *bankStream  { return b.stream(accountType, id) }
func (b *banked) transfer(id string) *bankStream { return b.stream(transferType, id) }

func (b *banked) page(id string) *page {
	i := slices.IndexFunc(b.Pages, func(p bankPage) bool { return p.ID == id })
	return &b.Pages[i].Page
}

// at returns where the first message with an id is.
func (b *banked) at(id string) int {
	return slices.IndexFunc(b.Messages, func(m message) bool { return m.ID == id })
}

// again makes the pages and the messages what the streams say, so that only the streams are wrong.
func (b *banked) again() {
	all := folded{}
	b.Pages, b.Messages, b.got = nil, nil, map[string][]message{}
	for _, s := range b.Streams {
		add := func(version int, id, kind string, f fact) {
			if err := keep(all, s.Stream, int64(version), kind, f); err != nil {
				panic(err)
			}
			if s.Stream.Type == accountType && kind != "Noted" {
				m := message{id, kind, f}
				b.Messages, b.got[id] = append(b.Messages, m), []message{m}
			}
		}
		for i, event := range s.Events {
			add(i+1, idOf(s.Stream, i+1), event.Kind, event.Fact)
		}
		if s.Closed {
			add(len(s.Events), idOf(s.Stream, len(s.Events))+"/closed", closedKind, fact{})
		}
	}
	for id, p := range all {
		b.Pages = append(b.Pages, bankPage{id, p})
	}
}

// bankedSample returns what a run without any fault leaves behind. Transfer t1 was completed, t2
// was returned, because account 3.0 was closed, and t3 is held, because account 4.0 was closed too.
func bankedSample() *banked {
	account := func(id string, isClosed bool, events ...bankEvent) bankStream {
		return bankStream{Stream: eventstore.Stream{Database: "EventStores", Type: accountType, ID: id}, Events: events, Closed: isClosed}
	}
	transfer := func(f fact, kinds ...string) bankStream {
		s := bankStream{Stream: eventstore.Stream{Database: "EventStores", Type: transferType, ID: f.Op}, Events: []bankEvent{{"Started", f}}}
		for _, kind := range kinds {
			s.Events = append(s.Events, bankEvent{Kind: kind})
		}
		return s
	}
	t1 := fact{Amount: 30, From: "1.0", To: "2.0", Op: "t1"}
	t2 := fact{Amount: 20, From: "1.0", To: "3.0", Op: "t2"}
	t3 := fact{Amount: 10, From: "4.0", To: "3.0", Op: "t3"}
	order := func(f fact) bankEvent { return bankEvent{"Sent", fact{Amount: f.Amount, To: f.To, Op: f.Op}} }
	b := &banked{ops: map[string]*operation{}}
	b.Streams = []bankStream{
		account("1.0", false, bankEvent{"PaidIn", fact{Amount: 100, Op: "p"}}, bankEvent{"Noted", fact{Op: "n"}}, order(t1), order(t2), bankEvent{"Returned", t2}),
		account("2.0", false, bankEvent{"Received", t1}),
		account("3.0", true, bankEvent{"PaidIn", fact{Amount: 5, Op: "q"}}),
		account("4.0", true, bankEvent{"PaidIn", fact{Amount: 12, Op: "r"}}, order(t3)),
		transfer(t1, "Completed"), transfer(t2, "Rejected", "TakenBack"), transfer(t3, "Rejected", "Held"),
	}
	for _, o := range []operation{
		{Name: "p", Account: "1.0", Kind: "PaidIn", Amount: 100}, {Name: "n", Account: "1.0", Kind: "Noted"},
		{Name: "q", Account: "3.0", Kind: "PaidIn", Amount: 5}, {Name: "r", Account: "4.0", Kind: "PaidIn", Amount: 12},
		{Name: "t1", Account: "1.0", Kind: "Sent", Amount: 30, To: "2.0"}, {Name: "t2", Account: "1.0", Kind: "Sent", Amount: 20, To: "3.0"},
		{Name: "t3", Account: "4.0", Kind: "Sent", Amount: 10, To: "3.0"},
		{Name: "c3", Account: "3.0", Kind: closedKind}, {Name: "c4", Account: "4.0", Kind: closedKind},
	} {
		o.Outcome = acknowledged
		b.ops[o.Name] = &o
	}
	b.again()
	return b
}

func (b *banked) judge() booksVerdict {
	v := judgeBooks(b.books)
	v.judgeOperations(b.books, b.ops)
	v.judgeReceived(b.books, b.got)
	return v
}

const account1, account2 = "EventStores:Account:1.0/", "EventStores:Account:2.0/"

func TestWhatTheBankMayDoIsJudgedSound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		change   func(b *banked)
		repeated int
	}{
		{"nothing unusual", func(*banked) {}, 0},
		{"a message that comes again after later ones", func(b *banked) { b.Messages = append(b.Messages, b.Messages[0]) }, 1},
		{"messages of another stream in between", func(b *banked) {
			i, first := b.at(account2+"1"), b.Messages[b.at(account2+"1")]
			b.Messages = slices.Insert(slices.Delete(b.Messages, i, i+1), 0, first)
		}, 0},
		{"a message that the receiver handled again", func(b *banked) {
			b.got[account2+"1"] = append(b.got[account2+"1"], b.got[account2+"1"][0])
		}, 0},
		{"operations of unknown outcome, of which one took effect", func(b *banked) {
			b.ops["p"].Outcome = unknown
			b.ops["x"] = &operation{Name: "x", Account: "1.0", Kind: "PaidIn", Amount: 1}
		}, 0},
		{"a closing of unknown outcome", func(b *banked) { b.ops["c3"].Outcome = unknown }, 0},
		{"a refused operation", func(b *banked) {
			b.ops["x"] = &operation{Name: "x", Account: "1.0", Kind: "Sent", Amount: 1000, To: "2.0", Outcome: refused}
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := bankedSample()
			test.change(b)
			v := b.judge()
			if len(v.complaints) > 0 || v.money() != "conserved" {
				t.Errorf("%+v", v)
			}
			if v.transfers != 3 || v.completed != 1 || v.returned != 1 || v.held != 1 || v.repeated != test.repeated || v.paid != 117 || v.underway != 10 {
				t.Errorf("%+v", v)
			}
		})
	}
}

// The pages of the sample are made by the same function as the pages of the fold. So this is what
// that function makes.
func TestThePagesOfTheBank(t *testing.T) {
	t.Parallel()
	b := bankedSample()
	for id, want := range map[string]page{
		"account/1.0": {Events: 5, Balance: 70}, "account/2.0": {Events: 1, Balance: 30},
		"account/3.0": {Events: 2, Balance: 5, Closed: true}, "account/4.0": {Events: 3, Balance: 2, Closed: true},
		"branch/1": {Events: 5, Balance: 70}, "kind/Sent": {Events: 3, Balance: -60}, "kind/Closed": {Events: 2},
		"transfer/t3": {Events: 3},
	} {
		p := *b.page(id)
		if one := strings.HasPrefix(id, "account/") || strings.HasPrefix(id, "transfer/"); one == (p.Chain == "") || one == (p.Sum != 0) {
			t.Errorf("document %s has the digests %q and %d", id, p.Chain, p.Sum)
		}
		if p.Chain, p.Sum = "", 0; p != want {
			t.Errorf("document %s is %+v, want %+v", id, p, want)
		}
	}
	for _, p := range b.Pages {
		if p.ID == "transfer/t1" || p.ID == "transfer/t2" {
			t.Errorf("document %s is there, although the transfer is over", p.ID)
		}
	}
}

func TestTheVerdictOfTheBankCatchesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(b *banked)
		says  string
	}{
		// Money.
		{"money that was received twice", func(b *banked) {
			s := b.account("2.0")
			s.Events = append(s.Events, s.Events[0])
			b.again()
		}, "made:30"},
		{"money that was never received", func(b *banked) {
			b.account("2.0").Events = nil
			b.again()
		}, "lost:30"},
		{"money that was returned although it was received", func(b *banked) {
			s := b.account("1.0")
			s.Events = append(s.Events, bankEvent{"Returned", b.transfer("t1").Events[0].Fact})
			b.again()
		}, "transfer t1 brought"},
		{"another amount that was received", func(b *banked) {
			b.account("2.0").Events[0].Fact.Amount++
			b.again()
		}, "made:1"},
		{"money that came to another account", func(b *banked) {
			s := b.account("2.0")
			b.account("3.0").Events, s.Events = append(b.account("3.0").Events, s.Events[0]), nil
			b.again()
		}, "transfer t1 brought"},
		{"money that no account has sent", func(b *banked) {
			s := b.account("2.0")
			s.Events = append(s.Events, bankEvent{"Received", fact{Amount: 1, From: "1.0", To: "2.0", Op: "ghost"}})
			b.again()
		}, "no account has sent transfer ghost"},
		{"a balance below zero", func(b *banked) {
			s := b.account("1.0")
			s.Events[0].Fact.Amount, b.ops["p"].Amount = 40, 40
			b.again()
		}, "account 1.0 has -10 at version 4"},

		// Transfers.
		{"a transfer that has not begun", func(b *banked) {
			b.Streams = slices.DeleteFunc(b.Streams, func(s bankStream) bool { return s.Stream.ID == "t1" })
			b.again()
		}, "transfer t1 has not come to an end"},
		{"a transfer that has not come to an end", func(b *banked) {
			b.transfer("t1").Events = b.transfer("t1").Events[:1]
			b.again()
		}, "transfer t1 has not come to an end"},
		{"a transfer that began twice", func(b *banked) {
			s := b.transfer("t1")
			s.Events = slices.Insert(s.Events, 0, s.Events[0])
			b.again()
		}, `its events are "Started Started Completed"`},
		{"a transfer of something else", func(b *banked) {
			b.transfer("t3").Events[0].Fact.Amount = 11
			b.again()
		}, "transfer t3 is"},
		{"a transfer that was sent twice", func(b *banked) {
			s := b.account("1.0")
			s.Events = append(s.Events, s.Events[2])
			b.again()
		}, "transfer t1 was sent 2 times"},
		{"a transfer that was not sent", func(b *banked) {
			s := *b.transfer("t3")
			s.Stream.ID = "t4"
			b.Streams = append(b.Streams, s)
			b.again()
		}, "no account has sent transfer t4"},
		{"a transfer that was rejected by an open account", func(b *banked) {
			b.account("3.0").Closed = false
			b.again()
		}, "transfer t2 was rejected, although account 3.0 is open"},
		{"a transfer that is held although its sender is open", func(b *banked) {
			b.account("4.0").Closed = false
			b.again()
		}, "transfer t3 is held, although account 4.0 is open"},

		// Documents.
		{"a document that is missing", func(b *banked) {
			b.Pages = slices.DeleteFunc(b.Pages, func(p bankPage) bool { return p.ID == "account/2.0" })
		}, "document account/2.0 is missing"},
		{"a document that is there twice", func(b *banked) { b.Pages = append(b.Pages, b.Pages[0]) }, "is there twice"},
		{"a document that was not deleted", func(b *banked) { b.Pages = append(b.Pages, bankPage{ID: "transfer/t1"}) },
			"document transfer/t1 should not exist"},
		{"a document that misses an event", func(b *banked) { b.page("branch/1").Events-- }, "document branch/1 is"},
		{"a document that has other events", func(b *banked) { b.page("branch/1").Sum++ }, "document branch/1 is"},
		{"a document that has its events in another order", func(b *banked) {
			s := b.account("1.0")
			s.Events[2], s.Events[3] = s.Events[3], s.Events[2]
		}, "document account/1.0 is"},
		{"a document that misses the closing", func(b *banked) { b.page("account/3.0").Closed = false }, "document account/3.0 is"},
		{"a document with another balance", func(b *banked) { b.page("account/4.0").Balance-- }, "document account/4.0 is"},

		// Messages.
		{"an event that was not published", func(b *banked) { b.Messages = slices.Delete(b.Messages, 1, 2) },
			"message " + account1 + "3 was committed, but not published"},
		{"a closing that was not published", func(b *banked) {
			i := b.at("EventStores:Account:3.0/1/closed")
			b.Messages = slices.Delete(b.Messages, i, i+1)
		}, "message EventStores:Account:3.0/1/closed was committed, but not published"},
		{"a message of something that was not committed", func(b *banked) {
			b.Messages = append(b.Messages, message{ID: account2 + "2", Kind: "Received"})
		}, "message " + account2 + "2 was published, but not committed"},
		{"a message of an event that is left out", func(b *banked) {
			b.Messages = append(b.Messages, message{ID: account1 + "2", Kind: "Noted", Fact: fact{Op: "n"}})
		}, "message " + account1 + "2 was published, but not committed"},
		{"a message that says something else", func(b *banked) { b.Messages[0].Fact.Amount = 99 }, "message " + account1 + "1 is"},
		{"a repeat that says something else", func(b *banked) {
			b.Messages = append(b.Messages, b.Messages[0])
			b.Messages[0].Kind = "Sent"
		}, "message " + account1 + "1 is"},
		{"messages in another order", func(b *banked) { b.Messages[1], b.Messages[2] = b.Messages[2], b.Messages[1] },
			"message " + account1 + "3 was published after a later one"},
		{"a closing before an event", func(b *banked) {
			i := b.at("EventStores:Account:4.0/2/closed")
			b.Messages[i-1], b.Messages[i] = b.Messages[i], b.Messages[i-1]
		}, "message EventStores:Account:4.0/2 was published after a later one"},
		{"a message that did not come", func(b *banked) { delete(b.got, account2+"1") }, "did not come to the receiver"},
		{"a message that came changed", func(b *banked) { b.got[account2+"1"][0].Fact.Amount++ }, "the receiver got"},
		{"a message that the broker does not have", func(b *banked) { b.got["x"] = []message{{ID: "x"}} }, "the receiver got"},

		// Operations.
		{"an acknowledged operation that is lost", func(b *banked) {
			b.ops["x"] = &operation{Name: "x", Account: "1.0", Kind: "PaidIn", Amount: 1, Outcome: acknowledged}
		}, "account 1.0 does not have operation x"},
		{"an operation that took effect twice", func(b *banked) {
			s := b.account("3.0")
			s.Events = append(s.Events, s.Events[0])
			b.again()
		}, "account 3.0 has operation q 2 times"},
		{"a refused operation that took effect", func(b *banked) { b.ops["q"].Outcome = refused }, "account 3.0 has operation q, which was refused"},
		{"an operation that no client asked for", func(b *banked) { delete(b.ops, "n") }, "version 2 of account 1.0"},
		{"an operation with another amount", func(b *banked) { b.ops["p"].Amount = 101 }, "version 1 of account 1.0"},
		{"an operation on another account", func(b *banked) { b.ops["p"].Account = "2.0" }, "version 1 of account 1.0"},
		{"an acknowledged closing of an open account", func(b *banked) {
			b.ops["c1"] = &operation{Name: "c1", Account: "1.0", Kind: closedKind, Outcome: acknowledged}
		}, "operation c1 closed account 1.0, which is open"},
		{"a closing that no client asked for", func(b *banked) { delete(b.ops, "c3") }, "account 3.0 is closed, but no client asked for that"},

		// What others found.
		{"a stream that is damaged", func(b *banked) { b.Streams[0].Error = "damage" }, "the auditor found in EventStores:Account:1.0: damage"},
		{"a stream that is still parked", func(b *banked) { b.Parked = []string{"pages parked a stream"} }, "pages parked a stream"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := bankedSample()
			test.spoil(b)
			v := b.judge()
			if len(v.complaints) == 0 {
				t.Fatal("it was not found")
			}
			if all := strings.Join(v.complaints, "; "); !strings.Contains(all, test.says) {
				t.Errorf("the complaints do not contain %q: %s", test.says, all)
			}
		})
	}
}
