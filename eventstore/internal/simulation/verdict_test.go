package simulation

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/hexalith/eventstores-go/eventstore"
)

// verdict judges a history against what was committed in the end.
func (w *world) verdict() error {
	var final []string // names of the events, by version
	for version := int64(1); w.audit.committed[version] != nil; version++ {
		_, payload, _ := strings.Cut(string(w.audit.committed[version]), "\n\n")
		name, _, _ := strings.Cut(payload, " ")
		final = append(final, name)
	}
	seen := map[string]bool{}
	for _, name := range final {
		if seen[name] {
			return fmt.Errorf("event %s is there twice: %v", name, final)
		}
		seen[name] = true
	}
	for _, c := range w.history {
		if err := c.judge(final, w.stale); err != nil {
			return fmt.Errorf("p%d %s: %w; committed is %v", c.process, c, err, final)
		}
	}
	if err := w.orderly(); err != nil {
		return err
	}
	if err := w.ended(); err != nil {
		return fmt.Errorf("%w; committed is %v", err, final)
	}
	return w.linearizable(final)
}

// judge checks one call.
func (c *call) judge(final []string, stale bool) error {
	switch c.kind {
	case "append":
		return c.judgeAppend(final)
	case "outcome":
		at := slices.Index(final, c.names[0])
		if c.ended != 0 && c.err == nil && c.outcome == eventstore.OutcomeCommitted && at < 0 {
			return errors.New("was said to be committed and is not there")
		}
		if c.ended != 0 && c.err == nil && c.outcome == eventstore.OutcomeRejected && at >= 0 {
			return errors.New("was said to be rejected and is there")
		}
	case "read":
		if c.ended != 0 && len(c.read) > 0 && (len(c.read) > len(final) || !slices.Equal(c.read, final[:len(c.read)])) && c.err == nil {
			return errors.New("saw what was never committed")
		}
	}
	return nil
}

func (c *call) judgeAppend(final []string) error {
	at := slices.Index(final, c.names[0])
	if at >= 0 && (len(final) < at+len(c.names) || !slices.Equal(final[at:at+len(c.names)], c.names)) {
		return errors.New("is torn")
	}
	if at < 0 && slices.ContainsFunc(c.names[1:], func(name string) bool { return slices.Contains(final, name) }) {
		return errors.New("is torn")
	}
	if c.ended == 0 { // may have taken effect or not
		return nil
	}
	switch {
	case c.err == nil && at < 0:
		return errors.New("was acknowledged and is lost")
	case c.err == nil && int64(at+len(c.names)) != c.version:
		return fmt.Errorf("was acknowledged at version %d and stands at %d", c.version, at+len(c.names))
	case c.err == nil && c.expected >= 0 && int64(at) != c.expected:
		return fmt.Errorf("expected version %d and was put after %d", c.expected, at)
	case c.err != nil && at >= 0:
		return fmt.Errorf("was refused and is there: %w", c.err)
	}
	var used *eventstore.IdempotencyIDUsedError
	if errors.As(c.err, &used) && (used.Version < 1 || used.Version > int64(len(final))) {
		return fmt.Errorf("names a version that there is not: %w", c.err)
	}
	var mismatch *eventstore.VersionMismatchError
	if errors.As(c.err, &mismatch) && (mismatch.Expected == mismatch.Actual || mismatch.Actual < c.reached) {
		return fmt.Errorf("was refused without a reason, its session had reached version %d: %w", c.reached, c.err)
	}
	return nil
}

// ended checks that nothing comes after the end of the stream, and that nobody is told of an end that nobody brought.
func (w *world) ended() error {
	for _, end := range w.history {
		if end.kind != "close" && end.kind != "delete" || end.ended == 0 || end.err != nil {
			continue
		}
		if w.audit.head.state == "" || end.kind == "delete" && w.audit.head.state != "deleted" {
			return fmt.Errorf("p%d was told that it could %s the stream, which is %q", end.process, end.kind, w.audit.head.state)
		}
		for _, c := range w.history {
			after := c.began > end.ended && c.ended != 0 && c.err == nil
			if after && (c.kind == "append" || c.whole && end.kind == "delete") {
				return fmt.Errorf("p%d %s succeeded after the end, a %s", c.process, c, end.kind)
			}
		}
	}
	for _, c := range w.history {
		if !errors.Is(c.err, &eventstore.StreamClosedError{}) && !errors.Is(c.err, &eventstore.StreamDeletedError{}) {
			continue
		}
		if !slices.ContainsFunc(w.history, func(end *call) bool {
			return (end.kind == "close" || end.kind == "delete") && end.began < c.ended
		}) {
			return fmt.Errorf("p%d %s: nobody has ended the stream: %w", c.process, c, c.err)
		}
	}
	return nil
}

// linearizable checks that all calls can have taken effect one after the other, each between its begin and its end.
func (w *world) linearizable(final []string) error {
	var operations []porcupine.Operation
	for _, c := range w.history {
		switch {
		case c.kind == "append" && (c.err == nil || c.ended == 0 || errors.Is(c.err, &eventstore.IdempotencyIDUsedError{})):
			if c.ended == 0 && !slices.Contains(final, c.names[0]) {
				continue // never took effect
			}
		case c.kind == "read" && c.whole && c.ended != 0 && c.err == nil:
		default:
			continue
		}
		end := c.ended
		if end == 0 {
			end = math.MaxInt64
		}
		operations = append(operations, porcupine.Operation{ClientId: c.process, Input: c, Call: c.began, Return: end})
	}
	if len(operations) < 2 {
		return nil
	}
	model := porcupine.Model{
		Init: func() any { return 0 }, // how much of final there is
		Step: func(state, input, _ any) (bool, any) {
			n, c := state.(int), input.(*call)
			if c.kind == "read" {
				return len(c.read) == n, n
			}
			var used *eventstore.IdempotencyIDUsedError
			if errors.As(c.err, &used) {
				return used.Version <= int64(n) && w.idempotencyOf(used.Version) == c.idem, n
			}
			if n >= len(final) || final[n] != c.names[0] {
				return false, n
			}
			for version := 1; c.idem != "" && version <= n; version++ {
				if w.idempotencyOf(int64(version)) == c.idem {
					return false, n // used before
				}
			}
			return true, n + len(c.names)
		},
	}
	if porcupine.CheckOperationsTimeout(model, operations, time.Minute) == porcupine.Illegal {
		return fmt.Errorf("the history is not linearizable; committed is %v", final)
	}
	return nil
}

func (w *world) idempotencyOf(version int64) string {
	return field(w.audit.committed[version], "idempotency")
}
