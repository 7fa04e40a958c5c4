package subscription

import (
	"bytes"
	"context"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
)

// updateTries is how often a request may fail before update gives up. It does not limit how often
// others may be quicker.
const updateTries = 4

// update changes a record by a swap. change returns the next value of the record, or nil to leave
// it. It may be called several times. An error says nothing about whether the change took effect,
// unless change returned it.
func (s *Subscription) update(ctx context.Context, operation, part, key string, change func(value []byte) ([]byte, error)) error {
	state := s.inside.State()
	failures := 0
	for n := 0; ; n++ {
		if n > 0 && !pause.Again(ctx, n) {
			return s.failed(operation, context.Cause(ctx))
		}
		item, err := state.Get(ctx, part, key)
		if err == nil {
			value, changeErr := change(item.Value)
			if changeErr != nil || value == nil {
				return changeErr
			}
			if err = state.Swap(ctx, part, driver.Swap{Key: key, Value: value, ETag: item.ETag}); err == nil {
				return nil
			}
			// Another instance was quicker, or the answer was lost. The record tells.
			now, readErr := state.Get(ctx, part, key)
			switch {
			case readErr == nil && bytes.Equal(now.Value, value):
				return nil
			case readErr == nil && now.ETag != item.ETag:
				continue
			}
		}
		if failures++; failures >= updateTries {
			return s.failed(operation, err)
		}
	}
}

// updatePartition changes the record of a partition. change gets what the record means now, and
// returns false to leave it.
func (s *Subscription) updatePartition(ctx context.Context, operation string, number int, sh shared, change func(*partition) (bool, error)) error {
	return s.update(ctx, operation, s.keys.partition, s.keys.of(number), func(value []byte) ([]byte, error) {
		p, err := s.decodePartition(number, value)
		if err != nil {
			return nil, err
		}
		p = p.rebased(sh)
		if changed, err := change(&p); !changed || err != nil {
			return nil, err
		}
		return p.encode(s.keys.partition), nil
	})
}

// updateShared changes what all instances share.
func (s *Subscription) updateShared(ctx context.Context, operation string, change func(*shared) (bool, error)) (sh shared, err error) {
	err = s.update(ctx, operation, s.keys.partition, s.keys.shared(), func(value []byte) ([]byte, error) {
		var err error
		if sh, err = s.decodeShared(value); err != nil {
			return nil, err
		}
		if changed, err := change(&sh); !changed || err != nil {
			return nil, err
		}
		return sh.encode(s.keys.partition), nil
	})
	return sh, err
}
