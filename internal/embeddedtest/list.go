package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Listed writes keys to a store, and checks what a lister of the same keys lists. The keys are in
// many hash slots, so that each node of a cluster has some.
func Listed(t *testing.T, s driver.State, lists driver.Lister) {
	t.Helper()
	const n = 1100 // more than a page
	suffix := ":x_y%25" + filepath.Base(t.Name()) + ":head"
	tagged := func(i int) string { return fmt.Sprintf("{%d.%s", i, key(t, "")[1:]) }
	var writes []driver.Write
	for i := range n {
		writes = append(writes,
			driver.Write{Key: tagged(i) + suffix, Value: []byte("v")},
			driver.Write{Key: tagged(i) + ":xzy%25" + filepath.Base(t.Name()) + ":head", Value: []byte("v")},
			driver.Write{Key: tagged(i) + ":X_Y%25" + filepath.Base(t.Name()) + ":HEAD", Value: []byte("v")})
	}
	if err := s.Write(t.Context(), stream, writes); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for k, err := range lists.ListKeys(t.Context(), suffix) {
		if err != nil {
			t.Fatal(err)
		}
		seen[k]++
	}
	for i := range n {
		if k := tagged(i) + suffix; seen[k] == 0 {
			t.Fatalf("%s is not listed", k)
		}
	}
	if len(seen) != n {
		t.Errorf("%d keys are listed, not %d", len(seen), n)
	}
	for range lists.ListKeys(t.Context(), suffix) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var failed error
	for _, failed = range lists.ListKeys(ctx, suffix) {
	}
	if !errors.Is(failed, context.Canceled) {
		t.Errorf("with a context that has ended: %v", failed)
	}
}
