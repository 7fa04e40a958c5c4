package integration

import (
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
	"github.com/hexalith/eventstores-go/integration/servers"
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
}
