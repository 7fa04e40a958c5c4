package main

import (
	"fmt"
	"net/http"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// ItemsReceived says that pieces of an item have come into the store.
type ItemsReceived struct {
	Count int `json:"count"`
}

// ItemsReserved says that pieces are kept for an order.
type ItemsReserved struct {
	Order string `json:"order"`
	Count int    `json:"count"`
}

// ItemsRefused says that there are not enough pieces for an order.
type ItemsRefused struct {
	Order string `json:"order"`
}

// ItemsReleased says that an order does not need its pieces any more.
type ItemsReleased struct {
	Order string `json:"order"`
	Count int    `json:"count"`
}

// stockTypes has the names under which the events are stored.
var stockTypes = []eventstore.TypeDefinition{
	eventstore.Type[ItemsReceived]("ItemsReceived"),
	eventstore.Type[ItemsReserved]("ItemsReserved"),
	eventstore.Type[ItemsRefused]("ItemsRefused"),
	eventstore.Type[ItemsReleased]("ItemsReleased"),
}

// Stock is the state of the stock of one item.
type Stock struct {
	Free int `json:"free"` // pieces that are not reserved
}

// Apply returns the stock after one more event.
func (s Stock) Apply(event eventstore.Event) (Stock, error) {
	switch e := event.Data.(type) {
	case ItemsReceived:
		s.Free += e.Count
	case ItemsReserved:
		s.Free -= e.Count
	case ItemsReleased:
		s.Free += e.Count
	case ItemsRefused:
	default:
		return s, fmt.Errorf("a stock has no event %T", e)
	}
	return s, nil
}

// Receive decides whether pieces can be received.
func (s Stock) Receive(received ItemsReceived) ([]any, error) {
	if received.Count < 1 {
		return nil, Refusal("a delivery needs a count")
	}
	return []any{received}, nil
}

// Reserve decides whether an order gets its pieces. Both answers are events.
func (s Stock) Reserve(order string, count int) ([]any, error) {
	if s.Free < count {
		return []any{ItemsRefused{order}}, nil
	}
	return []any{ItemsReserved{order, count}}, nil
}

// Release gives back the pieces of an order.
func (s Stock) Release(order string, count int) ([]any, error) {
	return []any{ItemsReleased{order, count}}, nil
}

// stockRoutes adds the requests about the stock.
func stockRoutes(mux *http.ServeMux, stocks *aggregate.Repository[Stock]) {
	mux.HandleFunc("POST /stock/{item}", func(w http.ResponseWriter, r *http.Request) {
		var received ItemsReceived
		if !parse(w, r, &received) {
			return
		}
		stock, err := stocks.Update(r.Context(), r.PathValue("item"), func(s Stock) ([]any, error) {
			return s.Receive(received)
		})
		answer(w, stock.State, err)
	})
	mux.HandleFunc("GET /stock/{item}", func(w http.ResponseWriter, r *http.Request) {
		stock, err := stocks.Load(r.Context(), r.PathValue("item"))
		answer(w, stock.State, err)
	})
}
