// Package embeddedtest has tests of what all stores in the process have in common. Those that need
// no server run them in their own package, and Redis runs them with the servers of integration.
package embeddedtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

const stream = "stream"

// Store is what all stores in the process have in common.
type Store interface {
	driver.State
	driver.Lister
	io.Closer
}

var tests = []struct {
	name string
	test func(t *testing.T, s Store)
}{
	{"a key is created once", aKeyIsCreatedOnce},
	{"a swap needs the latest ETag", aSwapNeedsTheLatestETag},
	{"of swaps at once one succeeds", ofSwapsAtOnceOneSucceeds},
	{"a commit is whole or not at all", aCommitIsWholeOrNotAtAll},
	{"writes overwrite and delete", writesOverwriteAndDelete},
	{"values come back byte for byte", valuesComeBackByteForByte},
	{"many keys come back in their order", manyKeysComeBackInTheirOrder},
	{"all keys with an ending are listed", func(t *testing.T, s Store) { Listed(t, s, s) }},
	{"what comes too late is refused", whatComesTooLateIsRefused},
}

// Test runs each test on a store that it opens. The stores may share a server.
func Test(t *testing.T, open func(t *testing.T) (Store, error)) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
			test.test(t, s)
		})
	}
}

// key returns a key that only this test uses, since a server keeps its keys.
func key(t *testing.T, name string) string {
	return fmt.Sprintf("{%s}:%s", strings.NewReplacer("/", ".", "#", ".").Replace(t.Name()), name)
}

func read(t *testing.T, s Store, key string) driver.Item {
	t.Helper()
	item, err := s.Get(t.Context(), stream, key)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func aKeyIsCreatedOnce(t *testing.T, s Store) {
	head := key(t, "head")
	if item := read(t, s, head); item.Found() || item.Key != head {
		t.Fatalf("an absent key is %+v", item)
	}
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("2")}); err == nil || errors.Is(err, driver.ErrRefused) {
		t.Errorf("the second creation ended with %v", err)
	}
	if item := read(t, s, head); string(item.Value) != "1" || !item.Found() {
		t.Errorf("the key is %+v", item)
	}
}

func aSwapNeedsTheLatestETag(t *testing.T, s Store) {
	head := key(t, "head")
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	stale := read(t, s, head).ETag
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("2"), ETag: stale}); err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("3"), ETag: stale}); err == nil || errors.Is(err, driver.ErrRefused) {
		t.Errorf("a swap with a stale ETag ended with %v", err)
	}
	item := read(t, s, head)
	if string(item.Value) != "2" {
		t.Errorf("the key is %+v", item)
	}
	if s.Capabilities().CountedETags && (stale != "1" || item.ETag != "2") {
		t.Errorf("the ETags are %q and %q, not counted", stale, item.ETag)
	}
}

func ofSwapsAtOnceOneSucceeds(t *testing.T, s Store) {
	for i := range 20 {
		head, etag := key(t, fmt.Sprint("head", i)), ""
		for range 2 { // a creation, then a swap
			var succeeded atomic.Int32
			var all sync.WaitGroup
			for n := range 8 {
				all.Go(func() {
					if s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: fmt.Appendf(nil, "%d", n), ETag: etag}) == nil {
						succeeded.Add(1)
					}
				})
			}
			all.Wait()
			if n := succeeded.Load(); n != 1 {
				t.Fatalf("%d swaps succeeded", n)
			}
			etag = read(t, s, head).ETag
		}
	}
}

func aCommitIsWholeOrNotAtAll(t *testing.T, s Store) {
	head, gone := key(t, "head"), key(t, "gone")
	writes := []driver.Write{{Key: key(t, "1"), Value: []byte("one")}, {Key: key(t, "2"), Value: []byte("two")}, {Key: gone}}
	if err := s.Write(t.Context(), stream, []driver.Write{{Key: gone, Value: []byte("here")}}); err != nil {
		t.Fatal(err)
	}
	stands := func(want bool) {
		t.Helper()
		for _, w := range writes {
			if got := read(t, s, w.Key); got.Found() != (want == (w.Value != nil)) {
				t.Errorf("after a commit that succeeded (%v), %s is %+v", want, w.Key, got)
			}
		}
	}
	create := driver.Swap{Key: head, Value: []byte("h1")}
	if !s.Capabilities().Atomic {
		if err := s.Commit(t.Context(), stream, create, writes); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("a commit that can't be atomic ended with %v", err)
		}
		stands(false)
		return
	}
	// A swap created the head, so a commit that would create it, or that has a stale ETag, is
	// refused.
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("h0")}); err != nil {
		t.Fatal(err)
	}
	stale := read(t, s, head).ETag
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("h0b"), ETag: stale}); err != nil {
		t.Fatal(err)
	}
	for _, swap := range []driver.Swap{create, {Key: head, Value: []byte("h1"), ETag: stale}} {
		if err := s.Commit(t.Context(), stream, swap, writes); err == nil || errors.Is(err, driver.ErrRefused) {
			t.Errorf("a commit with ETag %q ended with %v", swap.ETag, err)
		}
		stands(false)
	}
	latest := driver.Swap{Key: head, Value: []byte("h1"), ETag: read(t, s, head).ETag}
	if err := s.Commit(t.Context(), stream, latest, writes); err != nil {
		t.Fatal(err)
	}
	stands(true)
	// A commit changed the head, and a swap sees that too.
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("h2")}); err == nil {
		t.Error("the head was created over that of a commit")
	}
	if err := s.Swap(t.Context(), stream, driver.Swap{Key: head, Value: []byte("h2"), ETag: latest.ETag}); err == nil {
		t.Error("the head was swapped with the ETag from before a commit")
	}
}

func writesOverwriteAndDelete(t *testing.T, s Store) {
	a, b := key(t, "a"), key(t, "b")
	for _, writes := range [][]driver.Write{
		nil,
		{{Key: a}}, // deleting an absent key is no error
		{{Key: a, Value: []byte("1")}, {Key: b, Value: []byte("1")}},
		{{Key: a, Value: []byte("1")}, {Key: b, Value: []byte("1")}}, // the same values again
		{{Key: a, Value: []byte("2")}, {Key: b}},
	} {
		if err := s.Write(t.Context(), stream, writes); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, s, a); string(got.Value) != "2" {
		t.Errorf("%s is %+v", a, got)
	}
	if got := read(t, s, b); got.Found() {
		t.Errorf("%s is %+v", b, got)
	}
}

func valuesComeBackByteForByte(t *testing.T, s Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	values := [][]byte{{0}, every, []byte("\xff\xfe\x00\xc3\x28"), []byte(`{"big":9007199254740993}`), []byte(`"quoted"`), bytes.Repeat(every, 4<<10)}
	for i, value := range values {
		want := bytes.Clone(value)
		swapped, committed := key(t, fmt.Sprint("swapped", i)), key(t, fmt.Sprint("written", i))
		given := bytes.Clone(value)
		if err := s.Swap(t.Context(), stream, driver.Swap{Key: swapped, Value: given}); err != nil {
			t.Fatal(err)
		}
		clear(given) // the caller may reuse it
		given = bytes.Clone(value)
		if err := s.Write(t.Context(), stream, []driver.Write{{Key: committed, Value: given}}); err != nil {
			t.Fatal(err)
		}
		clear(given)
		for _, key := range []string{swapped, committed} {
			got := read(t, s, key).Value
			if !bytes.Equal(got, want) {
				t.Fatalf("%s is %.40q, want %.40q", key, got, want)
			}
			clear(got) // the caller owns it
			items, err := s.GetMany(t.Context(), stream, []string{key})
			if err != nil || !bytes.Equal(items[0].Value, want) {
				t.Fatalf("%s is %.40q after the reader changed its own, %v", key, items[0].Value, err)
			}
			clear(items[0].Value)
			if again := read(t, s, key).Value; !bytes.Equal(again, want) {
				t.Fatalf("%s is %.40q after the reader changed its own", key, again)
			}
		}
	}
}

func manyKeysComeBackInTheirOrder(t *testing.T, s Store) {
	var keys []string
	var writes []driver.Write
	for i := range 1000 {
		k := key(t, fmt.Sprint(i))
		keys = append(keys, k)
		if i%10 != 0 {
			writes = append(writes, driver.Write{Key: k, Value: fmt.Appendf(nil, "value %d", i)})
		}
	}
	if err := s.Write(t.Context(), stream, writes); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(keys)
	keys = append(keys, keys[0], keys[999]) // a present and an absent key, twice
	items, err := s.GetMany(t.Context(), stream, keys)
	if err != nil || len(items) != len(keys) {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for n, item := range items {
		i := 999 - n
		switch n {
		case 1000:
			i = 999
		case 1001:
			i = 0
		}
		want := fmt.Sprint("value ", i)
		if i%10 == 0 {
			want = ""
		}
		if item.Err != nil || item.Key != keys[n] || item.Found() != (want != "") || string(item.Value) != want {
			t.Fatalf("item %d is %+v, want %q", n, item, want)
		}
	}
	if items, err := s.GetMany(t.Context(), stream, nil); err != nil || len(items) != 0 {
		t.Errorf("no keys are %v, %v", items, err)
	}
}

func whatComesTooLateIsRefused(t *testing.T, s Store) {
	a := key(t, "a")
	calls := func(ctx context.Context) map[string]error {
		_, one := s.Get(ctx, stream, a)
		_, many := s.GetMany(ctx, stream, []string{a})
		return map[string]error{
			"get": one, "get many": many,
			"swap":   s.Swap(ctx, stream, driver.Swap{Key: a, Value: []byte("1")}),
			"write":  s.Write(ctx, stream, []driver.Write{{Key: a, Value: []byte("1")}}),
			"commit": s.Commit(ctx, stream, driver.Swap{Key: a, Value: []byte("1")}, nil),
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range calls(ctx) {
		if !errors.Is(err, driver.ErrRefused) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context ended with %v", name, err)
		}
	}
	if item := read(t, s, a); item.Found() {
		t.Errorf("the key is %+v", item)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, err := range calls(t.Context()) {
		if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "closed") {
			t.Errorf("%s after Close ended with %v", name, err)
		}
	}
}
