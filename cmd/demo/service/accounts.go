package service

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// requestTimeout is how long the store gets for one request of the API: less than a shutdown waits, so that none is cut.
const requestTimeout = 9 * time.Second

// operation is a handler of the API. An error that it returns is answered with the problem that it is.
type operation func(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error

// api serves an operation once there is a store.
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

// account is an account as the API shows it.
type account struct {
	Number  string     `json:"number"`
	Owner   string     `json:"owner"`
	Balance bank.Money `json:"balance"`
	Version int64      `json:"version"`

	// RepeatOf is the version as which the command stands that was sent before with the same Idempotency-Key.
	RepeatOf int64 `json:"repeatOf,omitempty"`
}

func show(w http.ResponseWriter, status int, number string, s bank.Status) error {
	writeJSON(w, status, account{Number: number, Owner: s.State.Owner, Balance: s.State.Balance, Version: s.Version, RepeatOf: s.RepeatOf})
	return nil
}

// accountPath is where an account is found.
func accountPath(number string) string { return "/api/v1/accounts/" + url.PathEscape(number) }

func listAccounts(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	if err := checkQuery(r, "from"); err != nil {
		return err
	}
	from, err := queryVersion(r, "from", 1, 1)
	if err != nil {
		return err
	}
	found, total, err := accounts.List(r.Context(), from, listSize)
	if err != nil {
		return err
	}
	page := list{Numbers: append([]string{}, found...)}
	if after := from + int64(len(found)); len(found) > 0 && after <= total {
		page.Next = "/api/v1/accounts?from=" + strconv.FormatInt(after, 10)
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}

// listSize is how many account numbers one answer has at most.
const listSize = 1000

// list is a page of the account numbers.
type list struct {
	Numbers []string `json:"numbers"`
	Next    string   `json:"next,omitempty"` // where the next page is; empty on the last
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
		return badRequest("The body needs number, owner and amount")
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

// move is a deposit or a withdrawal, and the event that it leads to.
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
		return badRequest("The body needs an amount")
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

// SameCommand returns a [Problem] for a command that is not the one that was stored under its id as
// that version, an event: who sends it must not believe that it was done.
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
		Detail:  "Another command with this Idempotency-Key was stored before, and nothing of this one. Send each command with a key of its own.",
		Version: &version}
}

func closeAccount(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	return end(w, r, accounts.Close)
}

func deleteAccount(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	return end(w, r, accounts.Delete)
}

// end closes or deletes an account. What there is to say is in the query: these requests have no body.
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
