package main

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

func TestAnAccountHasAllOrdersOfACustomer(t *testing.T) {
	pen := OrderPlaced{Customer: "c-2", Item: "pen", Count: 1}
	eventtest.Projecting(t, byCustomer,
		eventtest.On("Order", "1", books, OrderCancelled{"c-1", "by the customer"}),
		eventtest.On("Order", "2", books),
		eventtest.On("Order", "3", pen, OrderConfirmed{"c-2"}),
	).Then(map[string]Account{
		"c-1": {Orders: map[string]Order{"1": {books, "cancelled: by the customer"}, "2": {books, "placed"}}},
		"c-2": {Orders: map[string]Order{"3": {pen, "confirmed"}}},
	})
}
