package bank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// This file takes in the accounts of stores from before the feed. An earlier version of this
// program kept their numbers in a stream, with one event for each.

const (
	takeInAgain  = 10 * time.Second // pause after taking in was not possible
	openingTakes = time.Minute      // longest time between a number's event and the account's first event
)

// takeInEarlier takes in the accounts of an earlier version of this program. It tries again until
// that is done, or until ctx ends.
func (a *Accounts) takeInEarlier(ctx context.Context) {
	for ctx.Err() == nil {
		err := a.takeIn(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			a.provider.Logger().WarnContext(ctx, "the list may lack accounts of an earlier version", "error", err)
		}
		timer := time.NewTimer(takeInAgain)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// takeIn makes the accounts enter the feed whose numbers are in the earlier version's stream. When
// all have, it closes the stream, so that it is done once. Instances of the earlier version cannot
// open accounts from then on.
func (a *Accounts) takeIn(ctx context.Context) error {
	earlier := a.provider.Stream("BankDirectory", "accounts")
	reader := a.provider.Reader(earlier)
	if closed, err := reader.Closed(ctx); err != nil || closed {
		return err
	}
	var last eventstore.Event
	accounts := func(yield func(eventstore.Stream, error) bool) {
		for event, err := range reader.Read(ctx, eventstore.AsRaw()) {
			var listed struct{ Number string }
			if err == nil {
				err = json.Unmarshal(event.Data.(eventstore.Raw).Payload, &listed)
			}
			last = event
			if !yield(a.provider.Stream(AccountType, listed.Number), err) || err != nil {
				return
			}
		}
	}
	unopened := ""
	for account, err := range a.feed.Import(ctx, accounts) {
		switch {
		case err != nil:
			return err
		case account.Result == feed.ImportAbsent:
			unopened = account.Stream.ID
		case errors.As(account.Err, new(*eventstore.DamagedError)): // it enters when it is repaired and used
			a.provider.Logger().WarnContext(ctx, "the list lacks an account", "number", account.Stream.ID, "error", account.Err)
		case account.Err != nil:
			return account.Err
		}
	}
	if last.Version == 0 {
		return nil
	}
	if unopened != "" && time.Since(last.Metadata.Context.Timestamp) < openingTakes {
		return fmt.Errorf("account %s may be about to be opened", unopened)
	}
	session, err := a.provider.Open(ctx, earlier)
	if err != nil {
		return err
	}
	return errors.Join(session.CloseStream(ctx, eventstore.ExpectVersion(last.Version)), session.Close())
}
