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

// failure names what failed. It matches the context's error if that is over.
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

// swapFailure is failure of what is conditional. It says what the store has made of the request: driver.ErrRefused where the store turned it down
// and the component sends nothing twice, driver.ErrDenied where it may, driver.ErrAnswered where the words leave it open.
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

// readFailure is failure of a read. It says where no other read will succeed.
func (s *State) readFailure(ctx context.Context, doing string, err error) error {
	failed := s.failure(ctx, doing, err)
	if refusal.Of(err.Error()) == refusal.KeptOut {
		return &marked{failed, driver.ErrDenied}
	}
	return failed
}

// marked is an error that matches one more, without a word of it.
type marked struct {
	error
	mark error
}

func (e *marked) Unwrap() []error { return []error{e.error, e.mark} }

// repeat sends a request that does no harm twice, and sends it again where its connection broke, as after a restart of the server. Failed finds
// the first error in an answer.
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

// firstFailure is the first error in the answer of a bulk read.
func firstFailure(items []state.BulkGetResponse) string {
	for _, item := range items {
		if item.Error != "" {
			return item.Error
		}
	}
	return ""
}
