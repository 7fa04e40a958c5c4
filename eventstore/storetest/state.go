package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// TestState checks that a state store does what [driver.State] says, and what it declares in
// its [driver.Capabilities].
func TestState(t *testing.T, s driver.State, limits Limits) {
	caps := s.Capabilities()
	tests := []test{
		{"a swap without an ETag creates a key, once",
			"the first append of a stream is a creation; were it possible twice, two writers would each believe they began the stream",
			func(t *testing.T) {
				n := newNames()
				swap(t, s, n, "a", "one", "")
				if err := s.Swap(contextOf(t), n.partition, n.key("a"), []byte("two"), ""); err == nil {
					t.Error("a second creation of the same key succeeded")
				}
				wantValue(t, get(t, s, n, "a"), "one")
			}},
		{"a swap with a stale ETag changes nothing",
			"an append that lost the race must leave the winner's head alone",
			func(t *testing.T) {
				n := newNames()
				swap(t, s, n, "a", "one", "")
				stale := get(t, s, n, "a").ETag
				swap(t, s, n, "a", "two", stale)
				if err := s.Swap(contextOf(t), n.partition, n.key("a"), []byte("three"), stale); err == nil {
					t.Error("a swap with an ETag that had been used succeeded")
				}
				wantValue(t, get(t, s, n, "a"), "two")
			}},
		{"of concurrent swaps with one ETag exactly one succeeds",
			"this is the commit: if two succeed, an acknowledged append is lost",
			func(t *testing.T) { concurrentSwaps(t, s) }},
		{"every swap changes the ETag, also one that writes the same value",
			"a head that was trimmed and one that was not must be told apart",
			func(t *testing.T) {
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
			}},
		{"a read after a write sees it",
			"an append reads the head that the one before wrote; a stale one costs retries, and idempotency is checked by reading",
			func(t *testing.T) {
				n := newNames()
				swap(t, s, n, "head", "0", "")
				for i := range 50 {
					item := get(t, s, n, "head")
					wantValue(t, item, strconv.Itoa(i))
					swap(t, s, n, "head", strconv.Itoa(i+1), item.ETag)
					write(t, s, n, driver.Write{Key: n.key("w"), Value: []byte(strconv.Itoa(i))})
					wantValue(t, get(t, s, n, "w"), strconv.Itoa(i))
				}
			}},
		{"an absent key is an item without an ETag, and no error",
			"an empty stream is one whose head is absent; were that an error, it could not be told from a store that is away",
			func(t *testing.T) {
				n := newNames()
				wantValue(t, get(t, s, n, "never"), "")
			}},
		{"values come back byte for byte",
			"events may be of any encoding, and their checksums notice a single changed byte",
			func(t *testing.T) {
				n := newNames()
				every := make([]byte, 256)
				for i := range every {
					every[i] = byte(i)
				}
				large := 1 << 20
				if limits.MaxValueBytes > 0 {
					large = min(large, limits.MaxValueBytes)
				}
				for i, value := range []string{string(every), "\x00", "{\"a\": 1.0}", " \"x\" ", "null", "ä\xff\xfe😀", strings.Repeat("0123456789abcdef", large/16)} {
					byWrite, bySwap := fmt.Sprint("w", i), fmt.Sprint("s", i)
					write(t, s, n, driver.Write{Key: n.key(byWrite), Value: []byte(value)})
					swap(t, s, n, bySwap, value, "")
					wantValue(t, get(t, s, n, byWrite), value)
					wantValue(t, get(t, s, n, bySwap), value)
					for _, item := range getMany(t, s, n, byWrite, bySwap) {
						wantValue(t, item, value)
					}
				}
			}},
		{"keys that differ in one character are different keys",
			"streams are told apart by their keys: a store that folds case would let one aggregate write into another",
			func(t *testing.T) {
				n := newNames()
				keys := []string{"abc", "ABC", "Abc", "abc%20", "abc%2", "abc-", "abc_", "abc.", "abc~", "abc:1", "abc:10", "abc:100", "a"}
				for _, key := range keys {
					write(t, s, n, driver.Write{Key: n.key(key), Value: []byte("value of " + key)})
				}
				for _, key := range keys {
					wantValue(t, get(t, s, n, key), "value of "+key)
				}
			}},
		{"a bulk read gives one item for each key, in order, absent ones without an ETag",
			"a read takes events by their place in the answer",
			func(t *testing.T) {
				n := newNames()
				var writes []driver.Write
				var want []string
				for i := range 1000 {
					want = append(want, fmt.Sprint(i))
					if i%10 != 3 {
						writes = append(writes, driver.Write{Key: n.key(fmt.Sprint(i)), Value: []byte(fmt.Sprint("value ", i))})
					}
				}
				write(t, s, n, writes...)
				for i, item := range getMany(t, s, n, want...) {
					value := fmt.Sprint("value ", i)
					if i%10 == 3 {
						value = ""
					}
					if item.Key != n.key(fmt.Sprint(i)) {
						t.Fatalf("item %d is of key %s", i, item.Key)
					}
					wantValue(t, item, value)
				}
			}},
		{"a bulk read gives the ETags that belong to the values",
			"opening reads the head in bulk, and the first append swaps it with that ETag",
			func(t *testing.T) {
				n := newNames()
				swap(t, s, n, "head", "one", "")
				item := getMany(t, s, n, "absent", "head")[1]
				swap(t, s, n, "head", "two", item.ETag)
				wantValue(t, get(t, s, n, "head"), "two")
			}},
		{"a bulk read is divided where its answer is too large for one",
			"events may be large, and a stream must stay readable",
			func(t *testing.T) {
				n := newNames()
				value := strings.Repeat("x", min(200_000, cmp.Or(limits.MaxValueBytes, 200_000)))
				var keys []string
				for i := range 40 { // 8 MB, a client receives 4 MiB by default
					keys = append(keys, fmt.Sprint(i))
					write(t, s, n, driver.Write{Key: n.key(keys[i]), Value: []byte(value)})
				}
				for _, item := range getMany(t, s, n, keys...) {
					wantValue(t, item, value)
				}
			}},
		{"writes replace, and are divided where they are too many for one request",
			"the events of a batch follow its head, written last-write and as often as needed",
			func(t *testing.T) {
				n := newNames()
				value := strings.Repeat("x", min(60_000, cmp.Or(limits.MaxValueBytes, 60_000)))
				var writes []driver.Write
				var keys []string
				for i := range 100 {
					keys = append(keys, fmt.Sprint(i))
					writes = append(writes, driver.Write{Key: n.key(keys[i]), Value: []byte(value)})
				}
				write(t, s, n, writes...)
				write(t, s, n, writes...)
				for _, item := range getMany(t, s, n, keys...) {
					wantValue(t, item, value)
				}
				write(t, s, n, driver.Write{Key: n.key("0"), Value: []byte("other")})
				wantValue(t, get(t, s, n, "0"), "other")
			}},
		{"a write without a value deletes, also together with others, and of a key that is absent",
			"snapshots are cleared, and deleted streams swept, more than once",
			func(t *testing.T) {
				n := newNames()
				write(t, s, n, driver.Write{Key: n.key("a"), Value: []byte("a")}, driver.Write{Key: n.key("b"), Value: []byte("b")})
				write(t, s, n, driver.Write{Key: n.key("a")}, driver.Write{Key: n.key("never")}, driver.Write{Key: n.key("c"), Value: []byte("c")})
				wantValue(t, get(t, s, n, "a"), "")
				wantValue(t, get(t, s, n, "b"), "b")
				wantValue(t, get(t, s, n, "c"), "c")
				write(t, s, n, driver.Write{Key: n.key("b")})
				write(t, s, n, driver.Write{Key: n.key("b")})
				wantValue(t, get(t, s, n, "b"), "")
				write(t, s, n, driver.Write{Key: n.key("b"), Value: []byte("again")})
				wantValue(t, get(t, s, n, "b"), "again")
			}},
		{"a request whose context has ended is refused and changes nothing",
			"what a caller gave up must not happen behind its back when nothing was sent yet",
			func(t *testing.T) {
				n := newNames()
				ctx, cancel := context.WithCancel(contextOf(t))
				cancel()
				err := s.Swap(ctx, n.partition, n.key("a"), []byte("a"), "")
				if !errors.Is(err, driver.ErrRefused) || !errors.Is(err, context.Canceled) {
					t.Errorf("Swap: %v, want ErrRefused and context.Canceled", err)
				}
				wantValue(t, get(t, s, n, "a"), "")
			}},
		{"values are copied",
			"the event store reuses memory, and so may its caller",
			func(t *testing.T) {
				n := newNames()
				value := []byte("original")
				if err := s.Swap(contextOf(t), n.partition, n.key("a"), value, ""); err != nil {
					t.Fatal(err)
				}
				copy(value, "changed!")
				item := get(t, s, n, "a")
				wantValue(t, item, "original")
				copy(item.Value, "changed!")
				wantValue(t, get(t, s, n, "a"), "original")
			}},
	}
	if caps.CountedETags {
		tests = append(tests, test{"ETags count from 1",
			"declared as CountedETags: the event store does not read the next one but counts on it",
			func(t *testing.T) {
				n := newNames()
				swap(t, s, n, "a", "x", "")
				for i := 1; i < 12; i++ {
					if etag := get(t, s, n, "a").ETag; etag != strconv.Itoa(i) {
						t.Fatalf("ETag %q, want %d", etag, i)
					}
					swap(t, s, n, "a", "x", strconv.Itoa(i))
				}
			}})
	}
	if caps.MaxRequestBytes > 0 {
		tests = append(tests, test{"a swap that is too large is refused and changes nothing",
			"an event that can't fit must be a clear error, not an append of unknown outcome",
			func(t *testing.T) {
				n := newNames()
				err := s.Swap(contextOf(t), n.partition, n.key("a"), bytes.Repeat([]byte("x"), caps.MaxRequestBytes+1), "")
				if !errors.Is(err, driver.ErrRefused) {
					t.Errorf("Swap: %v, want ErrRefused", err)
				}
				wantValue(t, get(t, s, n, "a"), "")
			}})
	}
	if caps.Atomic {
		tests = append(tests, commitTests(s, caps)...)
	}
	run(t, tests)
}

func commitTests(s driver.State, caps driver.Capabilities) []test {
	commit := func(t *testing.T, n names, etag string, writes ...driver.Write) error {
		return s.Commit(contextOf(t), n.partition, driver.Swap{Key: n.key("head"), Value: []byte("committed"), ETag: etag}, writes)
	}
	return []test{
		{"a commit applies all of its writes",
			"declared as Atomic: head and events go together",
			func(t *testing.T) {
				n := newNames()
				writes := []driver.Write{{Key: n.key("gone")}}
				write(t, s, n, driver.Write{Key: n.key("gone"), Value: []byte("x")})
				var keys []string
				for i := range min(100, cmp.Or(caps.MaxCommitWrites, 101)-1) {
					keys = append(keys, fmt.Sprint(i))
					writes = append(writes, driver.Write{Key: n.key(keys[i]), Value: []byte("event")})
				}
				if err := commit(t, n, "", writes...); err != nil {
					t.Fatal(err)
				}
				wantValue(t, get(t, s, n, "head"), "committed")
				wantValue(t, get(t, s, n, "gone"), "")
				for _, item := range getMany(t, s, n, keys...) {
					wantValue(t, item, "event")
				}
			}},
		{"a commit whose swap is refused writes nothing",
			"declared as Atomic: an event written by the loser of a race would be an event that nobody committed",
			func(t *testing.T) {
				for name, prepare := range map[string]func(t *testing.T, n names) string{
					"created by a swap":   func(t *testing.T, n names) string { swap(t, s, n, "head", "before", ""); return "" },
					"created by a commit": func(t *testing.T, n names) string { mustCommit(t, s, n, "before", ""); return "" },
					"stale ETag of a swap": func(t *testing.T, n names) string {
						swap(t, s, n, "head", "x", "")
						etag := get(t, s, n, "head").ETag
						mustCommit(t, s, n, "before", etag)
						return etag
					},
					"stale ETag of a commit": func(t *testing.T, n names) string {
						mustCommit(t, s, n, "x", "")
						etag := get(t, s, n, "head").ETag
						swap(t, s, n, "head", "before", etag)
						return etag
					},
				} {
					n := newNames()
					write(t, s, n, driver.Write{Key: n.key("old"), Value: []byte("old")})
					etag := prepare(t, n)
					if err := commit(t, n, etag, driver.Write{Key: n.key("new"), Value: []byte("new")}, driver.Write{Key: n.key("old"), Value: []byte("new")}); err == nil {
						t.Errorf("%s: the commit succeeded", name)
					}
					wantValue(t, get(t, s, n, "head"), "before")
					wantValue(t, get(t, s, n, "new"), "")
					wantValue(t, get(t, s, n, "old"), "old")
				}
			}},
		{"of concurrent commits and swaps with one ETag exactly one succeeds",
			"declared as Atomic: services that commit carefully and ones that commit in one transaction share streams",
			func(t *testing.T) {
				n := newNames()
				swap(t, s, n, "head", "0", "")
				for range 20 {
					etag := get(t, s, n, "head").ETag
					var wins atomic.Int32
					var wg sync.WaitGroup
					for w := range 8 {
						wg.Go(func() {
							var err error
							if w%2 == 0 {
								err = commit(t, n, etag, driver.Write{Key: n.key("e"), Value: []byte("x")})
							} else {
								err = s.Swap(contextOf(t), n.partition, n.key("head"), []byte("swapped"), etag)
							}
							if err == nil {
								wins.Add(1)
							}
						})
					}
					wg.Wait()
					if wins.Load() != 1 {
						t.Fatalf("%d of 8 succeeded, want exactly 1", wins.Load())
					}
				}
			}},
	}
}

func mustCommit(t *testing.T, s driver.State, n names, value, etag string) {
	t.Helper()
	err := s.Commit(contextOf(t), n.partition, driver.Swap{Key: n.key("head"), Value: []byte(value), ETag: etag},
		[]driver.Write{{Key: n.key("beside"), Value: []byte("x")}})
	if err != nil {
		t.Fatal(err)
	}
}

func concurrentSwaps(t *testing.T, s driver.State) {
	n := newNames()
	etag := ""
	for round := range 20 {
		var wins atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				value := fmt.Sprintf("round %d writer %d", round, w)
				if s.Swap(contextOf(t), n.partition, n.key("a"), []byte(value), etag) == nil {
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

func write(t *testing.T, s driver.State, n names, writes ...driver.Write) {
	t.Helper()
	if err := s.Write(contextOf(t), n.partition, writes); err != nil {
		t.Fatalf("Write of %d: %v", len(writes), err)
	}
}

func getMany(t *testing.T, s driver.State, n names, keys ...string) []driver.Item {
	t.Helper()
	full := make([]string, len(keys))
	for i, key := range keys {
		full[i] = n.key(key)
	}
	items, err := s.GetMany(contextOf(t), n.partition, full)
	if err != nil {
		t.Fatalf("GetMany of %d: %v", len(keys), err)
	}
	if len(items) != len(keys) {
		t.Fatalf("GetMany of %d gave %d items", len(keys), len(items))
	}
	for _, item := range items {
		if item.Err != nil {
			t.Fatalf("GetMany: key %s: %v", item.Key, item.Err)
		}
	}
	return items
}
