package bank

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// TransferType is the aggregate type of a transfer. The aggregate id is the id of the transfer.
const TransferType = "Transfer"

// The events of a transfer, which begins when an account sends money.
type (
	// TransferStarted says that an account has sent money.
	TransferStarted struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Amount Money  `json:"amount"`
	}

	// TransferRefused says that the other account does not take the money.
	TransferRefused struct {
		Why string `json:"why"`
	}

	// TransferCompleted says that the other account has the money.
	TransferCompleted struct {
		From   string `json:"from"`
		To     string `json:"to"`
		Amount Money  `json:"amount"`
	}

	// TransferReturned says that the account that sent the money has it again.
	TransferReturned struct{}

	// TransferHeld says that no account takes the money. A person has to decide about it.
	TransferHeld struct {
		Why string `json:"why"`
	}
)

// Transfer is the state of a transfer after its events.
type Transfer struct {
	From, To string
	Amount   Money
	Why      string // it was refused
	Step     Step
}

// Step is how far a transfer has got.
type Step string

// The steps of a transfer.
const (
	Sent      Step = "sent"
	Refused   Step = "refused"
	Completed Step = "completed"
	Returned  Step = "returned"
	Held      Step = "held"
)

// Apply returns the transfer after one more event.
func (t Transfer) Apply(event eventstore.Event) (Transfer, error) {
	switch data := event.Data.(type) {
	case TransferStarted:
		t = Transfer{From: data.From, To: data.To, Amount: data.Amount, Step: Sent}
	case TransferRefused:
		t.Step, t.Why = Refused, data.Why
	case TransferCompleted:
		t.Step = Completed
	case TransferReturned:
		t.Step = Returned
	case TransferHeld:
		t.Step, t.Why = Held, data.Why
	}
	return t, nil
}

// Held returns how much money is in the transfer, and in no account.
func (t Transfer) Held() Money {
	switch t.Step {
	case Completed, Returned:
		return 0
	}
	return t.Amount
}

// Send begins a transfer from one account to another, and returns the account that has sent the
// money. The id is that of the transfer, and must be new. What follows is done by
// [Accounts.RunTransfers].
func (a *Accounts) Send(ctx context.Context, number, to, id string, amount Money, c Command) (Status, error) {
	switch {
	case !validNumber(to):
		return Status{}, ErrBadNumber
	case to == number:
		return Status{}, ErrSameAccount
	case strings.TrimSpace(id) == "":
		return Status{}, ErrNoTransfer
	}
	if _, err := a.load(ctx, to); err != nil { // a closed account is refused by the transfer
		return Status{}, err
	}
	return a.update(ctx, number, func(account Account) ([]any, error) {
		if _, err := account.Withdraw(amount); err != nil {
			return nil, err
		}
		return []any{FundsSent{Amount: amount, To: to, Transfer: id}}, nil
	}, c)
}

// TransferID returns the id of the transfer that a command begins. It is the same when the command
// is repeated, if the command has an id.
func TransferID(number, command string) string {
	if command == "" {
		return uuid.Must(uuid.NewV7()).String()
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(number+"/"+command)).String()
}

// Transfer returns a transfer. It returns [ErrNoTransfer] if there is none, and shortly after the
// money was sent.
func (a *Accounts) Transfer(ctx context.Context, id string) (aggregate.Aggregate[Transfer], error) {
	t, err := a.transfers.Load(ctx, id)
	if err == nil && t.Version == 0 {
		err = ErrNoTransfer
	}
	return t, err
}

// RunTransfers completes transfers until ctx ends. Run it in every instance.
func (a *Accounts) RunTransfers(ctx context.Context) error {
	for {
		running, stop := context.WithCancelCause(ctx)
		a.crash.stop.Store(&stop)
		err := a.transfers.Run(running)
		stop(nil)
		if context.Cause(running) != errCrash || ctx.Err() != nil {
			return err
		}
		select { // as long as it may take to start a process again
		case <-ctx.Done():
			return nil
		case <-time.After(crashFor):
		}
	}
}

// crash ends what completes transfers in this instance, for demonstration.
type crash struct {
	armed atomic.Bool
	stop  atomic.Pointer[context.CancelCauseFunc]
}

var errCrash = errors.New("crashed on request")

// crashFor is how long transfers stand still in an instance after a crash.
const crashFor = 3 * time.Second

// CrashNextTransfer makes [Accounts.RunTransfers] end in the middle of the next transfer that it
// completes in this instance: after the money was sent, and before the other account has it. It
// begins again 3 seconds later, unless another instance is faster.
func (a *Accounts) CrashNextTransfer() { a.crash.armed.Store(true) }

// maybe ends the run if a crash was asked for.
func (c *crash) maybe(ctx context.Context) error {
	if stop := c.stop.Load(); stop != nil && c.armed.CompareAndSwap(true, false) {
		(*stop)(errCrash)
		<-ctx.Done()
	}
	return ctx.Err()
}

func newTransfers(a *Accounts) (*process.Process[Transfer], error) {
	return process.New(a.feed, TransferType, transferRules(a.take), subscription.OfType(AccountType), subscription.WithParking())
}

// Take is a command of a transfer: an account is to take money by storing an event. The event is a
// [FundsReceived] or a [FundsReturned].
type Take struct {
	Number string
	Amount Money
	Event  any
}

// take does what a transfer asks of an account.
func (a *Accounts) take(ctx context.Context, t Take, options ...aggregate.UpdateOption) error {
	if err := a.crash.maybe(ctx); err != nil {
		return err
	}
	_, err := a.accounts.Update(ctx, t.Number, func(account Account) ([]any, error) {
		if account == (Account{}) {
			return nil, ErrNoAccount
		}
		if _, err := account.Deposit(t.Amount); err != nil {
			return nil, err
		}
		return []any{t.Event}, nil
	}, options...)
	return err
}

func transferRules(do func(context.Context, Take, ...aggregate.UpdateOption) error) process.Rules[Transfer] {
	take := func(t Take, refused func(why string) any) process.Command {
		return process.Do(func(ctx context.Context, call process.Call) error { return do(ctx, t, call.Options()...) }, func(err error) []any {
			if final(err) {
				return []any{refused(err.Error())}
			}
			return nil
		}).As(t)
	}
	return process.Rules[Transfer]{
		Fold: Transfer.Apply,
		Route: func(item feed.Item) string {
			switch data := item.Event.Data.(type) {
			case FundsSent:
				return data.Transfer
			case FundsReceived:
				return data.Transfer
			case FundsReturned:
				return data.Transfer
			}
			return ""
		},
		Decide: func(t Transfer, item feed.Item) ([]any, error) {
			switch data := item.Event.Data.(type) {
			case FundsSent:
				return []any{TransferStarted{From: item.Stream.ID, To: data.To, Amount: data.Amount}}, nil
			case FundsReceived:
				return []any{TransferCompleted{From: data.From, To: item.Stream.ID, Amount: data.Amount}}, nil
			default:
				return []any{TransferReturned{}}, nil
			}
		},
		Act: func(t Transfer, event eventstore.Event) []process.Command {
			id := event.Metadata.Message.AggregateID
			switch event.Data.(type) {
			case TransferStarted:
				return []process.Command{take(Take{t.To, t.Amount, FundsReceived{Amount: t.Amount, From: t.From, Transfer: id}},
					func(why string) any { return TransferRefused{Why: why} })}
			case TransferRefused:
				return []process.Command{take(Take{t.From, t.Amount, FundsReturned{Amount: t.Amount, To: t.To, Transfer: id}},
					func(why string) any { return TransferHeld{Why: why} })}
			}
			return nil
		},
	}
}

// final reports whether an account will never take money: it was closed or deleted.
func final(err error) bool {
	return errors.As(err, new(*eventstore.StreamClosedError)) || errors.As(err, new(*eventstore.StreamDeletedError))
}
