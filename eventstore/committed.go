package eventstore

import (
	"context"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// Committed is one event of a stream that is known to be committed, and what was read of it.
type Committed struct {
	Stream  Stream
	Version int64

	Event Event        // its Data is a Raw until Decode
	Slot  journal.Slot // of the ticket that the event carries, if it carries one
	Size  int          // of the record, in bytes
	Err   error        // why the event could not be read or decoded
}

// Events reads events of many streams in one request, or in a few: once for their keys, once for
// the heads of streams whose events are not stored under their own keys. It sets all other fields
// of each. The error of an event that is no longer there, or that is damaged, is in Err. An error
// of the store is the error of Events.
func (in Inside) Events(ctx context.Context, operation string, events []Committed) error {
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
	items, err := in.GetManyUnproven(ctx, operation, keys)
	if err != nil {
		return err
	}
	heads, err := in.headsOfAbsent(ctx, operation, events, items)
	if err != nil {
		return err
	}
	for i := range events {
		e := &events[i]
		h, hd := handles[e.Stream], heads[e.Stream]
		data := items[i].Value
		if !items[i].Found() {
			if e.Err = h.deletedError(hd); e.Err != nil { // read after the key, so the event is gone
				e.Event.Version = e.Version
				continue
			}
			r, _ := hd.inTail(e.Version)
			data = r.data
		}
		if err := h.committed(ctx, data, e); err != nil {
			return err
		}
	}
	return nil
}

// committed sets what the record of an event tells. If the record is missing or unreadable, it is
// read once more. The error of that request is the error of committed.
func (h *streamHandle) committed(ctx context.Context, data []byte, e *Committed) error {
	r, m, raw, err := decodeEventAt(h.Stream, h.keys.partition, e.Version, data)
	if err != nil {
		data, e.Err = h.readAgain(ctx, e.Version)
		if isA[*StorageError](e.Err) {
			return e.Err
		}
		if e.Err == nil {
			if r, m, raw, err = decodeEventAt(h.Stream, h.keys.partition, e.Version, data); err != nil {
				e.Err = h.damaged(h.keys.event(e.Version), e.Version, err)
			}
		}
	}
	e.Event = Event{Version: e.Version}
	if e.Err == nil {
		e.Event.Data, e.Event.Metadata = raw, m
		e.Slot, e.Size = r.ticket.Slot, len(data)
	}
	return nil
}

// headsOfAbsent reads the heads of the streams of events whose keys are absent.
func (in Inside) headsOfAbsent(ctx context.Context, operation string, events []Committed, items []driver.Item) (map[Stream]head, error) {
	heads := map[Stream]head{}
	var names []string
	var streams []Stream
	for i, e := range events {
		if _, known := heads[e.Stream]; !items[i].Found() && !known {
			heads[e.Stream] = head{}
			names, streams = append(names, e.Stream.String()), append(streams, e.Stream)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	found, _, err := in.Heads(ctx, operation, names) // an error of one head is found again by readAgain
	if err != nil {
		return nil, err
	}
	for i, s := range streams {
		heads[s] = found[i].head
	}
	return heads, nil
}

// Decode decodes the Data of an event that Events has read. If that fails, it sets Err, and Data
// stays a Raw.
func (in Inside) Decode(ctx context.Context, e *Committed) {
	raw, ok := e.Event.Data.(Raw)
	if !ok {
		return
	}
	about := About{Stream: e.Stream, Version: e.Version, Metadata: e.Event.Metadata}
	data, erased, err := in.p.registry.decodeAt(ctx, &about, keysOf(e.Stream).event(e.Version), raw)
	if err != nil {
		e.Err = err
		return
	}
	e.Event.Data, e.Event.Erased = data, erased
}
