package bank

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Standing is an account in the read model.
type Standing struct {
	Owner   string `json:"owner"`
	Balance Money  `json:"balance"`
	Closed  bool   `json:"closed,omitempty"`
}

// Movement is a change of a balance.
type Movement struct {
	Number  string    `json:"number"`
	Version int64     `json:"version"`
	Change  Money     `json:"change"`
	Time    time.Time `json:"time"`
}

// summary is a document of the read model: an account, or the largest movements of a day.
type summary struct {
	Account *Standing  `json:"account,omitempty"`
	Largest []Movement `json:"largest,omitempty"` // the largest first
}

// largestKept is how many movements of a day are kept.
const largestKept = 10

func dayOf(at time.Time) string { return "day " + at.UTC().Format(time.DateOnly) }

func newOverview(of *feed.Feed) (*projection.Projection[summary], error) {
	return projection.New(of, "overview", summarize, projection.With(subscription.OfType(AccountType), subscription.WithParking()))
}

// summarize keeps the read model up to date.
func summarize(_ context.Context, docs *projection.Documents[summary], item feed.Item) error {
	account := "account " + item.Stream.ID
	switch item.What {
	case feed.Closed:
		return docs.Update(account, func(s *summary) error {
			if s.Account != nil {
				closed := *s.Account
				closed.Closed = true
				s.Account = &closed
			}
			return nil
		})
	case feed.Deleted:
		return docs.Delete(account)
	case feed.Lost:
		return nil
	}
	change, err := Change(item.Event)
	if err != nil {
		return err
	}
	err = docs.Update(account, func(s *summary) error {
		var now Standing
		if s.Account != nil {
			now = *s.Account
		}
		if opened, ok := item.Event.Data.(AccountOpened); ok {
			now.Owner = opened.Owner
		}
		now.Balance += change
		s.Account = &now
		return nil
	})
	if err != nil || change == 0 {
		return err
	}
	movement := Movement{item.Stream.ID, item.Version, change, item.Event.Metadata.Context.Timestamp}
	return docs.Update(dayOf(movement.Time), func(s *summary) error {
		s.Largest = slices.SortedFunc(slices.Values(append(slices.Clone(s.Largest), movement)), func(a, b Movement) int {
			return cmp.Or(cmp.Compare(size(b.Change), size(a.Change)), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Version, b.Version))
		})
		s.Largest = s.Largest[:min(len(s.Largest), largestKept)]
		return nil
	})
}

func size(m Money) uint64 {
	if m < 0 {
		return -uint64(m)
	}
	return uint64(m)
}

// Ranked is an account with its number.
type Ranked struct {
	Number string
	Standing
}

// Overview is the read model of the bank at some moment, which is shortly before now.
type Overview struct {
	Accounts int
	Total    Money      // of all balances
	Richest  []Ranked   // the richest first
	Largest  []Movement // of today, the largest first
}

// Overview returns the read model, with so many of the richest accounts. It reads all accounts. It
// is empty until an instance runs [Accounts.RunOverview] for the first time.
func (a *Accounts) Overview(ctx context.Context, richest int) (o Overview, err error) {
	today := dayOf(time.Now())
	for doc, err := range a.overview.List(ctx) {
		if errors.As(err, new(*subscription.NotFoundError)) {
			return o, nil
		}
		if err != nil {
			return o, err
		}
		number, isAccount := strings.CutPrefix(doc.ID, "account ")
		switch {
		case doc.ID == today:
			o.Largest = doc.Value.Largest
		case isAccount && doc.Value.Account != nil:
			o.Accounts++
			o.Total += doc.Value.Account.Balance
			o.Richest = append(o.Richest, Ranked{number, *doc.Value.Account})
			if len(o.Richest) > 2*richest {
				o.Richest = mostMoney(o.Richest, richest)
			}
		}
	}
	o.Richest = mostMoney(o.Richest, richest)
	return o, nil
}

// mostMoney returns so many of the richest accounts, the richest first.
func mostMoney(all []Ranked, most int) []Ranked {
	slices.SortFunc(all, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(b.Balance, a.Balance), cmp.Compare(a.Number, b.Number))
	})
	return all[:min(len(all), most)]
}

// WaitForOverview waits until the read model includes a version of an account.
func (a *Accounts) WaitForOverview(ctx context.Context, number string, version int64) error {
	return a.overview.WaitFor(ctx, a.provider.Stream(AccountType, number), version)
}

// RunOverview keeps the read model up to date until ctx ends. Run it in every instance.
func (a *Accounts) RunOverview(ctx context.Context) error { return a.overview.Run(ctx) }
