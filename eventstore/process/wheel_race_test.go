package process

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// One process adds a time while another one moves the hand past its minute. The test lets all that
// one of them does happen before each request of the other.
func TestATimeIsNotOverlookedWhileTheHandMoves(t *testing.T) {
	const most = 12 // requests of the one that is interrupted
	for _, who := range []string{"the one who adds", "the one who looks"} {
		for at := range most {
			t.Run(fmt.Sprintf("%s is interrupted before request %d", who, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx := t.Context()
					store := memstate.Transactional()
					w := newWheel(store, "all", "p")
					woken := 0
					var h hand
					look := func() {
						var err error
						if h, _, err = w.look(ctx, h, func(context.Context, due) error { woken++; return nil }); err != nil {
							t.Error(err)
						}
					}
					look()
					<-time.After(time.Until(time.Unix(60*(minuteOf(time.Now())+1), 0)) - time.Second)
					add := func() {
						if err := w.add(ctx, due{at: time.Now(), id: "a", version: 1}); err != nil {
							t.Error(err)
						}
					}
					late := due{at: time.Now(), id: "a", version: 1}
					nextMinute := func() { <-time.After(time.Second) }
					interrupted, other := add, func() { nextMinute(); look() }
					if who == "the one who looks" {
						interrupted = func() { nextMinute(); look() }
						other = func() {
							if err := w.add(ctx, late); err != nil {
								t.Error(err)
							}
						}
					}
					n := 0
					store.Intervene(func(_ context.Context, _ *memstate.Request, next func() error) error {
						if n++; n == at+1 {
							other()
						}
						return next()
					})
					interrupted()
					if n <= at {
						other()
					}
					store.Intervene(nil)
					for range 3 {
						<-time.After(10 * time.Second)
						look()
					}
					if woken == 0 { // perhaps twice, which an instance does not notice
						t.Errorf("after %d requests it did not wake up", n)
					}
				})
			})
		}
	}
}
