package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// firstNumber is the number of the first account. Every tour opens a new account with the next
// number.
const firstNumber = 123456000

// tour shows what the event store does, step by step. A step without the expected result returns an
// error, which ends the tour.
type tour struct {
	provider *eventstore.Provider
	accounts *aggregate.Repository[bank.Account]
	feed     *feed.Feed
	begin    feed.Position // the end of the feed when the tour began
	out      io.Writer
	outErr   error // the first error of writing to out

	number  int                 // of the account
	session *eventstore.Session // the session of the account
	account bank.Account        // the state at the last appended event
	history []any               // the appended events
}

// takeTour runs the tour on a store.
func takeTour(ctx context.Context, s store, out io.Writer) error {
	provider, err := newProvider(s, openTimeout(500*time.Millisecond)) // the tour shows a session that waits
	if err != nil {
		return err
	}
	accounts, err := aggregate.NewRepository(provider, bank.AccountType, bank.Account.Apply)
	if err != nil {
		return err
	}
	all, err := feed.Open(provider)
	if err != nil {
		return err
	}
	begin, err := all.End(ctx)
	if err != nil {
		return err
	}
	t := &tour{provider: provider, accounts: accounts, feed: all, begin: begin, out: out}
	t.say("A bank account on the event store, step by step\n\n%s\n", s.about)
	if err := t.showEarlier(ctx); err != nil {
		return err
	}
	defer func() { _ = t.session.Close() }() // for errors; step "close" has closed it otherwise
	for i, step := range []struct {
		says string
		do   func(context.Context) error
	}{
		{"Open an account with 1,500.00", t.open},
		{"Withdraw 500.00", t.withdraw},
		{"Deposit 1,000.00", t.deposit},
		{"Withdraw 500.00, as the event with sequence number 4", t.withdrawInSequence},
		{"Read the history: versions, events and their metadata", t.readHistory},
		{"Withdraw 500.00 at version 3, which is no longer the last: refused", t.conflict},
		{"Open a second session while the first is open: refused", t.openAgain},
		{"Take a snapshot, and load the account from it", t.snapshot},
		{"Close the session, so that others can use the account", t.close},
		{"Withdraw 200.00 by a command that is delivered twice", t.command},
		{"Withdraw more than the balance: the account refuses", t.overdraw},
		{"Follow what happened in the whole store since this run began", t.follow},
		{"List the accounts of the store", t.list},
	} {
		t.say("\n%d. %s\n", i+1, step.says)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, step.says, err)
		}
	}
	t.say("\nEvery step had the expected result. Run the demo again to see this history first.\n")
	return t.outErr
}

func (t *tour) say(format string, args ...any) {
	if _, err := fmt.Fprintf(t.out, format, args...); err != nil && t.outErr == nil {
		t.outErr = fmt.Errorf("cannot print the tour: %w", err)
	}
}

// showEarlier shows the history of the previous run, and finds the number of a new account.
func (t *tour) showEarlier(ctx context.Context) error {
	var last *eventstore.Reader
	for t.number = firstNumber; ; t.number++ {
		reader := t.provider.Reader(t.provider.Stream(bank.AccountType, strconv.Itoa(t.number)))
		version, err := reader.Version(ctx)
		if err != nil {
			return err
		}
		if version == 0 {
			break
		}
		last = reader
	}
	if last == nil {
		t.say("Earlier runs left no accounts.\n")
		return nil
	}
	t.say("Accounts opened by earlier runs: %d. This run opens another. The last one is %s, with this history:\n\n", t.number-firstNumber, last.Stream().ID)
	_, err := t.table(ctx, last)
	return err
}

// open opens a session, which has exclusive access to the account, and appends the first event.
func (t *tour) open(ctx context.Context) error {
	for ; ; t.number++ {
		session, err := t.provider.Open(ctx, t.provider.Stream(bank.AccountType, strconv.Itoa(t.number)))
		if errors.As(err, new(*eventstore.OpenTimeoutError)) && ctx.Err() == nil {
			continue // another run of the demo is opening this account
		}
		if err != nil {
			return err
		}
		version, err := session.Version(ctx)
		if err == nil && version == 0 {
			t.session = session
			break
		}
		if err := errors.Join(err, session.Close()); err != nil {
			return err
		}
		// Another run of the demo was faster.
	}
	t.say("   session %s has exclusive access to account %d until %s UTC\n",
		short(t.session.ID()), t.number, t.session.ExpiresAt().UTC().Format(time.TimeOnly))
	return t.append(ctx, eventstore.ExpectVersion(0), bank.AccountOpened{Owner: "Ada", Amount: 1_500_00}, 1_500_00)
}

func (t *tour) withdraw(ctx context.Context) error {
	return t.append(ctx, eventstore.ExpectVersion(1), bank.FundsWithdrawn{Amount: 500_00}, 1_000_00)
}

func (t *tour) deposit(ctx context.Context) error {
	return t.append(ctx, eventstore.ExpectVersion(2), bank.FundsDeposited{Amount: 1_000_00}, 2_000_00)
}

// withdrawInSequence appends an event that contains its own expected version.
func (t *tour) withdrawInSequence(ctx context.Context) error {
	event := eventstore.Event{Data: bank.FundsWithdrawn{Amount: 500_00}}
	event.Metadata.Context.SequenceNumber = 4
	return t.append(ctx, eventstore.ExpectAny(), event, 1_500_00)
}

// append appends one event, loads the account again and checks both.
func (t *tour) append(ctx context.Context, expected eventstore.Expected, event any, balance bank.Money) error {
	version, err := t.session.Append(ctx, expected, event)
	if err != nil {
		return err
	}
	if e, ok := event.(eventstore.Event); ok {
		event = e.Data
	}
	t.history = append(t.history, event)
	if want := int64(len(t.history)); version != want {
		return fmt.Errorf("the event has version %d, want %d", version, want)
	}
	now, err := t.accounts.Load(ctx, t.session.Stream().ID)
	if err != nil {
		return err
	}
	if now.State.Balance != balance {
		return fmt.Errorf("the balance is %s, want %s", now.State.Balance, balance)
	}
	t.account = now.State
	t.say("   stored as version %d; the balance is %s\n", version, balance)
	return nil
}

// readHistory prints the events and checks that they are the appended ones.
func (t *tour) readHistory(ctx context.Context) error {
	events, err := t.table(ctx, t.session.Reader)
	if err != nil {
		return err
	}
	if len(events) != len(t.history) {
		return fmt.Errorf("read %d events, want %d", len(events), len(t.history))
	}
	for i, event := range events {
		if event.Version != int64(i+1) || event.Data != t.history[i] {
			return fmt.Errorf("event %d is version %d with %+v, want %+v", i+1, event.Version, event.Data, t.history[i])
		}
		if session := event.Metadata.Context.SessionID; session != t.session.ID() {
			return fmt.Errorf("version %d names session %s", event.Version, session)
		}
	}
	return nil
}

// conflict appends like a writer that has not seen the last event.
func (t *tour) conflict(ctx context.Context) error {
	_, err := t.session.Append(ctx, eventstore.ExpectVersion(3), bank.FundsWithdrawn{Amount: 500_00})
	var mismatch *eventstore.VersionMismatchError
	switch {
	case err == nil:
		return errors.New("an append that expected version 3 succeeded at version 4")
	case !errors.As(err, &mismatch):
		return err
	case mismatch.Expected != 3 || mismatch.Actual != 4:
		return fmt.Errorf("the error should have expected version 3 and actual version 4: %w", err)
	}
	t.say("   %v\n", err)
	switch version, err := t.session.Version(ctx); {
	case err != nil:
		return err
	case version != 4:
		return fmt.Errorf("the stream is then at version %d, want 4", version)
	}
	return nil
}

// openAgain opens the account like another process.
func (t *tour) openAgain(ctx context.Context) error {
	second, err := t.provider.Open(ctx, t.provider.Stream(bank.AccountType, t.session.Stream().ID))
	if err == nil {
		return errors.Join(errors.New("a second session opened while the first is open"), second.Close())
	}
	var timeout *eventstore.OpenTimeoutError
	if !errors.As(err, &timeout) || ctx.Err() != nil {
		return err
	}
	t.say("   %v\n", err)
	return nil
}

// snapshot saves a snapshot, and loads the account from it without a session.
func (t *tour) snapshot(ctx context.Context) error {
	if err := t.session.SaveSnapshot(ctx, 4, t.account); err != nil {
		return err
	}
	now, err := t.accounts.Load(ctx, t.session.Stream().ID)
	if err != nil {
		return err
	}
	events := now.Version - now.Snapshot
	if now.Snapshot != 4 || events != 0 {
		return fmt.Errorf("the account was loaded from the snapshot at version %d and %d events, want version 4 and 0 events", now.Snapshot, events)
	}
	if now.State != t.account {
		return fmt.Errorf("the snapshot has %+v, the events result in %+v", now.State, t.account)
	}
	t.say("   loaded from the snapshot at version %d and %d events after it, without a session;\n   the balance is %s\n",
		now.Snapshot, events, now.State.Balance)
	return nil
}

// command runs one command twice: it loads the account, decides and saves.
func (t *tour) command(ctx context.Context) error {
	for delivery := range 2 {
		after, err := t.accounts.Update(ctx, t.session.Stream().ID,
			func(a bank.Account) ([]any, error) { return a.Withdraw(200_00) }, aggregate.WithIdempotencyID("command 1"))
		if err != nil {
			return err
		}
		if after.Version != 5 || after.State.Balance != 1_300_00 || (after.RepeatOf == 5) != (delivery == 1) {
			return fmt.Errorf("delivery %d: the account is %+v", delivery+1, after)
		}
		if delivery == 0 {
			t.say("   stored as version %d; the balance is %s\n", after.Version, after.State.Balance)
		} else {
			t.say("   the second time nothing is stored, because version %d has the command; the balance is %s\n", after.RepeatOf, after.State.Balance)
		}
	}
	return nil
}

// overdraw shows that a refused decision stores nothing.
func (t *tour) overdraw(ctx context.Context) error {
	after, err := t.accounts.Update(ctx, t.session.Stream().ID, func(a bank.Account) ([]any, error) { return a.Withdraw(5_000_00) })
	switch {
	case err == nil:
		return errors.New("withdrawing 5,000.00 succeeded")
	case !errors.Is(err, bank.ErrInsufficientFunds):
		return err
	case after.Version != 5:
		return fmt.Errorf("the account is then at version %d, want 5", after.Version)
	}
	t.say("   %v; the balance is still %s\n", err, after.State.Balance)
	return nil
}

// index indexes the feed while a step runs. A service does that as long as it runs.
func (t *tour) index(ctx context.Context, step func(context.Context) error) error {
	indexing, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- t.feed.Index(indexing) }()
	err := step(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// follow waits for what the feed tells, up to the last event of the account.
func (t *tour) follow(ctx context.Context) error {
	return t.index(ctx, func(ctx context.Context) error {
		own := int64(0) // events of this run's account
		for item, err := range t.feed.Read(ctx, feed.After(t.begin), feed.OfType(bank.AccountType), feed.Live()) {
			if err != nil {
				return err
			}
			t.say("   position %d: %s %s %s\n", item.Position, item.Stream.ID, item.What, item.Event.Metadata.Message.Type)
			if item.Stream == t.session.Stream() {
				if own++; item.Version != own || item.Err != nil {
					return fmt.Errorf("the feed tells version %d, %v; want version %d", item.Version, item.Err, own)
				}
			}
			if own == 5 {
				return nil
			}
		}
		return ctx.Err()
	})
}

// list lists the newest accounts. The list follows the feed, so it is read again until it has the
// account.
func (t *tour) list(ctx context.Context) error {
	return t.index(ctx, func(ctx context.Context) error {
		for {
			var lines []string
			listed := false
			for s, err := range t.feed.Streams(ctx, feed.OfType(bank.AccountType), feed.WithDetails()) {
				if err != nil {
					return err
				}
				lines = append(lines[max(0, len(lines)-2):], fmt.Sprintf("   %s is at version %d\n", s.Stream.ID, s.Version))
				listed = listed || s.Stream == t.session.Stream()
			}
			if listed {
				t.say("%s", strings.Join(lines, ""))
				return t.provider.Close(ctx)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

func (t *tour) close(context.Context) error {
	if err := t.session.Close(); err != nil {
		return err
	}
	t.say("   session %s is closed\n", short(t.session.ID()))
	return nil
}

// table prints a history and returns it.
func (t *tour) table(ctx context.Context, history *eventstore.Reader) ([]eventstore.Event, error) {
	var (
		events  []eventstore.Event
		account bank.Account
	)
	const row = "   %7s  %-14s  %9s  %-19s  %-9s  %s\n"
	t.say(row, "version", "event", "amount", "time (UTC)", "session", "message")
	for event, err := range history.Read(ctx) {
		if err != nil {
			return nil, err
		}
		if account, err = account.Apply(event); err != nil {
			return nil, err
		}
		amount, err := bank.Change(event)
		if err != nil {
			return nil, err
		}
		m := event.Metadata
		t.say(row, strconv.FormatInt(event.Version, 10), m.Message.Type, signed(amount),
			m.Context.Timestamp.Format(time.DateTime), short(m.Context.SessionID), short(m.Message.ID))
		events = append(events, event)
	}
	t.say("   the balance is %s (of ids, only the last 8 characters are shown)\n", account.Balance)
	return events, nil
}

// signed returns an amount with its sign.
func signed(m bank.Money) string {
	if m > 0 {
		return "+" + m.String()
	}
	return m.String()
}

// short returns the end of an id, because ids of the same moment begin alike.
func short(id string) string {
	if len(id) <= 8 {
		return id
	}
	return "…" + id[len(id)-8:]
}
