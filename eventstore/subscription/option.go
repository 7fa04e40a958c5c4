package subscription

import (
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// Option configures a [Subscription].
type Option func(*config) error

type config struct {
	partitions int // 0: as many as the subscription has
	start      start
	filter     []feed.ReadOption
	events     []string // types of events that the filter lets pass, all if empty

	policy      policy
	retries     int
	firstPause  time.Duration
	longestWait time.Duration
	limit       time.Duration // for one call of the handler

	saveItems int
	saveEvery time.Duration
	lease     time.Duration
}

// policy is what happens when an item cannot be handled.
type policy int

const (
	stop policy = iota
	skip
	park
)

// start is where a subscription begins when it is created.
type start struct {
	position feed.Position
	atEnd    bool
}

const (
	defaultPartitions = 16
	maxPartitions     = 1024
)

var defaults = config{
	retries: 5, firstPause: 100 * time.Millisecond, longestWait: 10 * time.Second, limit: 30 * time.Second,
	saveItems: 100, saveEvery: time.Second, lease: 15 * time.Second,
}

// WithPartitions sets into how many partitions the streams are divided, from 1 to 1024. The default
// is 16. It limits how many items are handled at the same time, in all instances together. In each
// partition, up to 128 items or about 1 MiB of them wait for the handler.
//
// The number is fixed when the subscription is created. Later, another number is an
// [eventstore.ArgumentError] of [Subscription.Run]. Without the option, Run uses the number that
// the subscription has.
func WithPartitions(n int) Option {
	return func(c *config) error {
		if n < 1 || n > maxPartitions {
			return bad("WithPartitions", "%d is not from 1 to %d", n, maxPartitions)
		}
		c.partitions = n
		return nil
	}
}

// WithStart makes a subscription begin after a position of the feed when it is created. The default
// is the beginning of the feed. It has no effect on a subscription that exists: see
// [Subscription.Reset]. If the position is beyond the end of the feed, creating the subscription
// fails with an [eventstore.ArgumentError].
func WithStart(after feed.Position) Option {
	return func(c *config) error {
		if after < 0 {
			return bad("WithStart", "position %d is negative", after)
		}
		c.start = start{position: after}
		return nil
	}
}

// WithStartAtEnd makes a subscription begin at the end of the feed when it is created, so that it
// sees only what comes later. It has no effect on a subscription that exists.
func WithStartAtEnd() Option {
	return func(c *config) error { c.start = start{atEnd: true}; return nil }
}

// OfType delivers only what is about streams of these aggregate types, like [feed.OfType].
func OfType(types ...string) Option { return filtered(feed.OfType(types...)) }

// InDatabase delivers only what is about streams of these databases, like [feed.InDatabase].
func InDatabase(databases ...string) Option { return filtered(feed.InDatabase(databases...)) }

// OfEventType delivers only events of these types, like [feed.OfEventType].
func OfEventType(types ...string) Option {
	return func(c *config) error {
		c.events = append(c.events, types...)
		return filtered(feed.OfEventType(types...))(c)
	}
}

func filtered(by feed.ReadOption) Option {
	return func(c *config) error { c.filter = append(c.filter, by); return nil }
}

// WithParking parks the stream of an item that could not be handled, from that item on. Later items
// of the stream are held back, and all other streams go on. [Subscription.Parked] lists parked
// streams. [Subscription.Retry] delivers what was held back, and [Subscription.Skip] leaves one
// item out. Without the option, Run stops.
//
// A partition holds at most 100 parked streams. If one more has to be parked, Run stops with a
// [HandlerError]: so many failures usually have a common cause.
func WithParking() Option {
	return func(c *config) error { c.policy = park; return nil }
}

// WithSkipping leaves out an item that could not be handled, and logs a warning. Without the
// option, Run stops.
func WithSkipping() Option {
	return func(c *config) error { c.policy = skip; return nil }
}

// WithRetries sets how often the handler is called again after it failed. The default is 5, and 0
// means never. An event that cannot be decoded is not tried again.
func WithRetries(n int) Option {
	return func(c *config) error {
		if n < 0 {
			return bad("WithRetries", "%d is negative", n)
		}
		c.retries = n
		return nil
	}
}

// WithBackoff sets how long to wait before the handler is called again: first at first, then twice
// as long each time, up to longest. Each wait is shortened at random by up to a half. The defaults
// are 100 ms and 10 s. The streams of the same partition wait meanwhile.
func WithBackoff(first, longest time.Duration) Option {
	return func(c *config) error {
		if first <= 0 || longest < first {
			return bad("WithBackoff", "%s and %s are not positive and in order", first, longest)
		}
		c.firstPause, c.longestWait = first, longest
		return nil
	}
}

// WithHandlerTimeout sets how long the handler may take for one item. Then its context ends, and
// the item counts as failed if the handler returns an error. If the handler has not returned
// another 5 s later, the instance gives the partition up, so that another instance can take it. The
// default is 30 s.
func WithHandlerTimeout(d time.Duration) Option {
	return func(c *config) error {
		if d <= 0 {
			return bad("WithHandlerTimeout", "%s is not positive", d)
		}
		c.limit = d
		return nil
	}
}

// WithSaving sets when a partition saves its position: after so many items, or so long after the
// first of them, and when Run ends. After a crash, the items since then are delivered again. The
// defaults are 100 items and 1 s. WithSaving(1, 0) saves after each item, which takes two requests.
func WithSaving(items int, every time.Duration) Option {
	return func(c *config) error {
		if items < 1 || every < 0 {
			return bad("WithSaving", "%d items and %s are not possible: at least 1 item, and 0 s", items, every)
		}
		c.saveItems, c.saveEvery = items, every
		return nil
	}
}

// WithLease sets after how long without a sign of life an instance counts as dead. The others then
// share its partitions. The default is 15 s, and it is at least 1 s. Each instance tells that it
// lives, and looks at the others, at least three times in that time, which takes three requests. So
// after a crash the others have its partitions within the lease and two thirds of it, which is 25 s
// by default. An instance that cannot tell that it lives stops when its own lease is over.
func WithLease(d time.Duration) Option {
	return func(c *config) error {
		if d < time.Second {
			return bad("WithLease", "%s is below 1 s", d)
		}
		c.lease = d
		return nil
	}
}

func bad(argument, format string, args ...any) error {
	return &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf(format, args...)}
}
