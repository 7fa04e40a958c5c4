package main

import (
	"context"
	"errors"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
)

// The aggregate types. Each order, item, customer's wallet and shipment is one stream.
const (
	orderType    = "Order"
	stockType    = "Stock"
	walletType   = "Wallet"
	shipmentType = "Shipment"
)

// About is a part of all events that concern an order.
type About struct{ Order string }

// OrderPlaced begins an order.
type OrderPlaced struct {
	About
	Customer, Item, Address string
	Count, Price            int // the price is for all of them
}

// The events of the stock of an item.
type (
	Stocked       struct{ Count int }
	StockReserved struct {
		About
		Count int
	}
	StockRefused  struct{ About }
	StockReleased struct {
		About
		Count int
	}
)

// The events of the wallet of a customer.
type (
	MoneyAdded   struct{ Amount int }
	PaymentTaken struct {
		About
		Amount int
	}
	PaymentRefused  struct{ About }
	PaymentReturned struct {
		About
		Amount int
	}
)

// Shipped says that the goods of an order have left.
type Shipped struct {
	About
	Address string
}

// The events of the process.
type (
	OrderAccepted  struct{ OrderPlaced }
	GoodsHeld      struct{}
	OrderPaid      struct{}
	OrderCompleted struct {
		Customer string
		Price    int
	}
	OrderCancelled struct{ Customer, Why string }
)

// types returns the types of all events with the names under which they are stored.
func types() []eventstore.TypeDefinition {
	return []eventstore.TypeDefinition{
		eventstore.Type[OrderPlaced]("OrderPlaced"), eventstore.Type[Stocked]("Stocked"),
		eventstore.Type[StockReserved]("StockReserved"), eventstore.Type[StockRefused]("StockRefused"),
		eventstore.Type[StockReleased]("StockReleased"), eventstore.Type[MoneyAdded]("MoneyAdded"),
		eventstore.Type[PaymentTaken]("PaymentTaken"), eventstore.Type[PaymentRefused]("PaymentRefused"),
		eventstore.Type[PaymentReturned]("PaymentReturned"), eventstore.Type[Shipped]("Shipped"),
		eventstore.Type[OrderAccepted]("OrderAccepted"), eventstore.Type[GoodsHeld]("GoodsHeld"),
		eventstore.Type[OrderPaid]("OrderPaid"), eventstore.Type[OrderCompleted]("OrderCompleted"),
		eventstore.Type[OrderCancelled]("OrderCancelled"),
	}
}

// orderOf returns the order that an item concerns, or "".
func orderOf(item feed.Item) string {
	if about, ok := item.Event.Data.(interface{ order() string }); ok {
		return about.order()
	}
	return ""
}

func (a About) order() string { return a.Order }

// Order is the state of the process: an order, and what was done for it.
type Order struct {
	OrderPlaced
	Held, Paid bool
}

func (o Order) apply(event eventstore.Event) (Order, error) {
	switch e := event.Data.(type) {
	case OrderAccepted:
		o.OrderPlaced = e.OrderPlaced
	case GoodsHeld:
		o.Held = true
	case OrderPaid:
		o.Paid = true
	}
	return o, nil
}

// Change is a command: an aggregate stores an event, or another one if it has less than it needs.
type Change struct {
	Type, ID  string
	Event     any
	Need      int
	Otherwise any
}

func (o Order) reserve() Change {
	return Change{stockType, o.Item, StockReserved{o.About, o.Count}, o.Count, StockRefused{o.About}}
}

func (o Order) pay() Change {
	return Change{walletType, o.Customer, PaymentTaken{o.About, o.Price}, o.Price, PaymentRefused{o.About}}
}

func (o Order) ship() Change {
	return Change{Type: shipmentType, ID: o.Order, Event: Shipped{o.About, o.Address}}
}

func (o Order) undo() (all []Change) {
	if o.Held {
		all = append(all, Change{Type: stockType, ID: o.Item, Event: StockReleased{o.About, o.Count}})
	}
	if o.Paid {
		all = append(all, Change{Type: walletType, ID: o.Customer, Event: PaymentReturned{o.About, o.Price}})
	}
	return all
}

// refused returns what follows if an error says that the order can never be shipped.
func (o Order) refused(err error) []any {
	if errors.Is(err, errNoAddress) {
		return []any{OrderCancelled{o.Customer, err.Error()}}
	}
	return nil
}

var errNoAddress = errors.New("there is no such address")

// domain has the aggregates by their types. The state of each is a number: the count of an item in
// stock, or the money in a wallet.
type domain map[string]*aggregate.Repository[int]

func newDomain(provider *eventstore.Provider) (domain, error) {
	d := domain{}
	for _, name := range []string{orderType, stockType, walletType, shipmentType} {
		repository, err := aggregate.NewRepository(provider, name, count)
		if err != nil {
			return nil, err
		}
		d[name] = repository
	}
	return d, nil
}

func count(n int, event eventstore.Event) (int, error) {
	switch e := event.Data.(type) {
	case Stocked:
		n += e.Count
	case StockReserved:
		n -= e.Count
	case StockReleased:
		n += e.Count
	case MoneyAdded:
		n += e.Amount
	case PaymentTaken:
		n -= e.Amount
	case PaymentReturned:
		n += e.Amount
	}
	return n, nil
}

// change stores what follows from a command.
func (d domain) change(ctx context.Context, c Change, options ...aggregate.UpdateOption) error {
	_, err := d[c.Type].Update(ctx, c.ID, func(have int) ([]any, error) {
		if shipped, ok := c.Event.(Shipped); ok && shipped.Address == "" {
			return nil, errNoAddress
		}
		if have < c.Need {
			return []any{c.Otherwise}, nil
		}
		return []any{c.Event}, nil
	}, options...)
	return err
}

// ask returns a change as a command of a process.
func (d domain) ask(c Change, refused func(error) []any) process.Command {
	return process.Do(func(ctx context.Context, call process.Call) error { return d.change(ctx, c, call.Options()...) }, refused).As(c)
}
