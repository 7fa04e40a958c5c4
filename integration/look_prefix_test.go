package integration

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// The commands that look into a store read the Redis of a sidecar as a user who can only read.
func TestTheCommandReadsTheRedisOfASidecar(t *testing.T) {
	t.Parallel()
	binary := buildCommand(t)
	r := servers.StartRedis(t)
	component := servers.Component("statestore", "state.redis", "v1", map[string]string{"redisHost": r.Addr, "redisPassword": ""})
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{component}})
	p := provider(t, state(t, d), nil)
	if _, err := p.Append(t.Context(), p.Stream("account", "1"), eventstore.ExpectAny(), eventstore.Raw{Type: "opened", Payload: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do("ACL", "SETUSER", "reader", "on", ">read only", "~*", "+@read", "+@connection", "+info"); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"streams": "EventStores:account:1", "show account:1": "opened", "verify account:1": "sound    EventStores:account:1 version=1",
	} {
		cmd := exec.CommandContext(t.Context(), binary, append(strings.Fields(args), "--store", "redis://reader@"+r.Addr+"/0?prefix=bank")...)
		cmd.Env = append(cmd.Environ(), "REDIS_PASSWORD=read only")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v\n%s", args, err, out)
		}
	}
}
