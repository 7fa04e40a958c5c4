package storetest

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// testBulkOrder reads 1,000 keys at once, some of them absent.
func testBulkOrder(t *testing.T, s store) {
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
}

// testBulkETags swaps with an ETag from a bulk read.
func testBulkETags(t *testing.T, s store) {
	n := newNames()
	swap(t, s, n, "head", "one", "")
	item := getMany(t, s, n, "absent", "head")[1]
	swap(t, s, n, "head", "two", item.ETag)
	wantValue(t, get(t, s, n, "head"), "two")
}

// testLargeBulkRead reads 8 MB at once.
func testLargeBulkRead(t *testing.T, s store) {
	n := newNames()
	value := strings.Repeat("x", min(200_000, cmp.Or(s.limits.MaxValueBytes, 200_000)))
	var keys []string
	for i := range 40 { // 8 MB, a client receives 4 MiB by default
		keys = append(keys, fmt.Sprint(i))
		write(t, s, n, driver.Write{Key: n.key(keys[i]), Value: []byte(value)})
	}
	for _, item := range getMany(t, s, n, keys...) {
		wantValue(t, item, value)
	}
}

// testLargeWrites writes 6 MB at once, twice.
func testLargeWrites(t *testing.T, s store) {
	n := newNames()
	value := strings.Repeat("x", min(60_000, cmp.Or(s.limits.MaxValueBytes, 60_000)))
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
}

// testDeletes deletes keys that exist and keys that do not.
func testDeletes(t *testing.T, s store) {
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
}
