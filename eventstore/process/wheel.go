package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// A wheel keeps times at which instances wake up. It has one record for each minute with the times
// in it, until that is done, and one hand that tells how far the minutes are done.
//
// An instance adds a time to the record of its minute, and then reads the hand. If the hand has
// passed the minute, the time may have been overlooked, and the instance adds it to the minute of
// the hand. The one who moves the hand first moves it, and then looks at the minutes that it has
// passed once more. So of two who do this at the same time, at least one sees the other.
//
// Whoever adds a time also sees to it, so others need to look only seldom. They look at the
// beginning of each minute, at the times that they have seen, and every ten seconds for what
// somebody has added to the minute and then died.
type wheel struct {
	state driver.State
	part  string
	name  string
	bell  chan time.Time // has the earliest time that this process has added since the last look
}

// due is a time at which an instance wakes up.
type due struct {
	at      time.Time // to the millisecond
	id      string
	version int64 // of the event of the instance for which it waits
}

func newWheel(state driver.State, feed, name string) wheel {
	plain := func(s string) string { return strings.ReplaceAll(frame.Escape(s), ".", "%2E") }
	return wheel{state, ":process:" + plain(feed) + "." + plain(name), name, make(chan time.Time, 1)}
}

const (
	kindMinute = "minute"
	kindHand   = "hand"

	lookEvery  = 10 * time.Second
	tryAgain   = time.Second
	minutes    = 60 // that are looked at in one request
	wheelTries = 8
	mostTold   = 5 // failures in one record of the log
)

func minuteOf(at time.Time) int64 { return at.Unix() / 60 }

func (w wheel) minuteKey(minute int64) string { return fmt.Sprintf("{%s}:minute:%d", w.part, minute) }
func (w wheel) handKey() string               { return "{" + w.part + "}:hand" }

// hand is how far the minutes are done.
type hand struct {
	minute int64 // new times go to this one or a later one
	done   int64 // all before this one are empty for ever
}

// add adds a time.
func (w wheel) add(ctx context.Context, d due) error {
	d.at = time.UnixMilli(d.at.UnixMilli())
	h, err := w.turn(ctx, func(h hand) hand { return h })
	if err != nil {
		return err
	}
	err = w.put(ctx, max(minuteOf(d.at), h.minute), d)
	w.ring(d.at)
	return err
}

// put adds times to the record of a minute, and to that of a later one if the hand may have
// overlooked them.
func (w wheel) put(ctx context.Context, minute int64, times ...due) error {
	for {
		err := w.change(ctx, minute, func(all []due) []due {
			for _, d := range times {
				if !slices.Contains(all, d) {
					all = append(all, d)
				}
			}
			return all
		})
		if err != nil {
			return err
		}
		h, err := w.turn(ctx, func(h hand) hand { return h })
		if err != nil || h.minute <= minute {
			return err
		}
		minute = h.minute
	}
}

// ring makes this process look at a time, if not before.
func (w wheel) ring(at time.Time) {
	for {
		select {
		case w.bell <- at:
			return
		case before := <-w.bell:
			if before.Before(at) {
				at = before
			}
		}
	}
}

// run calls wake for each time that has come, until ctx ends.
func (w wheel) run(ctx context.Context, log *slog.Logger, wake func(context.Context, due) error) {
	var h hand
	failures, last := 0, ""
	next := time.Now().Add(jitter.Of(ctx, tryAgain))
	for {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case at := <-w.bell:
			timer.Stop()
			if at.Before(next) {
				next = at
			}
			continue
		case <-timer.C:
		}
		var err error
		if h, next, err = w.look(ctx, h, wake); err == nil || ctx.Err() != nil {
			failures, last = 0, ""
			continue
		}
		if again := time.Now().Add(min(tryAgain<<min(failures, 4), lookEvery)); again.Before(next) || !next.After(time.Now()) {
			next = again
		}
		level := slog.LevelWarn
		if err.Error() == last {
			level = slog.LevelDebug
		}
		attrs := []any{"error", err}
		if panicked, ok := errors.AsType[*subscription.PanicError](err); ok {
			attrs = append(attrs, "stack", string(panicked.Stack))
		}
		log.Log(ctx, level, "instances of a process do not wake up", attrs...)
		failures, last = failures+1, err.Error()
	}
}

// look calls wake for each time that has come, and moves the hand. before is the hand at the look
// before this one. It returns the hand, and when to look again if nothing failed.
func (w wheel) look(ctx context.Context, before hand, wake func(context.Context, due) error) (h hand, next time.Time, err error) {
	now := time.Now()
	next = now.Add(jitter.Of(ctx, lookEvery))
	if minute := time.Unix(60*(minuteOf(now)+1), 0); minute.Before(next) {
		next = minute
	}
	h, items, err := w.read(ctx, before, now)
	if err != nil {
		return h, next, err
	}
	if h.minute < minuteOf(now) { // the service was away
		next = now
	}
	var failures []error
	done := h.minute // those before the hand get no more times
	for i, item := range items {
		minute := h.done + int64(i)
		empty, later, errs := w.fire(ctx, h, minute, item, now, wake)
		failures = append(failures, errs...)
		if !later.IsZero() && later.Before(next) {
			next = later
		}
		if !empty {
			done = min(done, minute)
		}
	}
	if n := len(failures) - mostTold; n > 0 {
		failures = append(failures[:mostTold], fmt.Errorf("and %d more", n))
	}
	if done > h.done {
		failures = append(failures, w.remove(ctx, items[:done-h.done]))
		var err error
		h, err = w.turn(ctx, func(h hand) hand { h.done = max(h.done, done); return h })
		failures = append(failures, err)
	}
	return h, next, errors.Join(failures...)
}

// remove removes the records of minutes that are done. Whoever adds a time to one of them meanwhile
// finds that the hand has passed it.
func (w wheel) remove(ctx context.Context, items []driver.Item) error {
	var writes []driver.Write
	for _, item := range items {
		if item.Found() {
			writes = append(writes, driver.Write{Key: item.Key})
		}
	}
	if len(writes) == 0 {
		return nil
	}
	if err := w.state.Write(ctx, w.part, writes); err != nil {
		return w.failed(err)
	}
	return nil
}

// read moves the hand if it is time, and then reads the minutes that are not done. If the hand is
// where it was at the look before, one request is enough.
func (w wheel) read(ctx context.Context, h hand, now time.Time) (hand, []driver.Item, error) {
	if h.minute > 0 && h.minute == minuteOf(now) {
		items, err := w.state.GetMany(ctx, w.part, append([]string{w.handKey()}, w.keys(h)...))
		if err != nil {
			return h, nil, w.failed(err)
		}
		if found, err := w.decodeHand(items[0]); err == nil && found == h {
			return h, items[1:], w.prove(ctx, h, items[1:])
		}
	}
	h, err := w.turn(ctx, func(h hand) hand {
		h.minute = max(h.minute, min(minuteOf(now), h.done+minutes-1))
		return h
	})
	if err != nil {
		return h, nil, err
	}
	items, err := w.state.GetMany(ctx, w.part, w.keys(h))
	if err != nil {
		return h, nil, w.failed(err)
	}
	return h, items, w.prove(ctx, h, items)
}

// prove reads minutes again that a bulk read may have missed. An empty one before the hand is done
// for ever.
func (w wheel) prove(ctx context.Context, h hand, items []driver.Item) (err error) {
	if !w.state.Capabilities().BulkMisses {
		return nil
	}
	for i, item := range items {
		if !item.Found() && item.Err == nil && h.done+int64(i) < h.minute {
			if items[i], err = w.state.Get(ctx, w.part, item.Key); err != nil {
				return w.failed(err)
			}
		}
	}
	return nil
}

// keys returns the keys of the minutes that are not done.
func (w wheel) keys(h hand) []string {
	keys := make([]string, 0, minutes)
	for minute := h.done; minute <= h.minute; minute++ {
		keys = append(keys, w.minuteKey(minute))
	}
	return keys
}

// fire calls wake for the times of a minute that have come. It reports whether none is left, and
// which of those that are left comes first.
func (w wheel) fire(ctx context.Context, h hand, minute int64, item driver.Item, now time.Time, wake func(context.Context, due) error) (empty bool, later time.Time, failures []error) {
	if item.Err != nil {
		return false, later, []error{w.failed(item.Err)}
	}
	all, err := w.decode(item)
	if err != nil {
		return false, later, []error{err}
	}
	var over, failed []due
	for _, d := range all {
		if d.at.After(now) {
			if later.IsZero() || d.at.Before(later) {
				later = d.at
			}
		} else if err := wake(ctx, d); err != nil {
			failures = append(failures, fmt.Errorf("%s %q: %w", w.name, d.id, err))
			failed = append(failed, d)
		} else {
			over = append(over, d)
		}
	}
	// What fails goes along with the hand, so that the hand does not have to wait for it.
	if len(failed) > 0 && minute < h.minute && ctx.Err() == nil {
		if err := w.put(ctx, h.minute, failed...); err != nil {
			failures = append(failures, err)
		} else {
			over = append(over, failed...)
		}
	}
	if len(over) > 0 {
		if err := w.change(ctx, minute, func(all []due) []due {
			return slices.DeleteFunc(all, func(d due) bool { return slices.Contains(over, d) })
		}); err != nil {
			return false, later, append(failures, err)
		}
	}
	return len(over) == len(all), later, failures
}

// turn changes the hand.
func (w wheel) turn(ctx context.Context, change func(hand) hand) (h hand, err error) {
	err = w.update(ctx, w.handKey(), func(item driver.Item) ([]byte, error) {
		var err error
		h, err = w.decodeHand(item)
		if !item.Found() {
			now := minuteOf(time.Now())
			h, err = hand{now, now}, nil
		}
		if err != nil {
			return nil, w.damaged(item.Key, err)
		}
		before := h
		if h = change(h); h == before && item.Found() {
			return nil, nil
		}
		f := frame.New(kindHand, w.part, 64)
		f.Number("minute", h.minute)
		f.Number("done", h.done)
		return f.Finish(), nil
	})
	return h, err
}

func (w wheel) decodeHand(item driver.Item) (h hand, err error) {
	_, err = frame.Read(item.Value, kindHand, w.part, func(field, value string) (err error) {
		switch field {
		case "minute":
			h.minute, err = strconv.ParseInt(value, 10, 64)
		case "done":
			h.done, err = strconv.ParseInt(value, 10, 64)
		}
		return err
	})
	return h, err
}

// change changes the times of a minute.
func (w wheel) change(ctx context.Context, minute int64, change func([]due) []due) error {
	return w.update(ctx, w.minuteKey(minute), func(item driver.Item) ([]byte, error) {
		all, err := w.decode(item)
		if err != nil {
			return nil, err
		}
		next := change(slices.Clone(all))
		if slices.Equal(all, next) {
			return nil, nil
		}
		slices.SortFunc(next, func(a, b due) int {
			return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id), cmp.Compare(a.version, b.version))
		})
		f := frame.New(kindMinute, w.part, 80*len(next))
		for _, d := range next {
			f.Line("due", fmt.Sprintf("%d %d %s", d.at.UnixMilli(), d.version, d.id))
		}
		return f.Finish(), nil
	})
}

func (w wheel) decode(item driver.Item) (all []due, err error) {
	if !item.Found() {
		return nil, nil
	}
	_, err = frame.Read(item.Value, kindMinute, w.part, func(field, value string) error {
		if field != "due" {
			return nil
		}
		parts := strings.SplitN(value, " ", 3)
		if len(parts) != 3 {
			return fmt.Errorf("%q is no time of an instance", value)
		}
		at, err := strconv.ParseInt(parts[0], 10, 64)
		if err != nil {
			return err
		}
		version, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil {
			return err
		}
		all = append(all, due{time.UnixMilli(at), parts[2], version})
		return nil
	})
	if err != nil {
		return nil, w.damaged(item.Key, err)
	}
	return all, nil
}

// update changes a record by a swap. change returns its next value, or nil to leave it.
func (w wheel) update(ctx context.Context, key string, change func(driver.Item) ([]byte, error)) error {
	for n := 0; ; n++ {
		if n > 0 && !pause.Again(ctx, n) {
			return w.failed(context.Cause(ctx))
		}
		item, err := w.state.Get(ctx, w.part, key)
		if err == nil {
			value, failure := change(item)
			if failure != nil || value == nil {
				return failure
			}
			if err = w.state.Swap(ctx, w.part, driver.Swap{Key: key, Value: value, ETag: item.ETag}); err == nil {
				return nil
			}
		}
		if n == wheelTries {
			return w.failed(err)
		}
	}
}

func (w wheel) stream() eventstore.Stream { return eventstore.Stream{Type: "process", ID: w.name} }

func (w wheel) failed(cause error) error {
	return &eventstore.StorageError{Stream: w.stream(), Operation: "keep the times of a process", Cause: cause}
}

func (w wheel) damaged(key string, cause error) error {
	return &eventstore.DamagedError{Stream: w.stream(), Key: key, Cause: cause}
}
