package service

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
)

// errorTypes are the types of a Go file that have a method Error.
func errorTypes(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv != nil && f.Name.Name == "Error" {
			types = append(types, f.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name)
		}
	}
	slices.Sort(types)
	return types
}

// sentinels are the variables of a Go file that are made with errors.New.
func sentinels(t *testing.T, path string) int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if made, ok := spec.Values[0].(*ast.CallExpr); ok {
				if f, ok := made.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "New" && f.X.(*ast.Ident).Name == "errors" {
					n++
				}
			}
		}
		return true
	})
	return n
}

func TestEveryKindOfErrorHasItsProblem(t *testing.T) {
	t.Parallel()
	want := errorTypes(t, filepath.Join("..", "..", "..", "eventstore", "errors.go"))
	var got []string
	for _, k := range kinds {
		got = append(got, k.name)
	}
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("errors of the event store:\n mapped %q\nthere are %q", got, want)
	}
	ofBank := len(refusals)
	for _, other := range []error{errNotConnected, context.Canceled, context.DeadlineExceeded} {
		if _, ok := refusals[other]; ok {
			ofBank--
		}
	}
	if there := sentinels(t, filepath.Join("..", "bank", "accounts.go")); there == 0 || ofBank != there {
		t.Errorf("of the bank %d errors are mapped, there are %d", ofBank, there)
	}
}

func TestAnErrorIsAnsweredWithItsStatus(t *testing.T) {
	t.Parallel()
	ofAccount := eventstore.Stream{Database: "EventStores", Type: bank.AccountType, ID: "A1"}
	storage := &eventstore.StorageError{Operation: "append", Cause: errors.New("dial tcp 10.0.0.1:6379")}
	for name, c := range map[string]struct {
		err    error
		status int
		kind   string
		says   string // in the detail
	}{
		"a conflict":                     {&eventstore.VersionMismatchError{Stream: ofAccount, Expected: 3, Actual: 4}, 409, "version-mismatch", "at version 4, not 3"},
		"overtaken":                      {&eventstore.SessionLostError{Stream: ofAccount}, 409, "overtaken", "again"},
		"an account that exists":         {bank.ErrAccountExists, 409, "account-exists", "another number"},
		"closed":                         {&eventstore.StreamClosedError{Version: 7}, 409, "account-closed", "version 7"},
		"stored before":                  {&eventstore.IdempotencyIDUsedError{Version: 7}, 409, "already-stored", "version 7"},
		"held":                           {&eventstore.OpenTimeoutError{Holder: "x"}, 423, "account-held", "Retry-After"},
		"held until the deadline":        {&eventstore.OpenTimeoutError{Cause: context.DeadlineExceeded}, 423, "account-held", "Retry-After"},
		"no account":                     {bank.ErrNoAccount, 404, "no-account", "number"},
		"no stream":                      {&eventstore.StreamNotFoundError{Stream: ofAccount}, 404, "no-account", "number"},
		"no version":                     {&eventstore.VersionNotFoundError{Version: 9, Current: 4}, 404, "no-such-version", "no version 9"},
		"no snapshot":                    {&eventstore.SnapshotNotFoundError{}, 404, "no-such-snapshot", "snapshot"},
		"no command":                     {&eventstore.IdempotencyIDNotFoundError{}, 404, "no-such-command", "idempotency id"},
		"deleted":                        {&eventstore.StreamDeletedError{DeletedAt: time.Unix(0, 0)}, 410, "account-deleted", "1970-01-01"},
		"too large":                      {&eventstore.BatchTooLargeError{Size: 5, Limit: 4}, 413, "too-large", "5 bytes"},
		"an argument":                    {&eventstore.ArgumentError{Argument: "number", Reason: "it is odd"}, 400, "bad-argument", "number is invalid: it is odd"},
		"a number":                       {bank.ErrBadNumber, 400, "bad-number", "34"},
		"an owner":                       {bank.ErrNoOwner, 400, "no-owner", "200 bytes"},
		"an amount":                      {bank.ErrBadAmount, 422, "bad-amount", "positive"},
		"no funds":                       {bank.ErrInsufficientFunds, 422, "insufficient-funds", "less"},
		"the store is away":              {storage, 503, "store-away", "Retry-After"},
		"the store at the deadline":      {&eventstore.StorageError{Cause: context.DeadlineExceeded}, 503, "store-away", "Retry-After"},
		"the session's end":              {&eventstore.SessionExpiredError{}, 503, "took-too-long", "Retry-After"},
		"the session's end in a request": {&eventstore.StorageError{Cause: &eventstore.SessionExpiredError{}}, 503, "store-away", "Retry-After"},
		"not connected":                  {errNotConnected, 503, "not-connected", "readyz"},
		"unknown":                        {&eventstore.OutcomeUnknownError{CommitID: "c", Base: 4, Cause: storage}, 504, "outcome-unknown", "same Idempotency-Key"},
		"unknown at the session's end":   {&eventstore.OutcomeUnknownError{Cause: &eventstore.SessionExpiredError{}}, 504, "outcome-unknown", "same Idempotency-Key"},
		"the deadline":                   {context.DeadlineExceeded, 504, "took-too-long", "too long"},
		"given up":                       {context.Canceled, 503, "given-up", "again"},
		"damaged":                        {&eventstore.DamagedError{Key: "k"}, 500, "history-damaged", "log"},
		"a newer schema":                 {&eventstore.SchemaError{}, 500, "schema-unknown", "log"},
		"a type that does not fit":       {&eventstore.TypeMismatchError{}, 500, "type-mismatch", "log"},
		"a type":                         {&eventstore.TypeNotRegisteredError{}, 500, "type-unknown", "log"},
		"not open":                       {&eventstore.NotOpenError{}, 500, "internal", "log"},
		"something else":                 {errors.New("boom 10.0.0.1"), 500, "internal", "log"},
		"several things":                 {errors.Join(errors.New("boom"), bank.ErrNoAccount), 404, "no-account", "number"},
		"a problem":                      {badRequest("no"), 400, "bad-request", "no"},
		"unknown beside a certain no":    {errors.Join(storage, &eventstore.OutcomeUnknownError{}), 504, "outcome-unknown", "same Idempotency-Key"},
		"unknown beside a refusal":       {errors.Join(bank.ErrNoAccount, &eventstore.OutcomeUnknownError{}), 504, "outcome-unknown", "same Idempotency-Key"},
		"unknown below a certain no":     {&eventstore.StorageError{Cause: &eventstore.OutcomeUnknownError{}}, 504, "outcome-unknown", "same Idempotency-Key"},
		"damage that the store reports":  {&eventstore.StorageError{Cause: &eventstore.DamagedError{}}, 500, "history-damaged", "log"},
		"a conflict beside the store":    {errors.Join(storage, &eventstore.VersionMismatchError{Stream: ofAccount}), 409, "version-mismatch", "Read it again"},
	} {
		for _, err := range []error{c.err, fmt.Errorf("list the account: %w", c.err)} {
			w := httptest.NewRecorder()
			refuse(w, httptest.NewRequest("GET", "/", nil), ProblemOf(err))
			p := answers[Problem](t, w, c.status)
			if p.Type != problemType(c.kind) || p.Status != c.status || p.Title == "" || !strings.Contains(p.Detail, c.says) {
				t.Errorf("%s: %+v, want %s and to be told %q", name, p, c.kind, c.says)
			}
			if strings.Contains(w.Body.String(), "10.0.0.1") {
				t.Errorf("%s: the client is told what is none of its business: %s", name, w.Body)
			}
			again := c.status == 423 || c.status == 503 || c.status == 504
			if after := w.Header().Get("Retry-After"); (after != "") != again || after == "0" {
				t.Errorf("%s: Retry-After is %q", name, after)
			}
		}
	}
}

func TestAStatusFollowsTheAdvice(t *testing.T) {
	t.Parallel()
	statuses := map[eventstore.Advice][]int{
		eventstore.AdviceAlreadyStored:    {409},
		eventstore.AdviceRetry:            {423, 503},
		eventstore.AdviceConflict:         {409},
		eventstore.AdviceGiveUp:           {400, 404, 409, 410, 413, 500},
		eventstore.AdviceRepeatWithSameID: {504},
	}
	account := eventstore.Stream{Database: "EventStores", Type: bank.AccountType, ID: "A1"}
	for _, err := range []error{
		&eventstore.VersionMismatchError{Stream: account}, &eventstore.SessionLostError{Stream: account}, &eventstore.StreamClosedError{},
		&eventstore.IdempotencyIDUsedError{}, &eventstore.OpenTimeoutError{}, &eventstore.StreamNotFoundError{}, &eventstore.VersionNotFoundError{}, &eventstore.SnapshotNotFoundError{},
		&eventstore.IdempotencyIDNotFoundError{}, &eventstore.StreamDeletedError{}, &eventstore.ArgumentError{}, &eventstore.BatchTooLargeError{},
		&eventstore.StorageError{}, &eventstore.SessionExpiredError{}, &eventstore.OutcomeUnknownError{}, &eventstore.DamagedError{},
		&eventstore.SchemaError{}, &eventstore.TypeNotRegisteredError{}, &eventstore.NotOpenError{}, &eventstore.InlineError{},
	} {
		advice, p := eventstore.Advise(err), ProblemOf(err)
		if !slices.Contains(statuses[advice], p.Status) {
			t.Errorf("%T has the advice %q and the status %d", err, advice, p.Status)
		}
		again := advice == eventstore.AdviceRetry || advice == eventstore.AdviceRepeatWithSameID
		if (p.retryAfter > 0) != again {
			t.Errorf("%T has the advice %q and is retried after %s", err, advice, p.retryAfter)
		}
	}
}
