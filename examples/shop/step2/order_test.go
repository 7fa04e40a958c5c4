package main

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

var books = OrderPlaced{Customer: "c-1", Item: "book", Count: 2, Price: 30}

func TestAnOrderIsPlacedOnce(t *testing.T) {
	place := func(o Order) ([]any, error) { return o.Place(books) }

	eventtest.Given(t, Order.Apply).
		When(place).
		Then(books)
	eventtest.Given(t, Order.Apply, books).
		When(place).
		ThenError(Refusal("the order was placed before"))
}

func TestAConfirmedOrderIsNotCancelled(t *testing.T) {
	eventtest.Given(t, Order.Apply, books, OrderConfirmed{"c-1"}).
		When(func(o Order) ([]any, error) { return o.Cancel("too late") }).
		ThenError(Refusal("only an order that is placed can be cancelled"))
}
