package subscription

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Handler handles one item of a feed. An error, or a panic, says that the item could not be
// handled. Calls for items of different partitions run at the same time.
//
// The handler must return soon after its context ends, which happens when Run ends, when the
// partition goes to another instance, and at the limit of [WithHandlerTimeout]. The texts of its
// errors are logged, and stored with a parked stream, so they should not quote personal data.
type Handler func(ctx context.Context, item feed.Item) error

// Subscription is a handler with a durable position in a feed. It is safe for concurrent use.
type Subscription struct {
	feed   *feed.Feed
	inside eventstore.Inside
	name   string
	keys   keys
	stage  func(partition int) Stage
	staged bool // stages keep effects until a position is saved
	log    *slog.Logger
	config

	kind    string // see Kind
	patient bool   // see Patient

	mu   sync.Mutex
	runs map[*run]bool
}

// New returns a subscription. Its name is the same in all instances of a service, and different
// from those of other subscriptions of the feed. New sends nothing: the first [Subscription.Run]
// creates the subscription. It returns an [eventstore.ArgumentError] for a nil feed or handler, for
// a name that is blank, longer than 200 bytes or not valid UTF-8, and for a wrong option.
func New(f *feed.Feed, name string, handle Handler, options ...Option) (*Subscription, error) {
	if handle == nil {
		return nil, bad("handler", "it is nil")
	}
	s, err := NewStaged(permit.Permit{}, f, name, func(int) Stage { return handle }, options...)
	if err == nil {
		s.staged = false
	}
	return s, err
}

// NewStaged returns a subscription whose stages may keep effects until a position is saved. Run
// makes a new stage whenever it takes a partition. It is for the packages of this module.
func NewStaged(_ permit.Permit, f *feed.Feed, name string, stage func(partition int) Stage, options ...Option) (*Subscription, error) {
	switch {
	case f == nil:
		return nil, bad("feed", "it is nil: make one with feed.Open")
	case strings.TrimSpace(name) == "":
		return nil, bad("name", "it is blank")
	case !utf8.ValidString(name):
		return nil, bad("name", "%q is not valid UTF-8", name)
	case len(name) > 200:
		return nil, bad("name", "it has %d bytes, at most 200 are allowed", len(name))
	}
	provider := f.Provider()
	s := &Subscription{
		feed: f, inside: provider.Inside(permit.Permit{}), name: name, keys: keysOf(f.Name(), name), stage: stage, staged: true, kind: "handler",
		log: provider.Logger().With("subscription", name), config: defaults, runs: map[*run]bool{},
	}
	if limit, size := s.inside.State().Capabilities().MaxKeyBytes, len(s.keys.shared()); limit > 0 && size > limit {
		return nil, bad("name", "with it keys would have up to %d bytes, but the store takes at most %d", size, limit)
	}
	for _, option := range options {
		if option == nil {
			return nil, bad("option", "it is nil")
		}
		if err := option(&s.config); err != nil {
			return nil, err
		}
	}
	for _, t := range provider.Registry().Types() { // as feed.OfEventType does
		if slices.Contains(s.events, t.Name) {
			s.events = append(s.events, t.Aliases...)
		}
	}
	return s, nil
}

// Name returns the name of the subscription.
func (s *Subscription) Name() string { return s.name }

// stream returns the name that errors of the store have for the subscription.
func (s *Subscription) stream() eventstore.Stream {
	return eventstore.Stream{Type: "subscription", ID: s.feed.Name() + "." + s.name}
}

func (s *Subscription) failed(operation string, cause error) error {
	return &eventstore.StorageError{Stream: s.stream(), Operation: operation, Cause: cause}
}

func (s *Subscription) damaged(key string, cause error) error {
	return &eventstore.DamagedError{Stream: s.stream(), Key: key, Cause: cause}
}

// poke makes the runs of this process look at the records at once.
func (s *Subscription) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range s.runs {
		signal(r.poked)
	}
}

// signal sends to a channel that holds one signal, unless it holds one already.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (s *Subscription) decodePartition(number int, data []byte) (partition, error) {
	p, err := decodePartition(s.keys.partition, number, data)
	if err != nil {
		return p, s.damaged(s.keys.of(number), err)
	}
	return p, nil
}

func (s *Subscription) decodeShared(data []byte) (shared, error) {
	sh, err := decodeShared(s.keys.partition, data)
	if err != nil {
		return sh, s.damaged(s.keys.shared(), err)
	}
	return sh, nil
}

// readShared reads what all instances share. It returns a NotFoundError if there is no such
// subscription.
func (s *Subscription) readShared(ctx context.Context, operation string) (shared, error) {
	item, err := s.inside.State().Get(ctx, s.keys.partition, s.keys.shared())
	if err != nil {
		return shared{}, s.failed(operation, err)
	}
	sh, err := s.decodeShared(item.Value)
	if err == nil && sh.dropped {
		err = &NotFoundError{s.name}
	}
	return sh, err
}

// readPartitions reads all partitions, in their order, and the ETags of their records.
func (s *Subscription) readPartitions(ctx context.Context, operation string, sh shared) ([]partition, []string, error) {
	keys := make([]string, sh.partitions)
	for k := range keys {
		keys[k] = s.keys.of(k)
	}
	items, err := s.inside.GetMany(ctx, operation, keys)
	if err != nil {
		return nil, nil, err
	}
	all, etags := make([]partition, sh.partitions), make([]string, sh.partitions)
	for k, item := range items {
		p, err := s.decodePartition(k, item.Value)
		if err != nil {
			return nil, nil, err
		}
		all[k], etags[k] = p.rebased(sh), item.ETag
	}
	return all, etags, nil
}

// checkEnd returns an error if a position is beyond the end of the feed.
func (s *Subscription) checkEnd(ctx context.Context, argument string, position feed.Position) error {
	if position == 0 {
		return nil
	}
	end, err := s.feed.End(ctx)
	if err == nil && position > end {
		err = &eventstore.ArgumentError{Argument: argument, Reason: fmt.Sprintf("position %d is beyond the end of the feed, which is %d", position, end)}
	}
	return err
}
