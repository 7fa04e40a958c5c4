package integration

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

func TestWhatCannotWorkIsRefusedWhenTheAdapterIsMade(t *testing.T) {
	t.Parallel()
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", APIToken: "secret", Components: []string{servers.InMemoryState("statestore")}})
	dial := func(address, token string) dapr.Client {
		c, err := dapr.NewClientWithAddressContext(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		c.WithAuthToken(token)
		return c
	}
	nobody := fmt.Sprintf("127.0.0.1:%d", servers.FreePorts(t, 1)[0])
	conn, err := grpc.NewClient(nobody, grpc.WithTransportCredentials(insecure.NewCredentials())) // does not wait for a connection
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	httpPort := fmt.Sprintf("127.0.0.1:%d", d.HTTPPort)
	for _, test := range []struct {
		name   string
		client dapr.Client
		state  string // or
		lock   string
		says   []string
	}{
		{"a sidecar that is not there", dapr.NewClientWithConnection(conn), "statestore", "", []string{"no Dapr sidecar answers", nobody, "DAPR_GRPC_PORT"}},
		{"the sidecar's HTTP port", dial(httpPort, "secret"), "statestore", "", []string{"is not a Dapr sidecar", httpPort}},
		{"a store that is not configured", d.Client(t), "nosuch", "", []string{`no state component "nosuch"`, `it has "statestore" (state.in-memory)`}},
		{"a lock that is not configured", d.Client(t), "", "lockstore", []string{`no lock component "lockstore"`, "it has none"}},
		{"a state store as a lock", d.Client(t), "", "statestore", []string{`no lock component "statestore"`, "it has none"}},
		{"a wrong API token", dial(d.GRPCAddr(), "wrong"), "statestore", "", []string{"denied access", "DAPR_API_TOKEN"}},
		{"no API token", dial(d.GRPCAddr(), ""), "statestore", "", []string{"denied access", "DAPR_API_TOKEN"}},
		{"a blank name", d.Client(t), " ", "", []string{"name of the state component is blank"}},
		{"no client", nil, "statestore", "", []string{"client is nil"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var err error
			if test.lock != "" {
				_, err = sidecar.NewLocker(t.Context(), test.client, test.lock)
			} else {
				_, err = sidecar.NewState(t.Context(), test.client, test.state)
			}
			if err == nil {
				t.Fatal("got no error")
			}
			for _, says := range test.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("the message does not say %q: %v", says, err)
				}
			}
		})
	}
}

// wantError checks the type of an error, and that its message says what to do.
func wantError(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.As(err, reflect.New(reflect.TypeOf(kind)).Interface()) {
		t.Fatalf("got the error %v, want %T", err, kind)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the message does not say %q: %v", want, err)
		}
	}
}

func TestAClientThatTheSidecarNoLongerLetsInChangesNothing(t *testing.T) {
	t.Parallel()
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", APIToken: "secret", Components: []string{servers.InMemoryState("statestore")}})
	client := d.Client(t)
	s, err := sidecar.NewState(t.Context(), client, "statestore")
	if err != nil {
		t.Fatal(err)
	}
	p := provider(t, s, racing.NoLock{})
	session, err := p.Open(t.Context(), racing.Stream("1"))
	if err != nil {
		t.Fatal(err)
	}
	client.WithAuthToken("revoked")
	_, err = session.Append(t.Context(), eventstore.ExpectAny(), racing.Event{})
	wantError(t, err, &eventstore.StorageError{}, "DAPR_API_TOKEN")
	_, err = p.Open(t.Context(), racing.Stream("1"))
	wantError(t, err, &eventstore.StorageError{}, "DAPR_API_TOKEN")

	client.WithAuthToken("secret")
	reader := p.Reader(racing.Stream("1"))
	racing.Compare(t, reader, nil)
}

func TestASidecarThatHasGoneIsNoEmptyStream(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r)}})
	settings := eventstore.DefaultSettings()
	settings.CommitTimeout = 100 * time.Millisecond // after this time the outcome of an append is unknown
	p := provider(t, state(t, d), racing.NoLock{}, eventstore.WithSettings(settings))
	session, err := p.Open(t.Context(), racing.Stream("1"))
	if err != nil {
		t.Fatal(err)
	}
	version, err := session.Append(t.Context(), eventstore.ExpectVersion(0), racing.Event{N: 0})
	if err != nil {
		t.Fatal(err)
	}
	reader := p.Reader(racing.Stream("1"))

	d.Kill(t)
	_, err = reader.Version(t.Context())
	wantError(t, err, &eventstore.StorageError{}, "the sidecar cannot be reached")
	_, err = p.Open(t.Context(), racing.Stream("1"))
	wantError(t, err, &eventstore.StorageError{}, "the sidecar cannot be reached")
	// The session reads the head again before it writes anything, so it knows that nothing was
	// stored.
	_, err = session.Append(t.Context(), eventstore.ExpectAny(), racing.Event{N: 1})
	wantError(t, err, &eventstore.StorageError{}, "the sidecar cannot be reached")

	// When the sidecar is back, another session can append.
	d.Restart(t)
	p = provider(t, state(t, d), racing.NoLock{})
	if session, err = p.Open(t.Context(), racing.Stream("1")); err != nil {
		t.Fatal(err)
	}
	if appended, err := session.Append(t.Context(), eventstore.ExpectVersion(version), racing.Event{N: 1}); err != nil || appended != version+1 {
		t.Fatalf("Append: version %d, %v", appended, err)
	}
	racing.Compare(t, p.Reader(racing.Stream("1")), []racing.Ack{{N: 0, Events: 1, Version: 1}, {N: 1, Events: 1, Version: 2}})
}
