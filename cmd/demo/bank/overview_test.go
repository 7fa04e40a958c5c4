package bank

import (
	"context"
	"testing"
	"time"
)

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
	if err := a.Delete(ctx, "A", -1); err != nil {
		t.Fatal(err)
	}
	for number, version := range map[string]int64{"B": last, "D": 2} {
		if err := a.WaitForOverview(ctx, number, version); err != nil {
			t.Fatal(err)
		}
	}
	var o Overview
	for o.Accounts != 3 || !o.Richest[1].Closed { // until A is gone and C is closed
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
