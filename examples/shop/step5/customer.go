package main

import (
	"fmt"
	"net/http"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

// CustomerRegistered says who a customer is. Name and address are stored encrypted, with a key that
// belongs to this customer only.
type CustomerRegistered struct {
	Customer string `json:"customer" sealed:"subject"`
	Name     string `json:"name" sealed:"data"`
	Address  string `json:"address" sealed:"data"`
}

// customerTypes returns the names under which the events are stored.
func customerTypes(codec eventstore.Codec) []eventstore.TypeDefinition {
	return []eventstore.TypeDefinition{
		eventstore.Type[CustomerRegistered]("CustomerRegistered", eventstore.WithCodec(codec)),
	}
}

// Customer is the state of a customer.
type Customer struct{ CustomerRegistered }

// Apply returns the customer after one more event.
func (c Customer) Apply(event eventstore.Event) (Customer, error) {
	registered, ok := event.Data.(CustomerRegistered)
	if !ok {
		return c, fmt.Errorf("a customer has no event %T", event.Data)
	}
	return Customer{registered}, nil
}

// Register decides whether a customer can be registered.
func (c Customer) Register(registered CustomerRegistered) ([]any, error) {
	if c.Customer != "" {
		return nil, Refusal("the customer was registered before")
	}
	if registered.Name == "" || registered.Address == "" {
		return nil, Refusal("a customer needs a name and an address")
	}
	return []any{registered}, nil
}

// customerRoutes adds the requests about customers.
func customerRoutes(
	mux *http.ServeMux, customers *aggregate.Repository[Customer], keys *sealed.StateKeys,
) {
	mux.HandleFunc("PUT /customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		var registered CustomerRegistered
		if !parse(w, r, &registered) {
			return
		}
		registered.Customer = r.PathValue("id")
		customer, err := customers.Update(r.Context(), registered.Customer, func(c Customer) ([]any, error) {
			return c.Register(registered)
		})
		answer(w, customer.State, err)
	})
	mux.HandleFunc("GET /customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		customer, err := customers.Load(r.Context(), r.PathValue("id"))
		if err == nil && customer.Version == 0 {
			http.NotFound(w, r)
			return
		}
		answer(w, customer.State, err)
	})
	mux.HandleFunc("DELETE /customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		err := keys.Forget(r.Context(), r.PathValue("id"))
		answer(w, "erased", err)
	})
}
