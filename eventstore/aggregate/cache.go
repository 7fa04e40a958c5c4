package aggregate

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/hexalith/eventstores-go/eventstore"
)

// cache keeps the aggregates that were updated last, each with an open shared session. The commit
// of an update is conditional, so a cached state may be old: what was decided on it is then not
// stored. An update takes an aggregate out of the cache and puts it back when all went well.
type cache[S any] struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[eventstore.Stream, *cached[S]]
	bytes int64 // of all that lru holds

	max      int
	maxBytes int64
}

// cached is an aggregate with the session that it was loaded in.
type cached[S any] struct {
	loaded[S]
	session *eventstore.Session
	within  *scope

	// until is when half of the session's time is over. An update that begins before has at least
	// the other half.
	until time.Time

	// known is a time for which all events stored before are in the state.
	known time.Time

	// behind says that the session has seen another writer append after Version.
	behind bool
}

// newCache returns a cache of at most max aggregates and maxBytes bytes, or nil if max is 0. A nil
// cache keeps nothing.
func newCache[S any](max int, maxBytes int64) *cache[S] {
	if max == 0 {
		return nil
	}
	c := &cache[S]{max: max, maxBytes: maxBytes}
	removed := func(_ eventstore.Stream, l *cached[S]) { c.bytes -= l.bytes }
	lru, err := simplelru.NewLRU(max, removed)
	if err != nil {
		panic(err) // max is positive
	}
	c.lru = lru
	return c
}

// take removes an aggregate from the cache and returns it, or nil if there is none.
func (c *cache[S]) take(ctx context.Context, stream eventstore.Stream) *cached[S] {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	l, found := c.lru.Peek(stream)
	c.lru.Remove(stream)
	c.mu.Unlock()
	if found && !time.Now().Before(l.until) {
		l.close(ctx)
		return nil
	}
	return l
}

// look returns an aggregate that stays in the cache, if it has all events from before that time.
func (c *cache[S]) look(stream eventstore.Stream, from time.Time) (a Aggregate[S], found bool) {
	if c == nil {
		return a, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l, found := c.lru.Peek(stream)
	if !found || l.known.Before(from) {
		return a, false
	}
	return l.Aggregate, true
}

// put puts an aggregate into the cache, unless it alone has more bytes than the cache may hold. Of
// two states of one stream it keeps the newer one. It removes the aggregates that were not used for
// the longest time and are too many, too large or too old.
func (c *cache[S]) put(ctx context.Context, stream eventstore.Stream, l *cached[S]) {
	if l.bytes > c.maxBytes {
		l.close(ctx)
		return
	}
	l.Appended, l.RepeatOf = nil, 0
	l.within.set(context.Background()) // keep no values of the update's context
	c.mu.Lock()
	var out []*cached[S]
	if other, found := c.lru.Peek(stream); found && other.Version >= l.Version {
		l, other = other, l
		out = append(out, other)
	} else if found {
		out = append(out, other)
	}
	c.lru.Remove(stream) // so that Add does not count it
	now := time.Now()
	for {
		_, oldest, found := c.lru.GetOldest()
		if !found || c.lru.Len() < c.max && c.bytes+l.bytes <= c.maxBytes && now.Before(oldest.until) {
			break
		}
		c.lru.RemoveOldest()
		out = append(out, oldest)
	}
	c.lru.Add(stream, l)
	c.bytes += l.bytes
	c.mu.Unlock()
	for _, l := range out {
		l.close(ctx)
	}
}

// close closes the session within the operation of ctx.
func (l *cached[S]) close(ctx context.Context) {
	l.within.set(ctx)
	_ = l.session.Close() // the appends stand even if Close fails
}

// scope is the context that a session is opened with. Closing the session is observed within that
// context, which may be long after the update that opened it. So the context of another update can
// take its place.
type scope struct {
	now atomic.Pointer[context.Context]
}

func scoped(ctx context.Context) *scope {
	s := &scope{}
	s.set(ctx)
	return s
}

func (s *scope) set(ctx context.Context)            { s.now.Store(&ctx) }
func (s *scope) of() context.Context                { return *s.now.Load() }
func (s *scope) Deadline() (at time.Time, has bool) { return s.of().Deadline() }
func (s *scope) Done() <-chan struct{}              { return s.of().Done() }
func (s *scope) Err() error                         { return s.of().Err() }
func (s *scope) Value(key any) any                  { return s.of().Value(key) }
