package eventtest_test

import (
	"fmt"
	"math"

	"github.com/hexalith/eventstores-go/eventstore"
)

// The events of a bank account, in their present form.
type (
	AccountOpened struct {
		Owner  string `json:"owner"`
		Branch string `json:"branch,omitempty"` // since 2025; older accounts have none
	}
	FundsDeposited struct {
		Amount Money `json:"amount"`
	}
	FundsWithdrawn struct {
		Amount Money `json:"amount"`
	}
)

// Money is an amount in minor units, such as cents.
type Money struct {
	Minor    int64  `json:"minor"`
	Currency string `json:"currency"`
}

// Earlier forms of the deposit.
type (
	fundsDepositedV1 struct {
		Amount float64 `json:"amount"`
	}
	fundsDepositedV2 struct {
		AmountMinor int64 `json:"amount_minor"`
	}
)

// Account is the state of an account. Snapshots are of this type.
type Account struct {
	Owner   string `json:"owner"`
	Balance Money  `json:"balance"`
}

// bankTypes returns the types of the stored events and snapshots.
func bankTypes() []eventstore.TypeDefinition {
	return []eventstore.TypeDefinition{
		eventstore.Type[AccountOpened]("AccountOpened", eventstore.WithAliases("AccountCreated")),
		eventstore.Type[FundsDeposited]("FundsDeposited",
			eventstore.WithSchemaVersion(3),
			eventstore.WithUpcastJSON(1, func(old fundsDepositedV1) (fundsDepositedV2, error) {
				return fundsDepositedV2{AmountMinor: int64(math.Round(old.Amount * 100))}, nil
			}),
			eventstore.WithUpcastJSON(2, func(old fundsDepositedV2) (FundsDeposited, error) {
				return FundsDeposited{Amount: Money{Minor: old.AmountMinor, Currency: "EUR"}}, nil
			}),
		),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
		eventstore.Type[Account]("Account", eventstore.WithSchemaVersion(2)), // older snapshots are not used
	}
}

// Apply returns the account after one more event.
func (a Account) Apply(event eventstore.Event) (Account, error) {
	switch e := event.Data.(type) {
	case AccountOpened:
		a.Owner = e.Owner
	case FundsDeposited:
		a.Balance = Money{Minor: a.Balance.Minor + e.Amount.Minor, Currency: e.Amount.Currency}
	case FundsWithdrawn:
		a.Balance.Minor -= e.Amount.Minor
	default:
		return a, fmt.Errorf("%T is no event of an account", e)
	}
	return a, nil
}

// InsufficientFundsError says that the balance does not cover a withdrawal.
type InsufficientFundsError struct{ Missing int64 }

func (e InsufficientFundsError) Error() string {
	return fmt.Sprintf("insufficient funds: %d are missing", e.Missing)
}

// Withdraw decides on a withdrawal.
func (a Account) Withdraw(minor int64) ([]any, error) {
	switch {
	case minor == 0:
		return nil, nil
	case minor > a.Balance.Minor:
		return nil, InsufficientFundsError{Missing: minor - a.Balance.Minor}
	}
	return []any{FundsWithdrawn{Amount: Money{Minor: minor, Currency: a.Balance.Currency}}}, nil
}
