package main

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// accountType is the aggregate type of an account.
const accountType = "Account"

// The events of an account. Amounts are in cents.
type (
	Opened    struct{ Amount int64 }
	Closed    struct{}
	Withdrawn struct {
		Transfer string
		Amount   int64
	}
	Deposited struct {
		Transfer string
		Amount   int64
	}
	Returned struct {
		Transfer string
		Amount   int64
	}
	// Refused says that the account does not take part in a transfer. It is stored because the
	// account may decide otherwise later, and a step that is repeated must get the same answer.
	Refused struct{ Transfer, Why string }
)

// types returns the types of all events with the names under which they are stored.
func types() []eventstore.TypeDefinition {
	return []eventstore.TypeDefinition{
		eventstore.Type[Opened]("Opened"), eventstore.Type[Closed]("Closed"),
		eventstore.Type[Withdrawn]("Withdrawn"), eventstore.Type[Deposited]("Deposited"),
		eventstore.Type[Returned]("Returned"), eventstore.Type[Refused]("Refused"),
	}
}

// Account is the state of an account.
type Account struct {
	Open    bool
	Balance int64
}

// Apply returns the account after one more event.
func (a Account) Apply(event eventstore.Event) (Account, error) {
	switch e := event.Data.(type) {
	case Opened:
		a.Open, a.Balance = true, e.Amount
	case Closed:
		a.Open = false
	case Withdrawn:
		a.Balance -= e.Amount
	case Deposited:
		a.Balance += e.Amount
	case Returned:
		a.Balance += e.Amount
	case Refused:
	default:
		return a, fmt.Errorf("unexpected event %T", e)
	}
	return a, nil
}

func (a Account) withdraw(s Step) any {
	switch {
	case !a.Open:
		return Refused{s.Transfer, "the account is not open"}
	case a.Balance < s.Amount:
		return Refused{s.Transfer, "insufficient funds"}
	}
	return Withdrawn{s.Transfer, s.Amount}
}

func (a Account) deposit(s Step) any {
	if !a.Open {
		return Refused{s.Transfer, "the account is not open"}
	}
	return Deposited{s.Transfer, s.Amount}
}

// takeBack is never refused, because the money must be somewhere.
func (a Account) takeBack(s Step) any { return Returned{s.Transfer, s.Amount} }
