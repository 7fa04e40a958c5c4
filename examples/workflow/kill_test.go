package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dapr/durabletask-go/workflow"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	child     = "WORKFLOW_CHILD"
	died      = 3 // exit status
	transfers = 24
	owners    = 5
	opening   = 50 // cents of each account
	reached   = "reached"
)

// What an app of the test does in one of its steps.
const (
	dieBefore = "die before the event is stored"
	dieAfter  = "die before Dapr has the result"
	wait      = "wait before Dapr has the result"
)

// TestMain runs the engine or the app, if the environment says so. Both end with the test.
func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv(child), "\n")
	var err error
	switch {
	case len(args) == 2:
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(1) }()
		var listener net.Listener
		if listener, err = net.Listen("tcp", args[1]); err == nil {
			err = serve(context.Background(), args[0], listener)
		}
	case len(args) == 4:
		var at int64
		if at, err = strconv.ParseInt(args[3], 10, 64); err == nil {
			err = app(context.Background(), args[0], args[1], args[2], at)
		}
	default:
		os.Exit(m.Run())
	}
	fmt.Println(err)
	os.Exit(1)
}

// app works on transfers. In the step of a number, it dies or waits for the test.
func app(ctx context.Context, events, addr, what string, at int64) error {
	state, err := sqlite.Open(ctx, events)
	if err != nil {
		return err
	}
	a, err := open(state)
	if err != nil {
		return err
	}
	client, _, err := connect(addr)
	if err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	released := make(chan error, 1)
	r := workflow.NewRegistry()
	var steps atomic.Int64
	err = r.AddWorkflowN(transferName, Transfer)
	for name, decide := range activities {
		activity := a.activity(name, decide)
		err = errors.Join(err, r.AddActivityN(name, func(ctx workflow.ActivityContext) (any, error) {
			mine := steps.Add(1) == at
			if mine && what == dieBefore {
				os.Exit(died)
			}
			result, err := activity(ctx)
			if mine && what == dieAfter {
				os.Exit(died)
			}
			if mine && what == wait {
				fmt.Println(reached)
				err = errors.Join(err, <-released)
			}
			return result, err
		}))
	}
	if err != nil {
		return err
	}
	if err := client.StartWorker(ctx, r); err != nil {
		return err
	}
	_, err = in.ReadString('\n')
	released <- err
	_, err = in.ReadString('\n') // until the test ends
	return err
}

// startChild runs this program as the engine or as an app.
func startChild(t *testing.T, args ...string) (*exec.Cmd, io.Writer, *bufio.Reader) {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), child+"="+strings.Join(args, "\n"))
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c, in, bufio.NewReader(out)
}

func TestMoneyIsConservedWhateverDies(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, history := filepath.Join(t.TempDir(), "events.db"), filepath.Join(t.TempDir(), "history.db")
	a, closeStore := accountsIn(t, events)
	for n := range owners {
		store(t, a, fmt.Sprint(n), Opened{opening})
	}
	store(t, a, "closed", Opened{}, Closed{})
	closeStore()

	addr := fmt.Sprintf("127.0.0.1:%d", servers.FreePorts(t, 1)[0])
	engine, _, _ := startChild(t, history, addr)
	client := connected(t, addr)
	orders := map[string]Order{}
	for n := range transfers {
		o := Order{From: fmt.Sprint(n % owners), To: fmt.Sprint((n + 1 + n/owners) % owners), Amount: int64(7 + n%11)}
		switch n % 6 {
		case 1:
			o.To = "closed"
		case 4:
			o.Amount = 1000
		}
		id := fmt.Sprintf("transfer-%d", n)
		orders[id] = o
		if err := start(ctx, client, id, o); err != nil {
			t.Fatal(err)
		}
	}
	for n, what := range []string{dieBefore, dieAfter} {
		c, _, out := startChild(t, events, addr, what, strconv.Itoa(3+4*n))
		said, _ := io.ReadAll(out)
		_ = c.Wait()
		if got := c.ProcessState.ExitCode(); got != died {
			t.Fatalf("the app that should %s ends with %d: %s", what, got, said)
		}
	}
	_, in, out := startChild(t, events, addr, wait, "6")
	if line, err := out.ReadString('\n'); err != nil || line != reached+"\n" {
		t.Fatalf("the app says %q, want %q: %v", line, reached, err)
	}
	_ = engine.Process.Kill()
	_ = engine.Wait()
	startChild(t, history, addr)
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	outputs := map[string]string{}
	for id := range orders {
		w, err := client.WaitForWorkflowCompletion(ctx, id, workflow.WithFetchPayloads(true))
		if err != nil {
			t.Fatalf("%s does not complete: %v", id, err)
		}
		if w.String() != "COMPLETED" {
			t.Errorf("%s is %v: %v", id, w, w.FailureDetails)
		}
		outputs[id] = strings.Trim(w.Output.GetValue(), `"`)
		if err := start(ctx, client, id, orders[id]); err != nil {
			t.Errorf("%s cannot be started twice: %v", id, err)
		}
	}

	a, closeStore = accountsIn(t, events)
	defer closeStore()
	check(t, a, orders, outputs)
}

func accountsIn(t *testing.T, file string) (*accounts, func()) {
	t.Helper()
	state, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	a, err := open(state)
	if err != nil {
		t.Fatal(err)
	}
	return a, func() {
		if err := errors.Join(a.provider.Close(t.Context()), state.Close()); err != nil {
			t.Error(err)
		}
	}
}

// check compares the events of the accounts with what the workflows say.
func check(t *testing.T, a *accounts, orders map[string]Order, outputs map[string]string) {
	t.Helper()
	var sum int64
	did := map[string][]string{} // what was done for a transfer, in any order
	note := func(transfer, account, what string, amount int64) {
		o := orders[transfer]
		if wanted := map[string]string{"withdrawn": o.From, "returned": o.From, "deposited": o.To}[what]; account != wanted || amount != o.Amount {
			t.Errorf("%s: %d %s at account %s, want %d at %s", transfer, amount, what, account, o.Amount, wanted)
		}
		did[transfer] = append(did[transfer], what)
	}
	for _, id := range []string{"0", "1", "2", "3", "4", "closed"} {
		for event, err := range a.provider.Reader(a.provider.Stream(accountType, id)).Read(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			switch e := event.Data.(type) {
			case Opened:
				sum += e.Amount
			case Withdrawn:
				sum -= e.Amount
				note(e.Transfer, id, "withdrawn", e.Amount)
			case Deposited:
				sum += e.Amount
				note(e.Transfer, id, "deposited", e.Amount)
			case Returned:
				sum += e.Amount
				note(e.Transfer, id, "returned", e.Amount)
			case Refused:
				did[e.Transfer] = append(did[e.Transfer], "refused")
			}
		}
	}
	if sum != owners*opening {
		t.Errorf("there are %d cents, want %d", sum, owners*opening)
	}
	ends := map[string]int{}
	for id, output := range outputs {
		end, _, _ := strings.Cut(output, ":")
		ends[end]++
		want := map[string]string{"completed": "deposited withdrawn", "refused": "refused", "taken back": "refused returned withdrawn"}[end]
		slices.Sort(did[id])
		if got := strings.Join(did[id], " "); got != want {
			t.Errorf("%s is %q, but was %q, want %q", id, output, got, want)
		}
	}
	if len(ends) != 3 {
		t.Errorf("the transfers end as %v, which is not every way", ends)
	}
}
