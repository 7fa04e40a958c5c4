package bank

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// Accounts gives access to the accounts of a bank in an event store. It is safe for concurrent use.
type Accounts struct {
	provider *eventstore.Provider
	accounts *aggregate.Repository[Account]
	feed     *feed.Feed

	transfers *process.Process[Transfer]
	crash     crash
	overview  *projection.Projection[summary]

	listedWithin time.Duration
}

// EventsPerSnapshot is the number of events between two snapshots of an account. It is small so
// that the demo shows some.
const EventsPerSnapshot = 10

// NewAccounts returns the accounts in a provider's store. The provider must have a feed, see
// [eventstore.WithFeed], and its registry must have [Types]. The list of accounts and their changes
// need an instance that runs [Accounts.Index].
func NewAccounts(provider *eventstore.Provider) (*Accounts, error) {
	accounts, err := aggregate.NewRepository(provider, AccountType, Account.Apply, aggregate.WithSnapshotEvery(EventsPerSnapshot))
	if err != nil {
		return nil, err
	}
	of, err := feed.Open(provider)
	if err != nil {
		return nil, err
	}
	a := &Accounts{provider: provider, accounts: accounts, feed: of, listedWithin: listedWithin}
	if a.transfers, err = newTransfers(a); err != nil {
		return nil, err
	}
	if a.overview, err = newOverview(of); err != nil {
		return nil, err
	}
	return a, nil
}

// The errors of the bank.
var (
	ErrInsufficientFunds = errors.New("insufficient funds")
	ErrNoAccount         = errors.New("no account has this number")
	ErrAccountExists     = errors.New("an account with this number already exists")
	ErrBadNumber         = errors.New("an account number is 1 to 34 digits and capital letters")
	ErrNoOwner           = errors.New("an account needs an owner, of at most 200 bytes of UTF-8")
	ErrSameAccount       = errors.New("an account cannot send money to itself")
	ErrNoTransfer        = errors.New("no transfer has this id")
	ErrBadAmount         = errors.New("the amount must be positive, and the balance must not exceed its maximum")
)

// Command is the context of a request to change an account.
type Command struct {
	// ID makes the command safe to repeat: it is stored only once. If ID is empty, there is no
	// protection.
	ID string

	// ExpectedVersion is the version that the sender has seen. A negative value accepts any
	// version.
	ExpectedVersion int64

	// Context describes the origin of the command: correlation, causation, user.
	Context eventstore.ContextMetadata
}

func (c Command) options() []aggregate.UpdateOption {
	options := []aggregate.UpdateOption{aggregate.WithMetadata(eventstore.Metadata{Context: c.Context})}
	if c.ID != "" {
		options = append(options, aggregate.WithIdempotencyID(c.ID))
	}
	if c.ExpectedVersion >= 0 {
		options = append(options, aggregate.WithExpectedVersion(c.ExpectedVersion))
	}
	return options
}

// Status is an account at one version.
type Status = aggregate.Aggregate[Account]

// Open opens an account. It returns [ErrAccountExists] if the account exists, unless the same
// command opened it. Open waits up to 5 seconds until the list has the account, so that whoever
// opened it finds it there, at any instance. Without an indexer the list has it later.
func (a *Accounts) Open(ctx context.Context, number, owner string, amount Money, c Command) (Status, error) {
	switch {
	case !validNumber(number):
		return Status{}, ErrBadNumber
	case strings.TrimSpace(owner) == "" || len(owner) > 200 || !utf8.ValidString(owner):
		return Status{}, ErrNoOwner
	case amount < 0:
		return Status{}, ErrBadAmount
	}
	end, endErr := a.feed.End(ctx)
	opened, err := a.accounts.Update(ctx, number, func(account Account) ([]any, error) {
		if account != (Account{}) {
			return nil, ErrAccountExists
		}
		return []any{AccountOpened{Owner: owner, Amount: amount}}, nil
	}, c.options()...)
	if err == nil && endErr == nil && opened.RepeatOf == 0 {
		a.untilListed(ctx, number, end)
	}
	return opened, err
}

// Deposit adds an amount to an account.
func (a *Accounts) Deposit(ctx context.Context, number string, amount Money, c Command) (Status, error) {
	return a.update(ctx, number, func(account Account) ([]any, error) { return account.Deposit(amount) }, c)
}

// Withdraw takes an amount from an account.
func (a *Accounts) Withdraw(ctx context.Context, number string, amount Money, c Command) (Status, error) {
	return a.update(ctx, number, func(account Account) ([]any, error) { return account.Withdraw(amount) }, c)
}

func (a *Accounts) update(ctx context.Context, number string, decide aggregate.Decide[Account], c Command) (Status, error) {
	if !validNumber(number) {
		return Status{}, ErrBadNumber
	}
	return a.accounts.Update(ctx, number, func(account Account) ([]any, error) {
		if account == (Account{}) {
			return nil, ErrNoAccount
		}
		return decide(account)
	}, c.options()...)
}

// Close closes an account permanently. Its history remains, but accepts no more events. A negative
// expectedVersion accepts any version.
func (a *Accounts) Close(ctx context.Context, number string, expectedVersion int64) error {
	return a.end(ctx, number, expectedVersion, (*eventstore.Session).CloseStream)
}

// Delete deletes an account and its history permanently. A negative expectedVersion accepts any
// version. Delete is safe to repeat.
func (a *Accounts) Delete(ctx context.Context, number string, expectedVersion int64) error {
	return a.end(ctx, number, expectedVersion, (*eventstore.Session).DeleteStream)
}

func (a *Accounts) end(ctx context.Context, number string, expectedVersion int64, end func(*eventstore.Session, context.Context, eventstore.Expected) error) error {
	if !validNumber(number) {
		return ErrBadNumber
	}
	expected := eventstore.ExpectAny()
	if expectedVersion >= 0 {
		expected = eventstore.ExpectVersion(expectedVersion)
	}
	session, err := a.provider.Open(ctx, a.provider.Stream(AccountType, number))
	if err != nil {
		return err
	}
	defer session.Close()
	switch version, err := session.Version(ctx); {
	case errors.As(err, new(*eventstore.StreamDeletedError)):
		// Deleting again completes an interrupted deletion.
	case err != nil:
		return err
	case version == 0:
		return ErrNoAccount
	}
	return end(session, ctx, expected)
}

// Account returns an account at its last version.
func (a *Accounts) Account(ctx context.Context, number string) (Status, error) {
	return a.load(ctx, number)
}

// AsOf returns an account at a version. If the account has no such version, AsOf returns an
// [eventstore.VersionNotFoundError].
func (a *Accounts) AsOf(ctx context.Context, number string, version int64) (Status, error) {
	status, err := a.load(ctx, number, eventstore.ToVersion(version))
	if err != nil || status.Version == version {
		return status, err
	}
	return Status{}, &eventstore.VersionNotFoundError{
		Stream: a.provider.Stream(AccountType, number), Version: version, Current: status.Version}
}

func (a *Accounts) load(ctx context.Context, number string, options ...eventstore.ReadOption) (Status, error) {
	if !validNumber(number) {
		return Status{}, ErrBadNumber
	}
	status, err := a.accounts.Load(ctx, number, options...)
	if err == nil && status.Version == 0 {
		err = ErrNoAccount
	}
	return status, err
}

// Entry is one event of an account's history.
type Entry struct {
	eventstore.Event
	Change  Money // effect on the balance
	Balance Money // after the event
}

// History returns an account's events from a version, 1 or more, to the last. The balance before
// them comes from a snapshot if there is one.
func (a *Accounts) History(ctx context.Context, number string, from int64) iter.Seq2[Entry, error] {
	return a.history(ctx, number, from)
}

// Range returns an account's events from one version, 1 or more, to another, inclusive. It omits
// versions that do not exist yet. Range reads only these events and those between them and the last
// snapshot before them.
func (a *Accounts) Range(ctx context.Context, number string, from, to int64) iter.Seq2[Entry, error] {
	return a.history(ctx, number, from, eventstore.ToVersion(to))
}

func (a *Accounts) history(ctx context.Context, number string, from int64, options ...eventstore.ReadOption) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		reader, err := a.reader(number)
		var account Account
		if err == nil && from > 1 {
			var before Status
			before, err = a.load(ctx, number, eventstore.ToVersion(from-1))
			account = before.State
		}
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for event, err := range reader.Read(ctx, append(options, eventstore.FromVersion(from))...) {
			entry := Entry{Event: event}
			if err == nil {
				entry.Change, err = Change(event)
			}
			if err == nil {
				account, err = account.Apply(event)
			}
			entry.Balance = account.Balance
			if !yield(entry, err) || err != nil {
				return
			}
		}
		if account == (Account{}) {
			yield(Entry{}, ErrNoAccount)
		}
	}
}

// Snapshots returns the versions at which an account has a snapshot.
func (a *Accounts) Snapshots(ctx context.Context, number string) ([]int64, error) {
	reader, err := a.reader(number)
	if err != nil {
		return nil, err
	}
	return reader.Snapshots(ctx)
}

// Version returns the version of an account, or 0 if there is none. It is the cheapest way to find
// out whether an account has changed.
func (a *Accounts) Version(ctx context.Context, number string) (int64, error) {
	reader, err := a.reader(number)
	if err != nil {
		return 0, err
	}
	return reader.Version(ctx)
}

// Closed reports whether an account was closed.
func (a *Accounts) Closed(ctx context.Context, number string) (bool, error) {
	reader, err := a.reader(number)
	if err != nil {
		return false, err
	}
	return reader.Closed(ctx)
}

func (a *Accounts) reader(number string) (*eventstore.Reader, error) {
	if !validNumber(number) {
		return nil, ErrBadNumber
	}
	return a.provider.Reader(a.provider.Stream(AccountType, number)), nil
}

func validNumber(number string) bool {
	return len(number) >= 1 && len(number) <= 34 && strings.Trim(number, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}
