package stores

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
)

// longestNames checks that a store takes the longest possible names with the longest idempotency
// id. If the store has shorter keys, it checks the longest names that the store should take. The
// session must then refuse longer names before it sends anything.
func longestNames(t *testing.T, state driver.State) {
	name := strings.Repeat("ü", 100) // 200 bytes, or 600 when escaped
	database, id, idempotency := name, name, name
	p := provider(t, state, racing.NoLock{})
	if limit := state.Capabilities().MaxKeyBytes; limit > 0 {
		if _, err := p.Open(t.Context(), eventstore.Stream{Database: database, Type: name, ID: id}); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("names that are too long: %v, want an ArgumentError", err)
		}
		database, name, idempotency = "db", "type", "i"
		id = strings.Repeat("x", limit-len("{db:type:}:snapshot:9223372036854775807"))
		if _, err := p.Open(t.Context(), eventstore.Stream{Database: database, Type: name, ID: id + "x"}); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("a name that is too long by one byte: %v, want an ArgumentError", err)
		}
	}
	s, err := p.Open(t.Context(), eventstore.Stream{Database: database, Type: name, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range 2 {
		event := eventstore.Event{Data: racing.Event{N: n}}
		if n == 0 {
			event.Metadata.Context.IdempotencyID = idempotency
		}
		if _, err := s.Append(t.Context(), eventstore.ExpectAny(), event); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveSnapshot(t.Context(), int64(n+1), racing.Event{N: n}); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := s.VersionOf(t.Context(), idempotency); v != 1 || err != nil {
		t.Errorf("the event of the idempotency id is %d, %v", v, err)
	}
	for n := range 2 {
		if e, err := s.Event(t.Context(), int64(n+1)); err != nil || e.Data != (racing.Event{N: n}) {
			t.Errorf("version %d is %v, %v", n+1, e.Data, err)
		}
	}
}

// limits are the largest sizes that a store took.
type limits struct {
	Operations, ValueBytes, KeyBytes limit
}

type limit struct {
	Most int
	All  bool // the store took the largest size that was tried, so there may be no limit
}

func (l limit) String() string {
	text := thousands(l.Most)
	if l.All {
		return "≥ " + text
	}
	return text
}

const (
	mostOperations = 10_000
	mostValue      = 16 << 20
	mostKey        = 64 << 10
	prefix         = "statestore||" // what the sidecar puts before a key
)

// probe finds out how much a store takes. It sends raw requests through a sidecar that is large
// enough for all of them.
func probe(t *testing.T, r row, s server) limits {
	t.Helper()
	config := s.config(t, r, "probe")
	config.MaxBodySize = "256Mi"
	client := startedClient(t, config, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(256<<20), grpc.MaxCallSendMsgSize(256<<20)))
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	keeps := func(key string, value []byte) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := client.SaveBulkState(ctx, "statestore", saved(key, value, lastWrite)); err != nil {
			return false
		}
		item, err := client.GetState(ctx, "statestore", key, nil)
		return err == nil && bytes.Equal(item.Value, value)
	}
	return limits{
		Operations: most(mostOperations, func(n int) bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			operations := make([]*dapr.StateOperation, n)
			for i := range operations {
				operations[i] = upsert(saved(fmt.Sprintf("{probe}:%d:%d", n, i), []byte("x"), lastWrite))
			}
			return client.ExecuteStateTransaction(ctx, "statestore", nil, operations) == nil
		}, 100),
		ValueBytes: most(mostValue, func(n int) bool {
			value := make([]byte, n)
			for i := range value {
				value[i] = byte(random.Uint32())
			}
			return keeps("{probe}:value", value)
		}, 1<<20),
		KeyBytes: most(mostKey, func(n int) bool { return keeps(text(n-len(prefix)), []byte("x")) }, 1),
	}
}

// most returns the largest number, up to all, that a store takes. It is exact to step.
func most(all int, takes func(n int) bool, step int) limit {
	if takes(all) {
		return limit{all, true}
	}
	low, high := 0, all
	for high-low > step {
		if middle := (low + high) / 2; takes(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return limit{low, false}
}
