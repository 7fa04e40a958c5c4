package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// total is a document of the projections: what one stream adds up to.
type total struct{ Amount, Events int64 }

// totals returns a projection that keeps one document for each stream.
func totals(f *feed.Feed, version int) (*projection.Projection[total], error) {
	return projection.New(f, "totals", func(_ context.Context, docs *projection.Documents[total], item feed.Item) error {
		e, ok := item.Event.Data.(deposited)
		if !ok {
			return fmt.Errorf("it is a %T", item.Event.Data)
		}
		return docs.Update(item.Stream.ID, func(t *total) error { t.Amount += e.Amount; t.Events++; return nil })
	}, projection.WithVersion(version))
}

// projecting runs a projection. Call stop to end it, and to wait until it has ended.
func projecting(ctx context.Context, p *projection.Projection[total]) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// included counts the events that the documents of a projection include.
func included(ctx context.Context, p *projection.Projection[total]) (n int, err error) {
	for doc, err := range p.List(ctx) {
		if err != nil {
			return n, err
		}
		n += int(doc.Value.Events)
	}
	return n, nil
}

// projectRebuild builds another version of a projection in each run.
func projectRebuild(l *lab) []side {
	p, f := l.followed()
	catchUp := p.catchingUp(f)
	reads := must(p.realm.record(func() error { _, _, err := catchUp.run(l.t.Context()); return err }))(l.t)
	isEvent := func(key string) bool { return !strings.Contains(key, "{:feed:") }
	var version atomic.Int64
	ours := func(ctx context.Context) (time.Duration, int, error) {
		next, err := totals(f, int(version.Add(1)))
		if err != nil {
			return 0, 0, err
		}
		var stop func() error
		took, err := timed(ctx, func() error {
			stop = projecting(ctx, next)
			return next.Switch(ctx)
		})
		if err = errors.Join(err, stop()); err != nil {
			return 0, 0, err
		}
		n, err := included(ctx, next)
		return took, n, err
	}
	l.sent = []func() traffic{p.realm.traffic}
	return []side{{"ours", ours, nil}, {"floor", l.sameReads(reads, isEvent), nil}}
}

// whileProjected is how many events each of the writers of projectlive appends in a run.
const whileProjected = 20

// projectLive compares appends whose effects are waited for with appends only.
func projectLive(l *lab) []side {
	write := func(p *lab) (run func(context.Context) error, n int, last []func(context.Context) (string, int64, error)) {
		var appends []func(context.Context, any) error
		for range l.streams {
			id := p.stream(short)
			appends = append(appends, p.appending(id))
			last = append(last, func(ctx context.Context) (string, int64, error) {
				version, err := p.version(id)(ctx)
				return id, int64(version), err
			})
		}
		return func(ctx context.Context) error {
			return eachAtOnce(len(appends), func(i int) error {
				for range whileProjected {
					if err := appends[i](ctx, event()); err != nil {
						return err
					}
				}
				return nil
			})
		}, len(appends) * whileProjected, last
	}
	ours, floor := l.part(true), l.part(true)
	f := ours.openFeed()
	writeOurs, n, last := write(ours)
	writeFloor, _, _ := write(floor)
	projected := must(totals(f, 1))(l.t)
	for _, stop := range []func() error{indexing(l.t.Context(), f), projecting(l.t.Context(), projected), indexing(l.t.Context(), floor.openFeed())} {
		l.t.Cleanup(func() { l.check(stop()) })
	}
	return []side{
		{"ours", func(ctx context.Context) (time.Duration, int, error) {
			took, err := timed(ctx, func() error {
				if err := writeOurs(ctx); err != nil {
					return err
				}
				return eachAtOnce(len(last), func(i int) error {
					id, version, err := last[i](ctx)
					if err != nil {
						return err
					}
					return projected.WaitFor(ctx, ours.events.Stream(aggregate, id), version)
				})
			})
			return took / time.Duration(n), n, err
		}, nil},
		{"floor", func(ctx context.Context) (time.Duration, int, error) {
			took, err := timed(ctx, func() error { return writeFloor(ctx) })
			return took / time.Duration(n), n, err
		}, nil},
	}
}
