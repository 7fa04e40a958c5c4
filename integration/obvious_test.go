package integration

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	obviousWriters = 8
	obviousAppends = 1000 // acknowledged, by all writers together
)

// TestTheObviousWayLosesEventsOnRedisAndOursDoesNot is the experiment behind the commit protocol.
// The obvious way to append on Dapr is one state transaction of {head with its ETag, event with
// first-write}. This is safe where transactions roll back. On Redis the sidecar acknowledges such
// transactions, although acknowledged events are then overwritten. If a later Dapr changes this,
// the test fails and says so.
func TestTheObviousWayLosesEventsOnRedisAndOursDoesNot(t *testing.T) {
	for _, test := range []struct {
		store     string
		component func(t *testing.T) string
		loses     bool
	}{
		{"state.redis", func(t *testing.T) string { return servers.RedisState("statestore", servers.StartRedis(t)) }, true},
		{"state.in-memory", func(*testing.T) string { return servers.InMemoryState("statestore") }, false},
		{"state.postgresql", func(t *testing.T) string { return servers.PostgresState("statestore", servers.StartPostgres(t), "v2") }, false},
	} {
		t.Run(test.store, func(t *testing.T) {
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{test.component(t)}})

			acks := appendTheObviousWay(t, d.Client(t))
			lost, head := lostTheObviousWay(t, d.Client(t), acks)
			fmt.Printf("obvious store=%s acked=%d lost=%d head=%s\n", test.store, len(acks), lost, head)
			switch {
			case test.loses && lost == 0:
				t.Error("the obvious way lost nothing. If transactions on Redis roll back now, add state.redis to rollsBack in adapter/sidecar/state.go")
			case !test.loses && lost != 0:
				t.Errorf("the obvious way lost %d events. Transactions of %s do not roll back: remove it from rollsBack in adapter/sidecar/state.go", lost, test.store)
			}

			ours := appendOurWay(t, d)
			reader := provider(t, state(t, d), racing.NoLock{}).Reader(racing.Stream("1"))
			lost, _ = racing.Compare(t, reader, ours) // Compare fails the test if it is not 0
			fmt.Printf("ours store=%s acked=%d lost=%d\n", test.store, len(ours), lost)
		})
	}
}

// obvious is an acknowledged append of the obvious way.
type obvious struct {
	key   string
	value string
}

// appendTheObviousWay appends with all writers at once, until all their appends are acknowledged.
func appendTheObviousWay(t *testing.T, client dapr.Client) (acks []obvious) {
	t.Helper()
	var mu sync.Mutex
	sideBySide(t, func(ctx context.Context, writer int) error {
		for n := 0; n < obviousAppends/obviousWriters; {
			head, err := client.GetStateWithConsistency(ctx, "statestore", "head", nil, dapr.StateConsistencyStrong)
			if err != nil {
				return err
			}
			version, _ := strconv.Atoi(string(head.Value)) // 0 if there is no head
			next := strconv.Itoa(version + 1)
			event := obvious{key: "event:" + next, value: fmt.Sprintf("writer %d, event %d", writer, n)}
			firstWrite := &dapr.StateOptions{Concurrency: dapr.StateConcurrencyFirstWrite, Consistency: dapr.StateConsistencyStrong}
			swap := &dapr.SetStateItem{Key: "head", Value: []byte(next), Options: firstWrite}
			if head.Etag != "" {
				swap.Etag = &dapr.ETag{Value: head.Etag}
			}
			err = client.ExecuteStateTransaction(ctx, "statestore", nil, []*dapr.StateOperation{
				{Type: dapr.StateOperationTypeUpsert, Item: swap},
				{Type: dapr.StateOperationTypeUpsert, Item: &dapr.SetStateItem{Key: event.key, Value: []byte(event.value), Options: firstWrite}},
			})
			switch status.Code(err) {
			case codes.OK:
				n++
				mu.Lock()
				acks = append(acks, event)
				mu.Unlock()
			case codes.Internal, codes.Aborted: // another writer was faster: read the head again
			default:
				return err
			}
		}
		return nil
	})
	return acks
}

// lostTheObviousWay counts the acknowledged events that are missing.
func lostTheObviousWay(t *testing.T, client dapr.Client, acks []obvious) (lost int, head string) {
	t.Helper()
	for _, ack := range acks {
		item, err := client.GetState(t.Context(), "statestore", ack.key, nil)
		if err != nil {
			t.Fatal(err)
		}
		if string(item.Value) != ack.value {
			lost++
		}
	}
	item, err := client.GetState(t.Context(), "statestore", "head", nil)
	if err != nil {
		t.Fatal(err)
	}
	return lost, string(item.Value)
}

// appendOurWay appends as many events with as many writers, without a lock that keeps them apart.
func appendOurWay(t *testing.T, d *servers.Daprd) (acks []racing.Ack) {
	t.Helper()
	p := provider(t, state(t, d), racing.NoLock{})
	var mu sync.Mutex
	sideBySide(t, func(ctx context.Context, i int) error {
		w := racing.Writer{Name: strconv.Itoa(i), Provider: p, Stream: "1", Appends: obviousAppends / obviousWriters, Events: 1, PerSession: obviousAppends}
		own, _, err := w.Run(ctx)
		mu.Lock()
		defer mu.Unlock()
		acks = append(acks, own...)
		return err
	})
	return acks
}

// sideBySide runs all writers at once.
func sideBySide(t *testing.T, write func(ctx context.Context, writer int) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), raceTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i := range obviousWriters {
		all.Go(func() {
			if err := write(ctx, i); err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}
