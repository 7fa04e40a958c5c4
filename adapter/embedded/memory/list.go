package memory

import (
	"context"
	"iter"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

var _ driver.Lister = (*State)(nil)

// ListKeys implements [driver.Lister].
func (s *State) ListKeys(ctx context.Context, suffix string) iter.Seq2[string, error] {
	return component.ListKeys(ctx, s.base, suffix)
}
