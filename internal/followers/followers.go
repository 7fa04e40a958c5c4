// Package followers tells who follows a feed: subscriptions, and the projections among them.
package followers

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// Follower is a version of a projection, or a subscription, which has one version.
type Follower struct {
	Name       string        `json:"name"`
	Version    int           `json:"version"`
	Active     bool          `json:"active"`   // it is the version that views read
	Position   feed.Position `json:"position"` // the lowest of its partitions
	Lag        int64         `json:"lag"`      // how many positions of the feed come after that
	Running    int           `json:"running"`  // how many of its partitions an instance has
	Partitions int           `json:"partitions"`
	Parked     int           `json:"parked"` // streams
}

// Subscription returns the name of the follower's subscription.
func (f Follower) Subscription() string { return Name(f.Name, f.Version) }

// versionInName matches the end of the name of a subscription that is a version of a projection.
var versionInName = regexp.MustCompile(`^(?s)(.+)@([1-9][0-9]*)$`)

// Split returns the projection, and the version, that a subscription belongs to.
func Split(subscription string) (name string, version int) {
	if m := versionInName.FindStringSubmatch(subscription); m != nil {
		if version, err := strconv.Atoi(m[2]); err == nil && version > 1 {
			return m[1], version
		}
	}
	return subscription, 1
}

// Name returns the name of the subscription of a version.
func Name(projection string, version int) string {
	if version == 1 {
		return projection
	}
	return fmt.Sprintf("%s@%d", projection, version)
}

// Projection returns a version of a projection whose handler is not known, to operate it.
func Projection(f *feed.Feed, name string, version int, options []projection.Option) (*projection.Projection[any], error) {
	return projection.New(f, name, func(context.Context, *projection.Documents[any], feed.Item) error { return nil },
		append(options[:len(options):len(options)], projection.WithVersion(version))...)
}

// Subscription returns a subscription whose handler is not known, to operate it.
func Subscription(f *feed.Feed, name string) (*subscription.Subscription, error) {
	return subscription.New(f, name, func(context.Context, feed.Item) error { return nil })
}

// ChangedError says that another event than the one that someone saw is now the first that a
// subscription could not handle. Nothing was done.
type ChangedError struct{ Stream eventstore.Stream }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("stream %s is parked at another version now; nothing was left out: look again", e.Stream)
}

// Skip leaves out the event at which a stream is parked, if that still has the version.
func Skip(ctx context.Context, s *subscription.Subscription, stream eventstore.Stream, version int64) error {
	parked, err := s.Parked(ctx)
	if err != nil {
		return err
	}
	for _, p := range parked {
		if p.Stream == stream && p.From != version {
			return &ChangedError{stream}
		}
	}
	return s.Skip(ctx, stream)
}

// Each calls do with the partitions of each subscription of a feed.
func Each(ctx context.Context, f *feed.Feed, do func(subscription string, partitions []subscription.Partition)) error {
	names, err := subscription.Names(ctx, f)
	if err != nil {
		return err
	}
	for _, name := range names {
		s, err := Subscription(f, name)
		if err != nil {
			return err
		}
		partitions, err := s.Positions(ctx)
		if _, ok := errors.AsType[*subscription.NotFoundError](err); ok {
			continue // it does not exist yet, or it is being dropped
		} else if err != nil {
			return err
		}
		do(name, partitions)
	}
	return nil
}

// Sum adds up the partitions of a subscription.
func Sum(subscription string, partitions []subscription.Partition) (sum Follower) {
	sum.Name, sum.Version = Split(subscription)
	sum.Partitions = len(partitions)
	for i, part := range partitions {
		if i == 0 || part.Position < sum.Position {
			sum.Position = part.Position
		}
		sum.Lag = max(sum.Lag, part.Lag)
		if part.Owner != "" {
			sum.Running++
		}
		sum.Parked += part.Parked
	}
	return sum
}

// All returns all followers of a feed, by their names and versions. The options are those that each
// projection needs.
func All(ctx context.Context, f *feed.Feed, options []projection.Option) (all []Follower, err error) {
	versions := map[string]int{}
	err = Each(ctx, f, func(name string, partitions []subscription.Partition) {
		all = append(all, Sum(name, partitions))
		versions[all[len(all)-1].Name]++
	})
	if err != nil {
		return nil, err
	}
	for i, follower := range all {
		version, err := Projection(f, follower.Name, follower.Version, options)
		if _, ok := errors.AsType[*eventstore.ArgumentError](err); ok { // it is no projection
			all[i].Active = true
			continue
		}
		if err != nil {
			return nil, err
		}
		active, err := version.Active(ctx)
		if err != nil {
			return nil, err
		}
		all[i].Active = active == follower.Version || active == 0 && (follower.Version == 1 || versions[follower.Name] == 1)
	}
	return all, nil
}
