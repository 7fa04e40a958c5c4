package main

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"

	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

var accountPage = template.Must(template.New("").Parse(`<!doctype html>
<title>Orders</title>
<h1>Orders of {{.Name}}</h1>
{{range $number, $order := .Account.Orders -}}
<p>Order {{$number}}: {{.Count}} × {{.Item}} for {{.Euros}} €, {{.Status}}</p>
{{end}}`))

// Euros returns the price as the page shows it.
func (o Order) Euros() string { return fmt.Sprintf("%d.%02d", o.Cents/100, o.Cents%100) }

// accountRoutes adds the page of an account.
func accountRoutes(
	mux *http.ServeMux, accounts *projection.Projection[Account],
	customers *aggregate.Repository[Customer],
) {
	mux.HandleFunc("GET /accounts/{customer}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("customer")
		account, exists, err := accounts.Get(r.Context(), id)
		if err == nil && !exists {
			http.NotFound(w, r)
			return
		}
		var customer aggregate.Aggregate[Customer]
		if err == nil {
			customer, err = customers.Load(r.Context(), id)
		}
		if err != nil {
			answer(w, nil, err)
			return
		}
		name := cmp.Or(customer.State.Name, id)
		_ = accountPage.Execute(w, map[string]any{"Name": name, "Account": account})
	})
}
