package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func TestAllKeysWithAnEndingAreListed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s store) {
		listed(t, s, s)
	})
}

func TestAFileThatIsOnlyReadListsItsKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.db")
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reader, err := sqlite.Open(t.Context(), path, sqlite.WithReadOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	listed(t, s, reader)
}

// listed writes keys to a store, and checks what a store lists.
func listed(t *testing.T, s, lists store) {
	t.Helper()
	const n = 1100 // more than a page
	suffix := ":x_y%25" + filepath.Base(t.Name()) + ":head"
	var writes []driver.Write
	for i := range n {
		writes = append(writes,
			driver.Write{Key: key(t, fmt.Sprint(i)) + suffix, Value: []byte("v")},
			driver.Write{Key: key(t, fmt.Sprint(i)) + ":xzy%25" + filepath.Base(t.Name()) + ":head", Value: []byte("v")},
			driver.Write{Key: key(t, fmt.Sprint(i)) + ":X_Y%25" + filepath.Base(t.Name()) + ":HEAD", Value: []byte("v")})
	}
	if err := s.Write(t.Context(), stream, writes); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for k, err := range lists.(driver.Lister).ListKeys(t.Context(), suffix) {
		if err != nil {
			t.Fatal(err)
		}
		seen[k]++
	}
	for i := range n {
		if k := key(t, fmt.Sprint(i)) + suffix; seen[k] == 0 {
			t.Fatalf("%s is not listed", k)
		}
	}
	if len(seen) != n {
		t.Errorf("%d keys are listed, not %d", len(seen), n)
	}
	for range lists.(driver.Lister).ListKeys(t.Context(), suffix) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var failed error
	for _, failed = range lists.(driver.Lister).ListKeys(ctx, suffix) {
	}
	if !errors.Is(failed, context.Canceled) {
		t.Errorf("with a context that has ended: %v", failed)
	}
}
