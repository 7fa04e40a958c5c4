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

// requestError is how a request to the sidecar ended. It matches its cause, the context's error
// where that was why, and driver.ErrRefused if the request certainly changed nothing.
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

// failure says more of an error by the SDK. It marks as refused only what the sidecar
// turns down before a store sees it; in doubt it does not, for an error wrongly taken for
// a refusal would lose data.
func failure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	e := &requestError{text: doing, cause: err}
	switch status.Code(err) {
	case codes.InvalidArgument, codes.Unimplemented:
		e.refused = true
	case codes.Unauthenticated, codes.PermissionDenied:
		e.text += ": the sidecar does not let this client in, is DAPR_API_TOKEN the sidecar's?"
		e.refused = true
	case codes.FailedPrecondition:
		// Of a sidecar without any state store. The code alone would not do: to
		// pluggable components it says that an ETag did not match.
		e.refused = strings.Contains(err.Error(), "is not configured")
	case codes.ResourceExhausted:
		if tooLarge(err) { // it is the request: the answer to a write is empty
			e.text += ": the request is larger than the sidecar takes, see its --max-body-size and WithMaxRequestBytes"
			e.refused = true
		}
	case codes.Unavailable:
		e.text += ": the sidecar can't be reached"
	case codes.Canceled:
		e.context = ctx.Err()
	case codes.DeadlineExceeded:
		// The sidecar watches the deadline too, and may be a little ahead.
		if _, ok := ctx.Deadline(); ok {
			e.context = context.DeadlineExceeded
		}
	}
	return e
}

// swapFailure is failure of what is conditional. It says what a store that answered has made of the request. The sidecar passes on no more than
// its words.
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

// readFailure is failure of a read. It says where no other read will succeed.
func readFailure(ctx context.Context, doing string, err error) error {
	failed := failure(ctx, doing, err)
	if e, ok := failed.(*requestError); ok && !e.refused && refusal.Of(err.Error()) == refusal.KeptOut {
		e.mark = driver.ErrDenied
	}
	return failed
}

// tooLarge reports whether a message went over the limit of the sidecar or of the client.
func tooLarge(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max")
}

// notSent refuses what nobody waits for any more.
func notSent(ctx context.Context, doing string) error {
	if ctx.Err() == nil {
		return nil
	}
	return &requestError{text: doing + ": not sent, " + context.Cause(ctx).Error(), context: ctx.Err(), refused: true}
}

// refuse is the error of a request that was not sent.
func refuse(format string, args ...any) error {
	return &requestError{text: fmt.Sprintf(format, args...), refused: true}
}

// afterOthers takes back the refusal of one of several requests: the ones before it took effect.
func afterOthers(err error) error {
	var e *requestError
	if !errors.As(err, &e) {
		return err
	}
	later := *e
	later.refused, later.mark = false, nil
	later.text += " (after a part of the writes was made)"
	return &later
}
