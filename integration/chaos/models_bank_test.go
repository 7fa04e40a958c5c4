package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// This file is the service of which the run tests the parts: a bank with accounts, transfers
// between them, pages about both, and announcements.

const (
	accountType  = "Account"
	transferType = "Transfer"
)

// fact is the data of all events.
type fact struct {
	Amount   int64  `json:",omitempty"`
	From, To string `json:",omitempty"` // accounts
	Op       string `json:",omitempty"` // the operation of a client, or the transfer
	Why      string `json:",omitempty"`
}

// The events of an account, and of a transfer.
type (
	paidIn   fact
	noted    fact // which changes nothing, and is not announced
	sent     fact
	received fact
	returned fact

	started   fact
	rejected  fact
	completed fact
	takenBack fact
	held      fact
)

var bankTypes = []eventstore.TypeDefinition{
	eventstore.Type[paidIn]("PaidIn"), eventstore.Type[noted]("Noted"), eventstore.Type[sent]("Sent"),
	eventstore.Type[received]("Received"), eventstore.Type[returned]("Returned"),
	eventstore.Type[started]("Started"), eventstore.Type[rejected]("Rejected"), eventstore.Type[completed]("Completed"),
	eventstore.Type[takenBack]("TakenBack"), eventstore.Type[held]("Held"),
}

// factOf returns what an event says.
func factOf(event eventstore.Event) fact {
	switch data := event.Data.(type) {
	case paidIn:
		return fact(data)
	case noted:
		return fact(data)
	case sent:
		return fact(data)
	case received:
		return fact(data)
	case returned:
		return fact(data)
	case started:
		return fact(data)
	case rejected:
		return fact(data)
	case completed:
		return fact(data)
	case takenBack:
		return fact(data)
	case held:
		return fact(data)
	}
	return fact{}
}

// moves returns by how much an event changes the balance of its account.
func (f fact) moves(kind string) int64 {
	switch kind {
	case "PaidIn", "Received", "Returned":
		return f.Amount
	case "Sent":
		return -f.Amount
	}
	return 0
}

// balance is the state of an account.
type balance int64

func (b balance) apply(event eventstore.Event) (balance, error) {
	return b + balance(factOf(event).moves(event.Metadata.Message.Type)), nil
}

var errPoor = errors.New("the balance is too low")

func (b balance) send(amount int64, to, transfer string) ([]any, error) {
	if int64(b) < amount {
		return nil, errPoor
	}
	return []any{sent{Amount: amount, To: to, Op: transfer}}, nil
}

// final reports whether an account will never take money.
func final(err error) bool { return errors.As(err, new(*eventstore.StreamClosedError)) }

// transfer is the state of a transfer.
type transfer struct{ fact }

func (t transfer) apply(event eventstore.Event) (transfer, error) {
	if data, ok := event.Data.(started); ok {
		t.fact = fact(data)
	}
	return t, nil
}

// newTransfers returns the process that brings what was sent to the other account, or back. What it
// does fails now and then, before or after it took effect.
func newTransfers(f *feed.Feed, accounts *aggregate.Repository[balance], fails func() error, options ...subscription.Option) (*process.Process[transfer], error) {
	give := func(account string, event any, refused func(error) any) process.Command {
		do := func(ctx context.Context, call process.Call) error {
			if err := fails(); err != nil {
				return err
			}
			_, err := accounts.Update(ctx, account, func(balance) ([]any, error) { return []any{event}, nil }, call.Options()...)
			if err != nil {
				return err
			}
			return fails()
		}
		return process.Do(do, func(err error) []any {
			if final(err) {
				return []any{refused(err)}
			}
			return nil
		})
	}
	return process.New(f, transferType, process.Rules[transfer]{
		Fold: transfer.apply,
		Route: func(item feed.Item) string {
			switch data := item.Event.Data.(type) {
			case sent:
				return data.Op
			case received:
				return data.Op
			case returned:
				return data.Op
			}
			return ""
		},
		Decide: func(_ transfer, item feed.Item) ([]any, error) {
			switch data := item.Event.Data.(type) {
			case sent:
				return []any{started{Amount: data.Amount, From: item.Stream.ID, To: data.To, Op: data.Op}}, fails()
			case received:
				return []any{completed{}}, fails()
			}
			return []any{takenBack{}}, fails()
		},
		Act: func(t transfer, event eventstore.Event) []process.Command {
			switch event.Data.(type) {
			case started:
				return []process.Command{give(t.To, received(t.fact), func(err error) any { return rejected{Why: err.Error()} })}
			case rejected:
				return []process.Command{give(t.From, returned(t.fact), func(err error) any { return held{Why: err.Error()} })}
			}
			return nil
		},
	}, append(options, subscription.OfType(accountType))...)
}

// page is a document of the read model.
type page struct {
	Events  int64  // that it includes
	Balance int64  // of accounts
	Chain   string // of one stream: a digest of its events, in their order
	Sum     uint64 // of several streams: digests of the events, added up
	Closed  bool
}

// pages are where the read model is kept.
type pages interface {
	Update(id string, change func(*page) error) error
	Delete(id string) error
}

const branches = 8

// keep changes the pages that an event concerns. There is a page for each account and for each
// transfer that is under way. There is one for each branch of the bank, which has the accounts of
// some slots, and one for each kind of event. Those are made of many streams.
func keep(in pages, stream eventstore.Stream, version int64, kind string, f fact) error {
	one := digest(stream.String(), strconv.FormatInt(version, 10), kind, fmt.Sprint(f))
	number, err := strconv.ParseUint(one[:16], 16, 64)
	if err != nil {
		return err
	}
	include := func(p *page) error {
		p.Events++
		p.Balance += f.moves(kind)
		p.Sum += number
		return nil
	}
	if err := in.Update("kind/"+kind, include); err != nil {
		return err
	}
	own := "transfer/" + stream.ID
	if stream.Type == accountType {
		own = "account/" + stream.ID
		slot, _ := parseStreamID(stream.ID)
		if err := in.Update(fmt.Sprintf("branch/%d", slot%branches), include); err != nil {
			return err
		}
	}
	if kind == "Completed" || kind == "TakenBack" {
		return in.Delete(own)
	}
	return in.Update(own, func(p *page) error {
		p.Events++
		p.Balance += f.moves(kind)
		p.Chain = digest(p.Chain, one)
		p.Closed = p.Closed || kind == closedKind
		return nil
	})
}

// closedKind is the kind of the item that says that an account was closed.
const closedKind = "Closed"

func kindOf(item feed.Item) string {
	if item.What != feed.Appended {
		return closedKind
	}
	return item.Event.Metadata.Message.Type
}

// newPages returns the projection that keeps the pages. Its handler fails now and then, before or
// after it has changed some.
func newPages(f *feed.Feed, fails func() error, options ...subscription.Option) (*projection.Projection[page], error) {
	return projection.New(f, "pages", func(_ context.Context, docs *projection.Documents[page], item feed.Item) error {
		if err := fails(); err != nil {
			return err
		}
		if err := keep(docs, item.Stream, item.Version, kindOf(item), factOf(item.Event)); err != nil {
			return err
		}
		return fails()
	}, projection.With(options...), projection.With(subscription.OfType(accountType, transferType)))
}

const topic = "accounts"

// flaky is a broker that fails now and then, before or after it took a message.
type flaky struct {
	publishing.Broker
	fails func() error
}

func (f flaky) Publish(ctx context.Context, topic string, m publishing.Message) error {
	if err := f.fails(); err != nil {
		return err
	}
	if err := f.Broker.Publish(ctx, topic, m); err != nil {
		return err
	}
	return f.fails()
}

// newAnnouncements returns the publication of what happens to accounts.
func newAnnouncements(f *feed.Feed, broker publishing.Broker, options ...subscription.Option) (*publishing.Publication, error) {
	announce := func(_ context.Context, item feed.Item) (string, any, error) {
		if kind := kindOf(item); kind != "Noted" {
			return kind, factOf(item.Event), nil
		}
		return "", nil, publishing.ErrLeaveOut
	}
	return publishing.New(f, "announcements", broker, topic,
		publishing.WithMapping(announce), publishing.With(options...), publishing.With(subscription.OfType(accountType)))
}
