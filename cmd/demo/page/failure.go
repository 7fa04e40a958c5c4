package page

import (
	"context"
	"errors"
	"net/http"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
)

// failures are the errors that have a status of their own, and what one says of them. The first that an error is decides: that
// of an unknown outcome stands before what it may wrap.
var failures = []struct {
	is     func(error) bool
	status int
	title  string
}{
	{is(&eventstore.OutcomeUnknownError{}), http.StatusGatewayTimeout, "Nobody knows yet whether it was stored"},
	{is(errNoPage), http.StatusNotFound, "There is no such page"},
	{is(bank.ErrNoAccount), http.StatusNotFound, "There is no such account"},
	{is(bank.ErrBadNumber), http.StatusBadRequest, "That is no account number"},
	{is(&eventstore.VersionNotFoundError{}), http.StatusNotFound, "There is no such version"},
	{is(&eventstore.SnapshotNotFoundError{}), http.StatusNotFound, "There is no such snapshot"},
	{is(&eventstore.IdempotencyIDNotFoundError{}), http.StatusNotFound, "There is no such event"},
	{is(errBadForm), http.StatusBadRequest, "The form can't be read"},
	{is(errForeign), http.StatusForbidden, "Not from another site"},
	{is(bank.ErrAccountExists), http.StatusConflict, "There is such an account already"},
	{is(&eventstore.VersionMismatchError{}), http.StatusConflict, "Someone else was faster"},
	{is(&eventstore.SessionLostError{}), http.StatusConflict, "Someone else was faster"},
	{is(&eventstore.IdempotencyIDUsedError{}), http.StatusConflict, "It was stored before"},
	{is(&eventstore.StreamClosedError{}), http.StatusConflict, "The account is closed"},
	{is(&eventstore.StreamDeletedError{}), http.StatusGone, "The account was deleted"},
	{tooLarge, http.StatusRequestEntityTooLarge, "That is too large"},
	{is(&eventstore.BatchTooLargeError{}), http.StatusRequestEntityTooLarge, "That is too large"},
	{is(bank.ErrInsufficientFunds), http.StatusUnprocessableEntity, "The balance is too low"},
	{is(bank.ErrNoOwner), http.StatusUnprocessableEntity, "The owner is missing"},
	{is(bank.ErrBadAmount), http.StatusUnprocessableEntity, "That amount is not possible"},
	{is(&eventstore.OpenTimeoutError{}), http.StatusLocked, "Someone else holds the account"},
	{is(&eventstore.SessionExpiredError{}), http.StatusServiceUnavailable, "It took too long"},
	{is(&eventstore.StorageError{}), http.StatusServiceUnavailable, "The store does not answer"},
	{is(context.DeadlineExceeded), http.StatusServiceUnavailable, "It took too long"},
	{is(&eventstore.DamagedError{}), http.StatusInternalServerError, "Stored data is damaged"},
	{is(&eventstore.ArgumentError{}), http.StatusBadRequest, "That can't be asked"},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func tooLarge(err error) bool { return errors.As(err, new(*http.MaxBytesError)) }

// statusOf is the status of an error, and a title for it.
func statusOf(err error) (status int, title string) {
	for _, f := range failures {
		if f.is(err) {
			return f.status, f.title
		}
	}
	return http.StatusInternalServerError, "Something went wrong"
}

// failureView is a page that says what went wrong.
type failureView struct {
	Status  int
	Title   string
	Text    string // the error's own
	Account string // to go back to; empty: there is none
	Again   *again // nil: sending it again would not help
}

// again is a form that was sent and can be sent once more, as it was. Its id keeps it from being stored twice.
type again struct {
	Action string
	Fields []field
}

type field struct{ Name, Value string }

// fail answers with an error's status and its own text.
func (p *page) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody reads it
	}
	v := failureView{Text: err.Error()}
	v.Status, v.Title = statusOf(err)
	if v.Status >= http.StatusInternalServerError {
		p.log.ErrorContext(r.Context(), "a page was answered with an error", "method", r.Method, "path", r.URL.Path, "status", v.Status, "error", err)
	}
	if v.Status != http.StatusNotFound && v.Status != http.StatusGone && v.Status != http.StatusBadRequest {
		v.Account = r.PathValue("number")
	}
	if r.Method == http.MethodPost {
		switch v.Status {
		case http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusLocked:
			v.Again = &again{Action: r.URL.Path}
			for _, name := range []string{"id", "number", "owner", "amount"} {
				if value := r.PostFormValue(name); value != "" {
					v.Again.Fields = append(v.Again.Fields, field{name, value})
				}
			}
		}
	}
	p.render(w, r, v.Status, "failure", v)
}
