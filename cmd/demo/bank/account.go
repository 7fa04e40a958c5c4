// Package bank is a bank on the event store: what happens to an account, what the account decides, and how both are
// kept. It knows no HTTP and no Dapr.
package bank

import (
	"fmt"
	"math"
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore"
)

// AccountType is the aggregate type of an account; its id is the account number.
const AccountType = "BankAccount"

// The events of an account. What happened is written once and never changes.
type (
	// AccountOpened is the first event of every account.
	AccountOpened struct {
		Owner  string `json:"owner"`
		Amount Money  `json:"amount"`
	}

	// FundsDeposited adds to the balance.
	FundsDeposited struct {
		Amount Money `json:"amount"`
	}

	// FundsWithdrawn takes from the balance.
	FundsWithdrawn struct {
		Amount Money `json:"amount"`
	}
)

// Account is what its events make of an account. It is also what a snapshot holds.
type Account struct {
	Owner   string `json:"owner"`
	Balance Money  `json:"balance"`
}

// Types are the Go types under the names by which they are stored, for ever.
func Types() []eventstore.TypeDefinition {
	return []eventstore.TypeDefinition{
		eventstore.Type[AccountOpened]("AccountOpened"),
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
		eventstore.Type[Account]("Account"),
		eventstore.Type[AccountListed]("AccountListed"),
		eventstore.Type[Directory]("DirectorySize"), // "Directory" was one that held all numbers
	}
}

// Apply is the account after one more event.
func (a Account) Apply(event eventstore.Event) (Account, error) {
	amount, err := Change(event)
	if err != nil {
		return a, err
	}
	if opened, ok := event.Data.(AccountOpened); ok {
		a.Owner = opened.Owner
	}
	a.Balance += amount
	return a, nil
}

// Change is what an event does to the balance.
func Change(event eventstore.Event) (Money, error) {
	switch data := event.Data.(type) {
	case AccountOpened:
		return data.Amount, nil
	case FundsDeposited:
		return data.Amount, nil
	case FundsWithdrawn:
		return -data.Amount, nil
	default:
		return 0, fmt.Errorf("version %d is a %s, which is no event of an account", event.Version, event.Metadata.Message.Type)
	}
}

// Deposit decides on a deposit.
func (a Account) Deposit(amount Money) ([]any, error) {
	if amount <= 0 || amount > math.MaxInt64-a.Balance {
		return nil, ErrBadAmount
	}
	return []any{FundsDeposited{Amount: amount}}, nil
}

// Withdraw decides on a withdrawal.
func (a Account) Withdraw(amount Money) ([]any, error) {
	switch {
	case amount <= 0:
		return nil, ErrBadAmount
	case amount > a.Balance:
		return nil, ErrInsufficientFunds
	}
	return []any{FundsWithdrawn{Amount: amount}}, nil
}

// Money is an amount in minor units: 1,500.00 is 1_500_00. Integers, since fractions of binary floating point
// do not add up to cents.
type Money int64

func (m Money) String() string {
	sign, size := "", uint64(m)
	if m < 0 {
		sign, size = "-", -size
	}
	whole := strconv.FormatUint(size/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("%s%s.%02d", sign, whole, size%100)
}
