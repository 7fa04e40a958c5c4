package main

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

// byCustomer is the read model: a document for each customer, with the state of each order.
func byCustomer(_ context.Context, customers *projection.Documents[map[string]string], item feed.Item) error {
	customer, state := "", ""
	switch e := item.Event.Data.(type) {
	case OrderAccepted:
		customer, state = e.Customer, "accepted"
	case OrderCompleted:
		customer, state = e.Customer, "completed"
	case OrderCancelled:
		customer, state = e.Customer, e.Why
	default:
		return nil
	}
	return customers.Update(customer, func(orders *map[string]string) error {
		if *orders == nil {
			*orders = map[string]string{}
		}
		(*orders)[item.Stream.ID] = state
		return nil
	})
}

// announce says what other services learn.
func announce(_ context.Context, item feed.Item) (string, any, error) {
	if completed, ok := item.Event.Data.(OrderCompleted); ok {
		return "OrderCompleted", completed, nil
	}
	return "", nil, publishing.ErrLeaveOut
}

// fulfilment is the process: it reserves stock, takes the payment and ships, or undoes that.
func fulfilment(ask func(Change, func(error) []any) process.Command) process.Rules[Order] {
	return process.Rules[Order]{Fold: Order.apply, Route: orderOf, Decide: func(o Order, item feed.Item) ([]any, error) {
		switch e := item.Event.Data.(type) {
		case OrderPlaced:
			return []any{OrderAccepted{e}}, nil
		case StockReserved:
			return []any{GoodsHeld{}}, nil
		case PaymentTaken:
			return []any{OrderPaid{}}, nil
		case Shipped:
			return []any{OrderCompleted{o.Customer, o.Price}}, nil
		case StockRefused:
			return []any{OrderCancelled{o.Customer, "out of stock"}}, nil
		case PaymentRefused:
			return []any{OrderCancelled{o.Customer, "not paid"}}, nil
		}
		return nil, nil
	}, Act: func(o Order, event eventstore.Event) (commands []process.Command) {
		switch event.Data.(type) {
		case OrderAccepted:
			commands = append(commands, ask(o.reserve(), nil))
		case GoodsHeld:
			commands = append(commands, ask(o.pay(), nil))
		case OrderPaid:
			commands = append(commands, ask(o.ship(), o.refused))
		case OrderCancelled:
			for _, undo := range o.undo() {
				commands = append(commands, ask(undo, nil))
			}
		}
		return commands
	}}
}
