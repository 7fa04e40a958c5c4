package integration

import (
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
	"github.com/hexalith/eventstores-go/integration/servers"
	"github.com/hexalith/eventstores-go/internal/embeddedtest"
)

func TestRedisEmbedded(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	s, err := redis.Open(t.Context(), r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
	t.Run("feed", func(t *testing.T) { storetest.TestFeed(t, storetest.Target{State: s}) })
	t.Run("in common", func(t *testing.T) {
		embeddedtest.Test(t, func(t *testing.T) (embeddedtest.Store, error) { return redis.Open(t.Context(), r.Addr) })
	})
}

// A cluster lists its keys node by node.
func TestARedisClusterEmbedded(t *testing.T) {
	t.Parallel()
	c := servers.StartRedisCluster(t, 3)
	t.Run("in common", func(t *testing.T) {
		embeddedtest.Test(t, func(t *testing.T) (embeddedtest.Store, error) {
			return redis.Open(t.Context(), c.Masters[0].Addr, redis.WithCluster())
		})
	})
	for i, master := range c.Masters {
		if keys, err := master.Do("DBSIZE"); err != nil || keys == "0" {
			t.Errorf("master %d has %s keys, %v: the test says nothing of it", i, keys, err)
		}
	}
}
