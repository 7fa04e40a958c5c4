package bank

import (
	"context"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

func TestTheDocumentsOfTheOverview(t *testing.T) {
	t.Parallel()
	registry, err := eventstore.NewRegistry(Types()...)
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	second := first.AddDate(0, 0, 1)
	eventtest.Projecting(t, summarize,
		eventtest.On(AccountType, "A", AccountOpened{Owner: "Ada", Amount: 100}, FundsDeposited{5}),
		eventtest.On(AccountType, "B", AccountOpened{Owner: "Bob"}),
		eventtest.On(AccountType, "C", AccountOpened{Owner: "Cem", Amount: 7}, feed.Deleted),
		eventtest.Later(24*time.Hour),
		eventtest.On(AccountType, "A", FundsSent{Amount: 60, To: "B", Transfer: "t"}),
		eventtest.On(AccountType, "B", FundsReceived{Amount: 60, From: "A", Transfer: "t"}, FundsWithdrawn{60}, feed.Closed),
	).Using(registry).Then(map[string]summary{
		"account A":      {Account: &Standing{Owner: "Ada", Balance: 45}},
		"account B":      {Account: &Standing{Owner: "Bob", Closed: true}},
		"day 2000-01-01": {Largest: []Movement{{"A", 1, 100, first}, {"C", 1, 7, first}, {"A", 2, 5, first}}},
		"day 2000-01-02": {Largest: []Movement{{"A", 3, -60, second}, {"B", 2, 60, second}, {"B", 3, -60, second}}},
	})
}

func TestTheOverviewIsTheSumOfAllAccounts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a := newBank(t)
	if o, err := a.Overview(ctx, 3); err != nil || o.Accounts != 0 {
		t.Errorf("before it ran: %+v, %v", o, err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.RunOverview(running) }()
	var last int64
	for _, number := range []string{"A", "B", "C", "D"} {
		if _, err := a.Open(ctx, number, "Ada", 100, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 30 {
		after, err := a.Deposit(ctx, "B", Money(1+n), anyVersion)
		if err != nil {
			t.Fatal(err)
		}
		last = after.Version
	}
	if _, err := a.Withdraw(ctx, "D", 70, anyVersion); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(ctx, "C", -1); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitForOverview(ctx, "A", 1); err != nil { // the feed may have nothing of it later
		t.Fatal(err)
	}
	if err := a.Delete(ctx, "A", -1); err != nil {
		t.Fatal(err)
	}
	for number, version := range map[string]int64{"B": last, "D": 2} {
		if err := a.WaitForOverview(ctx, number, version); err != nil {
			t.Fatal(err)
		}
	}
	var o Overview
	// Until A is gone and C is closed. Documents are written one after the other, so the movements
	// may come later.
	for o.Accounts != 3 || !o.Richest[1].Closed || len(o.Largest) < largestKept || o.Largest[3].Change != 100 {
		var err error
		if o, err = a.Overview(ctx, 2); err != nil {
			t.Fatal(err)
		}
	}
	if o.Total != 565+100+30 || len(o.Richest) != 2 || o.Richest[0] != (Ranked{"B", Standing{"Ada", 565, false}}) || o.Richest[1] != (Ranked{"C", Standing{"Ada", 100, true}}) {
		t.Errorf("%+v", o)
	}
	if len(o.Largest) != largestKept || o.Largest[0].Change != 100 || o.Largest[4].Change != -70 || o.Largest[5].Change != 30 {
		t.Errorf("the largest movements are %+v", o.Largest)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
