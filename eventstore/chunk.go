package eventstore

import (
	"bytes"
	"context"
	"iter"
	"sync/atomic"
)

// This file is the one loop over event keys, which bounds what is in memory by bytes. A store does not
// tell how large its values are, so a loop begins with few events and asks for more as it sees them.

const (
	chunkEvents = 1000    // events in one bulk read, at most
	chunkBytes  = 1 << 20 // and about as many bytes

	firstEvents = 16 // in the first chunk, fewer if events are known to be large
	blindEvents = 64 // in the chunk after one that held nothing, and so told nothing of sizes
	growth      = 3  // how many times as large a chunk is as the one before, at most
)

// chunk is a run of versions, ascending, with their records as they were read.
type chunk struct {
	from, to int64
	data     [][]byte // nil where there was nothing under the key
	bytes    int
	found    int // how many of data are there
	err      error
}

// sizeHint is about how many bytes an event of a stream has, as far as that was seen; 0 is unknown. It
// says where a loop begins, and nothing rests on it.
type sizeHint struct{ bytes atomic.Int64 }

// saw notes how many bytes some events have.
func (s *sizeHint) saw(bytes, events int) {
	s.bytes.Store(int64(bytes / max(1, events)))
}

// begin returns how many events to ask for first.
func (s *sizeHint) begin() int64 {
	return min(firstEvents, fitting(s.bytes.Load()))
}

// after returns how many events to ask for after a chunk of size events.
func (s *sizeHint) after(c chunk, size int64) int64 {
	if c.found == 0 {
		return max(size, min(size*growth, blindEvents))
	}
	s.saw(c.bytes, c.found)
	return min(size*growth, fitting(int64(c.bytes/c.found)), chunkEvents)
}

// fitting returns how many events of so many bytes make a chunk, at least 1.
func fitting(bytes int64) int64 {
	return max(1, chunkBytes/max(1, bytes))
}

// chunks reads the records of the versions from first to last, from the head's tail or from their keys.
// The next chunk is under way while one that holds something is looked at, so two are in memory. An error
// is in the last chunk.
// A loop that ends early leaves no request behind.
func (h *streamHandle) chunks(ctx context.Context, operation string, hd head, first, last int64, backwards bool) iter.Seq[chunk] {
	return func(yield func(chunk) bool) {
		ctx, cancel := context.WithCancel(ctx)
		from, to := first, last
		size := h.size.begin()
		// start fetches the next chunk without waiting for it.
		start := func() <-chan chunk {
			if from > to {
				return nil
			}
			c := chunk{from: from, to: to}
			if backwards {
				c.from = max(from, to-size+1)
				to = c.from - 1
			} else {
				c.to = min(to, from+size-1)
				from = c.to + 1
			}
			fetched := make(chan chunk, 1)
			go func() { fetched <- h.fetch(ctx, operation, hd, c) }()
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
				size = h.size.after(c, size)
				if c.found > 0 { // else this may be where the events end, and the loop
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

// fetch reads the records of a chunk: from the tail, or from their keys.
func (h *streamHandle) fetch(ctx context.Context, operation string, hd head, c chunk) chunk {
	c.data = make([][]byte, c.to-c.from+1)
	keys := make([]string, 0, len(c.data))
	places := make([]int, 0, len(c.data))
	for i := range c.data {
		version := c.from + int64(i)
		if record, ok := hd.inTail(version); ok {
			c.data[i] = bytes.Clone(record.data) // the reader may change what it gets
			continue
		}
		keys, places = append(keys, h.keys.event(version)), append(places, i)
	}
	if len(keys) > 0 {
		items, err := h.getMany(ctx, operation, keys)
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
