package bank

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

func TestTheRulesOfATransfer(t *testing.T) {
	t.Parallel()
	registry, err := eventstore.NewRegistry(Types()...)
	if err != nil {
		t.Fatal(err)
	}
	var (
		closed  = &eventstore.StreamClosedError{}
		sent    = eventtest.On(AccountType, "A", AccountOpened{Owner: "Ada", Amount: 100}, FundsSent{Amount: 30, To: "B", Transfer: "t"})
		started = TransferStarted{From: "A", To: "B", Amount: 30}
		there   = Take{"B", 30, FundsReceived{Amount: 30, From: "A", Transfer: "t"}}
		back    = Take{"A", 30, FundsReturned{Amount: 30, To: "B", Transfer: "t"}}
	)
	transfer := func() *eventtest.Processed[Transfer] {
		return eventtest.Processing(t, transferRules(nil)).Using(registry)
	}

	transfer().When(sent).
		Then("t", started, eventtest.Sends{Command: there}).
		When(eventtest.On(AccountType, "B", there.Event)).
		Then("t", TransferCompleted{From: "A", To: "B", Amount: 30})

	transfer().Answering(there, closed).When(sent).
		Then("t", started, eventtest.Sends{Command: there}, TransferRefused{Why: closed.Error()}, eventtest.Sends{Command: back}).
		When(eventtest.On(AccountType, "A", back.Event)).
		Then("t", TransferReturned{})

	transfer().Answering(there, closed).Answering(back, closed).When(sent).
		Then("t", started, eventtest.Sends{Command: there}, TransferRefused{Why: closed.Error()},
			eventtest.Sends{Command: back}, TransferHeld{Why: closed.Error()})

	transfer().Answering(there, context.DeadlineExceeded).When(sent). // which is no refusal
										Then("t", started, eventtest.Sends{Command: there})

	transfer().Answering(there, slices.Repeat([]error{ErrNoAccount}, 6)...).When(sent).ThenError(ErrNoAccount)
}

// transferring completes the transfers of a bank until the test ends.
func transferring(t *testing.T, a *Accounts) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.RunTransfers(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("RunTransfers: %v", err)
		}
	})
}

// over waits until a transfer has come to a step.
func over(t *testing.T, a *Accounts, id string, step Step) Transfer {
	t.Helper()
	for began := time.Now(); ; {
		got, err := a.Transfer(t.Context(), id)
		if err == nil && got.State.Step == step {
			return got.State
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the transfer is %+v, %v, want %s", got.State, err, step)
		}
	}
}

func balanceOf(t *testing.T, a *Accounts, number string) Money {
	t.Helper()
	s, err := a.Account(t.Context(), number)
	if err != nil {
		t.Fatal(err)
	}
	return s.State.Balance
}

func TestATransferBringsMoneyToTheOtherAccountOrBack(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	transferring(t, a)
	for _, number := range []string{"A", "B", "C"} {
		if _, err := a.Open(ctx, number, "Ada", 100, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(ctx, "C", -1); err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]Step{"B": Completed, "C": Returned} {
		if _, err := a.Send(ctx, "A", to, "to "+to, 30, anyVersion); err != nil {
			t.Fatal(err)
		}
		if got := over(t, a, "to "+to, want); got.From != "A" || got.To != to || got.Amount != 30 || got.Held() != 0 || (got.Why == "") != (to == "B") {
			t.Errorf("%+v", got)
		}
	}
	if a, b, c := balanceOf(t, a, "A"), balanceOf(t, a, "B"), balanceOf(t, a, "C"); a != 70 || b != 130 || c != 100 {
		t.Errorf("the balances are %s, %s and %s", a, b, c)
	}
}

func TestATransferCompletesAfterACrashInBetween(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	transferring(t, a)
	for _, number := range []string{"A", "B"} {
		if _, err := a.Open(ctx, number, "Ada", 100, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	a.CrashNextTransfer()
	if _, err := a.Send(ctx, "A", "B", "t", 30, anyVersion); err != nil {
		t.Fatal(err)
	}
	over(t, a, "t", Sent)
	for began := time.Now(); a.crash.armed.Load(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("it does not crash")
		}
	}
	if a, b := balanceOf(t, a, "A"), balanceOf(t, a, "B"); a != 70 || b != 100 {
		t.Errorf("after the crash the balances are %s and %s", a, b)
	}
	over(t, a, "t", Completed)
	if a, b := balanceOf(t, a, "A"), balanceOf(t, a, "B"); a != 70 || b != 130 {
		t.Errorf("in the end the balances are %s and %s", a, b)
	}
}

func TestATransferThatNobodyTakesIsHeld(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	for _, number := range []string{"A", "B"} {
		if _, err := a.Open(ctx, number, "Ada", 100, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Send(ctx, "A", "B", "t", 30, anyVersion); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(ctx, "A", -1), a.Delete(ctx, "B", -1)); err != nil {
		t.Fatal(err)
	}
	transferring(t, a)
	if got := over(t, a, "t", Held); got.Held() != 30 || got.Why == "" {
		t.Errorf("%+v", got)
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	if _, err := a.Open(ctx, "A", "Ada", 100, anyVersion); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(ctx, "B", "Bob", 0, anyVersion); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		amount   Money
		want     error
	}{
		{"A", "A", 1, ErrSameAccount}, {"A", "b", 1, ErrBadNumber}, {"A", "C", 1, ErrNoAccount}, {"C", "B", 1, ErrNoAccount},
		{"A", "B", 101, ErrInsufficientFunds}, {"A", "B", 0, ErrBadAmount},
	} {
		if _, err := a.Send(ctx, c.from, c.to, "t", c.amount, anyVersion); !errors.Is(err, c.want) {
			t.Errorf("%d from %s to %s: %v, want %v", c.amount, c.from, c.to, err, c.want)
		}
	}
	if _, err := a.Transfer(ctx, "t"); !errors.Is(err, ErrNoTransfer) {
		t.Error(err)
	}
	if got := balanceOf(t, a, "A"); got != 100 {
		t.Errorf("the balance is %s", got)
	}
}

func TestARepeatedCommandSendsOnce(t *testing.T) {
	t.Parallel()
	a, ctx := newBank(t), t.Context()
	transferring(t, a)
	for _, number := range []string{"A", "B"} {
		if _, err := a.Open(ctx, number, "Ada", 100, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 3 {
		c := Command{ID: "form 1", ExpectedVersion: -1}
		after, err := a.Send(ctx, "A", "B", TransferID("A", c.ID), 30, c)
		if err != nil || (after.RepeatOf > 0) != (n > 0) {
			t.Error(after.RepeatOf, err)
		}
	}
	over(t, a, TransferID("A", "form 1"), Completed)
	if a, b := balanceOf(t, a, "A"), balanceOf(t, a, "B"); a != 70 || b != 130 {
		t.Errorf("the balances are %s and %s", a, b)
	}
}
