package simulation

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// follow is the life of a process that follows the feed for both followers in turn. So two
// processes sometimes have the same follower.
func (f *following) follow(p *process) {
	ctx, stop := f.stoppable(p)
	defer stop()
	pass(time.Duration(p.rng.Int64N(int64(time.Millisecond))))
	from, err := feed.Open(f.provider(p, p.rng, "all", false))
	if err != nil {
		panic(err)
	}
	for n := p.rng.IntN(followers); ctx.Err() == nil; n++ {
		err := f.followOnce(ctx, p, from, n%followers)
		f.failed(p, "follow", err)
		if err != nil {
			f.record(p, "p%d follows: %s", p.id, short(err))
		}
		pass(time.Duration(10+p.rng.IntN(600)) * time.Millisecond)
	}
}

const followers = 2

// followOnce reads on from a follower's position, makes the effects, and then keeps the position.
// (Rule F12)
func (f *following) followOnce(ctx context.Context, p *process, from *feed.Feed, follower int) error {
	s := state{process: p, caps: f.store.Capabilities()}
	partition := fmt.Sprintf(":follower:%d", follower)
	key := "{" + partition + "}:position"
	kept, err := s.Get(ctx, partition, key)
	if err != nil {
		return err
	}
	position, _ := strconv.ParseInt(string(kept.Value), 10, 64)
	before := position
	var items []feed.Item
	most := 1 + p.rng.IntN(8)
	for item, err := range from.Read(ctx, feed.After(feed.Position(position)), feed.AsRaw()) {
		if err == nil {
			err = item.Err
		}
		if err != nil {
			return err
		}
		if items = append(items, item); len(items) >= most && int64(item.Position) > before {
			break
		}
	}
	handle := func() error {
		for _, item := range items {
			if _, err := s.Get(ctx, partition, "{"+partition+"}:effect"); err != nil { // a request somewhere
				return err
			}
			f.delivered(p, follower, item)
			position = int64(item.Position)
		}
		return nil
	}
	keep := func() error {
		if position == before {
			return nil
		}
		return s.Swap(ctx, partition, driver.Swap{Key: key, Value: strconv.AppendInt(nil, position, 10), ETag: kept.ETag})
	}
	if err := handle(); err != nil {
		return err
	}
	return keep()
}

// delivered is the effect of an item.
func (f *following) delivered(p *process, follower int, item feed.Item) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.crashed || f.violation != nil {
		return
	}
	f.progress = time.Now()
	f.log("p%d delivers to follower %d: %s %s", p.id, follower, item.What, item.ID())
	if err := f.chronicle.deliver(follower, item); err != nil {
		f.violation = fmt.Errorf("follower %d, %s %s: %w", follower, item.What, item.ID(), err)
	}
}

func payloadOf(item feed.Item) string {
	raw, _ := item.Event.Data.(eventstore.Raw)
	return string(raw.Payload)
}
