package bank

import (
	"math"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

func TestAnAccountIsWhatItsEventsMakeOfIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []any
		want   Account
	}{
		"none":      {nil, Account{}},
		"opened":    {[]any{AccountOpened{Owner: "Ada", Amount: 1}}, Account{"Ada", 1}},
		"all kinds": {[]any{AccountOpened{Owner: "Ada", Amount: 1_500_00}, FundsWithdrawn{500_00}, FundsDeposited{1_000_00}}, Account{"Ada", 2_000_00}},
	} {
		var account Account
		for i, data := range c.events {
			var err error
			if account, err = account.Apply(eventstore.Event{Version: int64(i + 1), Data: data}); err != nil {
				t.Fatal(err)
			}
		}
		if account != c.want {
			t.Errorf("%s: %+v, want %+v", name, account, c.want)
		}
	}
}

func TestAnEventOfAnotherKindIsRefused(t *testing.T) {
	t.Parallel()
	before := Account{"Ada", 1}
	after, err := before.Apply(eventstore.Event{Version: 7, Data: Account{}})
	if err == nil || after != before {
		t.Errorf("%+v, %v", after, err)
	}
}

func TestMoneyReadsAsAnAmount(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]Money{
		"0.00":                       0,
		"0.05":                       5,
		"-0.05":                      -5,
		"1.00":                       1_00,
		"999.99":                     999_99,
		"1,500.00":                   1_500_00,
		"-1,000.00":                  -1_000_00,
		"123,456.78":                 123_456_78,
		"1,234,567.89":               1_234_567_89,
		"92,233,720,368,547,758.07":  math.MaxInt64,
		"-92,233,720,368,547,758.08": math.MinInt64,
	} {
		if got := m.String(); got != want {
			t.Errorf("%d is %q, want %q", m, got, want)
		}
	}
}

func TestAWithdrawalIsDecidedOnTheBalance(t *testing.T) {
	t.Parallel()
	open := []any{AccountOpened{Owner: "Ada", Amount: 100}}
	eventtest.Given(t, Account.Apply, open...).
		When(func(a Account) ([]any, error) { return a.Withdraw(100) }).
		Then(FundsWithdrawn{Amount: 100})
	eventtest.Given(t, Account.Apply, open...).
		When(func(a Account) ([]any, error) { return a.Withdraw(101) }).
		ThenError(ErrInsufficientFunds)
}
