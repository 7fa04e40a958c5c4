package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// runDemo runs the program without a sidecar, unless the test names one.
func runDemo(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// openTestFile opens a SQLite file beside the demo.
func openTestFile(t *testing.T, file string) *sqlite.State {
	t.Helper()
	state, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	return state
}

func newTestProvider(t *testing.T, s store) *eventstore.Provider {
	t.Helper()
	provider, err := newProvider(s)
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

func TestTheTourRunsAgainOnTheSameFileAndShowsWhatWasThere(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	file := filepath.Join(t.TempDir(), "bank.db")
	row := regexp.MustCompile(`(?m)^ +\d  (AccountOpened|FundsWithdrawn|FundsDeposited) +[+-][\d,.]+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  …[0-9a-f]{8}  …[0-9a-f]{8}$`)
	for n, c := range []struct {
		earlier string
		rows    int
	}{
		{"Earlier runs left no accounts.", 4},
		{"Accounts opened by earlier runs: 1. This run opens another. The last one is 123456000,", 9},
		{"Accounts opened by earlier runs: 2. This run opens another. The last one is 123456001,", 9},
	} {
		code, out, errs := runDemo(t, "-file", file)
		if code != 0 || errs != "" {
			t.Fatalf("run %d: exit code %d, %s", n, code, errs)
		}
		for _, says := range []string{
			file, c.earlier,
			"\n13. ", "Every step had the expected result.",
			"stored as version 4; the balance is 1,500.00",
			"is at version 4, not 3",
			"could not be opened: session",
			"loaded from the snapshot at version 4 and 0 events after it",
			"the second time nothing is stored, because version 5 has the command; the balance is 1,300.00",
			"insufficient funds; the balance is still 1,300.00",
			fmt.Sprintf(": %d appended AccountOpened\n", 123456000+n), fmt.Sprintf(": %d appended FundsDeposited\n", 123456000+n),
			"   123456000 is at version 5\n", fmt.Sprintf("   %d is at version 5\n", 123456000+n),
		} {
			if !strings.Contains(out, says) {
				t.Errorf("run %d does not say %q:\n%s", n, says, out)
			}
		}
		if rows := len(row.FindAllString(out, -1)); rows != c.rows {
			t.Errorf("run %d shows %d events, want %d:\n%s", n, rows, c.rows, out)
		}
	}

	provider := newTestProvider(t, store{state: openTestFile(t, file)})
	for number, want := range map[string]int64{"123456000": 5, "123456001": 5, "123456002": 5, "123456003": 0} {
		reader := provider.Reader(provider.Stream(bank.AccountType, number))
		version, err := reader.Version(t.Context())
		if err != nil || version != want {
			t.Errorf("account %s is at version %d, %v; want %d", number, version, err, want)
		}
		if want == 0 {
			continue
		}
		var account bank.Account // from its events alone
		for event, err := range reader.Read(t.Context()) {
			if err == nil {
				account, err = account.Apply(event)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if want := (bank.Account{Owner: "Ada", Balance: 1_300_00}); account != want {
			t.Errorf("account %s is %+v, want %+v", number, account, want)
		}
	}
}

func TestAnAccountThatAnotherRunHoldsIsPassedOver(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	file := filepath.Join(t.TempDir(), "bank.db")
	session, err := newTestProvider(t, store{state: openTestFile(t, file)}).Open(t.Context(), eventstore.Stream{Database: "EventStores", Type: bank.AccountType, ID: "123456000"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	code, out, errs := runDemo(t, "-file", file)
	if code != 0 || !strings.Contains(out, "has exclusive access to account 123456001") {
		t.Errorf("exit code %d, %s\n%s", code, errs, out)
	}
}

func TestWrongArgumentsPrintTheUsage(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a flag that is not there": {[]string{"-nosuch"}, 2, "-nosuch"},
		"a flag without its value": {[]string{"-file"}, 2, "needs an argument"},
		"an argument":              {[]string{"surprise"}, 2, `"surprise"`},
		"asking for help":          {[]string{"-h"}, 0, "demo serve -h"},
	} {
		code, out, errs := runDemo(t, c.args...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) || !strings.Contains(errs, "Usage: demo") {
			t.Errorf("%s: exit code %d, want %d, and to be told %q:\n%s%s", name, code, c.code, c.says, out, errs)
		}
	}
}

func TestVersionPrintsOneLine(t *testing.T) {
	code, out, errs := runDemo(t, "version")
	if code != 0 || errs != "" || !regexp.MustCompile(`^demo \S+(, commit .*)?, go1\.\S+ \w+/\w+\n$`).MatchString(out) {
		t.Errorf("exit code %d: %q, %q", code, out, errs)
	}
}

func TestAStoreThatCanNotBeHadIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		port string
		args []string
		says string
	}{
		"a file in no folder": {"", []string{"-file", filepath.Join(t.TempDir(), "nosuch", "bank.db")}, "does its folder exist"},
		"a blank file name":   {"", []string{"-file", ""}, "blank"},
		"no sidecar":          {"1", nil, "no Dapr sidecar answers at DAPR_GRPC_PORT=1"},
	} {
		t.Setenv("DAPR_GRPC_PORT", c.port)
		t.Setenv("DAPR_CLIENT_TIMEOUT_SECONDS", "1")
		code, out, errs := runDemo(t, c.args...)
		if code != 1 || out != "" || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit code %d, want 1 and %q:\n%s%s", name, code, c.says, out, errs)
		}
	}
}

// intruder watches what the tour says and does something to its store at one moment.
type intruder struct {
	bytes.Buffer
	at string
	do func()
}

func (i *intruder) Write(p []byte) (int, error) {
	if i.do != nil && strings.Contains(string(p), i.at) {
		i.do()
		i.do = nil
	}
	return i.Buffer.Write(p)
}

func TestAStepThatDoesNotDoWhatItSaysIsTheEnd(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	ctx := t.Context()
	for name, c := range map[string]struct {
		at   string // the step before which something happens
		do   func(t *testing.T, state driver.State)
		says string
	}{
		"somebody without the lock appends": {"\n3. ", func(t *testing.T, state driver.State) {
			provider := newTestProvider(t, store{state: state, locker: noLock{}})
			session, err := provider.Open(ctx, provider.Stream(bank.AccountType, "123456000"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Append(ctx, eventstore.ExpectVersion(2), bank.FundsWithdrawn{Amount: 1}); err != nil {
				t.Fatal(err)
			}
		}, "step 3 "},
		"the lease vanishes": {"\n7. ", func(t *testing.T, state driver.State) {
			write(t, state, driver.Write{Key: "{EventStores:BankAccount:123456000}:lease"})
		}, "a second session opened while the first is open"},
		"an event vanishes": {"\n5. ", func(t *testing.T, state driver.State) {
			write(t, state, driver.Write{Key: "{EventStores:BankAccount:123456000}:2"})
		}, "is damaged at version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bank.db")
			state := openTestFile(t, file)
			out := &intruder{at: c.at, do: func() { c.do(t, state) }}
			var errs bytes.Buffer
			code := run(ctx, []string{"-file", file}, out, &errs)
			if code != 1 || out.do != nil || !strings.Contains(errs.String(), c.says) {
				t.Errorf("exit code %d, want 1 and %q:\n%s\n%s", code, c.says, &out.Buffer, &errs)
			}
			if strings.Contains(out.String(), "Every step had the expected result") {
				t.Errorf("it says that all went well:\n%s", &out.Buffer)
			}
		})
	}
}

func write(t *testing.T, state driver.State, w driver.Write) {
	t.Helper()
	if err := state.Write(t.Context(), "EventStores:BankAccount:123456000", []driver.Write{w}); err != nil {
		t.Fatal(err)
	}
}

// noLock gives every session what it asks for.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}

func TestATourThatNobodyCanReadIsAFailure(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	_, closed := io.Pipe()
	closed.Close()
	var errs bytes.Buffer
	code := run(t.Context(), []string{"-file", filepath.Join(t.TempDir(), "bank.db")}, closed, &errs)
	if code != 1 || !strings.Contains(errs.String(), "cannot print the tour") {
		t.Errorf("exit code %d, %s", code, &errs)
	}
}

func TestACancelledTourEnds(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	ctx, cancel := context.WithCancel(t.Context())
	file := filepath.Join(t.TempDir(), "bank.db")
	out := &intruder{at: "\n3. ", do: cancel}
	var errs bytes.Buffer
	if code := run(ctx, []string{"-file", file}, out, &errs); code != 1 {
		t.Errorf("exit code %d, %s", code, &errs)
	}
	// Its session was closed: the account is free at once.
	session, err := newTestProvider(t, store{state: openTestFile(t, file)}).Open(t.Context(), eventstore.Stream{Database: "EventStores", Type: bank.AccountType, ID: "123456000"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
}
