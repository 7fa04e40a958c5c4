package sidecar

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/refusal"
)

// requestError says how a request to the sidecar failed. It matches its cause. It matches the
// context's error if the context ended, and driver.ErrRefused if the request certainly changed
// nothing.
type requestError struct {
	text    string
	cause   error // as the SDK returned it; nil if nothing was sent
	context error
	refused bool
	mark    error // driver.ErrDenied or driver.ErrAnswered, nil for neither
}

func (e *requestError) Error() string {
	if e.cause == nil {
		return "sidecar: " + e.text
	}
	return "sidecar: " + e.text + ": " + e.cause.Error()
}

func (e *requestError) Unwrap() []error {
	var errs []error
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	if e.context != nil {
		errs = append(errs, e.context)
	}
	if e.refused {
		errs = append(errs, driver.ErrRefused)
	}
	if e.mark != nil {
		errs = append(errs, e.mark)
	}
	return errs
}

// failure adds an explanation to an error of the SDK. It marks an error as refused only if the
// sidecar rejected the request before a store saw it. In doubt it does not, because a wrong mark
// would lose data.
func failure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	e := &requestError{text: doing, cause: err}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented:
		e.refused = true
	case codes.Unauthenticated, codes.PermissionDenied:
		e.text += ": the sidecar denied access: check that DAPR_API_TOKEN is the sidecar's token"
		e.refused = true
	case codes.FailedPrecondition:
		// A sidecar without any state store returns this code. The code alone proves nothing,
		// because with pluggable components it means that an ETag did not match.
		e.refused = strings.Contains(err.Error(), "is not configured")
	case codes.ResourceExhausted:
		if tooLarge(err) { // the request is too large, since the answer to a write is empty
			e.text += ": the request is larger than the sidecar accepts: see its --max-body-size and WithMaxRequestBytes"
			e.refused = true
		}
	case codes.Unavailable:
		e.text += ": the sidecar cannot be reached"
	case codes.Canceled:
		e.context = ctx.Err()
	case codes.DeadlineExceeded:
		// The sidecar watches the deadline too, and its clock may be a little ahead.
		if _, ok := ctx.Deadline(); ok {
			e.context = context.DeadlineExceeded
		}
	}
	return e
}

// swapFailure is failure for a conditional write. It also says what the store did with the request,
// judged by the store's message. The sidecar passes on nothing else.
func swapFailure(ctx context.Context, doing string, err error) error {
	failed := failure(ctx, doing, err)
	e, ok := failed.(*requestError)
	if !ok || e.refused || e.context != nil {
		return failed
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return failed
	}
	switch refusal.Of(err.Error()) {
	case refusal.Denied, refusal.KeptOut:
		e.mark = driver.ErrDenied
	case refusal.Unclear:
		e.mark = driver.ErrAnswered
	}
	return failed
}

// readFailure is failure for a read. It marks errors after which no other read will succeed.
func readFailure(ctx context.Context, doing string, err error) error {
	failed := failure(ctx, doing, err)
	if e, ok := failed.(*requestError); ok && !e.refused && refusal.Of(err.Error()) == refusal.KeptOut {
		e.mark = driver.ErrDenied
	}
	return failed
}

// tooLarge reports whether a message exceeded the limit of the sidecar or of the client.
func tooLarge(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max")
}

// notSent returns an error if ctx has ended, so that the request is not sent.
func notSent(ctx context.Context, doing string) error {
	if ctx.Err() == nil {
		return nil
	}
	return &requestError{text: doing + ": not sent, " + context.Cause(ctx).Error(), context: ctx.Err(), refused: true}
}

// refuse returns the error of a request that was not sent.
func refuse(format string, args ...any) error {
	return &requestError{text: fmt.Sprintf(format, args...), refused: true}
}

// afterOthers removes the mark of a refusal from the error of a later request, because earlier
// requests took effect.
func afterOthers(err error) error {
	var e *requestError
	if !errors.As(err, &e) {
		return err
	}
	later := *e
	later.refused, later.mark = false, nil
	later.text += " (some of the writes took effect)"
	return &later
}
