package main

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

func TestASaleConfirmsOrCancelsTheOrder(t *testing.T) {
	begin := func() *eventtest.Processed[Sale] {
		return eventtest.Processing(t, saleRules(nil, nil)).
			When(eventtest.On("Order", "1", books)).
			Then("1", SaleBegun{"1", "book", 2}, eventtest.Sends{Command: Reserve})
	}
	reserved := eventtest.On("Stock", "book", ItemsReceived{5}, ItemsReserved{"1", 2})

	begin().
		When(reserved).
		Then("1", SaleReady{}, eventtest.Sends{Command: Confirm})
	begin().
		When(eventtest.On("Stock", "book", ItemsRefused{"1"})).
		Then("1", SaleRefused{}, eventtest.Sends{Command: Cancel})
	begin().Answering(Confirm, Refusal("the customer was faster")).
		When(reserved).
		Then("1",
			SaleReady{}, eventtest.Sends{Command: Confirm},
			SaleUndone{}, eventtest.Sends{Command: Release})
}
