package service

import (
	"context"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// Bank is a bank that is connected to its store.
type Bank struct {
	Accounts *bank.Accounts

	// Reach asks whether the store answers now. Where it is known which part does not, the error is an [AwayError].
	Reach func(context.Context) error
}

// AwayError says which part does not answer.
type AwayError struct {
	Part  string // "sidecar" or "state store"
	Cause error
}

func (e *AwayError) Error() string { return fmt.Sprintf("the %s is away: %v", e.Part, e.Cause) }
func (e *AwayError) Unwrap() error { return e.Cause }

// bank is the one that it is connected to, once there is one.
func (s *Service) bank() (Bank, bool) {
	if b := s.connected.Load(); b != nil {
		return *b, true
	}
	return Bank{}, false
}

const (
	firstWait   = 100 * time.Millisecond // before the second try; the next ones wait twice as long each
	longestWait = 5 * time.Second
	tryTimeout  = 10 * time.Second // of one try
)

// Connect connects the service: it tries until it has succeeded, or ctx has ended, waiting 100 ms after the first try and twice as long
// after each, up to 5 s. One try gets 10 s. Until it has succeeded the service answers 503. It is to be called once, and reports whether it
// succeeded.
func (s *Service) Connect(ctx context.Context, connect func(context.Context) (Bank, error)) bool {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		b, err := try(ctx, connect)
		if err == nil {
			s.connected.Store(&b)
			s.log.InfoContext(ctx, "connected", "part", s.store)
			return true
		}
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "could not connect, will try again", "part", s.store, "wait", wait.String(), "error", err.Error())
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
	}
}

func try(ctx context.Context, connect func(context.Context) (Bank, error)) (Bank, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return connect(ctx)
}
