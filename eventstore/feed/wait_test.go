package feed_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

func TestWaitingForAVersionEndsWithWhatIsWrong(t *testing.T) {
	memstate.Each(t, func(t *testing.T, store *memstate.Store) {
		memstate.GoOn(t)
		p, f := open(t, store)
		s := p.Stream("account", "1")
		if _, err := p.Append(t.Context(), s, eventstore.ExpectVersion(0), opened{"Ada"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := f.WaitFor(ctx, s, 1); !errors.Is(err, context.DeadlineExceeded) { // no process indexes
			t.Errorf("it ends with %v", err)
		}
		store.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
			if strings.HasPrefix(r.Partition, ":journal:") {
				return memstate.ErrLost
			}
			return next()
		})
		if _, err := f.WaitFor(t.Context(), s, 1); !errors.As(err, new(*eventstore.StorageError)) || !errors.Is(err, memstate.ErrLost) {
			t.Errorf("it ends with %#v", err)
		}
	})
}
