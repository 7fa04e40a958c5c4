package main

import (
	"fmt"
	"math"
	"time"

	"github.com/dapr/durabletask-go/workflow"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// The names under which Dapr knows the workflow and its activities.
const (
	transferName = "Transfer"
	withdraw     = "withdraw"
	deposit      = "deposit"
	takeBack     = "take back"
)

// activities are the decisions of an account that the workflow asks for.
var activities = map[string]func(Account, Step) any{
	withdraw: Account.withdraw,
	deposit:  Account.deposit,
	takeBack: Account.takeBack,
}

// Order is the input of a workflow. The id of the instance is the id of the transfer.
type Order struct {
	From, To string
	Amount   int64
}

// Transfer is the workflow. It is called again after each step, with the history of the steps
// before. So it must do the same each time, and must not read a clock, a random number or a store.
func Transfer(ctx *workflow.WorkflowContext) (any, error) {
	var o Order
	if err := ctx.GetInput(&o); err != nil {
		return nil, err
	}
	ask := func(activity, account string) (refused string, err error) {
		err = ctx.CallActivity(activity,
			workflow.WithActivityInput(Step{Transfer: ctx.ID(), Account: account, Amount: o.Amount}),
			workflow.WithActivityRetryPolicy(patience()),
		).Await(&refused)
		return refused, err
	}
	if refused, err := ask(withdraw, o.From); err != nil || refused != "" {
		return "refused: " + refused, err
	}
	refused, err := ask(deposit, o.To)
	if err != nil || refused == "" {
		return "completed", err
	}
	_, err = ask(takeBack, o.From)
	return "taken back: " + refused, err
}

// patience tries an activity until it succeeds. Without a policy the first error would end the
// workflow, and the money might be in neither account.
func patience() *workflow.RetryPolicy {
	return &workflow.RetryPolicy{
		MaxAttempts:          math.MaxInt32,
		InitialRetryInterval: 100 * time.Millisecond,
		BackoffCoefficient:   2,
		MaxRetryInterval:     time.Minute,
	}
}

// Step is the input of an activity. An activity cannot ask for the id of its workflow, so the
// workflow passes it on.
type Step struct {
	Transfer, Account string
	Amount            int64
}

// accounts are the accounts in an event store.
type accounts struct {
	provider   *eventstore.Provider
	repository *aggregate.Repository[Account]
}

// registry returns the workflow and its activities for a worker.
func (a *accounts) registry() (*workflow.Registry, error) {
	r := workflow.NewRegistry()
	if err := r.AddWorkflowN(transferName, Transfer); err != nil {
		return nil, err
	}
	for name, decide := range activities {
		if err := r.AddActivityN(name, a.activity(name, decide)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// activity returns an activity that stores one event of an account, once for each transfer. Dapr
// may run it several times, also at the same time. Its result is why the account refused, or "".
func (a *accounts) activity(name string, decide func(Account, Step) any) workflow.Activity {
	return func(ctx workflow.ActivityContext) (any, error) {
		var s Step
		if err := ctx.GetInput(&s); err != nil {
			return nil, err
		}
		account, err := a.repository.Update(ctx.Context(), s.Account,
			func(account Account) ([]any, error) { return []any{decide(account, s)}, nil },
			aggregate.WithIdempotencyID(s.Transfer+"/"+name))
		if err != nil {
			return nil, err
		}
		stored := account.Appended
		if first := account.RepeatOf; first > 0 {
			reader := a.provider.Reader(a.provider.Stream(accountType, s.Account))
			for event, err := range reader.Read(ctx.Context(), eventstore.FromVersion(first), eventstore.ToVersion(first)) {
				if err != nil {
					return nil, err
				}
				stored = append(stored, event)
			}
		}
		if len(stored) != 1 {
			return nil, fmt.Errorf("a step has %d events, want 1", len(stored))
		}
		refused, _ := stored[0].Data.(Refused)
		return refused.Why, nil
	}
}
