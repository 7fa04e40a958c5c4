package inprocess

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/dapr/components-contrib/state"
)

// cutShort is a component whose bulk reads get to nothing but the first key, as when their rows end with an error that nobody looks at.
type cutShort struct{ state.Store }

func (c cutShort) BulkGet(ctx context.Context, requests []state.GetRequest, options state.BulkGetOpts) ([]state.BulkGetResponse, error) {
	found, err := c.Store.BulkGet(ctx, requests[:1], options)
	for _, request := range requests[1:] {
		found = append(found, state.BulkGetResponse{Key: request.Key})
	}
	return found, err
}

func TestAKeyThatABulkReadOfSQLiteDidNotGetToIsNotAbsent(t *testing.T) {
	t.Parallel()
	s, err := OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"a", "b"} {
		if err := s.Swap(t.Context(), "s", key, []byte(key), ""); err != nil {
			t.Fatal(err)
		}
	}
	s.store = cutShort{s.store}
	items, err := s.GetMany(t.Context(), "s", []string{"a", "b", "c"})
	if err != nil {
		t.Fatal(err)
	}
	if string(items[0].Value) != "a" || string(items[1].Value) != "b" || items[2].Found() {
		t.Errorf("it read %v", items)
	}
}
