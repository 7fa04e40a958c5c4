package browser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/hexalith/eventstores-go/adapter/console"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// The events of a shop.
type (
	orderPlaced struct {
		Customer string  `json:"customer"`
		Items    []item  `json:"items"`
		Total    float64 `json:"total"`
	}
	item struct {
		Article string `json:"article"`
		Count   int    `json:"count"`
	}
	stockReserved struct {
		Order string `json:"order"`
		Count int    `json:"count"`
	}
	paymentTaken struct {
		Order  string  `json:"order"`
		Amount float64 `json:"amount"`
	}
	orderShipped struct {
		Parcel string `json:"parcel"`
	}
	noteWritten struct {
		Text string `json:"text"`
	}
)

// order is the state of an order.
type order struct {
	Customer string  `json:"customer"`
	Total    float64 `json:"total"`
	Status   string  `json:"status"`
	Notes    int     `json:"notes"`
}

func (o order) apply(e eventstore.Event) (order, error) {
	switch e := e.Data.(type) {
	case orderPlaced:
		o.Customer, o.Total, o.Status = e.Customer, e.Total, "placed"
	case orderShipped:
		o.Status = "shipped"
	case noteWritten:
		o.Notes++
	}
	return o, nil
}

// shop is a store with orders, and the URL of its console.
type shop struct {
	t    *testing.T
	p    *eventstore.Provider
	feed *feed.Feed
	url  string
	next int
}

// openShop fills the store of a shop, and serves its console.
func openShop(t *testing.T, state driver.State, options ...console.Option) *shop {
	t.Helper()
	types, err := eventstore.NewRegistry(
		eventstore.Type[orderPlaced]("OrderPlaced"), eventstore.Type[stockReserved]("StockReserved"), eventstore.Type[paymentTaken]("PaymentTaken"),
		eventstore.Type[orderShipped]("OrderShipped"), eventstore.Type[noteWritten]("NoteWritten"), eventstore.Type[order]("Order"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("shop"), eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, p: p, feed: f}
	s.run(f.Index)
	for i := range 60 {
		s.sell(2041+i, []string{"Ada Lovelace", "Grace Hopper", "Mary Shelley"}[i%3])
	}
	s.snapshots(s.p.Stream("stock", "teapot"), 10)
	mails, err := subscription.New(f, "mails", func(_ context.Context, item feed.Item) error {
		if item.Stream.ID == "2043" && item.Version == 2 {
			return errors.New("the mail server says: 550 no such user")
		}
		return nil
	}, subscription.WithParking(), subscription.WithRetries(0), subscription.WithPartitions(4), subscription.WithSaving(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	s.run(mails.Run)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := mails.WaitFor(ctx, s.order(2100), 2); err != nil {
		t.Fatal(err)
	}
	for listed := 0; listed < 60+2+60+3; listed = s.listed(ctx) { // the catalogue follows the feed
	}
	handler, err := console.New(f, append(options, console.WithTitle("sqlite:shop.db"), console.WithChanges(), console.WithFold("order", order{}, order.apply))...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	s.url = server.URL
	return s
}

func onFile(t *testing.T, options ...console.Option) *shop {
	t.Helper()
	state, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	return openShop(t, state, options...)
}

func throughSidecar(t *testing.T, options ...console.Option) *shop {
	t.Helper()
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "shop", Components: []string{servers.RedisState("statestore", servers.StartRedis(t))}})
	state, err := sidecar.NewState(t.Context(), d.Client(t), "statestore")
	if err != nil {
		t.Fatal(err)
	}
	return openShop(t, state, options...)
}

// run runs what works in the background until the test ends.
func (s *shop) run(do func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *shop) listed(ctx context.Context) (n int) {
	s.t.Helper()
	for _, err := range s.feed.Streams(ctx) {
		if n++; err != nil {
			s.t.Fatal(err)
		}
	}
	return n
}

func (s *shop) order(number int) eventstore.Stream { return s.p.Stream("order", fmt.Sprint(number)) }

// happens appends an event of a correlation, and returns its id.
func (s *shop) happens(stream eventstore.Stream, correlation, cause, user string, data any) string {
	s.t.Helper()
	s.next++
	id := fmt.Sprintf("event-%04d", s.next)
	_, err := s.p.Append(s.t.Context(), stream, eventstore.ExpectAny(), eventstore.Event{Data: data, Metadata: eventstore.Metadata{
		Message: eventstore.MessageMetadata{ID: id},
		Context: eventstore.ContextMetadata{CorrelationID: correlation, CausationID: cause, UserID: user},
		Custom:  map[string]string{"shop": "Berlin"},
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// snapshots saves a snapshot of a stream after every so many events.
func (s *shop) snapshots(stream eventstore.Stream, every int64) {
	s.t.Helper()
	session, err := s.p.Open(s.t.Context(), stream)
	if err != nil {
		s.t.Fatal(err)
	}
	defer session.Close()
	if _, err := eventstore.BuildSnapshots(s.t.Context(), session, every, order{}, order.apply); err != nil {
		s.t.Fatal(err)
	}
}

// sell places an order, reserves two articles for it, takes the payment and ships it.
func (s *shop) sell(number int, customer string) {
	s.t.Helper()
	c := fmt.Sprintf("checkout-%d", number)
	user := strings.ToLower(strings.Fields(customer)[0])
	placed := s.happens(s.order(number), c, fmt.Sprintf("request-%d", number), user, orderPlaced{customer, []item{{"teapot", 1}, {"cup", 4}}, 61.50})
	teapot := s.happens(s.p.Stream("stock", "teapot"), c, placed, "", stockReserved{fmt.Sprint(number), 1})
	s.happens(s.p.Stream("stock", "cup"), c, placed, "", stockReserved{fmt.Sprint(number), 4})
	paid := s.happens(s.p.Stream("payment", fmt.Sprintf("p-%d", number)), c, teapot, "", paymentTaken{fmt.Sprint(number), 61.50})
	s.happens(s.order(number), c, paid, "", orderShipped{"DE" + fmt.Sprint(100000+number)})
	s.happens(s.p.Stream("customer", user), c, placed, "", noteWritten{"Ordered " + fmt.Sprint(number)})
}

// consoleViews are the pages of the console in their states. Each has the actions that lead to it.
var consoleViews = []struct {
	name  string
	reach func(b *tab)
}{
	{"streams", func(b *tab) { b.visit("/?type=customer") }},
	{"nothing found", func(b *tab) { b.visit("/?search=none") }},
	{"stream", func(b *tab) {
		b.visit("/streams/EventStores:order:2043")
		b.until(`document.getElementById("live").textContent === "Live"`)
		b.do("open details", chromedp.Click("#summary-e1"))
	}},
	{"state", func(b *tab) { b.visit("/streams/EventStores:order:2043/state?version=1") }},
	{"snapshot", func(b *tab) { b.visit("/streams/EventStores:stock:teapot/snapshots/50") }},
	{"events", func(b *tab) {
		b.visit("/events?before=9")
		b.do("open details", chromedp.Click(".timeline li:nth-child(2) summary"))
	}},
	{"correlation", func(b *tab) {
		b.visit("/correlation?id=checkout-2043")
		b.do("open details", chromedp.Click(".causes li:nth-child(2) summary"))
	}},
	{"projections", func(b *tab) {
		b.visit("/projections")
		b.do("open details", chromedp.Click(".choices summary"))
	}},
	{"health", func(b *tab) { b.visit("/health") }},
	{"no such stream", func(b *tab) { b.visit("/streams/EventStores:order:1") }},
}

// TestTheConsoleIsReadableAndOperableByAll checks the pages of the console as
// [TestPagesAreReadableAndOperableByAll] checks those of the bank.
func TestTheConsoleIsReadableAndOperableByAll(t *testing.T) {
	t.Parallel()
	b := open(t, onFile(t).url)
	b.expect("404")
	for _, view := range consoleViews {
		view.reach(b)
		b.do("inspect", chromedp.Evaluate(inspect, nil))
		b.names(view.name)
		for _, fault := range eval[[]string](b, "inspect.structure()") {
			t.Errorf("%s: %s", view.name, fault)
		}
		for _, scheme := range []string{"dark", "light"} {
			b.scheme(scheme)
			for _, fault := range eval[struct{ Faults []string }](b, "inspect.contrast()").Faults {
				t.Errorf("%s, %s: %s", view.name, scheme, fault)
			}
		}
		b.tabOrder(view.name)
	}
}

func TestTheConsoleShowsWhatHappensMeanwhile(t *testing.T) {
	for name, start := range map[string]func(*testing.T, ...console.Option) *shop{"on a file": onFile, "through a sidecar on Redis": throughSidecar} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			b := open(t, s.url)
			b.visit("/streams/EventStores:order:2050")
			b.until(`document.getElementById("live").textContent === "Live"`)
			b.do("open details", chromedp.Click("#summary-e1"), chromedp.Focus("#e1 pre"))
			s.happens(s.order(2050), "note-1", "", "ada", noteWritten{"<script>document.title = 'acted'</script>"})
			b.until(`document.getElementById("e3") !== null`)
			if !eval[bool](b, `document.getElementById("more-e1").open && document.activeElement === document.querySelector("#e1 pre")`) {
				t.Error("the open details were closed, or the focus has moved")
			}
			if said := eval[string](b, `document.getElementById("announce").textContent`); said != "Version 3" {
				t.Errorf("it announces %q", said)
			}
			b.do("open the note", chromedp.Click("#summary-e3"))
			if title := eval[string](b, "document.title"); title != "order:2050 – Event store" {
				t.Errorf("the title is %q", title)
			}

			b.visit("/events")
			b.until(`document.getElementById("live").textContent === "Live"`)
			s.happens(s.order(2051), "note-2", "", "ada", noteWritten{"the newest of all"})
			b.until(`document.querySelector(".timeline li").textContent.includes("the newest of all")`)

			b.visit("/")
			b.do("search", chromedp.SendKeys("#search", "2043"+kb.Enter), chromedp.WaitVisible(`.list a[href$="order:2043"]`), chromedp.Click(`.list a[href$="order:2043"]`))
			b.do("go to the correlation", chromedp.Click("#summary-e1"), chromedp.Click(`#e1 dd a`), chromedp.WaitVisible(".causes"))
			if events := eval[int](b, `document.querySelectorAll(".causes li").length`); events != 6 {
				t.Errorf("the correlation has %d events", events)
			}
			b.visit("/streams/EventStores:order:2043/state?version=1")
			b.until(`document.querySelector("pre").textContent.includes('"status": "placed"')`)

			b.visit("/projections")
			b.do("try again", chromedp.Click(".choices button"), chromedp.WaitVisible(".notice"))
		})
	}
}

func TestTheConsoleIsSignedInto(t *testing.T) {
	t.Parallel()
	const token = "a token of enough bytes"
	b := open(t, onFile(t, console.WithToken(token)).url)
	b.expect("401")
	b.visit("/health")
	b.do("inspect", chromedp.Evaluate(inspect, nil))
	b.names("sign in")
	for _, fault := range eval[[]string](b, "inspect.structure()") {
		t.Errorf("sign in: %s", fault)
	}
	b.do("type a wrong token", chromedp.SendKeys("#token", "wrong"+kb.Enter), chromedp.WaitVisible("#sign-in-error"))
	b.do("type the token", chromedp.SendKeys("#token", token+kb.Enter), chromedp.WaitVisible(`nav [aria-current="page"]`))
	if title := eval[string](b, "document.title"); title != "Health – Event store" {
		t.Errorf("signing in leads to %q", title)
	}
	b.visit("/streams/EventStores:order:2050")
	b.until(`document.getElementById("live").textContent === "Live"`)
	b.do("sign out", chromedp.Click("nav form button"), chromedp.WaitVisible("#token"))
}

// TestScreenshotOfTheConsole takes pictures of the console in light, in dark and on a phone. No
// page may be wider than its screen.
func TestScreenshotOfTheConsole(t *testing.T) {
	folder := os.Getenv(shotsVariable)
	if folder == "" {
		folder = t.TempDir()
	}
	b := open(t, onFile(t).url)
	b.expect("404")
	for _, view := range []struct {
		name   string
		path   string
		width  int64
		height int64
		scheme string
		click  string
	}{
		{"console-streams", "/", 1200, 900, "light", ""},
		{"console-streams-dark", "/?type=order&search=205", 1200, 900, "dark", ""},
		{"console-streams-phone", "/", 360, 740, "light", ""},
		{"console-stream", "/streams/EventStores:stock:teapot", 1200, 900, "light", "#summary-e59"},
		{"console-stream-dark", "/streams/EventStores:order:2043", 1200, 900, "dark", "#summary-e2"},
		{"console-stream-phone", "/streams/EventStores:stock:teapot", 360, 740, "dark", "#summary-e60"},
		{"console-state", "/streams/EventStores:order:2043/state?version=1", 1200, 900, "light", ""},
		{"console-events", "/events", 1200, 900, "light", ""},
		{"console-events-phone", "/events", 360, 740, "light", ""},
		{"console-correlation", "/correlation?id=checkout-2043", 1200, 720, "light", ""},
		{"console-correlation-open", "/correlation?id=checkout-2043", 1200, 900, "dark", ".causes li:nth-child(2) summary"},
		{"console-correlation-phone", "/correlation?id=checkout-2043", 360, 740, "light", ""},
		{"console-projections", "/projections", 1200, 900, "light", ".choices summary"},
		{"console-projections-phone", "/projections", 360, 740, "dark", ""},
		{"console-health", "/health", 1200, 700, "light", ""},
		{"console-failure", "/streams/EventStores:order:1", 1200, 700, "light", ""},
	} {
		b.do(view.name, emulation.SetDeviceMetricsOverride(view.width, view.height, 1, false))
		b.scheme(view.scheme)
		b.visit(view.path)
		if eval[bool](b, `document.getElementById("live") !== null`) {
			b.until(`document.getElementById("live").textContent === "Live"`)
		}
		if view.click != "" {
			b.do("open details", chromedp.Click(view.click), chromedp.Evaluate("document.activeElement.blur(); scrollTo(0, 0)", nil))
		}
		if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > view.width {
			t.Errorf("%s is %d pixels wide on a screen of %d", view.name, wide, view.width)
		}
		b.shoot(filepath.Join(folder, view.name+".png"))
		if *write && view.name == "console-correlation" {
			root, err := servers.Root()
			if err != nil {
				t.Fatal(err)
			}
			b.shoot(filepath.Join(root, "docs", "images", "console.png"))
			t.Log("written: docs/images/console.png")
		}
	}
}
