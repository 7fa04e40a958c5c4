package eventstore

import (
	"context"
)

// Committed is one event of a stream that is known to be committed, and what was read of it.
type Committed struct {
	Stream  Stream
	Version int64
	Event   Event
	Err     error // why Event could not be read or decoded
}

// Events reads events of many streams in one request, or in a few: once for their keys, once for
// the heads of streams whose events are not stored under their own keys yet. It sets Event and Err
// of each. If raw is true, it does not decode them.
func (in Inside) Events(ctx context.Context, operation string, events []Committed, raw bool) error {
	handles := make(map[Stream]*streamHandle)
	keys := make([]string, len(events))
	for i, e := range events {
		h := handles[e.Stream]
		if h == nil {
			h = in.p.newHandle(e.Stream)
			handles[e.Stream] = h
		}
		keys[i] = h.keys.event(e.Version)
	}
	log := in.p.journals.logHandle()
	items, err := log.getManyUnproven(ctx, operation, keys)
	if err != nil {
		return err
	}
	heads, err := in.tails(ctx, operation, events, func(i int) bool { return !items[i].Found() })
	if err != nil {
		return err
	}
	for i := range events {
		e := &events[i]
		data := items[i].Value
		if !items[i].Found() {
			r, _ := heads[e.Stream].inTail(e.Version)
			data = r.data // or nil, so that decode reads the event once more
		}
		e.Event, e.Err = newReader(handles[e.Stream]).decode(ctx, e.Version, data, readRange{raw: raw})
		if e.Err != nil {
			e.Event.Version = e.Version
		}
		if e.Err != nil && ctx.Err() != nil {
			return log.failed(operation, contextErr(ctx))
		}
	}
	return nil
}

// tails reads the heads of the streams of some events.
func (in Inside) tails(ctx context.Context, operation string, events []Committed, of func(int) bool) (map[Stream]head, error) {
	heads := map[Stream]head{}
	var names []string
	var streams []Stream
	for i, e := range events {
		if _, known := heads[e.Stream]; of(i) && !known {
			heads[e.Stream] = head{}
			names, streams = append(names, e.Stream.String()), append(streams, e.Stream)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	found, _, err := in.Heads(ctx, operation, names) // an error of one head is found again by decode
	if err != nil {
		return nil, err
	}
	for i, s := range streams {
		heads[s] = found[i].head
	}
	return heads, nil
}
