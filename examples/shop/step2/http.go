package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// orderRoutes adds the requests about orders.
func orderRoutes(mux *http.ServeMux, orders *aggregate.Repository[Order]) {
	mux.HandleFunc("PUT /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		var placed OrderPlaced
		if !parse(w, r, &placed) {
			return
		}
		order, err := orders.Update(r.Context(), r.PathValue("id"), func(o Order) ([]any, error) {
			return o.Place(placed)
		})
		answer(w, order.State, err)
	})
	mux.HandleFunc("DELETE /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		order, err := orders.Update(r.Context(), r.PathValue("id"), func(o Order) ([]any, error) {
			return o.Cancel("by the customer")
		})
		answer(w, order.State, err)
	})
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		order, err := orders.Load(r.Context(), r.PathValue("id"))
		if err == nil && order.Version == 0 { // it has no events
			http.NotFound(w, r)
			return
		}
		answer(w, order.State, err)
	})
}

// parse reads the JSON of a request. If it cannot, it answers and returns false.
func parse(w http.ResponseWriter, r *http.Request, value any) bool {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	body.DisallowUnknownFields()
	err := body.Decode(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

// answer writes a value as JSON, or an error.
func answer(w http.ResponseWriter, value any, err error) {
	if refusal, ok := errors.AsType[Refusal](err); ok {
		http.Error(w, refusal.Error(), http.StatusConflict)
		return
	}
	if err != nil {
		log.Print(err)
		http.Error(w, "that did not work", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

// serve answers requests until ctx ends.
func serve(ctx context.Context, handler http.Handler) error {
	address := cmp.Or(os.Getenv("ADDRESS"), "localhost:8080")
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Printf("the shop is open at http://%s\n", address)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
