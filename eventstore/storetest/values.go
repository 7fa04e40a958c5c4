package storetest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// testReadYourWrites reads each value right after it was written.
func testReadYourWrites(t *testing.T, s store) {
	n := newNames()
	swap(t, s, n, "head", "0", "")
	for i := range 50 {
		item := get(t, s, n, "head")
		wantValue(t, item, strconv.Itoa(i))
		swap(t, s, n, "head", strconv.Itoa(i+1), item.ETag)
		write(t, s, n, driver.Write{Key: n.key("w"), Value: []byte(strconv.Itoa(i))})
		wantValue(t, get(t, s, n, "w"), strconv.Itoa(i))
	}
}

// testAbsentKey reads a key that was never written.
func testAbsentKey(t *testing.T, s store) {
	n := newNames()
	wantValue(t, get(t, s, n, "never"), "")
}

// testValues stores values that an encoding could change.
func testValues(t *testing.T, s store) {
	n := newNames()
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	large := 1 << 20
	if s.limits.MaxValueBytes > 0 {
		large = min(large, s.limits.MaxValueBytes)
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
}

// testKeys stores values under keys that are nearly the same.
func testKeys(t *testing.T, s store) {
	n := newNames()
	keys := []string{"abc", "ABC", "Abc", "abc%20", "abc%2", "abc-", "abc_", "abc.", "abc~", "abc:1", "abc:10", "abc:100", "a"}
	for _, key := range keys {
		write(t, s, n, driver.Write{Key: n.key(key), Value: []byte("value of " + key)})
	}
	for _, key := range keys {
		wantValue(t, get(t, s, n, key), "value of "+key)
	}
}

// testValuesAreCopied changes the memory of values after they were stored and read.
func testValuesAreCopied(t *testing.T, s store) {
	n := newNames()
	value := []byte("original")
	if err := s.Swap(contextOf(t), n.partition, driver.Swap{Key: n.key("a"), Value: value}); err != nil {
		t.Fatal(err)
	}
	copy(value, "changed!")
	item := get(t, s, n, "a")
	wantValue(t, item, "original")
	copy(item.Value, "changed!")
	wantValue(t, get(t, s, n, "a"), "original")
}
