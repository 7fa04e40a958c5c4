package stores

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	appendRounds = 200
	readRounds   = 40
	readEvents   = 1000
)

// comparison compares the time of the event store with the time of the fewest raw requests that
// carry the same bytes.
type comparison struct {
	Ours, Raw time.Duration // medians
}

func (c comparison) ratio() float64 { return float64(c.Ours) / float64(c.Raw) }

// note is an event of about 512 bytes.
type note struct {
	N    int
	Text string
}

// measure times the first append of 1 event in a session and the read of 1,000 events in a session.
// It compares both with raw requests to the same sidecar.
func measure(t *testing.T, d *servers.Daprd, state *sidecar.State) (appending, reading comparison) {
	t.Helper()
	registry, err := eventstore.NewRegistry(eventstore.Type[note]("note"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry), eventstore.WithLocker(racing.NoLock{}),
		eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	client := d.Client(t)
	open := func(id string) *eventstore.Session {
		s, err := p.Open(t.Context(), p.Stream("notes", id))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	event := func(n int) any { return note{n, strings.Repeat("n", 480)} }

	// The raw requests carry what an append of 1 event has stored.
	s := open("appends")
	if _, err := s.Append(t.Context(), eventstore.ExpectAny(), event(0)); err != nil {
		t.Fatal(err)
	}
	head := value(t, client, "{EventStores:notes:appends}:head")
	if err := s.Close(); err != nil { // which stores the event under its own key
		t.Fatal(err)
	}
	record := value(t, client, "{EventStores:notes:appends}:1")
	raw := func(ctx context.Context, n int, etag string) error {
		swap := saved("{EventStores:notes:rawones}:head", head, firstWrite)
		if etag != "" {
			swap.Etag = &dapr.ETag{Value: etag}
		}
		if !state.Capabilities().Atomic {
			return client.SaveBulkState(ctx, "statestore", swap)
		}
		return client.ExecuteStateTransaction(ctx, "statestore", nil, []*dapr.StateOperation{
			upsert(swap), upsert(saved(fmt.Sprintf("{EventStores:notes:rawones}:%d", n), record, lastWrite))})
	}
	appending = inTurns(t, appendRounds,
		func(n int) (time.Duration, error) {
			s := open("appends")
			defer s.Close()
			return timed(func() error {
				_, err := s.Append(t.Context(), eventstore.ExpectAny(), event(n))
				return err
			})
		},
		func(n int) (time.Duration, error) {
			etag, err := client.GetStateWithConsistency(t.Context(), "statestore", "{EventStores:notes:rawones}:head", nil, dapr.StateConsistencyStrong)
			if err != nil {
				return 0, err
			}
			return timed(func() error { return raw(t.Context(), n, etag.Etag) })
		})

	s = open("reads")
	all := make([]any, readEvents)
	keys := make([]string, readEvents)
	for i := range all {
		all[i], keys[i] = event(i), fmt.Sprintf("{EventStores:notes:reads}:%d", i+1)
	}
	if _, err := s.Append(t.Context(), eventstore.ExpectAny(), all...); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	reading = inTurns(t, readRounds,
		func(int) (time.Duration, error) {
			s := open("reads")
			defer s.Close()
			return timed(func() error {
				n := 0
				for _, err := range s.Read(t.Context()) {
					if err != nil {
						return err
					}
					n++
				}
				return complete(n)
			})
		},
		func(int) (time.Duration, error) {
			return timed(func() error {
				items, err := client.GetBulkState(t.Context(), "statestore", keys, nil, 32)
				if err != nil {
					return err
				}
				n := 0
				for _, item := range items {
					if len(item.Value) > 0 {
						n++
					}
				}
				return complete(n)
			})
		})
	return appending, reading
}

func complete(n int) error {
	if n != readEvents {
		return fmt.Errorf("%d events were read, want %d", n, readEvents)
	}
	return nil
}

func value(t *testing.T, client dapr.Client, key string) []byte {
	t.Helper()
	item, err := client.GetState(t.Context(), "statestore", key, nil)
	if err != nil || len(item.Value) == 0 {
		t.Fatalf("%s: %d bytes, %v", key, len(item.Value), err)
	}
	return item.Value
}

func timed(f func() error) (time.Duration, error) {
	began := time.Now()
	err := f()
	return time.Since(began), err
}

// inTurns runs both in turns, A B B A, after a warm-up. If the machine drifts, both are affected
// alike.
func inTurns(t *testing.T, rounds int, ours, raw func(round int) (time.Duration, error)) comparison {
	t.Helper()
	sides := []func(int) (time.Duration, error){ours, raw}
	took := make([][]time.Duration, len(sides))
	const warmUp = 5
	for round := range warmUp + rounds {
		for i := range sides {
			if round%2 == 1 {
				i = len(sides) - 1 - i
			}
			if rounds <= readRounds {
				runtime.GC() // so that neither pays for the other's garbage
			}
			d, err := sides[i](round)
			if err != nil {
				t.Fatal(err)
			}
			if round >= warmUp {
				took[i] = append(took[i], d)
			}
		}
	}
	return comparison{Ours: median(took[0]), Raw: median(took[1])}
}

func median(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)/2]
}
