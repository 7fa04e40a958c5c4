package main

import (
	"html/template"
	"net/http"

	"github.com/hexalith/eventstores-go/eventstore/projection"
)

var accountPage = template.Must(template.New("").Parse(`<!doctype html>
<title>Orders</title>
<h1>Orders of {{.Name}}</h1>
{{range $number, $order := .Account.Orders -}}
<p>Order {{$number}}: {{.Count}} × {{.Item}} for {{.Price}} €, {{.Status}}</p>
{{end}}`))

// accountRoutes adds the page of an account.
func accountRoutes(mux *http.ServeMux, accounts *projection.Projection[Account]) {
	mux.HandleFunc("GET /accounts/{customer}", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("customer")
		account, exists, err := accounts.Get(r.Context(), id)
		if err == nil && !exists {
			http.NotFound(w, r)
			return
		}
		if err != nil {
			answer(w, nil, err)
			return
		}
		_ = accountPage.Execute(w, map[string]any{"Name": id, "Account": account})
	})
}
