package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

var (
	about  = About{"1"}
	placed = OrderPlaced{about, "Ada", "book", "1 Main St", 2, 60}
)

func registry(t *testing.T) *eventstore.Registry {
	t.Helper()
	r, err := eventstore.NewRegistry(types()...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheProcessShipsOrUndoes(t *testing.T) {
	t.Parallel()
	reserve := Change{stockType, "book", StockReserved{about, 2}, 2, StockRefused{about}}
	pay := Change{walletType, "Ada", PaymentTaken{about, 60}, 60, PaymentRefused{about}}
	ship := Change{Type: shipmentType, ID: "1", Event: Shipped{about, "1 Main St"}}
	release := Change{Type: stockType, ID: "book", Event: StockReleased{about, 2}}
	refund := Change{Type: walletType, ID: "Ada", Event: PaymentReturned{about, 60}}
	on := func(c Change, event any) eventtest.Happening { return eventtest.On(c.Type, c.ID, event) }
	begin := func() *eventtest.Processed[Order] {
		return eventtest.Processing(t, fulfilment(domain{}.ask), eventtest.On(stockType, "book", Stocked{9})).Using(registry(t)).
			When(eventtest.On(orderType, "1", placed)).
			Then("1", OrderAccepted{placed}, eventtest.Sends{Command: reserve})
	}
	held := func(p *eventtest.Processed[Order]) *eventtest.Processed[Order] {
		return p.When(on(reserve, reserve.Event)).Then("1", GoodsHeld{}, eventtest.Sends{Command: pay})
	}

	held(begin()).
		When(on(pay, pay.Event)).Then("1", OrderPaid{}, eventtest.Sends{Command: ship}).
		When(on(ship, ship.Event)).Then("1", OrderCompleted{"Ada", 60})
	begin().
		When(on(reserve, reserve.Otherwise)).Then("1", OrderCancelled{"Ada", "out of stock"})
	held(begin()).
		When(on(pay, pay.Otherwise)).Then("1", OrderCancelled{"Ada", "not paid"}, eventtest.Sends{Command: release})
	held(begin()).Answering(ship, errNoAddress).
		When(on(pay, pay.Event)).
		Then("1", OrderPaid{}, eventtest.Sends{Command: ship}, OrderCancelled{"Ada", "there is no such address"},
			eventtest.Sends{Command: release}, eventtest.Sends{Command: refund}).
		When(on(release, release.Event), on(refund, refund.Event)).Then("1")
	held(begin()).Answering(ship, fs.ErrClosed). // which is no answer: it is asked again
							When(on(pay, pay.Event)).Then("1", OrderPaid{}, eventtest.Sends{Command: ship})
}

func TestTheReadModelListsOrdersByCustomer(t *testing.T) {
	t.Parallel()
	eventtest.Projecting(t, byCustomer,
		eventtest.On(processName, "1", OrderAccepted{placed}, GoodsHeld{}),
		eventtest.On(processName, "2", OrderAccepted{placed}, OrderCancelled{"Ada", "out of stock"}),
		eventtest.On(processName, "3", OrderAccepted{OrderPlaced{Customer: "Bob"}}, GoodsHeld{}, OrderPaid{}, OrderCompleted{"Bob", 1}),
	).Using(registry(t)).Then(map[string]map[string]string{
		"Ada": {"1": "accepted", "2": "out of stock"},
		"Bob": {"3": "completed"},
	})
}

// Every order ends as it should, on a SQLite file, and all parts agree.
func TestTheShop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	state, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	broker := publishing.NewLocal()
	s, err := newShop(state, broker)
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 2)
	messages := make(chan publishing.Message, 100)
	go func() { ran <- s.run(running) }()
	go func() {
		ran <- broker.Subscribe(running, topic, func(_ context.Context, m publishing.Message) error { messages <- m; return nil })
	}()

	for _, first := range []struct {
		kind, id string
		event    any
	}{
		{stockType, "book", Stocked{5}}, {walletType, "Ada", MoneyAdded{100}},
		{orderType, "shipped", OrderPlaced{About{"shipped"}, "Ada", "book", "1 Main St", 2, 60}},
		{orderType, "too many", OrderPlaced{About{"too many"}, "Ada", "book", "1 Main St", 9, 1}},
		{orderType, "no money", OrderPlaced{About{"no money"}, "Bob", "book", "2 Main St", 1, 1}},
		{orderType, "no address", OrderPlaced{About{"no address"}, "Ada", "book", "", 1, 10}},
	} {
		if err := s.add(ctx, first.kind, first.id, first.event); err != nil {
			t.Fatal(err)
		}
	}
	for order, last := range map[string]int64{"shipped": 4, "too many": 2, "no money": 3, "no address": 4} {
		if err := s.customers.WaitFor(ctx, s.provider.Stream(processName, order), last); err != nil {
			t.Fatal(order, err)
		}
		if err := s.announcements.WaitFor(ctx, s.provider.Stream(processName, order), last); err != nil {
			t.Fatal(order, err)
		}
		if parked, err := s.orders.Load(ctx, order); err != nil || parked.Version != last {
			t.Errorf("order %q has version %d, want %d: %v", order, parked.Version, last, err)
		}
	}
	for customer, want := range map[string]map[string]string{
		"Ada": {"shipped": "completed", "too many": "out of stock", "no address": "there is no such address"},
		"Bob": {"no money": "not paid"},
	} {
		got, exists, err := s.customers.Get(ctx, customer)
		if err != nil || !exists || len(got) != len(want) {
			t.Errorf("%s has %v, %v, want %v", customer, got, err, want)
		}
		for order, state := range want {
			if got[order] != state {
				t.Errorf("order %q of %s is %q, want %q", order, customer, got[order], state)
			}
		}
	}
	// What is undone is sent after the order was cancelled.
	for _, of := range []struct {
		kind, id string
		want     int
	}{{stockType, "book", 3}, {walletType, "Ada", 40}, {walletType, "Bob", 0}} {
		for {
			a, err := s.domain[of.kind].Load(ctx, of.id)
			if err != nil {
				t.Fatalf("%s %q has %d, want %d: %v", of.kind, of.id, a.State, of.want, err)
			}
			if a.State == of.want {
				break
			}
		}
	}
	m := <-messages
	if m.Type != "OrderCompleted" || m.ID != "EventStores:Fulfilment:shipped/4" || string(m.Data) != `{"Customer":"Ada","Price":60}` {
		t.Errorf("%+v, %s", m, m.Data)
	}
	stop()
	for range cap(ran) {
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
	if len(messages) > 0 {
		t.Errorf("one more message was published: %+v", <-messages)
	}
}

// The three parts together take less than 80 lines.
func TestTheShopIsShort(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("shop.go")
	if err != nil {
		t.Fatal(err)
	}
	if lines := slices.Collect(strings.Lines(string(code))); len(lines) >= 80 {
		t.Errorf("shop.go has %d lines", len(lines))
	}
}

func Example() {
	main()
	// Output:
	// published: OrderCompleted {"Customer":"Ada","Price":60}
	// Ada's orders: {"1":"completed","2":"out of stock"}
}
