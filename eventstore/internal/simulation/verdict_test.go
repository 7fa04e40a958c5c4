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

// verdict checks a history against what is committed at the end. If the store has lost its last
// writes there are two histories: calls that ended before the loss are checked against what was
// committed then.
func (w *world) verdict() error {
	final := namesIn(w.audit.committed)
	if err := once(final); err != nil {
		return err
	}
	if err := w.decided(); err != nil {
		return err
	}
	if w.restart == nil {
		if err := w.judge(w.history, final); err != nil {
			return err
		}
		if w.updates {
			return w.linearizable(w.history, w.audit.committed, 0)
		}
		if err := w.orderly(); err != nil {
			return err
		}
		if err := w.ended(); err != nil {
			return fmt.Errorf("%w; committed is %v", err, final)
		}
		return w.linearizable(w.history, w.audit.committed, 0)
	}
	var before, after []*call
	for _, c := range w.history {
		if errors.As(c.err, new(*eventstore.LostWritesError)) && !w.restart.mayBeToldOf(c) {
			return fmt.Errorf("p%d %s: nothing was lost that it knew of: %w", c.process, c, c.err)
		}
		switch {
		case c.ended != 0 && c.ended < w.restart.at:
			before = append(before, c)
		case c.kind == "read" && c.opened != 0 && c.opened < w.restart.until:
			// Such a call saw the stream as its session knew it, and nothing can be appended to
			// that.
		case c.tried > w.restart.until:
			after = append(after, c)
			if err := w.restart.judge(c, final); err != nil {
				return fmt.Errorf("p%d %s: %w; committed is %v", c.process, c, err, final)
			}
		}
	}
	if err := w.judge(before, namesIn(w.restart.committed)); err != nil {
		return err
	}
	if err := w.judge(after, final); err != nil {
		return err
	}
	for _, c := range w.history { // a call that was under way may have taken effect before or after
		if c.kind != "append" && c.kind != "update" || c.ended != 0 && c.ended < w.restart.at {
			continue
		}
		before = append(before, &call{process: c.process, kind: "append", names: c.names, idem: c.idem, began: c.began})
		if c.tried < w.restart.until {
			after = append(after, &call{process: c.process, kind: "append", names: c.names, idem: c.idem, began: c.began})
		}
	}
	if err := w.linearizable(before, w.restart.committed, 0); err != nil {
		return err
	}
	return w.linearizable(after, w.audit.committed, w.restart.kept)
}

// namesIn returns the names of committed events, in version order.
func namesIn(committed map[int64][]byte) (names []string) {
	for version := int64(1); committed[version] != nil; version++ {
		_, payload, _ := strings.Cut(string(committed[version]), "\n\n")
		name, _, _ := strings.Cut(payload, " ")
		names = append(names, name)
	}
	return names
}

// once checks that no event occurs twice.
func once(names []string) error {
	seen := map[string]bool{}
	for _, name := range names {
		if seen[name] {
			return fmt.Errorf("event %s is there twice: %v", name, names)
		}
		seen[name] = true
	}
	return nil
}

// judge checks each call.
func (w *world) judge(calls []*call, final []string) error {
	for _, c := range calls {
		err := c.judge(final)
		if err == nil && c.kind == "update" && !w.stale {
			err = w.overtaken(c)
		}
		if err == nil && c.kind == "read" && c.ended != 0 && c.err == nil && !w.stale {
			err = w.young(c)
		}
		if err == nil && !w.ends && errors.As(c.err, new(*eventstore.VersionMismatchError)) && c.repeats(calls) {
			err = fmt.Errorf("was delivered twice, and got a mismatch: %w", c.err)
		}
		if err != nil {
			return fmt.Errorf("p%d %s: %w; committed is %v", c.process, c, err, final)
		}
	}
	return nil
}

// repeats reports whether an append with the same idempotency id was acknowledged before the call
// began.
func (c *call) repeats(calls []*call) bool {
	return c.idem != "" && (c.kind == "append" || c.once && !c.gaveUp()) && slices.ContainsFunc(calls, func(other *call) bool {
		return (other.kind == "append" || other.kind == "update" && other.stored != nil) && other.idem == c.idem && other.ended != 0 && other.ended < c.began && other.err == nil
	})
}

// mayBeToldOf reports whether a call can have known of the lost events.
func (r *restart) mayBeToldOf(c *call) bool {
	return c.began < r.until && (c.ended == 0 || c.ended > r.at) || c.opened != 0 && c.opened < r.until
}

// judge checks that no session continues after the events that it appended are gone.
func (r *restart) judge(c *call, final []string) error {
	if c.kind != "append" || c.ended == 0 || c.err != nil || c.reached == 0 || c.opened > r.until {
		return nil
	}
	if int64(len(final)) < c.reached || final[c.reached-1] != c.last {
		return fmt.Errorf("was acknowledged in a session that had appended %s as version %d, which is gone", c.last, c.reached)
	}
	return nil
}

// judge checks one call.
func (c *call) judge(final []string) error {
	switch c.kind {
	case "append":
		return c.judgeAppend(final)
	case "update":
		return c.judgeUpdate(final)
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

// untorn checks that the events of a call are there completely or not at all. The first is at that
// place.
func (c *call) untorn(at int, final []string) error {
	if at >= 0 && (len(final) < at+len(c.names) || !slices.Equal(final[at:at+len(c.names)], c.names)) {
		return errors.New("is torn")
	}
	if at < 0 && slices.ContainsFunc(c.names[1:], func(name string) bool { return slices.Contains(final, name) }) {
		return errors.New("is torn")
	}
	return nil
}

func (c *call) judgeAppend(final []string) error {
	at := slices.Index(final, c.names[0])
	if err := c.untorn(at, final); err != nil {
		return err
	}
	if c.ended == 0 { // it may or may not have taken effect
		return nil
	}
	switch {
	case c.err == nil && at < 0:
		return errors.New("was acknowledged and is lost")
	case c.err == nil && int64(at+len(c.names)) != c.version:
		return fmt.Errorf("was acknowledged at version %d but is at %d", c.version, at+len(c.names))
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

// ended checks that nothing comes after the end of the stream, and that no call is told of an end
// that never happened.
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
		if !errors.As(c.err, new(*eventstore.StreamClosedError)) && !errors.As(c.err, new(*eventstore.StreamDeletedError)) {
			continue
		}
		if !slices.ContainsFunc(w.history, func(end *call) bool {
			return (end.kind == "close" || end.kind == "delete") && end.began < c.ended
		}) {
			return fmt.Errorf("p%d %s: the stream never ended: %w", c.process, c, c.err)
		}
	}
	return nil
}

// linearizable checks that all calls can have taken effect one after another, each between its
// start and its end. The argument at is the version of the stream before the first call.
func (w *world) linearizable(calls []*call, committed map[int64][]byte, at int64) error {
	final := namesIn(committed)
	idempotencyOf := func(version int64) string { return field(committed[version], "idempotency") }
	var operations []porcupine.Operation
	for _, c := range calls {
		switch {
		case c.kind == "append" && (c.err == nil || c.ended == 0 || errors.As(c.err, new(*eventstore.IdempotencyIDUsedError))):
			if place := slices.Index(final, c.names[0]); place < 0 && c.ended == 0 || place >= 0 && int64(place) < at {
				continue // it never took effect, or did so earlier
			}
		case c.kind == "update" && !w.answers(c, final, at):
			continue
		case c.kind == "update", c.kind == "read" && c.whole && c.ended != 0 && c.err == nil:
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
		Init: func() any { return int(at) }, // how many of the final events exist
		Step: func(state, input, _ any) (bool, any) {
			n, c := state.(int), input.(*call)
			if c.kind == "read" {
				return len(c.read) == n, n
			}
			if c.kind == "update" && c.ended != 0 && c.stored == nil {
				return c.follows(n, idempotencyOf), n
			}
			var used *eventstore.IdempotencyIDUsedError
			if errors.As(c.err, &used) {
				return used.Version <= int64(n) && idempotencyOf(used.Version) == c.idem, n
			}
			if n >= len(final) || final[n] != c.names[0] {
				return false, n
			}
			for version := 1; c.idem != "" && version <= n; version++ {
				if idempotencyOf(int64(version)) == c.idem {
					return false, n // the idempotency id was used before
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
