package integration

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// pubsub returns the component file of a pub/sub on Redis. The consumer ID may be empty, which is
// the app id.
func pubsub(r *servers.Redis, consumerID string) string {
	metadata := map[string]string{"redisHost": r.Addr, "redisPassword": "", "maxLenApprox": "100"}
	if consumerID != "" {
		metadata["consumerID"] = consumerID
	}
	return servers.Component("pubsub", "pubsub.redis", "v1", metadata)
}

func bellOf(t *testing.T, d *servers.Daprd) *sidecar.Bell {
	t.Helper()
	b, err := sidecar.NewBell(t.Context(), d.Client(t, sidecar.DialOptions()...), "pubsub", "eventstores")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Two instances of one service have a sidecar each. Each of them hears each message if each has its
// own consumer ID. Otherwise they share the messages. A publisher has no effect on that.
func TestEachInstanceHearsTheBellIfItHasItsOwnConsumerID(t *testing.T) {
	t.Parallel()
	const rings = 50
	for _, test := range []struct {
		consumerID string
		heard      int64 // by all together
	}{
		{"{uuid}", 2 * rings},
		{"", rings},
	} {
		t.Run("consumerID "+test.consumerID, func(t *testing.T) {
			r := servers.StartRedis(t)
			var heard [2]atomic.Int64
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			var bells []*sidecar.Bell
			for i := range heard {
				d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{pubsub(r, test.consumerID)}})
				b := bellOf(t, d)
				bells = append(bells, b)
				all.Go(func() {
					if err := b.Listen(ctx, func(string) { heard[i].Add(1) }); err != nil {
						t.Error(err)
					}
				})
			}
			for deadline := time.Now().Add(30 * time.Second); heard[0].Load() == 0 || heard[1].Load() == 0; {
				if time.Now().After(deadline) {
					t.Fatal("not both hear")
				}
				if err := bells[0].Ring(t.Context(), "are you there?"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			quiet(&heard[0], &heard[1])
			before := heard[0].Load() + heard[1].Load()
			for n := range rings {
				if err := bells[n%2].Ring(t.Context(), fmt.Sprint(n)); err != nil {
					t.Fatal(err)
				}
			}
			quiet(&heard[0], &heard[1])
			if n := heard[0].Load() + heard[1].Load() - before; n != test.heard {
				t.Errorf("they heard %d of %d messages together, want %d", n, rings, test.heard)
			}
		})
	}
}

// quiet waits until no message has come for a while.
func quiet(heard ...*atomic.Int64) {
	for last, since := int64(-1), time.Now(); time.Since(since) < time.Second; time.Sleep(20 * time.Millisecond) {
		var now int64
		for _, n := range heard {
			now += n.Load()
		}
		if now != last {
			last, since = now, time.Now()
		}
	}
}

// A writer, an indexer and a reader have a sidecar each. The bell brings events to the reader long
// before it would look by itself.
func TestABellBringsEventsToOtherProcesses(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	process := func(appID string) (*eventstore.Provider, *feed.Feed) {
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: appID, Components: []string{servers.RedisState("statestore", r), pubsub(r, "{uuid}")}})
		p := provider(t, state(t, d), nil, eventstore.WithFeed("all"), eventstore.WithBell(bellOf(t, d)))
		t.Cleanup(func() {
			if err := p.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		f, err := feed.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		return p, f
	}
	writer, _ := process("writer")
	_, indexer := process("indexer")
	_, reader := process("reader")
	all.Go(func() {
		if err := indexer.Index(ctx); err != nil {
			t.Error(err)
		}
	})
	came := make(chan time.Time, 100)
	all.Go(func() {
		for range reader.Read(ctx, feed.Live(), feed.AsRaw()) {
			came <- time.Now()
		}
	})
	var took []time.Duration
	for i := range 11 {
		time.Sleep(2500*time.Millisecond + time.Duration(i)*91*time.Millisecond) // so that all look once a second
		if _, err := writer.Append(t.Context(), writer.Stream("account", "1"), eventstore.ExpectAny(), eventstore.Raw{Type: "deposited"}); err != nil {
			t.Fatal(err)
		}
		written := time.Now()
		select {
		case at := <-came:
			took = append(took, at.Sub(written))
		case <-time.After(30 * time.Second):
			t.Fatal("an event did not come")
		}
	}
	slices.Sort(took)
	t.Logf("from an append to a reader in another process: %v", took)
	if median := took[len(took)/2]; median > 200*time.Millisecond { // without a bell it is about a second: half for the indexer, half for the reader
		t.Errorf("the median is %s", median)
	}
}
