package bank

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

func TestABankNeedsAFeed(t *testing.T) {
	t.Parallel()
	provider, err := eventstore.NewProvider(newMemory(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewAccounts(provider); !errors.As(err, new(*eventstore.ArgumentError)) {
		t.Errorf("without a feed: %v", err)
	}
}

func TestWhoeverOpensAnAccountFindsItInTheListOfEveryInstance(t *testing.T) {
	t.Parallel()
	state := newMemory(t)
	one, two := bankIn(t, state), bankIn(t, state)
	index(t, one)
	var want []string
	for _, number := range []string{"A", "B", "C", "D"} {
		want = append(want, number)
		opener := one
		if len(want)%2 == 0 {
			opener = two // does not index
		}
		if _, err := opener.Open(t.Context(), number, "Ada", 1, anyVersion); err != nil {
			t.Fatal(err)
		}
		for name, a := range map[string]*Accounts{"one": one, "two": two} {
			if got := numbers(t, a); !slices.Equal(got, want) {
				t.Errorf("after %s was opened, %s lists %v", number, name, got)
			}
		}
	}
}

func TestTheListComesInPagesAndKeepsAccountsThatWereClosedOrDeleted(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	for _, number := range []string{"A", "B", "C", "D", "E"} {
		if _, err := a.Open(ctx, number, "Ada", 1, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(a.Close(ctx, "B", -1), a.Delete(ctx, "C", -1)); err != nil {
		t.Fatal(err)
	}
	// Other streams of the store are no accounts of this bank.
	for _, other := range []eventstore.Stream{a.provider.Stream("Other", "X"), {Database: "Other", Type: AccountType, ID: "X"}} {
		if _, err := a.provider.Append(ctx, other, eventstore.ExpectVersion(0), AccountOpened{Owner: "Eve"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Open(ctx, "F", "Ada", 1, anyVersion); err != nil { // is listed after them
		t.Fatal(err)
	}
	var pages []string
	for after, more := feed.Position(0), true; more; {
		var page []Listed
		var err error
		if page, more, err = a.List(ctx, after, 2); err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, account := range page {
			text += account.Number
			after = account.Position
		}
		pages = append(pages, text)
	}
	if !slices.Equal(pages, []string{"AB", "CD", "EF"}) {
		t.Errorf("pages %q", pages)
	}
	if page, more, err := a.List(ctx, 1<<60, 2); len(page) > 0 || more || err != nil {
		t.Errorf("beyond the end: %v, %t, %v", page, more, err)
	}
}

func TestWithoutAnIndexerAccountsAreOpenedAndListedLater(t *testing.T) {
	t.Parallel()
	a, ctx := bankIn(t, newMemory(t)), t.Context()
	a.listedWithin = 200 * time.Millisecond
	began := time.Now()
	if _, err := a.Open(ctx, "A", "Ada", 1, anyVersion); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < a.listedWithin {
		t.Errorf("it waited %v for the list, want %v", took, a.listedWithin)
	}
	if got := numbers(t, a); len(got) > 0 {
		t.Errorf("listed: %v", got)
	}
	if again, err := a.Open(ctx, "B", "Ada", 1, Command{ID: "c", ExpectedVersion: -1}); err != nil || again.Version != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	a.listedWithin = time.Hour
	if again, err := a.Open(ctx, "B", "Ada", 1, Command{ID: "c", ExpectedVersion: -1}); err != nil || again.RepeatOf != 1 {
		t.Errorf("the same command again, which does not wait: %+v, %v", again, err)
	}
	index(t, a)
	if _, err := a.Open(ctx, "C", "Ada", 1, anyVersion); err != nil {
		t.Fatal(err)
	}
	if got := numbers(t, a); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("listed: %v", got)
	}
}

func TestChangesAreToldOfTheAccountsThatAreWanted(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	told := make(chan Changed)
	follow := func(after feed.Position, numbers string) (stop func()) {
		ctx, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for changed, err := range a.Follow(ctx, after, func(number string) bool { return strings.Contains(numbers, number) }) {
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				select {
				case told <- changed:
				case <-ctx.Done():
				}
			}
		}()
		return func() { cancel(); <-ended }
	}
	next := func() Changed {
		for {
			if changed := <-told; changed.Number != "" {
				return changed
			}
		}
	}
	must := func(_ Status, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(a.Open(ctx, "A", "Ada", 10, anyVersion))
	must(a.Open(ctx, "B", "Bob", 10, anyVersion))
	must(a.Open(ctx, "C", "Cyd", 10, anyVersion))

	stop := follow(FromNow, "AB")
	if begins := <-told; begins.Number != "" {
		t.Errorf("from now on: %+v", begins)
	}
	must(a.Deposit(ctx, "C", 1, anyVersion))
	must(a.Deposit(ctx, "A", 1, anyVersion))
	first := next()
	if first.Number != "A" || first.Version != 2 || first.Position == 0 {
		t.Errorf("told %+v", first)
	}
	must(a.Deposit(ctx, "B", 1, anyVersion))
	if got := next(); got.Number != "B" || got.Version != 2 || got.Position <= first.Position {
		t.Errorf("told %+v", got)
	}
	stop()
	if err := a.Delete(ctx, "B", -1); err != nil {
		t.Fatal(err)
	}
	stop = follow(first.Position, "AB")
	if got := next(); got.Number != "B" || got.Version != 0 { // its events are gone
		t.Errorf("told %+v", got)
	}
	stop()
}
