// Package memstate is a state store in memory for tests. It behaves like one of the two kinds of
// store that Dapr has, and records its requests. A test can place a function between the event
// store and the state store. That function can fail a request, lose its answer, delay it, repeat
// it, or return an old answer.
package memstate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Store is a state store in memory. It is safe for concurrent use. Set Caps and Around before the
// store is used, or between two requests. While something may send requests, Intervene sets Around.
type Store struct {
	// Caps is what Capabilities returns. The store enforces its limits. A test may remove something
	// from Caps, so that the event store treats the store as an unknown one.
	Caps driver.Capabilities

	// Around, if set, is called in place of each request. Each call of next carries the request
	// out. Around may also call it after it has returned, as for a request that arrives late.
	Around func(ctx context.Context, r *Request, next func() error) error

	// Remembers says that the store keeps what Forget needs. Set it before the store is used.
	Remembers bool

	redis bool

	mu     sync.Mutex
	items  map[string]entry
	undo   [][]change // what each request changed, oldest first, if the store remembers
	writes uint64     // so far, for making ETags
	trace  []string
}

// Request is one request to the store.
type Request struct {
	Op        string // "get", "getmany", "swap", "swapmany", "write" or "commit"
	Partition string
	Keys      []string       // all keys that it reads or writes; the swapped key first
	Swap      driver.Swap    // for swap and commit
	Swaps     []driver.Swap  // for swapmany
	Writes    []driver.Write // for write and commit
	Items     []driver.Item  // the answer to get and getmany, set by next; Around may change it
}

// Has reports whether one of the request's keys ends in suffix, such as ":head".
func (r *Request) Has(suffix string) bool {
	return slices.ContainsFunc(r.Keys, func(key string) bool { return strings.HasSuffix(key, suffix) })
}

// String returns the request in short form, such as "swap head" or "getmany head snapshots 1". It
// leaves out the stream's prefix of the keys.
func (r *Request) String() string {
	s := r.Op
	for _, key := range r.Keys {
		s += " " + key[strings.LastIndex(key, "}:")+len("}:"):]
	}
	return s
}

// entry is the value of one key.
type entry struct {
	value []byte
	etag  string

	// firstWrite says that the key was written conditionally. Redis remembers that of a key.
	firstWrite bool
}

// change is the value of a key before a request changed it.
type change struct {
	key    string
	before entry
	found  bool
}

// Clone returns a store with the same content. It shares nothing with s.
func (s *Store) Clone() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Store{Caps: s.Caps, redis: s.redis, writes: s.writes, items: maps.Clone(s.items)}
}

// Intervene sets Around, or removes it if around is nil. Requests may be on their way meanwhile. It
// holds for those that begin afterwards.
func (s *Store) Intervene(around func(ctx context.Context, r *Request, next func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Around = around
}

// Forget undoes the last n requests that changed something, like a server that restarts from an
// older state. ETags that count continue from their older values.
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

// remember records the value of a key that is about to change. The caller holds s.mu.
func (s *Store) remember(key string) {
	if !s.Remembers {
		return
	}
	e, found := s.items[key]
	s.undo[len(s.undo)-1] = append(s.undo[len(s.undo)-1], change{key, e, found})
}

// Transactional returns a store like Dapr's in-memory, SQLite and PostgreSQL stores. A commit
// applies all or nothing, and ETags have no meaning.
func Transactional() *Store {
	return &Store{Caps: driver.Capabilities{Store: "memstate.transactional", Atomic: true, Conditions: true, UniqueETags: true, AnyPartition: true}, items: map[string]entry{}}
}

// Redis returns a store like Dapr's Redis, including its oddities. ETags count. A swap of an absent
// key succeeds with any ETag. A key that was once swapped cannot be written unconditionally. A key
// that was never swapped can be created again by a swap. The store has no commit.
func Redis() *Store {
	return &Store{Caps: driver.Capabilities{Store: "memstate.redis", CountedETags: true, AnyPartition: true}, redis: true, items: map[string]entry{}}
}

// Trace returns the requests since its last call, in order, and forgets them.
func (s *Store) Trace() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	trace := s.trace
	s.trace = nil
	return trace
}

// Values returns the contents of the store, by key.
func (s *Store) Values() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := make(map[string][]byte, len(s.items))
	for key, e := range s.items {
		values[key] = bytes.Clone(e.value)
	}
	return values
}

// Value returns the value of a key, and its ETag. The caller must not change the value.
func (s *Store) Value(key string) ([]byte, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.items[key]
	return e.value, e.etag
}

// Set changes a key without a request. A nil value removes it.
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

// do performs one request and traces it. If the request's context has ended, do refuses it.
// Otherwise apply carries it out.
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

// SwapMany implements [driver.ManySwapper]. It is atomic if the store says so, and otherwise stops
// at the first swap whose condition does not hold.
func (s *Store) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	r := &Request{Op: "swapmany", Partition: partition, Swaps: slices.Clone(swaps)}
	for i, swap := range swaps {
		if err := s.fits(partition, swap, nil); err != nil {
			return err
		}
		r.Swaps[i].Value = bytes.Clone(swap.Value)
		r.Keys = append(r.Keys, swap.Key)
	}
	return s.do(ctx, r, func() error {
		if s.Caps.Atomic {
			for _, swap := range r.Swaps {
				if err := s.holds(swap); err != nil {
					return err
				}
			}
		}
		for _, swap := range r.Swaps {
			if err := s.swap(swap); err != nil {
				return err
			}
		}
		return nil
	})
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
		for _, w := range r.Writes {
			if e, found := s.items[w.Key]; found && w.IfAbsent {
				return fmt.Errorf("%w: %s has ETag %q", errCondition, w.Key, e.etag)
			} else if w.ETag != "" && w.ETag != e.etag {
				return fmt.Errorf("%w: %s has ETag %q, not %q", errCondition, w.Key, e.etag, w.ETag)
			}
		}
		if err := s.swap(r.Swap); err != nil {
			return err
		}
		for _, w := range r.Writes {
			if err := s.write(w); err != nil {
				return err // only Redis refuses plain writes
			}
		}
		return nil
	})
}

// fits refuses a request that exceeds the limits. It counts like the sidecar's adapter.
func (s *Store) fits(partition string, swap driver.Swap, writes []driver.Write) error {
	const more = 128 // overhead of each key
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
	errMode      = errors.New("memstate: the key was written conditionally before and can't be written unconditionally")
)

// The callers of holds, swap and write hold s.mu.
func (s *Store) holds(swap driver.Swap) error {
	e, found := s.items[swap.Key]
	holds := e.etag == swap.ETag
	if s.redis {
		holds = holds || !found || swap.ETag == "" && !e.firstWrite
	}
	if !holds {
		return fmt.Errorf("%w: %s has ETag %q, not %q", errCondition, swap.Key, e.etag, swap.ETag)
	}
	return nil
}

func (s *Store) swap(swap driver.Swap) error {
	if err := s.holds(swap); err != nil {
		return err
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
