package component

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dapr/components-contrib/state"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/refusal"
)

// failure says which request failed. If ctx has ended, the error also matches the context's error.
func (s *State) failure(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, ctx.Err()):
		return fmt.Errorf("%s: %s: %w (%w)", s.config.Package, doing, err, ctx.Err())
	default:
		return fmt.Errorf("%s: %s: %w", s.config.Package, doing, err)
	}
}

// swapFailure is failure for a conditional write. It also says what the store did with the request.
// The error matches driver.ErrRefused if the store refused it and the component sends nothing
// twice, and driver.ErrDenied if the component may have sent it twice. It matches
// driver.ErrAnswered if the server's message leaves it open.
func (s *State) swapFailure(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	failed := s.failure(ctx, doing, err)
	if ctx.Err() != nil {
		return failed
	}
	switch refusal.Of(err.Error()) {
	case refusal.Denied, refusal.KeptOut:
		if s.config.SendsOnce {
			return fmt.Errorf("%w (%w)", failed, driver.ErrRefused)
		}
		return &marked{failed, driver.ErrDenied}
	case refusal.Unclear:
		return &marked{failed, driver.ErrAnswered}
	}
	return failed
}

// readFailure is failure for a read. It marks errors after which no other read will succeed.
func (s *State) readFailure(ctx context.Context, doing string, err error) error {
	failed := s.failure(ctx, doing, err)
	if refusal.Of(err.Error()) == refusal.KeptOut {
		return &marked{failed, driver.ErrDenied}
	}
	return failed
}

// marked is an error that matches one more error, without showing its text.
type marked struct {
	error
	mark error
}

func (e *marked) Unwrap() []error { return []error{e.error, e.mark} }

// repeat sends a request that may safely be sent twice. It sends the request again if its
// connection broke, for example because the server restarted. The function failed returns the first
// error in an answer.
func repeat[T any](ctx context.Context, repeats int, failed func(T) string, request func() (T, error)) (T, error) {
	for n := 0; ; n++ {
		answer, err := await(ctx, request)
		text := ""
		switch {
		case err != nil:
			text = err.Error()
		case failed != nil:
			text = failed(answer)
		}
		if text == "" || n >= repeats || ctx.Err() != nil || refusal.Of(text) != refusal.NoAnswer {
			return answer, err
		}
		timer := time.NewTimer(8 * time.Millisecond << (2 * n)) // 8, 32, 128 ms
		select {
		case <-ctx.Done():
			timer.Stop()
			return answer, err
		case <-timer.C:
		}
	}
}

// firstFailure returns the first error in the answer of a bulk read.
func firstFailure(items []state.BulkGetResponse) string {
	for _, item := range items {
		if item.Error != "" {
			return item.Error
		}
	}
	return ""
}
