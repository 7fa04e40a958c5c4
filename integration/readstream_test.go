package integration

import (
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/integration/servers"
	"github.com/hexalith/eventstores-go/internal/readstreamtest"
)

func TestTheReaderOnRedis(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	t.Run("in the process", func(t *testing.T) {
		t.Parallel()
		s, err := redis.Open(t.Context(), r.Addr, redis.WithDB(5))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		// The reader needs no more than this.
		if _, err := r.Do("ACL", "SETUSER", "ada", "on", ">s3c:r@t", "~*", "+hget", "+select"); err != nil {
			t.Fatal(err)
		}
		readstreamtest.Test(t, s, "redis://ada:s3c%3Ar%40t@"+r.Addr+"/5")
	})
	t.Run("through a sidecar", func(t *testing.T) {
		t.Parallel()
		// By default, keys begin with the id of the app.
		component := servers.Component("statestore", "state.redis", "v1", map[string]string{"redisHost": r.Addr, "redisPassword": ""})
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{component}})
		readstreamtest.Test(t, state(t, d), "redis://"+r.Addr, "--prefix", "bank")
	})
}
