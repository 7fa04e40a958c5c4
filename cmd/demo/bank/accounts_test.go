package bank

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

var anyVersion = Command{ExpectedVersion: -1}

// newBank returns a bank in memory that indexes itself.
func newBank(t *testing.T) *Accounts {
	t.Helper()
	a := bankIn(t, newMemory(t))
	index(t, a)
	return a
}

func newMemory(t *testing.T) *memory.State {
	t.Helper()
	state := memory.New()
	t.Cleanup(func() { _ = state.Close() })
	return state
}

// bankIn returns a bank that does not index.
func bankIn(t *testing.T, state driver.State) *Accounts {
	t.Helper()
	registry, err := eventstore.NewRegistry(Types()...)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry), eventstore.WithFeed(FeedName), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	a, err := NewAccounts(provider)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// index indexes until the test ends, or until stop is called.
func index(t *testing.T, a *Accounts) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Index(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// listing waits until the list has these accounts, in any order, and no others.
func listing(t *testing.T, a *Accounts, want []string) {
	t.Helper()
	for began := time.Now(); ; <-time.After(time.Millisecond) {
		got := numbers(t, a)
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("listed: %v, want %v", got, want)
		}
	}
}

// numbers returns the numbers of all listed accounts.
func numbers(t *testing.T, a *Accounts) (all []string) {
	t.Helper()
	listed, more, err := a.List(t.Context(), 0, 1000)
	if err != nil || more {
		t.Fatalf("more is %t, %v", more, err)
	}
	for _, account := range listed {
		all = append(all, account.Number)
	}
	return all
}

func TestAnAccountIsOpenedUsedReadClosedAndDeleted(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	if _, err := a.Open(ctx, "A1", "Ada", 10_00, Command{ID: "c1", ExpectedVersion: -1}); err != nil {
		t.Fatal(err)
	}
	if again, err := a.Open(ctx, "A1", "Ada", 10_00, Command{ID: "c1", ExpectedVersion: -1}); err != nil || again.RepeatOf != 1 {
		t.Errorf("the command again: %+v, %v", again, err)
	}
	if _, err := a.Open(ctx, "A1", "Eve", 1, anyVersion); !errors.Is(err, ErrAccountExists) {
		t.Errorf("another opens it: %v", err)
	}
	if after, err := a.Deposit(ctx, "A1", 5_00, Command{ExpectedVersion: 1}); err != nil || after.State.Balance != 15_00 {
		t.Errorf("deposit: %+v, %v", after, err)
	}
	if _, err := a.Withdraw(ctx, "A1", 1_00, Command{ExpectedVersion: 1}); !errors.As(err, new(*eventstore.VersionMismatchError)) {
		t.Errorf("withdraw as of a version that has passed: %v", err)
	}
	if _, err := a.Withdraw(ctx, "A1", 100_00, anyVersion); !errors.Is(err, ErrInsufficientFunds) {
		t.Errorf("withdraw too much: %v", err)
	}
	if was, err := a.AsOf(ctx, "A1", 1); err != nil || was.State.Balance != 10_00 {
		t.Errorf("as of version 1: %+v, %v", was, err)
	}
	if _, err := a.AsOf(ctx, "A1", 3); !errors.As(err, new(*eventstore.VersionNotFoundError)) {
		t.Errorf("as of version 3: %v", err)
	}
	var balances []Money
	for entry, err := range a.History(ctx, "A1", 1) {
		if err != nil {
			t.Fatal(err)
		}
		balances = append(balances, entry.Balance)
	}
	if !slices.Equal(balances, []Money{10_00, 15_00}) {
		t.Errorf("history: %v", balances)
	}
	if err := a.Close(ctx, "A1", 1); !errors.As(err, new(*eventstore.VersionMismatchError)) {
		t.Errorf("closing as of a version that has passed: %v", err)
	}
	if err := a.Close(ctx, "A1", 2); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Deposit(ctx, "A1", 1, anyVersion); !errors.As(err, new(*eventstore.StreamClosedError)) {
		t.Errorf("deposit on a closed account: %v", err)
	}
	if err := a.Delete(ctx, "A1", -1); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Account(ctx, "A1"); !errors.As(err, new(*eventstore.StreamDeletedError)) {
		t.Errorf("a deleted account: %v", err)
	}
}

func TestABankRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	open := func(number, owner string, amount Money) error {
		_, err := a.Open(ctx, number, owner, amount, anyVersion)
		return err
	}
	if err := open("FULL", "Ada", 1<<63-1); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"a number with a slash":    {func() error { return open("A/1", "Ada", 0) }, ErrBadNumber},
		"no number":                {func() error { return open("", "Ada", 0) }, ErrBadNumber},
		"no owner":                 {func() error { return open("A", " ", 0) }, ErrNoOwner},
		"an owner that is no text": {func() error { return open("A", "A\xffda", 0) }, ErrNoOwner},
		"less than nothing":        {func() error { return open("A", "Ada", -1) }, ErrBadAmount},
		"a deposit of nothing":     {func() error { _, err := a.Deposit(ctx, "FULL", 0, anyVersion); return err }, ErrBadAmount},
		"a deposit past the end":   {func() error { _, err := a.Deposit(ctx, "FULL", 1, anyVersion); return err }, ErrBadAmount},
		"a withdrawal of nothing":  {func() error { _, err := a.Withdraw(ctx, "FULL", 0, anyVersion); return err }, ErrBadAmount},
		"a deposit on no account":  {func() error { _, err := a.Deposit(ctx, "NONE", 1, anyVersion); return err }, ErrNoAccount},
		"no account":               {func() error { _, err := a.Account(ctx, "NONE"); return err }, ErrNoAccount},
		"the closing of none":      {func() error { return a.Close(ctx, "NONE", -1) }, ErrNoAccount},
		"the history of no number": {func() error { return historyError(t, a, "a b") }, ErrBadNumber},
		"the history of none":      {func() error { return historyError(t, a, "NONE") }, ErrNoAccount},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if got := numbers(t, a); !slices.Equal(got, []string{"FULL"}) {
		t.Errorf("what was refused was listed: %v", got)
	}
}

func historyError(t *testing.T, a *Accounts, number string) error {
	t.Helper()
	for _, err := range a.History(t.Context(), number, 1) {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAccountsOpenedSideBySideAreAllListed(t *testing.T) {
	t.Parallel()
	a := newBank(t)
	const openers = 8
	var all sync.WaitGroup
	for i := range openers {
		all.Go(func() {
			if _, err := a.Open(t.Context(), strconv.Itoa(i), "Ada", 1, anyVersion); err != nil {
				t.Errorf("account %d: %v", i, err)
			}
		})
	}
	all.Wait()
	got := numbers(t, a)
	slices.Sort(got)
	if !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5", "6", "7"}) {
		t.Errorf("%v", got)
	}
}

func TestALongHistoryIsLoadedFromASnapshot(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	if _, err := a.Open(ctx, "1", "Ada", 1, anyVersion); err != nil {
		t.Fatal(err)
	}
	for range 24 {
		if _, err := a.Deposit(ctx, "1", 1, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	if snapshots, err := a.Snapshots(ctx, "1"); err != nil || !slices.Equal(snapshots, []int64{10, 20}) {
		t.Errorf("snapshots %v, %v", snapshots, err)
	}
	now, err := a.Account(ctx, "1")
	if err != nil || now.Snapshot != 20 || now.Version != 25 || now.State.Balance != 25 {
		t.Errorf("%+v, %v", now, err)
	}
	var entries []Entry
	for entry, err := range a.History(ctx, "1", 24) {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	if len(entries) != 2 || entries[0].Version != 24 || entries[0].Balance != 24 || entries[1].Balance != 25 {
		t.Errorf("the history from version 24: %+v", entries)
	}
	for entry, err := range a.History(ctx, "1", 26) {
		t.Errorf("the history from version 26: %+v, %v", entry, err)
	}
	if version, err := a.Version(ctx, "1"); err != nil || version != 25 {
		t.Errorf("version %d, %v", version, err)
	}
}

// cutShort is a store that fails to remove.
type cutShort struct {
	driver.State
	fails bool
}

func (c *cutShort) Write(ctx context.Context, partition string, writes []driver.Write) error {
	if c.fails && slices.ContainsFunc(writes, func(w driver.Write) bool { return w.Value == nil }) {
		return errors.New("the store is away")
	}
	return c.State.Write(ctx, partition, writes)
}

func TestADeletionThatWasCutShortIsBroughtToItsEnd(t *testing.T) {
	t.Parallel()
	inMemory := newMemory(t)
	state := &cutShort{State: inMemory, fails: true}
	index(t, bankIn(t, inMemory)) // another instance
	a := bankIn(t, state)
	ctx := t.Context()
	if _, err := a.Open(ctx, "A1", "Ada", 1, anyVersion); err != nil {
		t.Fatal(err)
	}
	if err := a.Delete(ctx, "A1", -1); !errors.As(err, new(*eventstore.StorageError)) {
		t.Fatalf("the store fails: %v", err)
	}
	state.fails = false
	if err := a.Delete(ctx, "A1", -1); err != nil {
		t.Errorf("again: %v", err)
	}
	if item, err := inMemory.Get(ctx, "EventStores:BankAccount:A1", "{EventStores:BankAccount:A1}:1"); err != nil || item.Found() {
		t.Errorf("the first event is still there: %v, %v", item.Found(), err)
	}
	if err := a.Close(ctx, "A1", -1); !errors.As(err, new(*eventstore.StreamDeletedError)) {
		t.Errorf("closing a deleted account: %v", err)
	}
}
