package memstate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// TestInterveneWhileRequestsAreSent fails as a data race if Intervene and requests are not in turn.
func TestInterveneWhileRequestsAreSent(t *testing.T) {
	t.Parallel()
	store := memstate.Transactional()
	intervened := errors.New("intervened")
	seen := make(chan bool)
	stop := memstate.Start(t, func(ctx context.Context) error {
		for ctx.Err() == nil {
			_, err := store.Get(context.Background(), "p", "key")
			select {
			case seen <- errors.Is(err, intervened):
			case <-ctx.Done():
			}
		}
		return nil
	})
	for _, want := range []bool{false, true, false} {
		store.Intervene(nil)
		if want {
			store.Intervene(func(context.Context, *memstate.Request, func() error) error { return intervened })
		}
		<-seen // of a request that may have begun before
		if got := <-seen; got != want {
			t.Errorf("a request was intervened in: %t, want %t", got, want)
		}
	}
	stop()
}
