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

	// Reach asks whether the store answers now. The error is an [AwayError] if the failing part is
	// known.
	Reach func(context.Context) error
}

// AwayError says which part does not answer.
type AwayError struct {
	Part  string // "sidecar" or "state store"
	Cause error
}

func (e *AwayError) Error() string { return fmt.Sprintf("the %s does not answer: %v", e.Part, e.Cause) }
func (e *AwayError) Unwrap() error { return e.Cause }

// bank returns the connected bank. It returns false before the service is connected.
func (s *Service) bank() (Bank, bool) {
	if b := s.connected.Load(); b != nil {
		return *b, true
	}
	return Bank{}, false
}

const (
	firstWait   = 100 * time.Millisecond // before the second attempt; each further wait is twice as long
	longestWait = 5 * time.Second
	tryTimeout  = 10 * time.Second // of one attempt
)

// Connect connects the service. It repeats connect until it succeeds or ctx ends, and reports
// whether it succeeded. It waits 100 ms after the first attempt, then twice as long each time, up
// to 5 s. One attempt may take 10 s. Until then the service answers 503. Call Connect once.
func (s *Service) Connect(ctx context.Context, connect func(context.Context) (Bank, error)) bool {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		b, err := try(ctx, connect)
		if err == nil {
			s.connected.Store(&b)
			s.log.InfoContext(ctx, "connected", "part", s.store)
			return true
		}
		if ctx.Err() == nil {
			s.log.WarnContext(ctx, "cannot connect, retrying", "part", s.store, "wait", wait.String(), "error", err.Error())
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
