package storetest

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// testCommitWrites commits a head with writes and a deletion.
func testCommitWrites(t *testing.T, s store) {
	n := newNames()
	writes := []driver.Write{{Key: n.key("gone")}}
	write(t, s, n, driver.Write{Key: n.key("gone"), Value: []byte("x")})
	var keys []string
	for i := range min(100, cmp.Or(s.Capabilities().MaxCommitWrites, 101)-1) {
		keys = append(keys, fmt.Sprint(i))
		writes = append(writes, driver.Write{Key: n.key(keys[i]), Value: []byte("event")})
	}
	if err := commitHead(t, s, n, "", writes...); err != nil {
		t.Fatal(err)
	}
	wantValue(t, get(t, s, n, "head"), "committed")
	wantValue(t, get(t, s, n, "gone"), "")
	for _, item := range getMany(t, s, n, keys...) {
		wantValue(t, item, "event")
	}
}

// testCommitRefused commits with ETags that no longer hold.
func testCommitRefused(t *testing.T, s store) {
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
		if err := commitHead(t, s, n, etag, driver.Write{Key: n.key("new"), Value: []byte("new")}, driver.Write{Key: n.key("old"), Value: []byte("new")}); err == nil {
			t.Errorf("%s: the commit succeeded", name)
		}
		wantValue(t, get(t, s, n, "head"), "before")
		wantValue(t, get(t, s, n, "new"), "")
		wantValue(t, get(t, s, n, "old"), "old")
	}
}

// testCommitCreates commits with keys that must be absent.
func testCommitCreates(t *testing.T, s store) {
	for name, prepare := range map[string]func(t *testing.T, n names){
		"absent":              func(*testing.T, names) {},
		"created by a write":  func(t *testing.T, n names) { write(t, s, n, driver.Write{Key: n.key("id"), Value: []byte("before")}) },
		"created by a commit": func(t *testing.T, n names) { createID(t, s, n, "before") },
		"written again": func(t *testing.T, n names) {
			createID(t, s, n, "x")
			write(t, s, n, driver.Write{Key: n.key("id"), Value: []byte("before")})
		},
	} {
		n := newNames()
		prepare(t, n)
		etag := get(t, s, n, "head").ETag
		err := s.Commit(contextOf(t), n.partition, driver.Swap{Key: n.key("head"), Value: []byte("after"), ETag: etag}, []driver.Write{
			{Key: n.key("new"), Value: []byte("new")},
			{Key: n.key("id"), Value: []byte("after"), IfAbsent: true},
		})
		if name == "absent" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			wantValue(t, get(t, s, n, "id"), "after")
			continue
		}
		if err == nil {
			t.Errorf("%s: the commit succeeded", name)
		}
		wantValue(t, get(t, s, n, "id"), "before")
		wantValue(t, get(t, s, n, "new"), "")
		if item := get(t, s, n, "head"); item.ETag != etag {
			t.Errorf("%s: the head was written", name)
		}
	}
}

func createID(t *testing.T, s driver.State, n names, value string) {
	t.Helper()
	if err := commitHead(t, s, n, "", driver.Write{Key: n.key("id"), Value: []byte(value), IfAbsent: true}); err != nil {
		t.Fatal(err)
	}
}

// testConcurrentCommits lets commits and swaps compete for one ETag.
func testConcurrentCommits(t *testing.T, s store) {
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
					err = commitHead(t, s, n, etag, driver.Write{Key: n.key("e"), Value: []byte("x")})
				} else {
					err = s.Swap(contextOf(t), n.partition, driver.Swap{Key: n.key("head"), Value: []byte("swapped"), ETag: etag})
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
}

func commitHead(t *testing.T, s driver.State, n names, etag string, writes ...driver.Write) error {
	return s.Commit(contextOf(t), n.partition, driver.Swap{Key: n.key("head"), Value: []byte("committed"), ETag: etag}, writes)
}

// mustCommit is commitHead with a value for the head and one more write.
func mustCommit(t *testing.T, s driver.State, n names, value, etag string) {
	t.Helper()
	err := s.Commit(contextOf(t), n.partition, driver.Swap{Key: n.key("head"), Value: []byte(value), ETag: etag},
		[]driver.Write{{Key: n.key("beside"), Value: []byte("x")}})
	if err != nil {
		t.Fatal(err)
	}
}

// testAnyPartition reads keys of two partitions at once. If the store has commits, it also commits
// a head together with a key of another partition.
func testAnyPartition(t *testing.T, s store) {
	one, other := newNames(), newNames()
	write(t, s, one, driver.Write{Key: one.key("1"), Value: []byte("one")})
	write(t, s, other, driver.Write{Key: other.key("1"), Value: []byte("other")})
	items, err := s.GetMany(contextOf(t), one.partition, []string{other.key("1"), one.key("1"), other.key("absent")})
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 3 {
		t.Fatalf("GetMany returned %d items for 3 keys", len(items))
	}
	for i, want := range []string{"other", "one", ""} {
		wantValue(t, items[i], want)
	}
	if !s.Capabilities().Atomic {
		return
	}
	entry := driver.Write{Partition: other.partition, Key: other.key("2"), Value: []byte("entry")}
	if err := commitHead(t, s, one, "", entry); err != nil {
		t.Fatal(err)
	}
	wantValue(t, get(t, s, other, "2"), "entry")
	entry.Key = other.key("3")
	if err := commitHead(t, s, one, "", entry); err == nil {
		t.Error("a commit whose ETag does not hold succeeded")
	}
	wantValue(t, get(t, s, other, "3"), "")
}
