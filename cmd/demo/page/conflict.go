package page

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
)

// conflict is the result of two concurrent changes.
type conflict struct {
	What     string // the kind of change
	Expected int64  // version that both expected
	Tries    [2]try
	Stored   int // how many were stored
}

// try is one of the two changes.
type try struct {
	Name    string
	Version int64  // version of the stored event; 0 if it was refused
	Error   string // the reason of the refusal
}

// provokeConflict makes two changes at once that both expect the account's current version. Their
// amount is the smallest possible.
func (p *page) provokeConflict(w http.ResponseWriter, r *http.Request) {
	if err := readForm(r); err != nil {
		p.fail(w, r, err)
		return
	}
	number := r.PathValue("number")
	before, err := p.accounts.Account(r.Context(), number)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	const amount bank.Money = 1
	do, c := p.accounts.Withdraw, conflict{What: "withdrawal", Expected: before.Version}
	if before.State.Balance < amount {
		do, c.What = p.accounts.Deposit, "deposit"
	}
	what := command(r)
	what.ID, what.ExpectedVersion = "", before.Version

	var both sync.WaitGroup
	for i := range c.Tries {
		both.Go(func() {
			c.Tries[i].Name = fmt.Sprintf("%s %s of %s", []string{"First", "Second"}[i], c.What, amount)
			after, err := do(r.Context(), number, amount, what)
			if err != nil {
				c.Tries[i].Error = textOf(err)
				if status, _ := statusOf(err); status >= http.StatusInternalServerError {
					p.log.ErrorContext(r.Context(), "one of two changes failed", "request", service.Origin(r.Context()).CorrelationID, "error", err)
				}
				return
			}
			c.Tries[i].Version = after.Version
		})
	}
	both.Wait()
	for _, t := range c.Tries {
		if t.Version > 0 {
			c.Stored++
		}
	}
	v, err := p.view(r, asked{})
	if err != nil {
		p.fail(w, r, err)
		return
	}
	v.Conflict = &c
	p.render(w, r, http.StatusOK, "account", v)
}
