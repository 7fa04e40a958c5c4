package main

import "github.com/hexalith/eventstores-go/eventstore"

// OrderPlaced says that a customer has ordered. The price is for all pieces together.
type OrderPlaced struct {
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Count    int    `json:"count"`
	Cents    int    `json:"cents"`
}

// orderPlacedV1 is what OrderPlaced was at first.
type orderPlacedV1 struct {
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Count    int    `json:"count"`
	Price    int    `json:"price"` // in euros
}

// inCents makes today's event of one that was stored in euros.
func inCents(old orderPlacedV1) (OrderPlaced, error) {
	return OrderPlaced{old.Customer, old.Item, old.Count, 100 * old.Price}, nil
}

// OrderConfirmed says that the customer will get what was ordered.
type OrderConfirmed struct {
	Customer string `json:"customer"`
}

// OrderCancelled says that nothing comes of the order, and why.
type OrderCancelled struct {
	Customer string `json:"customer"`
	Reason   string `json:"reason"`
}

// orderTypes has the names under which the events are stored.
var orderTypes = []eventstore.TypeDefinition{
	eventstore.Type[OrderPlaced]("OrderPlaced",
		eventstore.WithSchemaVersion(2), eventstore.WithUpcastJSON(1, inCents)),
	eventstore.Type[OrderConfirmed]("OrderConfirmed"),
	eventstore.Type[OrderCancelled]("OrderCancelled"),
}
