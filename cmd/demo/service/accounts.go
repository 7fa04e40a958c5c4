package service

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// requestTimeout limits the store's time for one API request. It is less than the grace period of a
// shutdown, so that a shutdown cuts off no request.
const requestTimeout = 9 * time.Second

// operation is a handler of the API. The client gets the [Problem] of the error that it returns.
type operation func(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error

// api serves an operation once the service is connected to a store.
func (s *Service) api(do operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		b, ok := s.bank()
		err := errNotConnected
		if ok {
			err = do(w, r.WithContext(ctx), b.Accounts)
		}
		if err == nil {
			return
		}
		p := ProblemOf(err)
		if p.Status >= 500 && ok {
			s.log.WarnContext(ctx, "a request failed", "request", Origin(ctx).CorrelationID, "status", p.Status, "error", err.Error())
		}
		refuse(w, r, p)
	})
}

// account is the JSON form of an account.
type account struct {
	Number  string     `json:"number"`
	Owner   string     `json:"owner"`
	Balance bank.Money `json:"balance"`
	Version int64      `json:"version"`

	// RepeatOf is the version of the earlier command with the same Idempotency-Key, if there was
	// one.
	RepeatOf int64 `json:"repeatOf,omitempty"`
}

func show(w http.ResponseWriter, status int, number string, s bank.Status) error {
	writeJSON(w, status, account{Number: number, Owner: s.State.Owner, Balance: s.State.Balance, Version: s.Version, RepeatOf: s.RepeatOf})
	return nil
}

// accountPath returns the path of an account.
func accountPath(number string) string { return "/api/v1/accounts/" + url.PathEscape(number) }

func listAccounts(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	if err := checkQuery(r, "from"); err != nil {
		return err
	}
	from, err := queryVersion(r, "from", 1, 1)
	if err != nil {
		return err
	}
	found, more, err := accounts.List(r.Context(), feed.Position(from-1), listSize)
	if err != nil {
		return err
	}
	page := list{Numbers: make([]string, len(found))}
	for i, account := range found {
		page.Numbers[i] = account.Number
	}
	if more {
		page.Next = fmt.Sprintf("/api/v1/accounts?from=%d", found[len(found)-1].Position+1)
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

// listSize is the maximum number of account numbers in one answer.
const listSize = 1000

// list is a page of the account numbers.
type list struct {
	Numbers []string `json:"numbers"`
	Next    string   `json:"next,omitempty"` // path of the next page; empty on the last
}

func openAccount(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	body, err := decode[struct {
		Number *string     `json:"number"`
		Owner  *string     `json:"owner"`
		Amount *bank.Money `json:"amount"`
	}](w, r)
	switch {
	case err != nil:
		return err
	case body.Number == nil || body.Owner == nil || body.Amount == nil:
		return badRequest("The body must have number, owner and amount")
	}
	c, err := command(r, nil)
	if err != nil {
		return err
	}
	opened, err := accounts.Open(r.Context(), *body.Number, *body.Owner, *body.Amount, c)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if opened.RepeatOf > 0 {
		status = http.StatusOK
		if err := SameCommand(r.Context(), accounts, *body.Number, opened.RepeatOf, bank.AccountOpened{Owner: *body.Owner, Amount: *body.Amount}); err != nil {
			return err
		}
	}
	w.Header().Set("Location", accountPath(*body.Number))
	return show(w, status, *body.Number, opened)
}

func readAccount(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	if err := checkQuery(r, "version"); err != nil {
		return err
	}
	version, err := queryVersion(r, "version", 1, 0)
	if err != nil {
		return err
	}
	var status bank.Status
	if number := r.PathValue("number"); version > 0 {
		status, err = accounts.AsOf(r.Context(), number, version)
	} else {
		status, err = accounts.Account(r.Context(), number)
	}
	if err != nil {
		return err
	}
	return show(w, http.StatusOK, r.PathValue("number"), status)
}

func deposit(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	return move(w, r, accounts, accounts.Deposit, func(m bank.Money) any { return bank.FundsDeposited{Amount: m} })
}

func withdraw(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	return move(w, r, accounts, accounts.Withdraw, func(m bank.Money) any { return bank.FundsWithdrawn{Amount: m} })
}

// move handles a deposit or a withdrawal. The argument event makes the event that it appends.
func move(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts,
	do func(ctx context.Context, number string, amount bank.Money, c bank.Command) (bank.Status, error), event func(bank.Money) any) error {
	if err := checkQuery(r); err != nil {
		return err
	}
	body, err := decode[struct {
		Amount          *bank.Money `json:"amount"`
		ExpectedVersion *int64      `json:"expectedVersion"`
	}](w, r)
	switch {
	case err != nil:
		return err
	case body.Amount == nil:
		return badRequest("The body must have an amount")
	}
	c, err := command(r, body.ExpectedVersion)
	if err != nil {
		return err
	}
	number := r.PathValue("number")
	after, err := do(r.Context(), number, *body.Amount, c)
	if err != nil {
		return err
	}
	if after.RepeatOf > 0 {
		if err := SameCommand(r.Context(), accounts, number, after.RepeatOf, event(*body.Amount)); err != nil {
			return err
		}
	}
	return show(w, http.StatusOK, number, after)
}

// SameCommand returns a [Problem] if the event stored under the command's id at that version
// differs from event. The sender must not believe that its command was done.
func SameCommand(ctx context.Context, accounts *bank.Accounts, number string, version int64, event any) error {
	for entry, err := range accounts.Range(ctx, number, version, version) {
		if err != nil {
			return err
		}
		if entry.Data == event {
			return nil
		}
	}
	return &Problem{Type: problemType("idempotency-key-reused"), Title: "The Idempotency-Key belongs to another command", Status: http.StatusUnprocessableEntity,
		Detail:  "Another command with this Idempotency-Key was stored before. Nothing of this command was stored. Send each command with its own key.",
		Version: &version}
}

func closeAccount(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	return end(w, r, accounts.Close)
}

func deleteAccount(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	return end(w, r, accounts.Delete)
}

// end closes or deletes an account. Its parameters are in the query, because these requests have no
// body.
func end(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, number string, expectedVersion int64) error) error {
	if err := checkQuery(r, "expectedVersion"); err != nil {
		return err
	}
	expected, err := queryVersion(r, "expectedVersion", 0, -1)
	if err != nil {
		return err
	}
	if err := do(r.Context(), r.PathValue("number"), expected); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
