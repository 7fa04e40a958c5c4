package storetest_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// brokenFeeds holds stores whose feed breaks one rule each, by the name of the case that must find
// it. Apart from that, an event store on them works.
var brokenFeeds = map[string]func(*memstate.Store) driver.State{
	"feed: what several processes commit comes once, and in the order of its stream":                  losing(after(1, swapsOf("}:journals"))),
	"feed: commits of a process that died before it told of them are found":                           by(headsMissing),
	"feed: what a process without a feed appends comes too":                                           refusing(adopting),
	"feed: that a stream was closed or deleted comes after its events":                                losing(noteOfAnEnd),
	"feed: filters select by database, type, event type, stream and function":                         spelling(strings.ToLower),
	"feed: a read resumes at each position, both ways, and begins at a time":                          by(missing("{:feed:", "}:2")),
	"feed: a live read waits and gets what comes, in each process":                                    stale("{:feed:", "}:head"),
	"feed: an event that cannot be decoded is an item, and the read goes on":                          by(refusingValues("foreign")),
	"feed: a second feed and a position that the feed does not have are refused":                      forgettingTheRoot,
	"feed: names with awkward characters work and stay apart":                                         spelling(func(key string) string { return strings.ReplaceAll(key, "%2525", "%25") }),
	"catalogue: it lists each stream once, and those of a type, of a database and since a position":   losing(after(1, swapsOf("}:names:0"))),
	"catalogue: details are those of the streams as of now":                                           by(headsMissing),
	"catalogue: more than a page of streams is listed, and more than a page of the feed read":         losing(swapsOf("}:names:1")),
	"indexers: of two one works, and the other takes over at once when it ends":                       losing(after(1, swapsOf("}:lease"))),
	"indexers: one takes over within the lease of one that died":                                      refusing(after(1, swapsOf("}:lease"))),
	"indexers: two that both believe to have the lease do no harm":                                    func(s *memstate.Store) driver.State { return lastToLog{s} },
	"subscriptions: each item is handled once and in order while nothing fails, also after a restart": losing(after(1, swapsOf("}:0"))),
	"subscriptions: after a crash all is handled, and no more comes again than was not saved":         losing(after(1, swapsOf("}:0"), swapsOf("}:1"))),
	"subscriptions: instances share the partitions, and take over those of one that ends":             losing(swapsOf("}:1")),
	"subscriptions: a stream whose event cannot be handled is parked, and retried on request":         losing(parking),
	"subscriptions: they are listed with their positions, reset and dropped":                          losing(swapsOf("}:names")),
	"projections: each document includes each item once, also after a crash":                          losing(after(2, swapsOf("}:document"))),
	"projections: documents with awkward ids are listed once, read and deleted":                       spelling(func(key string) string { return strings.ReplaceAll(key, "%2525", "%25") }),
	"projections: a write is read after waiting for it, by another process too":                       losing(after(1, swapsOf("}:document"))),
	"projections: a new version takes over in one switch, and the old one is dropped":                 losing(swapsOf("}:active")),
	"projections: documents in the transaction of an append include it once, or are refused":          by(unconditional),
	"publishing: each event is published in the order of its stream, also after a crash":              losing(after(1, swapsOf("}:0"), swapsOf("}:1"))),
	"publishing: an inbox handles a message once, in any process, and a failed one again":             losing(swapsOf("}:ids")),
	"processes: a command takes effect once, also after a crash":                                      losing(headsOf("account:other")),
	"processes: a command that is refused is made up for, once":                                       losing(after(1, headsOf("account:a~"))),
	"processes: an instance wakes up when its time has come, and once":                                losing(minutes),
}

// headsOf selects changes of the heads of streams.
func headsOf(part string) which {
	return func(r *memstate.Request) bool {
		return r.Swap.Key != "" && strings.Contains(r.Swap.Key, part) && r.Has("}:head")
	}
}

// minutes selects records of the times at which instances of processes wake up.
func minutes(r *memstate.Request) bool {
	return r.Op == "swap" && strings.Contains(r.Keys[0], "}:minute:")
}

// which selects requests.
type which = func(r *memstate.Request) bool

// losing returns stores that acknowledge some requests and do not carry them out.
func losing(lost which) func(*memstate.Store) driver.State {
	return by(func(_ context.Context, r *memstate.Request, next func() error) error {
		if lost(r) {
			return nil
		}
		return next()
	})
}

// refusing returns stores that refuse some requests.
func refusing(refused which) func(*memstate.Store) driver.State {
	return by(func(_ context.Context, r *memstate.Request, next func() error) error {
		if refused(r) {
			return errBroken
		}
		return next()
	})
}

func swapsOf(suffix string) which {
	return func(r *memstate.Request) bool { return r.Op == "swap" && r.Has(suffix) }
}

// after selects the requests of each selection after the first n of it.
func after(n int64, selections ...which) which {
	counts := make([]atomic.Int64, len(selections))
	return func(r *memstate.Request) bool {
		for i, selected := range selections {
			if selected(r) {
				return counts[i].Add(1) > n
			}
		}
		return false
	}
}

// adopting selects what happens when an indexer notes that a provider without a feed has written to
// a stream. It swaps the head alone, but an append is a commit.
func adopting(r *memstate.Request) bool {
	return r.Op == "swap" && strings.HasPrefix(r.Keys[0], "{EventStores:") && r.Has("}:head")
}

// noteOfAnEnd selects heads that say that their stream was closed.
func noteOfAnEnd(r *memstate.Request) bool {
	return strings.HasPrefix(r.Keys[0], "{EventStores:account:closed") && bytes.Contains(r.Swap.Value, []byte("\nstate=closed"))
}

// parking selects records of partitions in which a stream is parked.
func parking(r *memstate.Request) bool {
	return r.Op == "swap" && strings.HasPrefix(r.Keys[0], "{:subscription:") && bytes.Contains(r.Swap.Value, []byte("account:bad"))
}

// headsMissing answers a bulk read of heads as if there were none.
func headsMissing(_ context.Context, r *memstate.Request, next func() error) error {
	err := next()
	isNoHead := func(key string) bool { return !strings.HasSuffix(key, "}:head") }
	if r.Op == "getmany" && len(r.Keys) > 1 && !slices.ContainsFunc(r.Keys, isNoHead) {
		for i, key := range r.Keys {
			r.Items[i] = driver.Item{Key: key}
		}
	}
	return err
}

// missing answers that a key is absent.
func missing(prefix, suffix string) around {
	return func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		for i, item := range r.Items {
			if strings.HasPrefix(item.Key, prefix) && strings.HasSuffix(item.Key, suffix) {
				r.Items[i] = driver.Item{Key: item.Key}
			}
		}
		return err
	}
}

// stale returns stores that answer a get of a key from a cache that is not kept up to date.
func stale(prefix, suffix string) func(*memstate.Store) driver.State {
	return func(s *memstate.Store) driver.State {
		var mu sync.Mutex
		cache := map[string]driver.Item{}
		s.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			err := next()
			mu.Lock()
			defer mu.Unlock()
			for i, item := range r.Items {
				if r.Op != "get" || !item.Found() || !strings.HasPrefix(item.Key, prefix) || !strings.HasSuffix(item.Key, suffix) {
					continue
				}
				if _, cached := cache[item.Key]; !cached {
					cache[item.Key] = item
				}
				r.Items[i] = cache[item.Key]
			}
			return err
		}
		return s
	}
}

// refusingValues fails reads of values with a text.
func refusingValues(text string) around {
	return func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		for _, item := range r.Items {
			if bytes.Contains(item.Value, []byte(text)) {
				return errBroken
			}
		}
		return err
	}
}

// forgettingTheRoot returns a store that loses the root of the feed once the log has something.
func forgettingTheRoot(s *memstate.Store) driver.State {
	var once sync.Once
	s.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if r.Op == "commit" && strings.HasPrefix(r.Keys[0], "{:feed:") && err == nil {
			once.Do(func() {
				for key := range maps.Keys(s.Values()) {
					if strings.HasSuffix(key, "}:journals") {
						s.Set(key, nil)
					}
				}
			})
		}
		return err
	}
	return s
}

// lastToLog appends to the log of a feed without a condition.
type lastToLog struct{ *memstate.Store }

func (s lastToLog) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if strings.HasPrefix(swap.Key, "{:feed:") {
		return s.Write(ctx, partition, append(writes, driver.Write{Key: swap.Key, Value: swap.Value}))
	}
	return s.Store.Commit(ctx, partition, swap, writes)
}

// spelling returns stores that take different keys for the same one.
func spelling(same func(key string) string) func(*memstate.Store) driver.State {
	return func(s *memstate.Store) driver.State { return spelled{s, same} }
}

type spelled struct {
	*memstate.Store
	same func(key string) string
}

func (s spelled) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	return s.Store.Get(ctx, partition, s.same(key))
}

func (s spelled) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	all := make([]string, len(keys))
	for i, key := range keys {
		all[i] = s.same(key)
	}
	return s.Store.GetMany(ctx, partition, all)
}

func (s spelled) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	swap.Key = s.same(swap.Key)
	return s.Store.Swap(ctx, partition, swap)
}

func (s spelled) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return s.Store.Write(ctx, partition, s.spell(writes))
}

func (s spelled) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	swap.Key = s.same(swap.Key)
	return s.Store.Commit(ctx, partition, swap, s.spell(writes))
}

func (s spelled) spell(writes []driver.Write) []driver.Write {
	writes = slices.Clone(writes)
	for i := range writes {
		writes[i].Key = s.same(writes[i].Key)
	}
	return writes
}
