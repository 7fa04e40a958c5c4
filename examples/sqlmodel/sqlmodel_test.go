package sqlmodel_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/examples/sqlmodel"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// crash is where a process of the test dies, if it does.
type crash string

const (
	never        crash = "never"
	beforeCommit crash = "between the effect and the commit"
	afterCommit  crash = "between the commit and the position"
)

const (
	accounts = 5
	each     = 8 // events of an account, besides its deletion
	died     = 3 // exit status
	child    = "SQLMODEL_CHILD"
	name     = "accounts in sql"
)

// TestMain runs the process that dies, if the environment says so.
func TestMain(m *testing.M) {
	if args := strings.Split(os.Getenv(child), "\n"); len(args) == 5 {
		at, err := strconv.Atoi(args[4])
		if err == nil {
			err = run(context.Background(), args[0], args[1], args[2], crash(args[3]), at)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func open(ctx context.Context, events string) (*sqlite.State, *eventstore.Provider, *feed.Feed, error) {
	registry, err := eventstore.NewRegistry(eventstore.Type[sqlmodel.Deposited]("Deposited"))
	if err != nil {
		return nil, nil, nil, err
	}
	state, err := sqlite.Open(ctx, events)
	if err != nil {
		return nil, nil, nil, err
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := feed.Open(provider)
	return state, provider, f, err
}

// run applies events until there are no more, or until the process dies with the item of that
// number.
func run(ctx context.Context, events, driver, database string, where crash, number int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	state, provider, f, err := open(ctx, events)
	if err != nil {
		return err
	}
	defer state.Close()
	db, err := sql.Open(driver, database)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := sqlmodel.Setup(ctx, db); err != nil {
		return err
	}
	var applied atomic.Int64
	once := sqlmodel.Once(db, func(ctx context.Context, tx *sql.Tx, item feed.Item) error {
		if err := sqlmodel.Balances(ctx, tx, item); err != nil {
			return err
		}
		if applied.Add(1) == int64(number) && where == beforeCommit {
			os.Exit(died)
		}
		return nil
	})
	// The position is saved only at the end, so that a process that dies has saved nothing.
	s, err := subscription.New(f, name, func(ctx context.Context, item feed.Item) error {
		if err := once(ctx, item); err != nil {
			return err
		}
		if applied.Load() >= int64(number) && where == afterCommit {
			os.Exit(died)
		}
		return nil
	}, subscription.WithPartitions(2), subscription.WithLease(time.Second), subscription.WithSaving(1000, time.Minute))
	if err != nil {
		return err
	}
	done := make(chan error, 2)
	go func() { done <- f.Index(ctx) }()
	go func() { done <- s.Run(ctx) }()
	ended := make(chan error, 1)
	go func() { ended <- untilTheEnd(ctx, provider, s) }()
	select {
	case err = <-ended:
	case err = <-done:
		return errors.Join(err, errors.New("it ended early"))
	}
	cancel()
	return errors.Join(err, <-done, <-done)
}

// untilTheEnd waits until the last event of each account was handled.
func untilTheEnd(ctx context.Context, provider *eventstore.Provider, s *subscription.Subscription) error {
	for id := range accounts {
		for {
			err := s.WaitFor(ctx, provider.Stream("Account", fmt.Sprint(id)), each)
			if !errors.As(err, new(*subscription.NotFoundError)) { // it is about to run for the first time
				if err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

func TestEachEventIsAppliedOnceWhateverDies(t *testing.T) {
	t.Parallel()
	for driver, start := range map[string]func(t *testing.T) string{
		"sqlite": func(t *testing.T) string {
			return "file:" + filepath.Join(t.TempDir(), "model.db") + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"
		},
		"pgx": func(t *testing.T) string { return servers.StartPostgres(t).ConnString },
	} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			test(t, driver, start(t))
		})
	}
}

func test(t *testing.T, driver, database string) {
	ctx := t.Context()
	events := filepath.Join(t.TempDir(), "events.db")
	state, provider, _, err := open(ctx, events)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	for id := range accounts {
		for n := range each {
			account := provider.Stream("Account", fmt.Sprint(id))
			if _, err := provider.Append(ctx, account, eventstore.ExpectVersion(int64(n)), sqlmodel.Deposited{Amount: 1 << (n * 4)}); err != nil {
				t.Fatal(err)
			}
			want[account.ID] += 1 << (n * 4)
		}
	}
	if err := errors.Join(provider.Close(ctx), state.Close()); err != nil {
		t.Fatal(err)
	}
	total := accounts * each
	for n, life := range []struct {
		where crash
		at    int // of the items that it applies
	}{{beforeCommit, 1}, {afterCommit, 7}, {beforeCommit, 9}, {afterCommit, 11}, {never, total}} {
		process := exec.CommandContext(ctx, os.Args[0])
		process.Env = append(os.Environ(), child+"="+strings.Join([]string{events, driver, database, string(life.where), strconv.Itoa(life.at)}, "\n"))
		out, err := process.CombinedOutput()
		exit := process.ProcessState.ExitCode()
		if wanted := map[bool]int{true: 0, false: died}[life.where == never]; exit != wanted {
			t.Fatalf("process %d, which dies %s, ends with %d, want %d: %v\n%s", n, life.where, exit, wanted, err, out)
		}
	}
	db, err := sql.Open(driver, database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `SELECT account, amount FROM balances`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	count := 0
	for ; rows.Next(); count++ {
		var account string
		var amount int64
		if err := rows.Scan(&account, &amount); err != nil {
			t.Fatal(err)
		}
		// A digit for each event says how often it was applied.
		if amount != want[account] {
			t.Errorf("account %s has %x, want %x", account, amount, want[account])
		}
	}
	if err := rows.Err(); err != nil || count != accounts {
		t.Errorf("there are %d accounts, want %d: %v", count, accounts, err)
	}
}

// A stream that is deleted has the version of its last event, and is not taken for a repeat of it.
func TestTheEndOfAStreamIsApplied(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "model.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := sqlmodel.Setup(ctx, db); err != nil {
		t.Fatal(err)
	}
	stream := eventstore.Stream{Database: "EventStores", Type: "Account", ID: "1"}
	deposited := feed.Item{Stream: stream, Version: 1, Event: eventstore.Event{Data: sqlmodel.Deposited{Amount: 5}}}
	handle := sqlmodel.Once(db, sqlmodel.Balances)
	for n, step := range []struct {
		item feed.Item
		want int64
	}{
		{deposited, 5}, {deposited, 5},
		{feed.Item{Stream: stream, Version: 1, What: feed.Closed}, 5},
		{deposited, 5},
		{feed.Item{Stream: stream, Version: 1, What: feed.Deleted}, 0},
		{deposited, 0},
	} {
		if err := handle(ctx, step.item); err != nil {
			t.Fatal(err)
		}
		var got int64
		if err := db.QueryRowContext(ctx, `SELECT COALESCE(SUM(amount), 0) FROM balances`).Scan(&got); err != nil || got != step.want {
			t.Errorf("after step %d the balance is %d, want %d: %v", n, got, step.want, err)
		}
	}
}

// An item that cannot be applied has no effect, and can be applied later.
func TestAFailureHasNoEffect(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "model.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := sqlmodel.Setup(ctx, db); err != nil {
		t.Fatal(err)
	}
	errBad := errors.New("a fault")
	fails := true
	handle := sqlmodel.Once(db, func(ctx context.Context, tx *sql.Tx, item feed.Item) error {
		if err := sqlmodel.Balances(ctx, tx, item); err != nil || !fails {
			return err
		}
		return errBad
	})
	item := feed.Item{Stream: eventstore.Stream{Type: "Account", ID: "1"}, Version: 1, Event: eventstore.Event{Data: sqlmodel.Deposited{Amount: 5}}}
	if err := handle(ctx, item); !errors.Is(err, errBad) {
		t.Fatal(err)
	}
	fails = false
	if err := handle(ctx, item); err != nil {
		t.Fatal(err)
	}
	var got int64
	if err := db.QueryRowContext(ctx, `SELECT amount FROM balances`).Scan(&got); err != nil || got != 5 {
		t.Errorf("the balance is %d, want 5: %v", got, err)
	}
}

// The document ends with the text of Once.
func TestTheDocumentHasTheSameText(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("sqlmodel.go")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/projections.md")
	if err != nil {
		t.Fatal(err)
	}
	_, once, _ := strings.Cut(string(code), "\nfunc Once(")
	once, _, found := strings.Cut(once, "\n}\n")
	if !found || !strings.Contains(string(document), "```go\nfunc Once("+once+"\n}\n```\n") {
		t.Error("docs/projections.md does not have the function Once as it is in sqlmodel.go")
	}
}
