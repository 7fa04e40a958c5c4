package main

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Order is the state of an order, to which its events lead.
type Order struct {
	OrderPlaced
	Status string `json:"status"` // "" before the order was placed
}

// Apply returns the order after one more event.
func (o Order) Apply(event eventstore.Event) (Order, error) {
	switch e := event.Data.(type) {
	case OrderPlaced:
		o.OrderPlaced, o.Status = e, "placed"
	case OrderConfirmed:
		o.Status = "confirmed"
	case OrderCancelled:
		o.Status = "cancelled: " + e.Reason
	default:
		return o, fmt.Errorf("an order has no event %T", e)
	}
	return o, nil
}

// Refusal is the error of a decision that says no.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Place decides whether an order can be placed.
func (o Order) Place(placed OrderPlaced) ([]any, error) {
	if o.Status != "" {
		return nil, Refusal("the order was placed before")
	}
	if placed.Customer == "" || placed.Item == "" || placed.Count < 1 {
		return nil, Refusal("an order needs a customer, an item and a count")
	}
	return []any{placed}, nil
}

// Confirm decides whether an order can be confirmed.
func (o Order) Confirm() ([]any, error) {
	if o.Status != "placed" {
		return nil, Refusal("only an order that is placed can be confirmed")
	}
	return []any{OrderConfirmed{o.Customer}}, nil
}

// Cancel decides whether an order can be cancelled.
func (o Order) Cancel(reason string) ([]any, error) {
	if o.Status != "placed" {
		return nil, Refusal("only an order that is placed can be cancelled")
	}
	return []any{OrderCancelled{o.Customer, reason}}, nil
}
