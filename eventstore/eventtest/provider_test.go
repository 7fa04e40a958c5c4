package eventtest_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

func TestEachProviderIsAStoreOfItsOwn(t *testing.T) {
	var logs strings.Builder
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { slog.SetDefault(before) })
	for range 2 {
		session, err := eventtest.NewProvider(t, eventstore.Type[added]("added")).Open(t.Context(), eventstore.Stream{Database: "EventStores", Type: "Sum", ID: "1"})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if version, err := session.Append(t.Context(), eventstore.ExpectVersion(0), added{1}); err != nil || version != 1 {
			t.Errorf("appended as %d, %v", version, err)
		}
		if events, err := session.Slice(t.Context(), 1, 1); err != nil || len(events) != 1 || events[0].Data != (added{1}) {
			t.Errorf("%v, %v", events, err)
		}
	}
	if logs.Len() != 0 {
		t.Errorf("it logs: %s", logs.String())
	}
}

func TestTypesThatDoNotFitTogetherEndTheTest(t *testing.T) {
	t.Parallel()
	record(func(t testing.TB) {
		eventtest.NewProvider(t, eventstore.Type[added]("a"), eventstore.Type[added]("b"))
		t.Errorf("it went on")
	}).wantFailures(t, "Go type eventtest_test.added is registered twice")
}

// The account is the same, whichever of its events were stored years ago.
func TestHistoryOfThreeSchemaVersionsReadsAsTheNewest(t *testing.T) {
	t.Parallel()
	provider := eventtest.NewProvider(t, bankTypes()...)
	session, err := provider.Open(t.Context(), provider.Stream("BankAccount", "1"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	stored := func(name string, schema int, payload string) eventstore.Raw {
		return eventstore.Raw{Type: name, SchemaVersion: schema, ContentType: "application/json", Payload: []byte(payload)}
	}
	if _, err := session.Append(t.Context(), eventstore.ExpectVersion(0),
		stored("AccountCreated", 1, `{"owner":"Ada"}`),
		stored("FundsDeposited", 1, `{"amount":12.5}`),
		stored("FundsDeposited", 2, `{"amount_minor":1250}`),
		FundsDeposited{Amount: Money{Minor: 12_50, Currency: "EUR"}},
		FundsWithdrawn{Amount: Money{Minor: 3_00, Currency: "EUR"}},
	); err != nil {
		t.Fatal(err)
	}
	var (
		account Account
		events  []any
	)
	for event, err := range session.Read(t.Context()) {
		if err == nil {
			account, err = account.Apply(event)
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event.Data)
	}
	deposit := FundsDeposited{Amount: Money{Minor: 12_50, Currency: "EUR"}}
	want := []any{AccountOpened{Owner: "Ada"}, deposit, deposit, deposit, FundsWithdrawn{Amount: Money{Minor: 3_00, Currency: "EUR"}}}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if want := (Account{Owner: "Ada", Balance: Money{Minor: 34_50, Currency: "EUR"}}); account != want {
		t.Errorf("got %+v, want %+v", account, want)
	}
}
