package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// testSwapCreatesOnce creates a key twice.
func testSwapCreatesOnce(t *testing.T, s store) {
	n := newNames()
	swap(t, s, n, "a", "one", "")
	if err := s.Swap(contextOf(t), n.partition, driver.Swap{Key: n.key("a"), Value: []byte("two")}); err == nil {
		t.Error("a second creation of the same key succeeded")
	}
	wantValue(t, get(t, s, n, "a"), "one")
}

// testStaleSwap swaps with an ETag that was used before.
func testStaleSwap(t *testing.T, s store) {
	n := newNames()
	swap(t, s, n, "a", "one", "")
	stale := get(t, s, n, "a").ETag
	swap(t, s, n, "a", "two", stale)
	if err := s.Swap(contextOf(t), n.partition, driver.Swap{Key: n.key("a"), Value: []byte("three"), ETag: stale}); err == nil {
		t.Error("a swap with an ETag that had been used succeeded")
	}
	wantValue(t, get(t, s, n, "a"), "two")
}

// testConcurrentSwaps lets eight writers swap with the same ETag.
func testConcurrentSwaps(t *testing.T, s store) {
	n := newNames()
	etag := ""
	for round := range 20 {
		var wins atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				value := fmt.Sprintf("round %d writer %d", round, w)
				if s.Swap(contextOf(t), n.partition, driver.Swap{Key: n.key("a"), Value: []byte(value), ETag: etag}) == nil {
					wins.Add(1)
					winner.Store(value)
				}
			})
		}
		wg.Wait()
		if wins.Load() != 1 {
			t.Fatalf("round %d: %d of 8 succeeded, want exactly 1", round, wins.Load())
		}
		item := get(t, s, n, "a")
		wantValue(t, item, winner.Load().(string))
		etag = item.ETag
	}
}

// testManySwaps sends swaps together, of which some have a stale ETag.
func testManySwaps(t *testing.T, s store) {
	n := newNames()
	names := []string{"a", "b", "c"}
	many := func(value string, etags ...string) error {
		var swaps []driver.Swap
		for i, etag := range etags {
			swaps = append(swaps, driver.Swap{Key: n.key(names[i]), Value: []byte(value), ETag: etag})
		}
		return driver.SwapMany(contextOf(t), s.State, n.partition, swaps)
	}
	etags := func() (all []string) {
		for _, name := range names {
			all = append(all, get(t, s, n, name).ETag)
		}
		return all
	}
	if err := many("one", "", "", ""); err != nil {
		t.Fatalf("creating three keys: %v", err)
	}
	first := etags()
	if many("again", "", "", "") == nil {
		t.Error("a second creation of the same keys succeeded")
	}
	if err := many("two", first...); err != nil {
		t.Fatalf("swapping three keys: %v", err)
	}
	second := etags()
	if many("three", second[0], first[1], "") == nil {
		t.Error("swaps of which two had a stale ETag succeeded")
	}
	if value := string(get(t, s, n, "a").Value); value != "two" && value != "three" {
		t.Errorf("the key with the right ETag has the value %q", value)
	}
	for _, name := range names[1:] {
		wantValue(t, get(t, s, n, name), "two")
	}
}

// testSwapChangesETag swaps a value for itself and compares the ETags.
func testSwapChangesETag(t *testing.T, s store) {
	n := newNames()
	swap(t, s, n, "a", "same", "")
	seen := []string{get(t, s, n, "a").ETag}
	for range 5 {
		swap(t, s, n, "a", "same", seen[len(seen)-1])
		etag := get(t, s, n, "a").ETag
		if slices.Contains(seen, etag) {
			t.Fatalf("ETag %q came again after %q", etag, seen)
		}
		seen = append(seen, etag)
	}
}

// testEndedContext swaps with a context that has ended.
func testEndedContext(t *testing.T, s store) {
	n := newNames()
	ctx, cancel := context.WithCancel(contextOf(t))
	cancel()
	err := s.Swap(ctx, n.partition, driver.Swap{Key: n.key("a"), Value: []byte("a")})
	if !errors.Is(err, driver.ErrRefused) || !errors.Is(err, context.Canceled) {
		t.Errorf("Swap: %v, want ErrRefused and context.Canceled", err)
	}
	wantValue(t, get(t, s, n, "a"), "")
}

// testCountedETags follows the ETags of a store that declares CountedETags.
func testCountedETags(t *testing.T, s store) {
	n := newNames()
	swap(t, s, n, "a", "x", "")
	for i := 1; i < 12; i++ {
		if etag := get(t, s, n, "a").ETag; etag != strconv.Itoa(i) {
			t.Fatalf("ETag %q, want %d", etag, i)
		}
		swap(t, s, n, "a", "x", strconv.Itoa(i))
	}
}

// testSwapTooLarge swaps more than the declared MaxRequestBytes.
func testSwapTooLarge(t *testing.T, s store) {
	n := newNames()
	err := s.Swap(contextOf(t), n.partition, driver.Swap{Key: n.key("a"), Value: bytes.Repeat([]byte("x"), s.Capabilities().MaxRequestBytes+1)})
	if !errors.Is(err, driver.ErrRefused) {
		t.Errorf("Swap: %v, want ErrRefused", err)
	}
	wantValue(t, get(t, s, n, "a"), "")
}
