package storetest_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
)

// around runs in place of a request to a sound store, to break the store.
type around = func(ctx context.Context, r *memstate.Request, next func() error) error

var errBroken = errors.New("broken on purpose")

// broken holds stores that break one rule each, by the name of the case that must find it.
var broken = map[string]func(*memstate.Store) driver.State{
	"a swap without an ETag creates a key, once": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if r.Op == "swap" && r.Swap.ETag == "" {
			return nil
		}
		return err
	}),
	"a swap with a stale ETag changes nothing": func(s *memstate.Store) driver.State { return lastWrite{s} },
	"of concurrent swaps with one ETag exactly one succeeds": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if r.Op == "swap" && bytes.HasPrefix(r.Swap.Value, []byte("round")) {
			return nil
		}
		return err
	}),
	"swaps that are sent together each keep their condition": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if r.Op == "swapmany" && bytes.Equal(r.Swaps[0].Value, []byte("three")) {
			return nil
		}
		return err
	}),
	"every swap changes the ETag, even if it writes the same value": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		for i, item := range r.Items {
			if item.Found() {
				r.Items[i].ETag = string(item.Value)
			}
		}
		return err
	}),
	"a read after a write sees it": func(s *memstate.Store) driver.State {
		var mu sync.Mutex
		before := map[string]driver.Item{}
		s.Around = func(_ context.Context, r *memstate.Request, next func() error) error {
			err := next()
			mu.Lock()
			defer mu.Unlock()
			for i, item := range r.Items {
				if old, ok := before[item.Key]; ok {
					r.Items[i] = old
				}
				before[item.Key] = item
			}
			return err
		}
		return s
	},
	"an absent key is an item without an ETag, not an error": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if r.Op == "get" && !r.Items[0].Found() {
			return errBroken
		}
		return err
	}),
	"one request is about keys of several partitions": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		for i, item := range r.Items {
			if r.Op == "getmany" && !strings.HasPrefix(item.Key, "{"+r.Partition+"}") {
				r.Items[i] = driver.Item{Key: item.Key}
			}
		}
		return err
	}),
	"values come back byte for byte": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		for i := range r.Items {
			r.Items[i].Value = bytes.TrimSpace(r.Items[i].Value)
		}
		return err
	}),
	"keys that differ in one character are different keys": func(s *memstate.Store) driver.State { return folding{s} },
	"a bulk read gives one item for each key, in order, absent ones without an ETag": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if len(r.Items) > 100 {
			slices.Reverse(r.Items)
		}
		return err
	}),
	"a bulk read gives the ETags that belong to the values": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if r.Op == "getmany" && len(r.Items) == 2 {
			r.Items[1].ETag = "1x"
		}
		return err
	}),
	"a bulk read is split if its answer is too large for one": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		size := 0
		for _, item := range r.Items {
			size += len(item.Value)
		}
		if size > 7_000_000 {
			return errBroken
		}
		return err
	}),
	"writes replace values, and are split if they are too large for one request": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		if r.Op == "write" && len(r.Writes) == 100 {
			return errBroken
		}
		return next()
	}),
	"a write without a value deletes, also together with other writes or if the key is absent": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		if r.Op == "write" && len(r.Writes) == 3 {
			r.Writes = r.Writes[1:]
		}
		return next()
	}),
	"a request whose context has ended is refused and changes nothing": func(s *memstate.Store) driver.State { return late{s} },
	"values are copied": func(s *memstate.Store) driver.State { return &keeping{Store: s} },
	"ETags count from 1": func(*memstate.Store) driver.State {
		s := memstate.Transactional()
		s.Caps.CountedETags = true
		return s
	},
	"a swap that is too large is refused and changes nothing": func(s *memstate.Store) driver.State { return bragging{s} },
	"a commit applies all of its writes": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		if r.Op == "commit" {
			r.Writes = r.Writes[1:]
		}
		return next()
	}),
	"a commit whose swap is refused writes nothing":                 func(s *memstate.Store) driver.State { return halving{s} },
	"a commit whose writes have conditions depends on each of them": by(unconditional),
	"of concurrent commits and swaps with one ETag exactly one succeeds": by(func(_ context.Context, r *memstate.Request, next func() error) error {
		err := next()
		if r.Op == "commit" && r.Has(":e") {
			return nil
		}
		return err
	}),
}

// unconditional drops the ETags of writes in a commit.
func unconditional(_ context.Context, r *memstate.Request, next func() error) error {
	if r.Op == "commit" {
		for i := range r.Writes {
			r.Writes[i].ETag = ""
		}
	}
	return next()
}

func by(a around) func(*memstate.Store) driver.State {
	return func(s *memstate.Store) driver.State { s.Around = a; return s }
}

// lastWrite ignores ETags.
type lastWrite struct{ *memstate.Store }

func (s lastWrite) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	if swap.ETag != "" {
		return s.Write(ctx, partition, []driver.Write{{Key: swap.Key, Value: swap.Value}})
	}
	return s.Store.Swap(ctx, partition, swap)
}

// folding treats upper and lower case as the same.
type folding struct{ *memstate.Store }

func (s folding) Write(ctx context.Context, partition string, writes []driver.Write) error {
	for i := range writes {
		writes[i].Key = strings.ToLower(writes[i].Key)
	}
	return s.Store.Write(ctx, partition, writes)
}

func (s folding) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	return s.Store.Get(ctx, partition, strings.ToLower(key))
}

// late sends requests that its caller has given up.
type late struct{ *memstate.Store }

func (s late) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	if err := s.Store.Swap(context.WithoutCancel(ctx), partition, swap); err != nil {
		return err
	}
	return ctx.Err()
}

// keeping returns the memory that it keeps.
type keeping struct {
	*memstate.Store
	values sync.Map
}

func (s *keeping) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	s.values.Store(swap.Key, swap.Value)
	return s.Store.Swap(ctx, partition, swap)
}

func (s *keeping) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := s.Store.Get(ctx, partition, key)
	if value, ok := s.values.Load(key); ok {
		item.Value = value.([]byte)
	}
	return item, err
}

// bragging declares a limit that it does not enforce.
type bragging struct{ *memstate.Store }

func (bragging) Capabilities() driver.Capabilities {
	return driver.Capabilities{MaxRequestBytes: 1 << 20}
}

// halving does not roll back.
type halving struct{ *memstate.Store }

func (s halving) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return errors.Join(s.Write(ctx, partition, writes), s.Store.Commit(ctx, partition, swap, writes))
}

// brokenLocks holds locks that break one rule each.
var brokenLocks = map[string]driver.Locker{
	"a lock has one owner at a time, and is free again when it is released": lock{},
	"of many owners that want a lock at once exactly one gets it":           lock{},
	"unlocking says whether the owner still held the lock":                  lock{},
}

// lock lets every owner have it.
type lock struct{}

func (lock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (lock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}

const brokenCase = "STORETEST_BROKEN_CASE" // in the environment of the process that runs one

// TestEachCaseFindsAStoreThatBreaksItsRule runs the suite on each broken store. Each run has its
// own process, because the suite must fail there.
func TestEachCaseFindsAStoreThatBreaksItsRule(t *testing.T) {
	if name := os.Getenv(brokenCase); name != "" {
		if l, ok := brokenLocks[name]; ok {
			storetest.TestLocker(t, l)
		} else if f, ok := brokenFeeds[name]; ok {
			storetest.Hurry(2 * time.Second)
			storetest.TestFeed(t, storetest.Target{State: f(memstate.Transactional())})
		} else {
			storetest.TestState(t, broken[name](memstate.Transactional()), storetest.Limits{})
		}
		return
	}
	t.Parallel()
	names := slices.Concat(keys(broken), keys(brokenLocks))
	if len(names) != 26 {
		t.Errorf("%d cases have a store or lock that breaks them, want 26", len(names))
	}
	if !slices.Equal(keys(brokenFeeds), storetest.FeedCases()) {
		t.Errorf("these cases of a feed have a store that breaks them: %q\nwant one for each of %q", keys(brokenFeeds), storetest.FeedCases())
	}
	names = append(names, keys(brokenFeeds)...)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "TestEachCaseFindsAStoreThatBreaksItsRule/" + strings.ReplaceAll(name, " ", "_")
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+strings.Replace(path, "/", "$/^", 1)+"$", "-test.v")
			c.Env = append(os.Environ(), brokenCase+"="+name)
			out, err := c.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+path+" ") || !strings.Contains(string(out), "why it matters: ") {
				t.Errorf("the suite did not find it: %v\n%s", err, out)
			}
		})
	}
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
