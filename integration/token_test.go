package integration

import (
	"strings"
	"testing"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// This test changes the environment, so it can't be parallel.
func TestAServiceWithTheSidecarsAPITokenInItsEnvironmentIsLetIn(t *testing.T) {
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", APIToken: "secret",
		Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}})
	dial := func(token string) dapr.Client {
		t.Setenv("DAPR_API_TOKEN", token)
		c, err := dapr.NewClientWithAddressContext(t.Context(), d.GRPCAddr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}

	client := dial("secret")
	s, err := sidecar.NewState(t.Context(), client, "statestore")
	if err != nil {
		t.Fatal(err)
	}
	l, err := sidecar.NewLocker(t.Context(), client, "lockstore")
	if err != nil {
		t.Fatal(err)
	}
	p := provider(t, s, l)
	session, err := p.Open(t.Context(), racing.Stream("1"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if version, err := session.Append(t.Context(), eventstore.ExpectVersion(int64(n)), racing.Event{N: n}); version != int64(n)+1 || err != nil {
			t.Fatalf("version %d, %v", version, err)
		}
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	reader := p.Reader(racing.Stream("1"))
	racing.Compare(t, reader, []racing.Ack{{N: 0, Events: 1, Version: 1}, {N: 1, Events: 1, Version: 2}, {N: 2, Events: 1, Version: 3}})

	for _, token := range []string{"wrong", ""} {
		client := dial(token)
		_, stateErr := sidecar.NewState(t.Context(), client, "statestore")
		_, lockErr := sidecar.NewLocker(t.Context(), client, "lockstore")
		for _, err := range []error{stateErr, lockErr} {
			if err == nil || !strings.Contains(err.Error(), "DAPR_API_TOKEN") || strings.Contains(err.Error(), "secret") {
				t.Errorf("with the token %q: %v", token, err)
			}
		}
	}
}
