// Package banktest makes banks for tests.
package banktest

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// New returns a bank in memory, which is indexed until the test ends.
func New(t testing.TB) *bank.Accounts {
	t.Helper()
	accounts := In(t, NewProvider(t, NewMemory(t)))
	Index(t, accounts)
	return accounts
}

// NewMemory returns a store in memory, which is closed when the test ends.
func NewMemory(t testing.TB) driver.State {
	t.Helper()
	state := memory.New()
	t.Cleanup(func() { _ = state.Close() })
	return state
}

// NewProvider returns a provider with the types and the feed of a bank. It logs nothing.
func NewProvider(t testing.TB, state driver.State, options ...eventstore.Option) *eventstore.Provider {
	t.Helper()
	registry, err := eventstore.NewRegistry(bank.Types()...)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, append([]eventstore.Option{
		eventstore.WithRegistry(registry), eventstore.WithFeed(bank.FeedName), eventstore.WithLogger(slog.New(slog.DiscardHandler)),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// In returns the bank of a provider. It is not indexed, see [Index].
func In(t testing.TB, provider *eventstore.Provider) *bank.Accounts {
	t.Helper()
	accounts, err := bank.NewAccounts(provider)
	if err != nil {
		t.Fatal(err)
	}
	return accounts
}

// Index indexes a bank until stop is called, or until the test ends.
func Index(t testing.TB, accounts *bank.Accounts) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- accounts.Index(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Transfers completes the transfers of a bank until the test ends.
func Transfers(t testing.TB, accounts *bank.Accounts) { run(t, accounts.RunTransfers) }

// Overview keeps the read model of a bank up to date until the test ends.
func Overview(t testing.TB, accounts *bank.Accounts) { run(t, accounts.RunOverview) }

func run(t testing.TB, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("what ran in the background failed: %v", err)
		}
	})
}
