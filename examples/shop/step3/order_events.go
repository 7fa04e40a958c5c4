package main

import "github.com/hexalith/eventstores-go/eventstore"

// OrderPlaced says that a customer has ordered. The price is for all pieces together.
type OrderPlaced struct {
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Count    int    `json:"count"`
	Price    int    `json:"price"` // in euros
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
	eventstore.Type[OrderPlaced]("OrderPlaced"),
	eventstore.Type[OrderConfirmed]("OrderConfirmed"),
	eventstore.Type[OrderCancelled]("OrderCancelled"),
}
