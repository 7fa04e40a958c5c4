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

// errNotConnected is that of a request that comes before there is a store.
var errNotConnected = errors.New("there is no connection to the store yet")

// kind is one kind of error and the problem that it is for a client.
type kind struct {
	name    string            // of its type
	advice  eventstore.Advice // of an error of it alone
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

// always is the problem of a kind of error of which there is no more to say.
func always[E error](p *Problem) kind { return of(func(E) *Problem { return p }) }

// kinds are all kinds of error of the event store.
var kinds = []kind{
	of(func(e *eventstore.VersionMismatchError) *Problem {
		if e.Stream.Type != bank.AccountType {
			return busyProblem
		}
		return &Problem{Type: problemType("version-mismatch"), Title: "The account has changed", Status: http.StatusConflict,
			Detail:          fmt.Sprintf("The account is at version %d, not %d, and nothing was stored. Read it again, decide again, and send that with expectedVersion %[1]d, or without if any version will do.", e.Actual, e.Expected),
			ExpectedVersion: &e.Expected, ActualVersion: &e.Actual}
	}),
	of(func(e *eventstore.SessionLostError) *Problem {
		if e.Stream.Type != bank.AccountType {
			return busyProblem
		}
		return &Problem{Type: problemType("overtaken"), Title: "Another request came before", Status: http.StatusConflict,
			Detail: "Another request changed the account at the same time, and nothing of this one was stored. Read the account again, and send the request again if it still makes sense."}
	}),
	of(func(e *eventstore.LostWritesError) *Problem {
		return &Problem{Type: problemType("changes-lost"), Title: "The store has lost the last changes of the account", Status: http.StatusConflict,
			Detail:        fmt.Sprintf("The account was at version %d, and the store has lost that version. Nothing of this request was stored. Read the account again, and send the request again if it still makes sense.", e.Version),
			ActualVersion: &e.Actual}
	}),
	of(func(e *eventstore.StreamClosedError) *Problem {
		return &Problem{Type: problemType("account-closed"), Title: "The account is closed", Status: http.StatusConflict,
			Detail:  fmt.Sprintf("The account was closed at version %d, for ever. It can be read; nothing was stored, and nothing will be.", e.Version),
			Version: &e.Version}
	}),
	of(func(e *eventstore.IdempotencyIDUsedError) *Problem {
		return &Problem{Type: problemType("already-stored"), Title: "The command was stored before", Status: http.StatusConflict,
			Detail:  fmt.Sprintf("A command with this Idempotency-Key stands as version %d, and nothing was stored this time. There is nothing to do.", e.Version),
			Version: &e.Version}
	}),
	always[*eventstore.OpenTimeoutError](&Problem{Type: problemType("account-held"), Title: "Another request holds the account", Status: http.StatusLocked,
		Detail: "Another request has the account to itself, and nothing was stored. Send the request again after the seconds that Retry-After says.", retryAfter: time.Second}),

	always[*eventstore.StreamNotFoundError](noAccountProblem),
	of(func(e *eventstore.VersionNotFoundError) *Problem {
		return &Problem{Type: problemType("no-such-version"), Title: "There is no such version", Status: http.StatusNotFound,
			Detail:  fmt.Sprintf("The account has no version %d: it is at version %d. Ask for one from 1 to that.", e.Version, e.Current),
			Version: &e.Version, ActualVersion: &e.Current}
	}),
	always[*eventstore.SnapshotNotFoundError](&Problem{Type: problemType("no-such-snapshot"), Title: "There is no such snapshot", Status: http.StatusNotFound,
		Detail: "The account has no snapshot at that version."}),
	always[*eventstore.IdempotencyIDNotFoundError](&Problem{Type: problemType("no-such-command"), Title: "There is no such command", Status: http.StatusNotFound,
		Detail: "No event of the account has that idempotency id."}),
	of(func(e *eventstore.StreamDeletedError) *Problem {
		deleted := e.DeletedAt.UTC()
		return &Problem{Type: problemType("account-deleted"), Title: "The account was deleted", Status: http.StatusGone,
			Detail:    fmt.Sprintf("The account was deleted at %s, for ever: its events are gone, and its number is not given away again.", deleted.Format(time.RFC3339)),
			DeletedAt: &deleted}
	}),

	of(func(e *eventstore.ArgumentError) *Problem {
		return &Problem{Type: problemType("bad-argument"), Title: "The request can't be understood", Status: http.StatusBadRequest,
			Detail: fmt.Sprintf("The %s can't be used: %s. Nothing was stored.", e.Argument, e.Reason)}
	}),
	of(func(e *eventstore.BatchTooLargeError) *Problem {
		return &Problem{Type: problemType("too-large"), Title: "The request is too large", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("It would take %d bytes, the store takes %d at once. Nothing was stored: send less.", e.Size, e.Limit),
			Size:   e.Size, Limit: e.Limit}
	}),

	always[*eventstore.StorageError](&Problem{Type: problemType("store-away"), Title: "The store does not answer", Status: http.StatusServiceUnavailable,
		Detail:     "The store did not do what it was asked. No money was moved, and none will be by this request; opening, closing and deleting an account may have begun, and are safe to repeat. Send the request again after the seconds that Retry-After says; /readyz tells what is away.",
		retryAfter: 2 * time.Second}),
	always[*eventstore.SessionExpiredError](&Problem{Type: problemType("took-too-long"), Title: "The store was too slow", Status: http.StatusServiceUnavailable,
		Detail: "The store took so long that this request's hold of the account ran out. Nothing was stored: send the request again after the seconds that Retry-After says.", retryAfter: 2 * time.Second}),
	of(func(e *eventstore.OutcomeUnknownError) *Problem {
		return &Problem{Type: problemType("outcome-unknown"), Title: "It is not known whether this was stored", Status: http.StatusGatewayTimeout,
			Detail:   fmt.Sprintf("The store did not answer in time. Send the same request with the same Idempotency-Key: it is stored once, whatever became of this one. Where it was sent without a key, look first at what the account's events after version %d say.", e.Base),
			CommitID: e.CommitID, Version: &e.Base, retryAfter: time.Second}
	}),

	always[*eventstore.DamagedError](unreadable("history-damaged", "The account's history is damaged")),
	always[*eventstore.SchemaError](unreadable("schema-unknown", "The account's history was written by another version of this service")),
	always[*eventstore.TypeMismatchError](unreadable("type-mismatch", "The account's history does not fit this version of the service")),
	always[*eventstore.TypeNotRegisteredError](unreadable("type-unknown", "The account's history holds what this version of the service does not know")),
	always[*eventstore.NotOpenError](internalProblem()),
}

// noAccountProblem is the answer about an account that was never opened.
var noAccountProblem = &Problem{Type: problemType("no-account"), Title: "There is no such account", Status: http.StatusNotFound,
	Detail: "No account of that number was opened. Check the number, or open it: POST /api/v1/accounts."}

// refusals are the errors that are no types: of the bank, of this package, and of contexts.
var refusals = map[error]*Problem{
	bank.ErrNoAccount: noAccountProblem,
	bank.ErrAccountExists: {Type: problemType("account-exists"), Title: "The account exists already", Status: http.StatusConflict,
		Detail: "An account of that number was opened before. Choose another number."},
	bank.ErrBadNumber: {Type: problemType("bad-number"), Title: "This is no account number", Status: http.StatusBadRequest,
		Detail: "An account number is 1 to 34 digits and capital letters."},
	bank.ErrNoOwner: {Type: problemType("no-owner"), Title: "The account has no owner", Status: http.StatusBadRequest,
		Detail: "An account needs an owner, of 1 to 200 bytes that are not all blank."},
	bank.ErrBadAmount: {Type: problemType("bad-amount"), Title: "This amount can't be", Status: http.StatusUnprocessableEntity,
		Detail: "An amount is in minor units, 1,500.00 is 150000. It must be positive, for a new account at least 0, and no balance may pass 9223372036854775807."},
	bank.ErrInsufficientFunds: {Type: problemType("insufficient-funds"), Title: "There is not enough money", Status: http.StatusUnprocessableEntity,
		Detail: "The account does not have that much. Nothing was stored: withdraw less, or deposit first."},
	errNotConnected: {Type: problemType("not-connected"), Title: "There is no store yet", Status: http.StatusServiceUnavailable,
		Detail: "The service has no connection to its store yet, and goes on trying. Send the request again after the seconds that Retry-After says; /readyz tells what is away.", retryAfter: 2 * time.Second},
	context.DeadlineExceeded: {Type: problemType("took-too-long"), Title: "The store was too slow", Status: http.StatusGatewayTimeout,
		Detail: "The request took too long and was given up. Send it again, with the same Idempotency-Key.", retryAfter: 2 * time.Second},
	context.Canceled: {Type: problemType("given-up"), Title: "The request was given up", Status: http.StatusServiceUnavailable,
		Detail: "The request ended before it was done. Send it again, with the same Idempotency-Key.", retryAfter: time.Second},
}

// busyProblem is that of an account that could not be listed, since others kept opening theirs.
var busyProblem = &Problem{Type: problemType("busy"), Title: "Too many accounts are opened at once", Status: http.StatusServiceUnavailable,
	Detail: "Others kept opening accounts at the same time, and this one was not opened. Send the request again after the seconds that Retry-After says.", retryAfter: time.Second}

func unreadable(name, title string) *Problem {
	return &Problem{Type: problemType(name), Title: title, Status: http.StatusInternalServerError,
		Detail: "The request can't be served, and sending it again won't help. Tell who runs this service; its log has more under the request id."}
}

func internalProblem() *Problem {
	return &Problem{Type: problemType("internal"), Title: "Something went wrong in this service", Status: http.StatusInternalServerError,
		Detail: "This is an error in the service. Tell who runs it; its log has more under the request id."}
}

// ProblemOf returns the problem that an error is for a client. Of several errors of the event store the one counts
// whose advice is that of the whole, see [eventstore.Advise]: none may hide that money could have moved. Of those
// the outermost counts. They come before what the bank refuses.
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

// refusal returns the problem of an error that is one already, or one of the refusals.
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

// find returns the problem of the outermost error that has one, of those that err consists of.
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
