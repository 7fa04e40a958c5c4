package eventstore

import (
	"bytes"
	"context"
	"iter"
	"sync/atomic"
)

// This file has the only loop over event keys. It limits how many bytes are in memory. A store does
// not say how large its values are. So a loop begins with few events, and asks for more once it has
// seen how large they are.

const (
	chunkEvents = 1000    // at most this many events in one bulk read
	chunkBytes  = 1 << 20 // and about this many bytes

	firstEvents   = 32 // events in the first chunk; fewer if events are known to be large
	unknownEvents = 2  // the same, if nothing is known of their size
	blindEvents   = 64 // events in the chunk after an empty one, which says nothing about sizes
	growth        = 3  // a chunk is at most this many times as large as the one before
)

// chunk is a run of ascending versions, with their records as they were read.
type chunk struct {
	from, to int64
	data     [][]byte // nil where nothing is stored under the key
	bytes    int
	found    int // how many of data are not nil
	err      error
}

// span is a run of versions to read.
type span struct {
	first, last int64
	backwards   bool

	// unexpected says that probably nothing is stored there. Then a bulk read is believed even
	// where it does not prove that a key is absent, see Capabilities.BulkMisses.
	unexpected bool
}

// sizeHint is about how many bytes an event of the stream has, or 0 if that is unknown. It only
// decides with how many events a loop begins. Nothing else relies on it.
type sizeHint struct{ bytes atomic.Int64 }

// saw notes how many bytes a number of events have together.
func (s *sizeHint) saw(bytes, events int) {
	s.bytes.Store(int64(bytes / max(1, events)))
}

// expect notes what a head tells about the size of events, if nothing else has told yet.
func (s *sizeHint) expect(h head) {
	largest := h.size
	for _, r := range h.tail {
		largest = max(largest, len(r.data))
	}
	if s.bytes.Load() == 0 && largest > 0 {
		s.saw(largest, 1)
	}
}

// begin returns how many events to ask for first.
func (s *sizeHint) begin() int64 {
	bytes := s.bytes.Load()
	if bytes == 0 {
		return unknownEvents
	}
	return min(firstEvents, fitting(bytes))
}

// after returns how many events to ask for after chunk c, for which size events were asked for.
func (s *sizeHint) after(c chunk, size int64, unexpected bool) int64 {
	if c.found == 0 {
		limit := int64(blindEvents)
		if bytes := s.bytes.Load(); unexpected && bytes > 0 {
			limit = min(fitting(bytes), chunkEvents)
		}
		return max(size, min(size*growth, limit))
	}
	s.saw(c.bytes, c.found)
	return min(size*growth, fitting(int64(c.bytes/c.found)), chunkEvents)
}

// fitting returns how many events of that many bytes make a chunk, at least 1.
func fitting(bytes int64) int64 {
	return max(1, chunkBytes/max(1, bytes))
}

// chunks reads the records of a span of versions, from the head's tail or from their keys. It
// fetches the next chunk while the caller looks at one, so two chunks are in memory. A chunk with
// an error is the last one. When the caller ends the loop early, chunks cancels its request and
// waits for it.
func (h *streamHandle) chunks(ctx context.Context, operation string, hd head, s span) iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		ctx, cancel := context.WithCancel(ctx)
		from, to := s.first, s.last
		size := h.size.begin()
		// start fetches the next chunk without waiting for it.
		start := func() <-chan chunk {
			if from > to {
				return nil
			}
			c := chunk{from: from, to: to}
			if s.backwards {
				c.from = max(from, to-size+1)
				to = c.from - 1
			} else {
				c.to = min(to, from+size-1)
				from = c.to + 1
			}
			fetched := make(chan chunk, 1)
			go func() { fetched <- h.fetch(ctx, operation, hd, c, s.unexpected) }()
			return fetched
		}

		next := start()
		defer func() { // leave no request behind
			cancel()
			if next != nil {
				<-next
			}
		}()
		for next != nil {
			c := <-next
			next = nil
			if c.err == nil {
				size = h.size.after(c, size, s.unexpected)
				if c.found > 0 { // otherwise the events may end here, and so may the loop
					next = start()
				}
			}
			if !yield(c) || c.err != nil {
				return
			}
			if c.found == 0 {
				next = start()
			}
		}
	}
}

// fetch reads the records of a chunk, from the tail or from their keys.
func (h *streamHandle) fetch(ctx context.Context, operation string, hd head, c chunk, unexpected bool) chunk {
	c.data = make([][]byte, c.to-c.from+1)
	keys := make([]string, 0, len(c.data))
	places := make([]int, 0, len(c.data))
	for i := range c.data {
		version := c.from + int64(i)
		if record, ok := hd.inTail(version); ok {
			c.data[i] = bytes.Clone(record.data) // the caller may change what it gets
			continue
		}
		keys, places = append(keys, h.keys.event(version)), append(places, i)
	}
	if len(keys) > 0 {
		read := h.getMany
		if unexpected {
			read = h.getManyUnproven
		}
		items, err := read(ctx, operation, keys)
		if err != nil {
			c.err = err
			return c
		}
		for i, item := range items {
			if item.Found() {
				c.data[places[i]] = item.Value
			}
		}
	}
	for _, data := range c.data {
		if data != nil {
			c.bytes += len(data)
			c.found++
		}
	}
	return c
}
