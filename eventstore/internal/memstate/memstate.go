// Package memstate is a state store in memory for tests. It behaves like one of the two kinds of store
// that Dapr has, remembers what it was asked, and lets a test stand between the event store
// and itself: to fail a request, lose its answer, hold it up, repeat it, or answer it with
// what was true before.
package memstate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Store is a state store in memory. It is safe for concurrent use; Caps and Around are set before it is used, or
// between two requests.
type Store struct {
	// Caps is what Capabilities answers, and the limits in it hold. A test may take from what the
	// store declares, to have it treated like one that is not known.
	Caps driver.Capabilities

	// Around, if set, is called in the place of each request. Next carries the request out, as often as it is called, also
	// after Around has returned: a request that arrives late.
	Around func(ctx context.Context, r *Request, next func() error) error

	// Remembers says that the store keeps what Forget needs. It is set before the store is used.
	Remembers bool

	redis bool

	mu     sync.Mutex
	items  map[string]entry
	undo   [][]change // what each request changed, oldest first, if the store remembers
	writes uint64     // so far, for ETags
	trace  []string
}

// Request is one request to the store.
type Request struct {
	Op        string // "get", "getmany", "swap", "write" or "commit"
	Partition string
	Keys      []string       // all that it reads or writes, what it swaps first
	Swap      driver.Swap    // of swap and commit
	Writes    []driver.Write // of write and commit
	Items     []driver.Item  // the answer to get and getmany, there after next; Around may change it
}

// Has reports whether one of the request's keys ends in suffix, as ":head".
func (r *Request) Has(suffix string) bool {
	return slices.ContainsFunc(r.Keys, func(key string) bool { return strings.HasSuffix(key, suffix) })
}

// String is the request in short, "swap head" or "getmany head snapshots 1": what the stream's prefix
// leaves of the keys.
func (r *Request) String() string {
	s := r.Op
	for _, key := range r.Keys {
		s += " " + key[strings.LastIndex(key, "}:")+len("}:"):]
	}
	return s
}

// entry is one key as it stands.
type entry struct {
	value []byte
	etag  string

	// firstWrite says that the key has been written conditionally, which a Redis key remembers.
	firstWrite bool
}

// change is what stood under a key before a request changed it.
type change struct {
	key    string
	before entry
	found  bool
}

// Forget undoes the last n requests that changed something, as a server does that restarts from an older
// state. ETags that count start again from where they were.
func (s *Store) Forget(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; n > 0 && len(s.undo) > 0; n-- {
		last := len(s.undo) - 1
		for _, c := range slices.Backward(s.undo[last]) {
			if c.found {
				s.items[c.key] = c.before
			} else {
				delete(s.items, c.key)
			}
		}
		s.undo = s.undo[:last]
	}
}

// remember notes what stands under a key that is about to change. It holds s.mu.
func (s *Store) remember(key string) {
	if !s.Remembers {
		return
	}
	e, found := s.items[key]
	s.undo[len(s.undo)-1] = append(s.undo[len(s.undo)-1], change{key, e, found})
}

// Transactional returns a store like Dapr's in-memory, SQLite and PostgreSQL: a commit is all or nothing, and ETags say nothing.
func Transactional() *Store {
	return &Store{Caps: driver.Capabilities{Store: "memstate.transactional", Atomic: true, UniqueETags: true}, items: map[string]entry{}}
}

// Redis returns a store like Dapr's Redis, oddities included: ETags count; a swap of an absent key
// succeeds with any ETag; a key once swapped can't be written unconditionally; one that was not can be created again
// by a swap. It has no commit.
func Redis() *Store {
	return &Store{Caps: driver.Capabilities{Store: "memstate.redis", CountedETags: true}, redis: true, items: map[string]entry{}}
}

// Trace returns the requests since the last call, in the order in which they were made, and forgets them.
func (s *Store) Trace() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	trace := s.trace
	s.trace = nil
	return trace
}

// Values returns what stands in the store, by key.
func (s *Store) Values() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := make(map[string][]byte, len(s.items))
	for key, e := range s.items {
		values[key] = bytes.Clone(e.value)
	}
	return values
}

// Value returns what stands under one key, and its ETag; neither may be changed.
func (s *Store) Value(key string) ([]byte, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.items[key]
	return e.value, e.etag
}

// Set changes a key behind everybody's back; a nil value removes it.
func (s *Store) Set(key string, value []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Remembers {
		s.undo = append(s.undo, nil)
	}
	if value == nil {
		s.remember(key)
		delete(s.items, key)
		return
	}
	s.put(key, value, s.items[key].firstWrite)
}

// do is one request: it is traced, and refused if its context has ended, else carried out by apply.
func (s *Store) do(ctx context.Context, r *Request, apply func() error) error {
	s.mu.Lock()
	s.trace = append(s.trace, r.String())
	around := s.Around
	s.mu.Unlock()
	if ctx.Err() != nil {
		return fmt.Errorf("memstate: %s: %w: %w", r, context.Cause(ctx), driver.ErrRefused)
	}
	next := func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.Remembers {
			return apply()
		}
		s.undo = append(s.undo, nil)
		err := apply()
		if last := len(s.undo) - 1; s.undo[last] == nil {
			s.undo = s.undo[:last]
		}
		return err
	}
	if around == nil {
		return next()
	}
	return around(ctx, r, next)
}

// Capabilities implements [driver.State].
func (s *Store) Capabilities() driver.Capabilities { return s.Caps }

// Get implements [driver.State].
func (s *Store) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	items, err := s.read(ctx, &Request{Op: "get", Partition: partition, Keys: []string{key}})
	if err != nil {
		return driver.Item{}, err
	}
	return items[0], items[0].Err
}

// GetMany implements [driver.State].
func (s *Store) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	return s.read(ctx, &Request{Op: "getmany", Partition: partition, Keys: slices.Clone(keys)})
}

func (s *Store) read(ctx context.Context, r *Request) ([]driver.Item, error) {
	err := s.do(ctx, r, func() error {
		r.Items = make([]driver.Item, len(r.Keys))
		for i, key := range r.Keys {
			e := s.items[key]
			r.Items[i] = driver.Item{Key: key, Value: bytes.Clone(e.value), ETag: e.etag}
		}
		return nil
	})
	return r.Items, err
}

// Swap implements [driver.State].
func (s *Store) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	swap.Value = bytes.Clone(swap.Value)
	r := &Request{Op: "swap", Partition: partition, Keys: []string{swap.Key}, Swap: swap}
	if err := s.fits(partition, swap, nil); err != nil {
		return err
	}
	return s.do(ctx, r, func() error { return s.swap(r.Swap) })
}

// Write implements [driver.State].
func (s *Store) Write(ctx context.Context, partition string, writes []driver.Write) error {
	r := &Request{Op: "write", Partition: partition, Writes: clone(writes)}
	for _, w := range writes {
		r.Keys = append(r.Keys, w.Key)
	}
	return s.do(ctx, r, func() error {
		for _, w := range r.Writes {
			if err := s.write(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// Commit implements [driver.State].
func (s *Store) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if s.redis || !s.Caps.Atomic {
		return fmt.Errorf("memstate: there are no commits: %w", driver.ErrRefused)
	}
	swap.Value = bytes.Clone(swap.Value)
	r := &Request{Op: "commit", Partition: partition, Keys: []string{swap.Key}, Swap: swap, Writes: clone(writes)}
	for _, w := range writes {
		r.Keys = append(r.Keys, w.Key)
	}
	if err := s.fits(partition, swap, writes); err != nil {
		return err
	}
	return s.do(ctx, r, func() error {
		if err := s.swap(r.Swap); err != nil {
			return err
		}
		for _, w := range r.Writes {
			if err := s.write(w); err != nil {
				return err // only Redis has one
			}
		}
		return nil
	})
}

// fits refuses what is beyond the limits, counted as the adapter of the sidecar counts.
func (s *Store) fits(partition string, swap driver.Swap, writes []driver.Write) error {
	const more = 128 // that goes with each key
	size := len(partition) + len(swap.Key) + len(swap.Value) + more
	for _, w := range writes {
		size += len(partition) + len(w.Key) + len(w.Value) + more
	}
	if limit := s.Caps.MaxRequestBytes; limit > 0 && size > limit {
		return fmt.Errorf("memstate: %d bytes are more than %d: %w", size, limit, driver.ErrRefused)
	}
	if limit := s.Caps.MaxCommitWrites; limit > 0 && len(writes) > limit {
		return fmt.Errorf("memstate: %d writes are more than %d: %w", len(writes), limit, driver.ErrRefused)
	}
	return nil
}

var (
	errCondition = errors.New("memstate: the condition does not hold")
	errMode      = errors.New("memstate: the key was written conditionally before and can't be otherwise")
)

// swap and write hold s.mu.
func (s *Store) swap(swap driver.Swap) error {
	e, found := s.items[swap.Key]
	holds := e.etag == swap.ETag
	if s.redis {
		holds = holds || !found || swap.ETag == "" && !e.firstWrite
	}
	if !holds {
		return fmt.Errorf("%w: %s has ETag %q, not %q", errCondition, swap.Key, e.etag, swap.ETag)
	}
	s.put(swap.Key, swap.Value, true)
	return nil
}

func (s *Store) write(w driver.Write) error {
	if w.Value == nil {
		s.remember(w.Key)
		delete(s.items, w.Key)
		return nil
	}
	e := s.items[w.Key]
	if s.redis && e.firstWrite {
		return fmt.Errorf("%w: %s", errMode, w.Key)
	}
	s.put(w.Key, w.Value, e.firstWrite)
	return nil
}

func (s *Store) put(key string, value []byte, firstWrite bool) {
	s.remember(key)
	s.writes++
	etag := strconv.FormatUint(s.writes*0x9E3779B97F4A7C15, 36)
	if s.redis {
		n, _ := strconv.ParseUint(s.items[key].etag, 10, 64)
		etag = strconv.FormatUint(n+1, 10)
	}
	s.items[key] = entry{value: bytes.Clone(value), etag: etag, firstWrite: firstWrite}
}

func clone(writes []driver.Write) []driver.Write {
	writes = slices.Clone(writes)
	for i := range writes {
		writes[i].Value = bytes.Clone(writes[i].Value)
	}
	return writes
}
