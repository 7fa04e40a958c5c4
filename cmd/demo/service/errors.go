package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
)

// errNotConnected is the error of a request that arrives before the service has a store.
var errNotConnected = errors.New("not connected to the store yet")

// kind maps one type of error to the problem that a client gets.
type kind struct {
	name    string            // the type's name
	advice  eventstore.Advice // for a lone error of this type
	problem func(error) *Problem
}

func of[E error](problem func(E) *Problem) kind {
	is := reflect.TypeFor[E]().Elem()
	advice := eventstore.Advise(reflect.New(is).Interface().(error))
	return kind{name: is.Name(), advice: advice, problem: func(err error) *Problem {
		if e, ok := err.(E); ok {
			return problem(e)
		}
		return nil
	}}
}

// always returns a kind with the same problem for all errors of a type.
func always[E error](p *Problem) kind { return of(func(E) *Problem { return p }) }

// kinds lists all error types of the event store.
var kinds = []kind{
	of(func(e *eventstore.VersionMismatchError) *Problem {
		return &Problem{Type: problemType("version-mismatch"), Title: "The account has changed", Status: http.StatusConflict,
			Detail:          fmt.Sprintf("The account is at version %d, not %d. Nothing was stored. Read it again, decide again, and send the request with expectedVersion %[1]d, or without it to accept any version.", e.Actual, e.Expected),
			ExpectedVersion: &e.Expected, ActualVersion: &e.Actual}
	}),
	always[*eventstore.SessionLostError](&Problem{Type: problemType("overtaken"), Title: "Another request was faster", Status: http.StatusConflict,
		Detail: "Another request changed the account at the same time. Nothing of this request was stored. Read the account again, and send the request again if it still makes sense."}),
	of(func(e *eventstore.LostWritesError) *Problem {
		return &Problem{Type: problemType("changes-lost"), Title: "The store lost the last changes of the account", Status: http.StatusConflict,
			Detail:        fmt.Sprintf("The store lost version %d of the account. Nothing of this request was stored. Read the account again, and send the request again if it still makes sense.", e.Version),
			ActualVersion: &e.Actual}
	}),
	of(func(e *eventstore.StreamClosedError) *Problem {
		return &Problem{Type: problemType("account-closed"), Title: "The account is closed", Status: http.StatusConflict,
			Detail:  fmt.Sprintf("The account was permanently closed at version %d. Nothing was stored. The account can still be read.", e.Version),
			Version: &e.Version}
	}),
	of(func(e *eventstore.IdempotencyIDUsedError) *Problem {
		return &Problem{Type: problemType("already-stored"), Title: "The command was stored before", Status: http.StatusConflict,
			Detail:  fmt.Sprintf("A command with this Idempotency-Key is stored as version %d. Nothing was stored this time. There is nothing to do.", e.Version),
			Version: &e.Version}
	}),
	always[*eventstore.OpenTimeoutError](&Problem{Type: problemType("account-held"), Title: "Another request holds the account", Status: http.StatusLocked,
		Detail: "Another request holds the account. Nothing was stored. Send the request again after Retry-After seconds.", retryAfter: time.Second}),

	always[*eventstore.StreamNotFoundError](noAccountProblem),
	of(func(e *eventstore.VersionNotFoundError) *Problem {
		return &Problem{Type: problemType("no-such-version"), Title: "There is no such version", Status: http.StatusNotFound,
			Detail:  fmt.Sprintf("The account has no version %d. It has the versions 1 to %d.", e.Version, e.Current),
			Version: &e.Version, ActualVersion: &e.Current}
	}),
	always[*eventstore.SnapshotNotFoundError](&Problem{Type: problemType("no-such-snapshot"), Title: "There is no such snapshot", Status: http.StatusNotFound,
		Detail: "The account has no snapshot at that version."}),
	always[*eventstore.IdempotencyIDNotFoundError](&Problem{Type: problemType("no-such-command"), Title: "There is no such command", Status: http.StatusNotFound,
		Detail: "No event of the account has this idempotency id."}),
	of(func(e *eventstore.StreamDeletedError) *Problem {
		deleted := e.DeletedAt.UTC()
		return &Problem{Type: problemType("account-deleted"), Title: "The account was deleted", Status: http.StatusGone,
			Detail:    fmt.Sprintf("The account was permanently deleted at %s. Its events are gone, and its number cannot be used again.", deleted.Format(time.RFC3339)),
			DeletedAt: &deleted}
	}),

	of(func(e *eventstore.ArgumentError) *Problem {
		return &Problem{Type: problemType("bad-argument"), Title: "The request is invalid", Status: http.StatusBadRequest,
			Detail: fmt.Sprintf("The %s is invalid: %s. Nothing was stored.", e.Argument, e.Reason)}
	}),
	of(func(e *eventstore.BatchTooLargeError) *Problem {
		return &Problem{Type: problemType("too-large"), Title: "The request is too large", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("It needs %d bytes, but the store accepts %d at once. Nothing was stored. Send less.", e.Size, e.Limit),
			Size:   e.Size, Limit: e.Limit}
	}),

	always[*eventstore.StorageError](&Problem{Type: problemType("store-away"), Title: "The store does not answer", Status: http.StatusServiceUnavailable,
		Detail:     "The store did not execute the request. No money was moved, and this request will move none. Opening, closing or deleting an account may have started, and is safe to repeat. Send the request again after Retry-After seconds. /readyz says what does not answer.",
		retryAfter: 2 * time.Second}),
	always[*eventstore.SessionExpiredError](&Problem{Type: problemType("took-too-long"), Title: "The store was too slow", Status: http.StatusServiceUnavailable,
		Detail: "The store took so long that this request's lock of the account expired. Nothing was stored. Send the request again after Retry-After seconds.", retryAfter: 2 * time.Second}),
	of(func(e *eventstore.OutcomeUnknownError) *Problem {
		return &Problem{Type: problemType("outcome-unknown"), Title: "The outcome is unknown", Status: http.StatusGatewayTimeout,
			Detail:   fmt.Sprintf("The store did not answer in time. Send the same request with the same Idempotency-Key: it is stored only once. If this request had no key, first look at the account's events after version %d.", e.Base),
			CommitID: e.CommitID, Version: &e.Base, retryAfter: time.Second}
	}),

	always[*eventstore.DamagedError](unreadable("history-damaged", "The history of the account, or the list of accounts, is damaged")),
	always[*eventstore.SchemaError](unreadable("schema-unknown", "Another version of this service wrote the account's history")),
	always[*eventstore.TypeMismatchError](unreadable("type-mismatch", "The account's history does not fit this version of the service")),
	always[*eventstore.TypeNotRegisteredError](unreadable("type-unknown", "The account's history has types that this version of the service does not know")),
	always[*eventstore.NotOpenError](internalProblem()),
	always[*eventstore.InlineError](internalProblem()), // the bank has no inline projection
}

// noAccountProblem is the answer for an account that does not exist.
var noAccountProblem = &Problem{Type: problemType("no-account"), Title: "There is no such account", Status: http.StatusNotFound,
	Detail: "No account has this number. Check the number, or open the account with POST /api/v1/accounts."}

// refusals lists the errors without a type: those of the bank, of this package, and of contexts.
var refusals = map[error]*Problem{
	bank.ErrNoAccount: noAccountProblem,
	bank.ErrAccountExists: {Type: problemType("account-exists"), Title: "The account already exists", Status: http.StatusConflict,
		Detail: "An account with this number already exists. Choose another number."},
	bank.ErrBadNumber: {Type: problemType("bad-number"), Title: "Invalid account number", Status: http.StatusBadRequest,
		Detail: "An account number is 1 to 34 digits and capital letters."},
	bank.ErrNoOwner: {Type: problemType("no-owner"), Title: "The account has no owner", Status: http.StatusBadRequest,
		Detail: "The owner must have 1 to 200 bytes that are not all blank."},
	bank.ErrBadAmount: {Type: problemType("bad-amount"), Title: "Invalid amount", Status: http.StatusUnprocessableEntity,
		Detail: "Amounts are in minor units: 1,500.00 is 150000. An amount must be positive, or at least 0 for a new account. No balance may exceed 9223372036854775807."},
	bank.ErrInsufficientFunds: {Type: problemType("insufficient-funds"), Title: "There is not enough money", Status: http.StatusUnprocessableEntity,
		Detail: "The balance is too low. Nothing was stored. Withdraw less, or deposit first."},
	bank.ErrSameAccount: {Type: problemType("same-account"), Title: "The accounts are the same", Status: http.StatusUnprocessableEntity,
		Detail: "An account cannot send money to itself. Nothing was stored."},
	bank.ErrNoTransfer: {Type: problemType("no-transfer"), Title: "There is no such transfer", Status: http.StatusNotFound,
		Detail: "No transfer has this id. If the money was sent just now, ask again."},
	errNotConnected: {Type: problemType("not-connected"), Title: "Not connected yet", Status: http.StatusServiceUnavailable,
		Detail: "The service is not connected to its store yet, and keeps trying. Send the request again after Retry-After seconds. /readyz says what does not answer.", retryAfter: 2 * time.Second},
	context.DeadlineExceeded: {Type: problemType("took-too-long"), Title: "The store was too slow", Status: http.StatusGatewayTimeout,
		Detail: "The request took too long and was abandoned. Send it again with the same Idempotency-Key.", retryAfter: 2 * time.Second},
	context.Canceled: {Type: problemType("given-up"), Title: "The request was cancelled", Status: http.StatusServiceUnavailable,
		Detail: "The request ended before it was done. Send it again with the same Idempotency-Key.", retryAfter: time.Second},
}

func unreadable(name, title string) *Problem {
	return &Problem{Type: problemType(name), Title: title, Status: http.StatusInternalServerError,
		Detail: "The service cannot answer this request, and sending it again will not help. Tell the operator of this service. Its log has details under the request id."}
}

func internalProblem() *Problem {
	return &Problem{Type: problemType("internal"), Title: "Something went wrong in this service", Status: http.StatusInternalServerError,
		Detail: "This is an error in the service. Tell its operator. Its log has details under the request id."}
}

// ProblemOf returns the client's problem for an error. If there are several errors of the event
// store, those count whose advice is that of the whole error, see [eventstore.Advise]. Otherwise
// one could hide that money may have moved. Of these, the outermost counts. They take precedence
// over refusals of the bank.
func ProblemOf(err error) *Problem {
	advice := eventstore.Advise(err)
	ofStore := func(err error) *Problem {
		for _, k := range kinds {
			if k.advice == advice {
				if p := k.problem(err); p != nil {
					return p
				}
			}
		}
		return nil
	}
	for _, problem := range []func(error) *Problem{ofStore, refusal} {
		if p := find(err, problem); p != nil {
			return p
		}
	}
	return internalProblem()
}

// refusal returns the problem if the error is a [Problem] or one of the refusals.
func refusal(err error) *Problem {
	if p, ok := err.(*Problem); ok {
		return p
	}
	for refusal, p := range refusals {
		if err == refusal {
			return p
		}
	}
	return nil
}

// find returns the problem of the outermost error in err's tree that has one.
func find(err error, problem func(error) *Problem) *Problem {
	if err == nil {
		return nil
	}
	if p := problem(err); p != nil {
		return p
	}
	switch wrapped := err.(type) {
	case interface{ Unwrap() error }:
		return find(wrapped.Unwrap(), problem)
	case interface{ Unwrap() []error }:
		for _, e := range wrapped.Unwrap() {
			if p := find(e, problem); p != nil {
				return p
			}
		}
	}
	return nil
}
