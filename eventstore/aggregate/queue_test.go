package aggregate

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
)

var someStream = eventstore.Stream{Database: "d", Type: "t", ID: "1"}

// entrant is a goroutine that waits for a turn, holds it until told to leave, and leaves.
type entrant struct {
	turn  chan *turn // what it was given
	leave context.CancelFunc
}

// enterNow starts a goroutine that enters, and returns when it waits or has its turn.
func enterNow(ctx context.Context, q *queue, stream eventstore.Stream) entrant {
	until, leave := context.WithCancel(context.Background())
	e := entrant{make(chan *turn, 1), leave}
	go func() {
		t := q.newTurn(stream, nil)
		t.join()
		t.wait(ctx)
		e.turn <- t
		<-until.Done()
		t.leave()
	}()
	synctest.Wait()
	return e
}

func (e entrant) came(t *testing.T, want bool) {
	t.Helper()
	synctest.Wait()
	if got := len(e.turn) == 1; got != want {
		t.Errorf("its turn has come: %t, want %t", got, want)
	}
}

// vacant checks that the queue keeps nothing of turns that have left.
func (q *queue) vacant(t *testing.T) {
	t.Helper()
	synctest.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) != 0 {
		t.Errorf("the queue keeps %d lines after all turns have left", len(q.lines))
	}
}

func TestTurnsComeInTheOrderInWhichTheyWereAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		var all []entrant
		for range 32 {
			all = append(all, enterNow(t.Context(), &q, someStream))
		}
		for i, e := range all {
			e.came(t, true)
			for _, later := range all[i+1:] {
				later.came(t, false)
			}
			e.leave()
		}
		q.vacant(t)
	})
}

func TestStreamsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		var all []entrant
		for _, id := range []string{"1", "2", "3"} {
			e := enterNow(t.Context(), &q, eventstore.Stream{Database: "d", Type: "t", ID: id})
			e.came(t, true)
			all = append(all, e)
		}
		for _, e := range all {
			e.leave()
		}
		q.vacant(t)
	})
}

func TestWhoseContextEndsLeavesTheQueueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		ctx, cancel := context.WithCancel(t.Context())
		first := enterNow(t.Context(), &q, someStream)
		second := enterNow(ctx, &q, someStream)
		third := enterNow(t.Context(), &q, someStream)
		began := time.Now()
		cancel()
		second.came(t, true)
		third.came(t, false)
		first.leave()
		third.came(t, true)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("it took %s", waited)
		}
		second.leave()
		third.leave()
		q.vacant(t)
	})
}

func TestATurnThatDoesNotGetOnIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		stuck := enterNow(t.Context(), &q, someStream)
		second := enterNow(t.Context(), &q, someStream)
		third := enterNow(t.Context(), &q, someStream)
		holder := <-stuck.turn

		<-time.After(patience / 2)
		holder.goOn()
		<-time.After(patience - 1)
		second.came(t, false)
		<-time.After(2)
		second.came(t, true)
		third.came(t, false) // only one takes over

		// Calls of the stuck holder have no effect any more.
		holder.goOn()
		stuck.leave()
		third.came(t, false)
		second.leave()
		third.came(t, true)
		third.leave()
		q.vacant(t)
	})
}

func TestAllWhoWaitGetATurnWhereNobodyEverLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queue
		var all []entrant
		for range 5 {
			all = append(all, enterNow(t.Context(), &q, someStream))
		}
		began := time.Now()
		for _, e := range all {
			<-e.turn
		}
		if waited := time.Since(began); waited > 5*2*patience {
			t.Errorf("it took %s", waited)
		}
		for _, e := range slices.Backward(all) {
			e.leave()
		}
		q.vacant(t)
	})
}
