package console_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/hexalith/eventstores-go/adapter/console"
	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// Deposited is an event.
type Deposited struct{ Amount int }

// Balance is a state.
type Balance struct{ Amount int }

// A service shows its store below /console.
func Example() {
	ctx := context.Background()
	state := memory.New() // or sidecar.NewState
	defer state.Close()
	types, err := eventstore.NewRegistry(eventstore.Type[Deposited]("Deposited"))
	if err != nil {
		log.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types), eventstore.WithFeed("all"))
	if err != nil {
		log.Fatal(err)
	}
	all, err := feed.Open(provider)
	if err != nil {
		log.Fatal(err)
	}
	handler, err := console.New(all,
		console.WithPrefix("/console"),
		console.WithToken("the token of the operators"),
		console.WithFold("account", Balance{}, func(b Balance, event eventstore.Event) (Balance, error) {
			if deposited, ok := event.Data.(Deposited); ok {
				b.Amount += deposited.Amount
			}
			return b, nil
		}))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/console/", handler) // besides the pages of the service

	account := provider.Stream("account", "1001")
	if _, err := provider.Append(ctx, account, eventstore.ExpectAny(), Deposited{50}, Deposited{20}); err != nil {
		log.Fatal(err)
	}
	request := httptest.NewRequest(http.MethodGet, "/console/streams/"+account.String()+"/state?version=2", nil)
	request.Header.Set("Authorization", "Bearer the token of the operators")
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, request)
	_, text, _ := strings.Cut(answer.Body.String(), "<code>")
	text, _, _ = strings.Cut(text, "</code>")
	fmt.Println(answer.Code, strings.ReplaceAll(text, "&#34;", `"`))

	// Output:
	// 200 {
	//   "Amount": 70
	// }
}
