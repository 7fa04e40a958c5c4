package main

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

func TestAnOrderGetsItsPiecesOrNone(t *testing.T) {
	reserve := func(s Stock) ([]any, error) { return s.Reserve("2", 2) }
	received, reserved := ItemsReceived{3}, ItemsReserved{"1", 2}

	eventtest.Given(t, Stock.Apply, received).
		When(reserve).
		Then(ItemsReserved{"2", 2})
	eventtest.Given(t, Stock.Apply, received, reserved).
		When(reserve).
		Then(ItemsRefused{"2"})
	eventtest.Given(t, Stock.Apply, received, reserved, ItemsReleased{"1", 2}).
		When(reserve).
		Then(ItemsReserved{"2", 2})
}
