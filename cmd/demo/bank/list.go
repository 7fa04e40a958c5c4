package bank

import (
	"context"
	"iter"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// FeedName is the name of the feed. A store has one, and all services that write to the store must
// give its name.
const FeedName = "all"

// Index keeps the list of accounts and the feed of their changes up to date, until ctx ends. Run it
// in every instance: one of them works, the others wait to take its place. Without any, accounts
// work as ever, and what was missing is listed and told once there is one again.
//
// Index also takes in the accounts of stores from before the feed.
//
// Index returns nil when ctx has ended, and an [eventstore.DamagedError] if the feed is damaged.
func (a *Accounts) Index(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		a.takeInEarlier(ctx)
	}()
	defer func() {
		stop()
		<-taken
	}()
	return a.feed.Index(ctx)
}

// Listed is an account in the list.
type Listed struct {
	Number   string
	Position feed.Position // where the account begins in the feed
}

// List returns up to limit accounts that begin after a position of the feed, in the order of their
// positions. Position 0 is before all of them. The list includes accounts that were closed or
// deleted.
func (a *Accounts) List(ctx context.Context, after feed.Position, limit int) (accounts []Listed, more bool, err error) {
	for s, err := range a.feed.Streams(ctx, a.ours(feed.After(after))...) {
		if err != nil {
			return nil, false, err
		}
		if len(accounts) == limit {
			return accounts, true, nil
		}
		accounts = append(accounts, Listed{s.Stream.ID, s.Position})
	}
	return accounts, false, nil
}

// listedWithin is how long Open waits until the list has the account. With an indexer in another
// process that takes up to a second, after a pause. If it takes longer, there may be no indexer.
const listedWithin = 5 * time.Second

// untilListed waits until the list has an account that begins after a position, for at most
// a.listedWithin.
func (a *Accounts) untilListed(ctx context.Context, number string, after feed.Position) {
	ctx, cancel := context.WithTimeout(ctx, a.listedWithin)
	defer cancel()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		for _, err := range a.feed.Streams(ctx, feed.After(after), feed.OfStream(a.provider.Stream(AccountType, number))) {
			if err == nil {
				return
			}
		}
	}
}

// FromNow is the position at the end of the feed as of now.
const FromNow feed.Position = -1

// Changed is an item of [Accounts.Follow].
type Changed struct {
	// Number is the account that has changed. If it is empty, there is no more to tell at present.
	Number string

	// Version is the version of the account. It is 0 if the account was deleted, or if the store
	// has lost a part of it. Then look at the account.
	Version int64

	// Position is where to go on after this item.
	Position feed.Position
}

// Follow returns the changes of all accounts for which wants returns true, as the feed tells them,
// until ctx ends. It begins after a position, or at [FromNow]. The caller of wants is another
// goroutine. The errors are those of [feed.Feed.Read].
func (a *Accounts) Follow(ctx context.Context, after feed.Position, wants func(number string) bool) iter.Seq2[Changed, error] {
	begin := feed.After(after)
	if after == FromNow {
		begin = feed.FromNow()
	}
	options := a.ours(begin, feed.Live(), feed.AsRaw(), feed.WithProgress(),
		feed.Where(func(s eventstore.Stream) bool { return wants(s.ID) }))
	return func(yield func(Changed, error) bool) {
		for item, err := range a.feed.Read(ctx, options...) {
			changed := Changed{Number: item.Stream.ID, Version: item.Version, Position: item.Position}
			if item.What == feed.Deleted || item.What == feed.Lost {
				changed.Version = 0
			}
			if !yield(changed, err) {
				return
			}
		}
	}
}

// ours adds to options that only the accounts of this bank are asked for.
func (a *Accounts) ours(options ...feed.ReadOption) []feed.ReadOption {
	return append(options, feed.OfType(AccountType), feed.InDatabase(a.provider.Stream(AccountType, "").Database))
}
