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
)

// A wheel keeps times at which instances wake up. It has one record for each minute with the times
// in it, and one hand that tells how far the minutes are done.
//
// An instance adds a time to the record of its minute, and then reads the hand. If the hand has
// passed the minute, the time may have been overlooked, and the instance adds it to the minute of
// the hand. The one who moves the hand first moves it, and then looks at the minutes that it has
// passed once more. So of two who do this at the same time, at least one sees the other.
type wheel struct {
	inside eventstore.Inside
	state  driver.State
	part   string
	name   string
}

// due is a time at which an instance wakes up.
type due struct {
	at      time.Time // to the millisecond
	id      string
	version int64 // of the event of the instance for which it waits
}

func newWheel(inside eventstore.Inside, feed, name string) wheel {
	plain := func(s string) string { return strings.ReplaceAll(frame.Escape(s), ".", "%2E") }
	return wheel{inside, inside.State(), ":process:" + plain(feed) + "." + plain(name), name}
}

const (
	kindMinute = "minute"
	kindHand   = "hand"

	operation = "keep the times of a process"

	lookEvery  = time.Second
	minutes    = 60 // that are looked at in one request
	wheelTries = 8
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
	for minute := max(minuteOf(d.at), h.minute); ; minute = h.minute {
		err := w.change(ctx, minute, func(all []due) []due {
			if slices.Contains(all, d) {
				return all
			}
			return append(all, d)
		})
		if err != nil {
			return err
		}
		if h, err = w.turn(ctx, func(h hand) hand { return h }); err != nil || h.minute <= minute {
			return err
		}
	}
}

// run calls wake for each time that has come, until ctx ends.
func (w wheel) run(ctx context.Context, log *slog.Logger, wake func(context.Context, due) error) {
	for pause.For(ctx, jitter.Of(ctx, lookEvery)) {
		if err := w.look(ctx, wake); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "instances of a process do not wake up", "error", err)
		}
	}
}

// look calls wake for each time that has come, and moves the hand.
func (w wheel) look(ctx context.Context, wake func(context.Context, due) error) error {
	now := time.Now()
	h, err := w.turn(ctx, func(h hand) hand {
		h.minute = max(h.minute, min(minuteOf(now), h.done+minutes-1))
		return h
	})
	if err != nil {
		return err
	}
	keys := make([]string, 0, minutes)
	for minute := h.done; minute <= h.minute; minute++ {
		keys = append(keys, w.minuteKey(minute))
	}
	items, err := w.inside.GetMany(ctx, operation, keys) // it proves that a minute is empty
	if err != nil {
		return err
	}
	var failures []error
	done := h.minute // those before the hand get no more times
	for i, item := range items {
		minute := h.done + int64(i)
		left, err := w.fire(ctx, minute, item, now, wake)
		if err != nil {
			failures = append(failures, err)
		}
		if left {
			done = min(done, minute)
		}
	}
	if done > h.done {
		_, err := w.turn(ctx, func(h hand) hand { h.done = max(h.done, done); return h })
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}

// fire calls wake for the times of a minute that have come. It reports whether some are left.
func (w wheel) fire(ctx context.Context, minute int64, item driver.Item, now time.Time, wake func(context.Context, due) error) (left bool, err error) {
	if item.Err != nil {
		return true, w.failed(item.Err)
	}
	all, err := w.decode(item)
	if err != nil {
		return true, err
	}
	var failures []error
	var fired []due
	for _, d := range all {
		if d.at.After(now) {
			left = true
		} else if err := wake(ctx, d); err != nil {
			failures, left = append(failures, fmt.Errorf("%s %q: %w", w.name, d.id, err)), true
		} else {
			fired = append(fired, d)
		}
	}
	if len(fired) > 0 {
		err := w.change(ctx, minute, func(all []due) []due {
			return slices.DeleteFunc(all, func(d due) bool { return slices.Contains(fired, d) })
		})
		if err != nil {
			failures, left = append(failures, err), true
		}
	}
	return left, errors.Join(failures...)
}

// turn changes the hand.
func (w wheel) turn(ctx context.Context, change func(hand) hand) (h hand, err error) {
	err = w.update(ctx, w.handKey(), func(item driver.Item) ([]byte, error) {
		h = hand{}
		_, err := frame.Read(item.Value, kindHand, w.part, func(field, value string) (err error) {
			switch field {
			case "minute":
				h.minute, err = strconv.ParseInt(value, 10, 64)
			case "done":
				h.done, err = strconv.ParseInt(value, 10, 64)
			}
			return err
		})
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
		if n > 0 && !pause.For(ctx, jitter.Of(ctx, min(10*time.Millisecond<<min(n-1, 6), 500*time.Millisecond))) {
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
	return &eventstore.StorageError{Stream: w.stream(), Operation: operation, Cause: cause}
}

func (w wheel) damaged(key string, cause error) error {
	return &eventstore.DamagedError{Stream: w.stream(), Key: key, Cause: cause}
}
