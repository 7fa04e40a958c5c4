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
func saleRules(
	orders *aggregate.Repository[Order], stocks *aggregate.Repository[Stock],
) process.Rules[Sale] {
	x := seller{orders, stocks}
	return process.Rules[Sale]{Fold: Sale.Apply, Route: saleOf, Decide: decideSale, Act: x.act}
}

// seller sends the commands.
type seller struct {
	orders *aggregate.Repository[Order]
	stocks *aggregate.Repository[Stock]
}

// act returns what is to be done after an event of the sale.
func (x seller) act(s Sale, event eventstore.Event) []process.Command {
	switch event.Data.(type) {
	case SaleBegun:
		return x.tellStock(Reserve, s, Stock.Reserve)
	case SaleReady:
		return x.tellOrder(Confirm, s, Order.Confirm)
	case SaleRefused:
		return x.tellOrder(Cancel, s, outOfStock)
	case SaleUndone:
		return x.tellStock(Release, s, Stock.Release)
	}
	return nil
}

// tellStock returns the command that lets the stock of the item decide.
func (x seller) tellStock(
	name Command, s Sale, decide func(stock Stock, order string, count int) ([]any, error),
) []process.Command {
	do := func(ctx context.Context, call process.Call) error {
		_, err := x.stocks.Update(ctx, s.Item, func(stock Stock) ([]any, error) {
			return decide(stock, s.Order, s.Count)
		}, call.Options()...)
		return err
	}
	return []process.Command{process.Do(do, nil).As(name)}
}

// tellOrder returns the command that lets the order decide.
func (x seller) tellOrder(
	name Command, s Sale, decide func(Order) ([]any, error),
) []process.Command {
	do := func(ctx context.Context, call process.Call) error {
		_, err := x.orders.Update(ctx, s.Order, decide, call.Options()...)
		return err
	}
	return []process.Command{process.Do(do, refused).As(name)}
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
