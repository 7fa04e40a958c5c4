package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
)

// SaleBegun says that an order was placed, and what it needs.
type SaleBegun struct {
	Order string `json:"order"`
	Item  string `json:"item"`
	Count int    `json:"count"`
}

// These events say how the sale goes on.
type (
	SaleReady   struct{} // the pieces are reserved
	SaleRefused struct{} // there are not enough pieces
	SaleUndone  struct{} // the customer has cancelled the order meanwhile
)

// saleTypes has the names under which the events are stored.
var saleTypes = []eventstore.TypeDefinition{
	eventstore.Type[SaleBegun]("SaleBegun"),
	eventstore.Type[SaleReady]("SaleReady"),
	eventstore.Type[SaleRefused]("SaleRefused"),
	eventstore.Type[SaleUndone]("SaleUndone"),
}

// Sale is the state of the process: what the order needs.
type Sale struct{ SaleBegun }

// Apply returns the sale after one more event.
func (s Sale) Apply(event eventstore.Event) (Sale, error) {
	switch e := event.Data.(type) {
	case SaleBegun:
		s.SaleBegun = e
	case SaleReady, SaleRefused, SaleUndone:
	default:
		return s, fmt.Errorf("a sale has no event %T", e)
	}
	return s, nil
}

// saleOf returns the order that an item of the feed concerns, or "".
func saleOf(item feed.Item) string {
	switch e := item.Event.Data.(type) {
	case OrderPlaced:
		return item.Stream.ID
	case ItemsReserved:
		return e.Order
	case ItemsRefused:
		return e.Order
	}
	return ""
}

// decideSale returns the events of the sale that follow from an item of the feed.
func decideSale(_ Sale, item feed.Item) ([]any, error) {
	switch e := item.Event.Data.(type) {
	case OrderPlaced:
		return []any{SaleBegun{item.Stream.ID, e.Item, e.Count}}, nil
	case ItemsReserved:
		return []any{SaleReady{}}, nil
	case ItemsRefused:
		return []any{SaleRefused{}}, nil
	}
	return nil, nil
}

// Command is what a sale asks of an order or a stock.
type Command string

// The commands.
const (
	Reserve Command = "reserve the pieces"
	Confirm Command = "confirm the order"
	Cancel  Command = "cancel the order"
	Release Command = "release the pieces"
)

// saleRules returns the rules of the process.
func saleRules(orders *aggregate.Repository[Order], stocks *aggregate.Repository[Stock]) process.Rules[Sale] {
	tellOrder := func(s Sale, name Command, decide func(Order) ([]any, error)) process.Command {
		return process.Do(func(ctx context.Context, call process.Call) error {
			_, err := orders.Update(ctx, s.Order, decide, call.Options()...)
			return err
		}, refused).As(name)
	}
	tellStock := func(s Sale, name Command, decide func(Stock) ([]any, error)) process.Command {
		return process.Do(func(ctx context.Context, call process.Call) error {
			_, err := stocks.Update(ctx, s.Item, decide, call.Options()...)
			return err
		}, nil).As(name)
	}
	act := func(s Sale, event eventstore.Event) []process.Command {
		switch event.Data.(type) {
		case SaleBegun:
			return []process.Command{tellStock(s, Reserve, func(stock Stock) ([]any, error) { return stock.Reserve(s.Order, s.Count) })}
		case SaleReady:
			return []process.Command{tellOrder(s, Confirm, Order.Confirm)}
		case SaleRefused:
			return []process.Command{tellOrder(s, Cancel, outOfStock)}
		case SaleUndone:
			return []process.Command{tellStock(s, Release, func(stock Stock) ([]any, error) { return stock.Release(s.Order, s.Count) })}
		}
		return nil
	}
	return process.Rules[Sale]{Fold: Sale.Apply, Route: saleOf, Decide: decideSale, Act: act}
}

// outOfStock cancels an order, unless the customer was faster.
func outOfStock(o Order) ([]any, error) {
	if o.Status != "placed" {
		return nil, nil
	}
	return o.Cancel("out of stock")
}

// refused returns what follows when an order cannot be confirmed because the customer was faster.
func refused(err error) []any {
	if _, ok := errors.AsType[Refusal](err); ok {
		return []any{SaleUndone{}}
	}
	return nil // it is no refusal, but a failure: the command is sent again
}
