package main

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// Account is what the read model knows of a customer: all orders, by their numbers.
type Account struct{ Orders map[string]Order }

// byCustomer changes the account of the customer whom an event concerns.
func byCustomer(_ context.Context, accounts *projection.Documents[Account], item feed.Item) error {
	customer := ""
	switch e := item.Event.Data.(type) {
	case OrderPlaced:
		customer = e.Customer
	case OrderConfirmed:
		customer = e.Customer
	case OrderCancelled:
		customer = e.Customer
	default:
		return nil
	}
	return accounts.Update(customer, func(a *Account) error {
		order, err := a.Orders[item.Stream.ID].Apply(item.Event)
		if err != nil {
			return err
		}
		if a.Orders == nil {
			a.Orders = map[string]Order{}
		}
		a.Orders[item.Stream.ID] = order
		return nil
	})
}
