package integration

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// commandStore is a store as the command and as this process reach it.
type commandStore struct {
	spec  string
	state driver.State
}

// all selects all streams of the store: by the keys that it lists, or by their names.
func (s commandStore) all(names ...string) []string {
	if _, lists := s.state.(driver.Lister); lists {
		return []string{"-all"}
	}
	return names
}

func redisInProcess(t *testing.T, spec, address string, options ...redis.Option) commandStore {
	t.Helper()
	s, err := redis.Open(t.Context(), address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return commandStore{spec, s}
}

// The streams are written without a feed, imported, indexed, and damaged.
func TestTheCommandImportsVerifiesAndRepairsAFeed(t *testing.T) {
	t.Parallel()
	binary := buildCommand(t)
	for name, start := range map[string]func(t *testing.T) commandStore{
		"on a Redis": func(t *testing.T) commandStore {
			r := servers.StartRedis(t)
			return redisInProcess(t, "redis://"+r.Addr+"/9", r.Addr, redis.WithDB(9))
		},
		"on a Redis Cluster": func(t *testing.T) commandStore {
			addr := servers.StartRedisCluster(t, 3).Masters[0].Addr
			return redisInProcess(t, "redis://"+addr+"/0?cluster=true", addr, redis.WithCluster())
		},
		"through a sidecar": func(t *testing.T) commandStore {
			r := servers.StartRedis(t)
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}})
			return commandStore{"dapr:statestore@" + d.GRPCAddr() + "?lock=lockstore", state(t, d)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, old := start(t), newOldHouse(t, 3, 20)
			run := func(code int, args []string, says ...string) {
				t.Helper()
				out, err := old.command(t, binary, args...)
				got := 0
				if ended, ok := errors.AsType[*exec.ExitError](err); ok {
					got = ended.ExitCode()
				} else if err != nil {
					t.Fatal(err)
				}
				for _, part := range says {
					if !strings.Contains(out, part) {
						t.Errorf("%q does not say %q:\n%s", args, part, out)
					}
				}
				if got != code {
					t.Fatalf("%q: exit code %d, want %d:\n%s", args, got, code, out)
				}
			}
			feedCommand := func(what string, more ...string) []string {
				return append([]string{"feed", what, "-store", s.spec}, more...)
			}
			run(0, append([]string{"copy", "-from", "sqlite:bank.db", "-to", s.spec}, old.names...), "3 of 3 streams copied")

			run(1, feedCommand("import", s.all(old.names...)...), "the store has no feed yet; give its name with --feed")
			run(0, feedCommand("import", append([]string{"-feed", "all"}, s.all(old.names...)...)...), "3 added, 0 known, 0 deleted, 0 empty, 0 failed")
			run(0, feedCommand("import", s.all(old.names...)...), "0 added, 3 known, 0 deleted, 0 empty, 0 failed")
			run(0, feedCommand("status"), "feed          all end=0 journals=1 open=0 waiting=7\n") // names, versions and the end

			// The head of a stream may have its last events in it, so many follow the damaged one.
			accounts := append(slices.Repeat([]string{"a"}, 12), "b")
			want := indexAndRead(t, s.state, 60, accounts...)
			run(0, feedCommand("status"), "feed          all end=", " waiting=1\n") // the end of this process
			run(0, feedCommand("verify"), "streams=5 behind=0 wrong=0")

			later := provider(t, s.state, nil)
			if _, err := later.Append(t.Context(), later.Stream("account", "later"), eventstore.ExpectAny(), eventstore.Raw{Type: "opened"}); err != nil {
				t.Fatal(err)
			}
			all := s.all(append(slices.Clone(old.names), "account:a", "account:b", "account:later")...)
			run(0, feedCommand("verify"), "streams=5 behind=0 wrong=0")
			run(1, feedCommand("verify", all...), "unlisted EventStores:account:later", " wrong=1\n")

			damaged := []driver.Write{{Key: "{:feed:all}:2", Value: []byte("nonsense")}}
			if err := s.state.Write(t.Context(), ":feed:all", damaged); err != nil {
				t.Fatal(err)
			}
			run(1, feedCommand("verify", all...), "damaged {:feed:all}:2: ", " wrong=1\n")
			run(0, feedCommand("verify", append([]string{"-repair"}, all...)...),
				"damaged {:feed:all}:2: ", "derived from streams", "unlisted EventStores:account:later: imported", "repaired; verifying", "begins again after", " wrong=0\n")
			run(0, feedCommand("verify"), " wrong=0\n")
			if got := indexAndRead(t, s.state, len(want)+1); !slices.Equal(got, slices.Sorted(slices.Values(append(want, "EventStores:account:later/1")))) {
				t.Errorf("the feed has %q, want %q and the stream that was not listed", got, want)
			}
			run(0, feedCommand("verify", all...), "streams=6 behind=0 wrong=0")
		})
	}
}

// indexAndRead indexes the feed, and appends to accounts, each time when all before is in the feed.
// It returns the ids of all items, sorted. The argument says how many there are at first.
func indexAndRead(t *testing.T, s driver.State, items int, accounts ...string) (ids []string) {
	t.Helper()
	p := provider(t, s, nil, eventstore.WithFeed("all"))
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	indexed := make(chan error, 1)
	go func() { indexed <- f.Index(ctx) }()
	for item, err := range f.Read(ctx, feed.Live(), feed.AsRaw()) {
		if err != nil {
			t.Fatalf("after %d items: %v", len(ids), err)
		}
		if ids = append(ids, item.ID()); len(ids) < items {
			continue
		}
		if len(accounts) == 0 {
			break
		}
		if _, err := p.Append(ctx, p.Stream("account", accounts[0]), eventstore.ExpectAny(), eventstore.Raw{Type: "deposited"}); err != nil {
			t.Fatal(err)
		}
		items, accounts = items+1, accounts[1:]
	}
	stop()
	if err := errors.Join(<-indexed, p.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	slices.Sort(ids)
	return ids
}
