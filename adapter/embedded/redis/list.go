package redis

import (
	"context"
	"fmt"
	"iter"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/redisserver"
)

var _ driver.Lister = (*State)(nil)

// ListKeys implements [driver.Lister] with SCAN. It goes through all keys of the server, 1,000 at a
// time and node by node, over a connection of its own. It does not block the server.
func (s *State) ListKeys(ctx context.Context, suffix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range redisserver.Keys(ctx, s.properties, "*"+suffix) {
			if err != nil {
				err = fmt.Errorf("redis: listing keys: %w", err)
			}
			if !yield(key, err) || err != nil {
				return
			}
		}
	}
}
