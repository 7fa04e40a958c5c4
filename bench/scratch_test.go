package bench

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// scratch is a fast store on which large feeds are made, before their records are copied to the
// store that is measured. It claims the capabilities of that store, so that it gets the same
// records.
type scratch struct {
	caps driver.Capabilities
	keep func(key string) bool // which keys it keeps

	mu    sync.Mutex
	items map[string]scratchItem
}

type scratchItem struct {
	value []byte
	etag  int // counts the writes of the key
}

func newScratch(caps driver.Capabilities, keep func(key string) bool) *scratch {
	return &scratch{caps: caps, keep: keep, items: map[string]scratchItem{}}
}

var errCondition = errors.New("the key has another ETag")

func (s *scratch) Capabilities() driver.Capabilities { return s.caps }

func (s *scratch) get(key string) driver.Item {
	i, found := s.items[key]
	if !found {
		return driver.Item{Key: key}
	}
	return driver.Item{Key: key, Value: slices.Clone(i.value), ETag: strconv.Itoa(i.etag)}
}

func (s *scratch) set(key string, value []byte) {
	switch {
	case value == nil:
		delete(s.items, key)
	case s.keep(key):
		s.items[key] = scratchItem{slices.Clone(value), s.items[key].etag + 1}
	}
}

func (s *scratch) Get(_ context.Context, _, key string) (driver.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(key), nil
}

func (s *scratch) GetMany(_ context.Context, _ string, keys []string) ([]driver.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := make([]driver.Item, len(keys))
	for i, key := range keys {
		items[i] = s.get(key)
	}
	return items, nil
}

func (s *scratch) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return s.Commit(ctx, partition, swap, nil)
}

func (s *scratch) Commit(_ context.Context, _ string, swap driver.Swap, writes []driver.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.get(swap.Key).ETag != swap.ETag {
		return errCondition
	}
	for _, w := range writes {
		if w.IfAbsent && s.get(w.Key).Found() {
			return errCondition
		}
	}
	s.set(swap.Key, swap.Value)
	for _, w := range writes {
		s.set(w.Key, w.Value)
	}
	return nil
}

func (s *scratch) Write(_ context.Context, _ string, writes []driver.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range writes {
		s.set(w.Key, w.Value)
	}
	return nil
}

// records returns the keys that wants chooses, with their values.
func (s *scratch) records(wants func(key string) bool) (all []driver.Write) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, item := range s.items {
		if wants(key) {
			all = append(all, driver.Write{Key: key, Value: item.value})
		}
	}
	return all
}
