package bank

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// earlierBank is the earlier version of this program, which had no feed.
type earlierBank struct {
	*testing.T
	provider *eventstore.Provider
}

func earlierIn(t *testing.T, state driver.State) earlierBank {
	t.Helper()
	registry, err := eventstore.NewRegistry(Types()...)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry))
	if err != nil {
		t.Fatal(err)
	}
	return earlierBank{t, provider}
}

// lists notes a number, as of some time ago.
func (b earlierBank) lists(number string, ago time.Duration) error {
	event := eventstore.Event{Data: eventstore.Raw{Type: "AccountListed", ContentType: "application/json", Payload: fmt.Appendf(nil, `{"number":%q}`, number)}}
	event.Metadata.Context.Timestamp = time.Now().Add(-ago)
	_, err := b.provider.Append(b.Context(), b.provider.Stream("BankDirectory", "accounts"), eventstore.ExpectAny(), event)
	return err
}

func (b earlierBank) opens(number string) {
	b.Helper()
	if _, err := b.provider.Append(b.Context(), b.provider.Stream(AccountType, number), eventstore.ExpectVersion(0), AccountOpened{Owner: "Ada", Amount: 10}); err != nil {
		b.Fatal(err)
	}
}

func TestTheAccountsOfAnEarlierVersionAreTakenInOnce(t *testing.T) {
	t.Parallel()
	state := newMemory(t)
	earlier := earlierIn(t, state)
	var want []string
	for i := range 300 {
		number := fmt.Sprintf("N%03d", i)
		if err := earlier.lists(number, time.Hour); err != nil {
			t.Fatal(err)
		}
		if i != 7 { // whose opening was interrupted
			earlier.opens(number)
			want = append(want, number)
		}
	}
	a := bankIn(t, state)
	if err := a.takeIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	index(t, a)
	if _, err := a.Open(t.Context(), "NEW", "Ada", 1, anyVersion); err != nil { // is listed after them
		t.Fatal(err)
	}
	want = append(want, "NEW")
	slices.Sort(want)
	listing(t, a, want) // the new one may be the first
	if now, err := a.Deposit(t.Context(), "N000", 5, Command{ExpectedVersion: 1}); err != nil || now.State.Balance != 15 {
		t.Errorf("an account that was taken in: %+v, %v", now, err)
	}
	if err := earlier.lists("LATE", 0); !errors.As(err, new(*eventstore.StreamClosedError)) {
		t.Errorf("the earlier version opens an account that would not be listed: %v", err)
	}
	if err := a.takeIn(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestAnAccountThatIsAboutToBeOpenedIsWaitedFor(t *testing.T) {
	t.Parallel()
	state := newMemory(t)
	earlier, a := earlierIn(t, state), bankIn(t, state)
	if err := a.takeIn(t.Context()); err != nil {
		t.Errorf("a store without accounts: %v", err)
	}
	if err := earlier.lists("A", 0); err != nil {
		t.Fatal(err)
	}
	if err := a.takeIn(t.Context()); err == nil {
		t.Error("done before the account was opened")
	}
	earlier.opens("A")
	if err := a.takeIn(t.Context()); err != nil {
		t.Fatal(err)
	}
	index(t, a)
	listing(t, a, []string{"A"})
}

func TestIndexingTakesInWhatAnEarlierVersionLeft(t *testing.T) {
	t.Parallel()
	state := newMemory(t)
	earlier := earlierIn(t, state)
	if err := earlier.lists("A", time.Hour); err != nil {
		t.Fatal(err)
	}
	earlier.opens("A")
	a := bankIn(t, state)
	index(t, a)
	for changed, err := range a.Follow(t.Context(), 0, func(string) bool { return true }) {
		if err != nil {
			t.Fatal(err)
		}
		if changed.Number == "A" && changed.Version == 1 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.takeInEarlier(ctx) // ends with its context
}
