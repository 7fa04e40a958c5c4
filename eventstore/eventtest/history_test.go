package eventtest_test

import (
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

func TestHistoryStillReads(t *testing.T) {
	registry, err := eventstore.NewRegistry(bankTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	eventtest.Golden(t, registry, "testdata/bank",
		AccountOpened{Owner: "Ada", Branch: "North"},
		FundsDeposited{Amount: Money{Minor: 12_50, Currency: "EUR"}},
		FundsWithdrawn{Amount: Money{Minor: 3_00, Currency: "EUR"}},
		Account{Owner: "Ada", Balance: Money{Minor: 9_50, Currency: "EUR"}},
	)
}
