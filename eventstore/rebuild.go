package eventstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// HeadRebuild is what [Provider.RebuildHead] found and did.
type HeadRebuild struct {
	Stream Stream

	// Damage is what was wrong with the head. If it is nil, nothing was wrong and nothing was done.
	Damage *DamagedError

	// Version is the version of the head now. Events is how many events were read and found intact
	// to get there.
	Version, Events int64

	// IdempotencyKeys is how many missing idempotency keys were written again. Such a key leads
	// from an idempotency id to an event.
	IdempotencyKeys int
}

// RebuildHead rebuilds a stream's head from its events. It is for a head that was deleted or
// evicted, that cannot be read, or that a backup has set back behind its events. Nothing rebuilds a
// head automatically. Run [Reader.Verify] afterwards.
//
// If the head is sound, RebuildHead sends a few requests. On a SQL store it sends 1,000 small ones
// before it writes a head, to be certain that no event follows.
//
// The new head is at the last event that is stored under its own key. Events that only the old head
// carried, those of the last append or the last few, are lost with it. Nothing can tell how many
// they were. If the store has real transactions, there were none. Whether the stream was closed is
// lost too.
//
// All events must be there and intact. Otherwise RebuildHead returns a [DamagedError] that names
// the first event that is not, and leaves the head as it is. Bring that event back from a backup
// first. The events end where 1,000 versions in a row are missing.
//
// Stop everything that writes to the stream first. RebuildHead holds the stream's lock while it
// writes the head. Even so, on Redis a session that has lost its lock by then could still rely on
// the ETag of the old head. Other errors are [ArgumentError], [OpenTimeoutError] and
// [StorageError]. After one of them, RebuildHead can be called again.
//
// If progress is not nil, RebuildHead calls it after each chunk of events, with how many events it
// has checked.
func (p *Provider) RebuildHead(ctx context.Context, stream Stream, progress func(checked int64)) (found HeadRebuild, err error) {
	ctx, o := observe(ctx, p.observer, p.hasher, Operation{Name: OpRebuildHead, Stream: stream, Expected: -1})
	defer o.end(&err)
	defer func() { o.result.Version, o.result.Events = found.Version, int(found.Events) }()
	h, err := p.handle(stream)
	if err != nil {
		return HeadRebuild{Stream: stream}, err
	}
	if ctx.Err() != nil {
		return HeadRebuild{Stream: stream}, h.notBegun(ctx, rebuilding)
	}
	return p.rebuildHead(ctx, &o, h, progress)
}

const rebuilding = "rebuild the head"

// rebuildHead is RebuildHead for a stream that has a handle.
func (p *Provider) rebuildHead(ctx context.Context, o *observation, h *streamHandle, progress func(checked int64)) (HeadRebuild, error) {
	// To read a long stream takes longer than a lock lasts. So most of it is read before, and under
	// the lock only what came since.
	r := rebuild{streamHandle: h, progress: progress, found: HeadRebuild{Stream: h.Stream}}
	if err := r.look(ctx); err != nil || r.found.Damage == nil {
		return r.found, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return r.found, h.failed(rebuilding, err)
	}
	locked, err := lockStream(ctx, h, p.locker, id.String(), o)
	if err != nil {
		return r.found, err
	}
	defer func() { _, _ = unlockStream(ctx, h, p.locker, id.String()) }()
	held, cancel := context.WithDeadline(ctx, locked.Add(h.settings.SessionTimeout))
	defer cancel()
	if err := r.look(held); err != nil || r.found.Damage == nil {
		return r.found, err
	}
	return r.found, r.write(held)
}

// rebuild is one call of RebuildHead.
type rebuild struct {
	*streamHandle
	found    HeadRebuild
	progress func(int64)

	etag string // of the stored head
	next head   // the head to write
}

// look finds what is wrong with the head, and reads the events above it that it has not read
// before.
func (r *rebuild) look(ctx context.Context) error {
	items, err := r.getManyUnproven(ctx, rebuilding, []string{r.keys.head(), r.keys.snapshots()})
	if err == nil && !items[0].Found() {
		err = r.prove(ctx, rebuilding, items)
	}
	if err != nil {
		return err
	}
	hd, etag, err := r.headOf(items[0])
	unreadable, _ := err.(*DamagedError)
	if unreadable != nil {
		hd, etag = emptyHead(), items[0].ETag
	}
	if hd.version >= r.next.version {
		r.next = hd
	}
	r.size.expect(hd)
	r.etag, r.found.Version, r.found.Damage = etag, hd.version, nil
	if err := r.scan(ctx); err != nil {
		return err
	}
	var why error
	switch last := r.next.version; {
	case unreadable != nil:
		why = unreadable.Cause
	case items[0].Found() && last > hd.version:
		why = fmt.Errorf("the head is at version %d but event %d exists", hd.version, last)
	case !items[0].Found() && last > 0:
		why = fmt.Errorf("the head is missing but events up to version %d exist", last)
	case !items[0].Found() && items[1].Found():
		why = errors.New("the head is missing but snapshots exist")
	default:
		return nil
	}
	r.found.Damage = &DamagedError{Stream: r.Stream, Key: r.keys.head(), Cause: why}
	if r.next.version == 0 {
		return r.damaged(r.keys.head(), 0, fmt.Errorf("%w; and there is no event 1 to rebuild it from: bring the events back from a backup first", why))
	}
	return nil
}

// endOfEvents is how many versions in a row must be missing for the events to end there.
const endOfEvents = 1000

// scan reads the events that follow r.next, up to the end, and moves r.next there. It proves that
// the first version after the end is absent. For the others it believes bulk reads, because write
// proves them.
func (r *rebuild) scan(ctx context.Context) error {
	missing := int64(0)
	for c := range r.chunks(ctx, rebuilding, head{}, span{first: r.next.version + 1, last: math.MaxInt64, unexpected: true}) {
		if c.err != nil {
			return c.err
		}
		var events []record
		for i, data := range c.data {
			version := c.from + int64(i)
			if data == nil && missing == 0 && r.caps.BulkMisses {
				if err := r.missed(ctx, c, i); err != nil {
					return err
				}
				data = c.data[i]
			}
			switch {
			case data == nil && missing == 0:
				missing = version
			case data == nil:
			case missing != 0:
				return r.gap(missing, version)
			default:
				event, _, _, err := decodeEventAt(r.Stream, r.keys.partition, version, data)
				if err != nil {
					return r.damaged(r.keys.event(version), version, fmt.Errorf("%w: bring the event back from a backup first", err))
				}
				event.data = nil // only its ids are needed
				events = append(events, event)
			}
		}
		if len(events) > 0 {
			if err := r.mendIdempotency(ctx, events); err != nil {
				return err
			}
			last := events[len(events)-1]
			r.next.version, r.next.commit = last.version, last.commit
			for _, event := range events {
				if !event.ticket.IsZero() {
					r.next.ticket = event.ticket
				}
			}
			r.found.Events += int64(len(events))
			if r.progress != nil {
				r.progress(r.found.Events)
			}
		}
		if missing != 0 && c.to-missing+1 >= endOfEvents {
			return nil
		}
	}
	return nil
}

// missed reads the event at index i of a chunk alone, because the chunk lacks it. If the event is
// there, missed also reads the rest of what the chunk lacks.
func (r *rebuild) missed(ctx context.Context, c chunk, i int) error {
	item, err := r.get(ctx, rebuilding, r.keys.event(c.from+int64(i)))
	if err != nil || !item.Found() {
		return err
	}
	c.data[i] = item.Value
	var items []driver.Item
	var places []int
	for k, data := range c.data {
		if data == nil {
			items, places = append(items, driver.Item{Key: r.keys.event(c.from + int64(k))}), append(places, k)
		}
	}
	if err := r.prove(ctx, rebuilding, items); err != nil {
		return err
	}
	for k, item := range items {
		if item.Found() {
			c.data[places[k]] = item.Value
		}
	}
	return nil
}

// proveEnd proves that the events end with r.next, of which scan has proved no more than that the
// next one is absent. A head that is written although events follow a
// missing one would let new events take their place. (Rule 5)
func (r *rebuild) proveEnd(ctx context.Context) error {
	missing := r.next.version + 1
	var items []driver.Item
	for version := missing + 1; version < missing+endOfEvents; version++ {
		items = append(items, driver.Item{Key: r.keys.event(version)})
	}
	if err := r.prove(ctx, rebuilding, items); err != nil {
		return err
	}
	for i, item := range items {
		if item.Found() {
			return r.gap(missing, missing+1+int64(i))
		}
	}
	return nil
}

// gap returns the error that a version is missing although a later one exists.
func (r *rebuild) gap(missing, later int64) error {
	return r.damaged(r.keys.event(missing), missing, fmt.Errorf("the event is missing but event %d after it exists: bring it back from a backup first", later))
}

// mendIdempotency writes the missing keys that lead from idempotency ids to events. The old head
// may have stood in for them.
func (r *rebuild) mendIdempotency(ctx context.Context, events []record) error {
	var keys []string
	var named []record
	for _, event := range events {
		if event.idempotencyID != "" {
			keys, named = append(keys, r.keys.idempotency(event.idempotencyID)), append(named, event)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	items, err := r.getMany(ctx, rebuilding, keys)
	if err != nil {
		return err
	}
	var writes []driver.Write
	for i, item := range items {
		if !item.Found() {
			writes = append(writes, driver.Write{Key: keys[i], Value: encodeIdempotency(r.keys.partition, named[i])})
		}
	}
	if len(writes) == 0 {
		return nil
	}
	if err := r.state.Write(ctx, r.keys.partition, writes); err != nil {
		return r.failed(rebuilding, err)
	}
	r.found.IdempotencyKeys += len(writes)
	return nil
}

// write replaces the stored head with the new one, if it is still the head that look has seen.
func (r *rebuild) write(ctx context.Context) error {
	if err := r.proveEnd(ctx); err != nil {
		return err
	}
	r.next.time = time.Now()
	err := r.state.Swap(ctx, r.keys.partition, driver.Swap{Key: r.keys.head(), Value: r.next.encode(r.keys.partition), ETag: r.etag})
	if err != nil {
		// The swap may have taken effect all the same.
		if hd, _, readErr := r.readHead(ctx, rebuilding); readErr != nil || hd.version != r.next.version || hd.commit != r.next.commit {
			return r.failed(rebuilding, err)
		}
	}
	r.found.Version = r.next.version
	r.log.WarnContext(ctx, "the head was rebuilt", "version", r.found.Version, "count", r.found.Events, "error", r.found.Damage)
	return nil
}
