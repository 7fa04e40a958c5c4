package telemetry_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
)

// Waiting, and repeated decisions of updates, which walk does not contain.
func TestWaitingAndDecidingAgainAreMeasured(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	o := must(telemetry.NewObserver(l.options...))
	stream := eventstore.Stream{Database: "d", Type: "account", ID: "1"}
	for _, done := range []struct {
		eventstore.Operation
		eventstore.OperationResult
	}{
		{eventstore.Operation{Name: eventstore.OpOpen, Expected: -1}, eventstore.OperationResult{Waited: 2 * time.Second, Attempts: 9, Duration: 3 * time.Second}},
		{eventstore.Operation{Name: eventstore.OpOpen, Expected: -1}, eventstore.OperationResult{Attempts: 1}},
		{eventstore.Operation{Name: eventstore.OpAggregateUpdate, Expected: -1}, eventstore.OperationResult{Attempts: 3}},
		{eventstore.Operation{Name: eventstore.OpAppend, Expected: 3}, eventstore.OperationResult{Err: &eventstore.SessionLostError{}}},
	} {
		done.Stream = stream
		o.End(o.Begin(t.Context(), done.Operation), done.Operation, done.OperationResult)
	}
	same(t, "spans", l.take(), `
open account eventstore.operation.name=open eventstore.database=d eventstore.aggregate.type=account eventstore.aggregate.id=1 eventstore.attempts=9 eventstore.waited=…
open account eventstore.operation.name=open eventstore.database=d eventstore.aggregate.type=account eventstore.aggregate.id=1 eventstore.attempts=1
aggregate_update account eventstore.operation.name=aggregate_update eventstore.database=d eventstore.aggregate.type=account eventstore.aggregate.id=1 eventstore.attempts=3
append account eventstore.operation.name=append eventstore.database=d eventstore.aggregate.type=account eventstore.aggregate.id=1 eventstore.expected_version=3 error.type=SessionLostError Error: `+(&eventstore.SessionLostError{}).Error())
	metrics := l.measured()
	for _, line := range []string{
		"eventstore.open.wait.duration [s]: 1\n",
		"eventstore.aggregate.update.retries [{attempt}] eventstore.aggregate.type=account: 2\n",
		"eventstore.append.conflicts [{append}] eventstore.aggregate.type=account: 1\n",
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("there is no %q in\n%s", line, metrics)
		}
	}
}

func TestWithoutAnSDKAllGoesOn(t *testing.T) {
	t.Parallel()
	provider, err := eventstore.NewProvider(must(telemetry.State(inMemory(t))), eventstore.WithObserver(must(telemetry.NewObserver())))
	if err != nil {
		t.Fatal(err)
	}
	session, err := provider.Open(t.Context(), provider.Stream("account", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
}
