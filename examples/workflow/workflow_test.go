package main

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dapr/durabletask-go/workflow"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
)

func TestTheExampleRuns(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- serve(ctx, "", listener) }()
	state := memory.New()
	defer state.Close()
	var out strings.Builder
	if err := demo(ctx, state, connected(t, listener.Addr().String()), &out); err != nil {
		t.Fatal(err)
	}
	want := "COMPLETED \"completed\"; Ada has 7000\n" +
		"COMPLETED \"taken back: the account is not open\"; Ada has 7000\n"
	if got := out.String(); got != want {
		t.Errorf("it prints\n%swant\n%s", got, want)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// call is a call of an activity by Dapr.
type call struct {
	workflow.ActivityContext
	ctx  context.Context
	step Step
}

func (c call) Context() context.Context { return c.ctx }

func (c call) GetInput(input any) error {
	text, err := json.Marshal(c.step)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, input)
}

// A step that is repeated does nothing, and has the result of the first time.
func TestAStepTakesEffectOnce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	state, err := sqlite.Open(ctx, filepath.Join(t.TempDir(), "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	a, err := open(state)
	if err != nil {
		t.Fatal(err)
	}
	store(t, a, "ada", Opened{10})
	step := func(transfer string, amount int64, want string) {
		t.Helper()
		got, err := a.activity(withdraw, Account.withdraw)(call{ctx: ctx, step: Step{transfer, "ada", amount}})
		if err != nil || got != want {
			t.Errorf("transfer %s of %d is %q, want %q: %v", transfer, amount, got, want, err)
		}
	}
	step("t1", 7, "")
	step("t1", 7, "")
	step("t2", 7, "insufficient funds")
	store(t, a, "ada", Deposited{"t3", 100})
	step("t2", 7, "insufficient funds") // although there are funds now
	step("t4", 7, "")
	account, err := a.repository.Load(ctx, "ada")
	if err != nil || account.State.Balance != 10-7+100-7 {
		t.Errorf("the balance is %d, want 96: %v", account.State.Balance, err)
	}
}

func store(t *testing.T, a *accounts, id string, events ...any) {
	t.Helper()
	if _, err := a.repository.Update(t.Context(), id, func(Account) ([]any, error) { return events, nil }); err != nil {
		t.Fatal(err)
	}
}
