package integration

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// The commands that look into a store answer the same on a Redis and through a sidecar.
func TestTheCommandLooksIntoAStore(t *testing.T) {
	t.Parallel()
	binary := buildCommand(t)
	for name, start := range map[string]func(t *testing.T) commandStore{
		"on a Redis": func(t *testing.T) commandStore {
			r := servers.StartRedis(t)
			return redisInProcess(t, "redis://"+r.Addr+"/0", r.Addr)
		},
		"through a sidecar": func(t *testing.T) commandStore {
			r := servers.StartRedis(t)
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}})
			return commandStore{"dapr:statestore@" + d.GRPCAddr() + "?lock=lockstore", state(t, d)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			p := provider(t, s.state, nil, eventstore.WithFeed("all"))
			f, err := feed.Open(p)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			ended := make(chan error, 2)
			go func() { ended <- f.Index(ctx) }()
			cause := ""
			for _, id := range []string{"Ada Lovelace", "2", "a:\x1b[2J"} {
				event := eventstore.Event{Data: eventstore.Raw{Type: "deposited", ContentType: "application/json", Payload: []byte(`{"amount":5}`)},
					Metadata: eventstore.Metadata{Message: eventstore.MessageMetadata{ID: "m-" + id[:1]}, Context: eventstore.ContextMetadata{CorrelationID: "c1", CausationID: cause}}}
				if _, err := p.Append(ctx, p.Stream("account", id), eventstore.ExpectAny(), event); err != nil {
					t.Fatal(err)
				}
				cause = "m-" + id[:1]
			}
			// It cannot decode the events, because the provider has no registry.
			follower, err := subscription.New(f, "mails", func(context.Context, feed.Item) error { return nil },
				subscription.WithParking(), subscription.WithRetries(0), subscription.WithPartitions(1))
			if err != nil {
				t.Fatal(err)
			}
			go func() { ended <- follower.Run(ctx) }()
			for parked := 0; parked < 3; {
				all, err := follower.Parked(ctx)
				if _, no := errors.AsType[*subscription.NotFoundError](err); err != nil && !no {
					t.Fatal(err)
				}
				parked = len(all)
			}
			run := func(args []string, says ...string) {
				t.Helper()
				cmd := exec.CommandContext(ctx, binary, append(args, "--store", s.spec)...)
				cmd.Dir = t.TempDir()
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%q: %v\n%s", args, err, out)
				}
				for _, part := range says {
					if !strings.Contains(string(out), part) {
						t.Errorf("%q does not say %q:\n%s", args, part, out)
					}
				}
				if strings.Contains(string(out), "\x1b") {
					t.Errorf("%q controls the terminal: %q", args, out)
				}
			}
			for listed := 0; listed < 3; { // the catalogue follows the log
				listed = 0
				for _, err := range f.Streams(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					listed++
				}
			}
			run([]string{"streams"}, "open     EventStores:account:Ada Lovelace\n", "EventStores:account:a%3A%1B%5B2J\n")
			run([]string{"show", "account:Ada Lovelace"}, "  deposited\n    id           m-A\n", `"amount": 5`)
			run([]string{"tail", "--after", "0", "--count", "3"}, "EventStores:account:2  1  deposited  {\"amount\":5}\n")
			run([]string{"find", "--correlation", "c1"}, "The command reads about ", "EventStores:account:Ada Lovelace  1  deposited")
			run([]string{"trace", "m-2"}, "id=m-A\n└─ 20", "id=m-2  ◀\n   └─ 20", "id=m-a\n")
			run([]string{"projections"}, "mails  1        active", "1/1      3\n")
			run([]string{"projections", "parked", "mails"}, "EventStores:account:2             1-1", "is not registered")
			run([]string{"projections", "parked", "mails", "skip", "account:2", "--yes"}, "asked    EventStores:account:2")
			run([]string{"append", "account:2", "--type", "noted", "--data", "{}", "--expect", "1", "--yes"}, "appended EventStores:account:2 version=2")
			run([]string{"verify", "--all"}, "3 of 3 streams sound")
			run([]string{"doctor", "--deep"}, "ok       catalogue   3 streams", "ok       streams     3 of 3 ", "ok       log ", " 0 failed, ")
			stop()
			if err := errors.Join(<-ended, <-ended); err != nil {
				t.Error(err)
			}
		})
	}
}
