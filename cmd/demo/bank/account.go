// Package bank is a bank on the event store: the events of an account, its decisions, and how both
// are stored. It knows neither HTTP nor Dapr.
package bank

import (
	"fmt"
	"math"
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore"
)

// AccountType is the aggregate type of an account. The aggregate id is the account number.
const AccountType = "BankAccount"

// The events of an account. An event is stored once and never changes.
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

	// FundsSent takes from the balance, and begins a transfer to another account.
	FundsSent struct {
		Amount   Money  `json:"amount"`
		To       string `json:"to"`
		Transfer string `json:"transfer"`
	}

	// FundsReceived adds to the balance what another account has sent.
	FundsReceived struct {
		Amount   Money  `json:"amount"`
		From     string `json:"from"`
		Transfer string `json:"transfer"`
	}

	// FundsReturned adds to the balance what the account has sent to another one that did not take
	// it.
	FundsReturned struct {
		Amount   Money  `json:"amount"`
		To       string `json:"to"`
		Transfer string `json:"transfer"`
	}
)

// Account is the state of an account after its events. Snapshots store it.
type Account struct {
	Owner   string `json:"owner"`
	Balance Money  `json:"balance"`
}

// Types returns the Go types with the names under which they are stored. The names must never
// change.
func Types() []eventstore.TypeDefinition {
	return []eventstore.TypeDefinition{
		eventstore.Type[AccountOpened]("AccountOpened"),
		eventstore.Type[FundsDeposited]("FundsDeposited"),
		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
		eventstore.Type[FundsSent]("FundsSent"),
		eventstore.Type[FundsReceived]("FundsReceived"),
		eventstore.Type[FundsReturned]("FundsReturned"),
		eventstore.Type[TransferStarted]("TransferStarted"),
		eventstore.Type[TransferRefused]("TransferRefused"),
		eventstore.Type[TransferCompleted]("TransferCompleted"),
		eventstore.Type[TransferReturned]("TransferReturned"),
		eventstore.Type[TransferHeld]("TransferHeld"),
		eventstore.Type[Account]("Account"),
	}
}

// Apply returns the account after one more event.
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

// Change returns how an event changes the balance.
func Change(event eventstore.Event) (Money, error) {
	switch data := event.Data.(type) {
	case AccountOpened:
		return data.Amount, nil
	case FundsDeposited:
		return data.Amount, nil
	case FundsWithdrawn:
		return -data.Amount, nil
	case FundsSent:
		return -data.Amount, nil
	case FundsReceived:
		return data.Amount, nil
	case FundsReturned:
		return data.Amount, nil
	default:
		return 0, fmt.Errorf("version %d is a %s, which is not an event of an account", event.Version, event.Metadata.Message.Type)
	}
}

// Deposit returns the events of a deposit.
func (a Account) Deposit(amount Money) ([]any, error) {
	if amount <= 0 || amount > math.MaxInt64-a.Balance {
		return nil, ErrBadAmount
	}
	return []any{FundsDeposited{Amount: amount}}, nil
}

// Withdraw returns the events of a withdrawal.
func (a Account) Withdraw(amount Money) ([]any, error) {
	switch {
	case amount <= 0:
		return nil, ErrBadAmount
	case amount > a.Balance:
		return nil, ErrInsufficientFunds
	}
	return []any{FundsWithdrawn{Amount: amount}}, nil
}

// Money is an amount in minor units: 1,500.00 is 1_500_00. It is an integer, because binary
// floating point cannot represent cents exactly.
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
