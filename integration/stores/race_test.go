package stores

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	writers     = 8
	appends     = 1000 // acknowledged, by all writers together
	perSession  = 25
	raceTimeout = 3 * time.Minute
)

// raceResult is the result of a race.
type raceResult struct {
	Acked   int // appends
	Refused int // because another writer was faster
	AtCrash int // appends that were acknowledged when the store was up again
	Lost    int // acknowledged events that are missing
}

// race lets eight writers append to one stream. Each has its own provider, and half of them use
// another sidecar. Half take the lock or the lease, and the other half goes ahead without it. If
// the store has a crash function, the store crashes in the middle. Then a sidecar that has seen
// nothing of the race reads the stream.
func race(t *testing.T, r row, s server, first *servers.Daprd) (result raceResult) {
	second := first
	if !s.alone {
		second = r.sidecar(t, s, "second")
	}
	ctx, cancel := context.WithTimeout(t.Context(), raceTimeout)
	defer cancel()
	journal := &journal{half: make(chan struct{})}
	var all sync.WaitGroup
	for i := range writers {
		state, locker := connect(t, []*servers.Daprd{first, second}[i%2], r)
		if i/2%2 == 1 {
			locker = racing.NoLock{}
		}
		w := racing.Writer{Name: fmt.Sprint("w", i), Provider: provider(t, state, locker), Stream: "1",
			Appends: appends / writers, Events: 3, PerSession: perSession, Patient: s.crash != nil, Acked: journal.add}
		all.Go(func() {
			_, refused, err := w.Run(ctx)
			journal.refuse(refused)
			if err != nil {
				t.Errorf("writer %s: %v", w.Name, err)
				cancel()
			}
		})
	}
	if s.crash != nil {
		select {
		case <-journal.half:
			s.crash(t)
			if result.AtCrash = journal.acknowledged(); result.AtCrash == appends {
				t.Error("all appends were acknowledged when the store was up again: it did not crash in the middle")
			}
		case <-ctx.Done():
			t.Errorf("half of the appends were not acknowledged: %v", ctx.Err())
		}
	}
	all.Wait()

	fresh := first
	if !s.alone {
		fresh = r.sidecar(t, s, "fresh")
	}
	state, _ := connect(t, fresh, r)
	reader := provider(t, state, racing.NoLock{}).Reader(racing.Stream("1"))
	var events int64
	result.Acked, result.Refused = len(journal.acks), journal.refused
	result.Lost, events = racing.Compare(t, reader, journal.acks)
	if len(journal.acks) != appends {
		t.Errorf("%d appends were acknowledged, want %d", len(journal.acks), appends)
	}
	if journal.refused == 0 {
		t.Error("no append was refused, so there was no race")
	}
	if s.after != nil {
		s.after(t, events)
	}
	return result
}

// provider returns a provider for writers that compete with each other.
func provider(t *testing.T, s driver.State, l driver.Locker) *eventstore.Provider {
	t.Helper()
	p, err := racing.NewProvider(s, l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// journal is what all writers report.
type journal struct {
	mu      sync.Mutex
	acks    []racing.Ack
	refused int
	half    chan struct{} // closed when half of the appends are acknowledged
}

func (j *journal) add(a racing.Ack) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.acks = append(j.acks, a)
	if len(j.acks) == appends/2 {
		close(j.half)
	}
}

func (j *journal) acknowledged() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.acks)
}

func (j *journal) refuse(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.refused += n
}
