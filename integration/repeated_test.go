package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// These are the commands that Redis gets when a lock is taken and released, and when a lease is
// swapped.
const (
	takesLock  = "\r\nnx\r\n"
	givesLock  = `if v~=ARGV[1] then return -2`
	swapsLease = `redis.pcall("HGET", KEYS[1], "version")`
)

// repeats is a component that repeats requests below the event store.
type repeats struct {
	readTimeout string // of the sidecar's Redis client; empty for its default
	resiliency  string // resiliency policies of the sidecar
}

var repeaters = map[string]repeats{
	"the Redis client of the sidecar": {readTimeout: "300ms"},
	"a resiliency policy": {resiliency: `apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata:
  name: again
spec:
  policies:
    timeouts:
      short: 300ms
    retries:
      again:
        policy: constant
        duration: 50ms
        maxRetries: 5
  targets:
    components:
      statestore:
        outbound: {timeout: short, retry: again}
      lockstore:
        outbound: {timeout: short, retry: again}
`},
}

// startRepeating starts a sidecar whose requests to Redis pass through a relay.
func startRepeating(t *testing.T, by repeats) (*servers.Redis, *relay, *servers.Daprd) {
	t.Helper()
	r := servers.StartRedis(t)
	way := startRelay(t, r.Addr)
	settings := map[string]string{"redisHost": way.addr, "redisPassword": "", "keyPrefix": "none"}
	if by.readTimeout != "" {
		settings["readTimeout"] = by.readTimeout
	}
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "repeating", Resiliency: by.resiliency, Components: []string{
		servers.Component("statestore", "state.redis", "v1", settings), servers.Component("lockstore", "lock.redis", "v1", settings),
	}})
	return r, way, d
}

// lockers are the two ways to keep sessions apart, with the commands that Redis gets when a session
// begins and ends.
var lockers = map[string]struct {
	of           func(t *testing.T, d *servers.Daprd) driver.Locker
	takes, gives string
}{
	"lock component": {func(t *testing.T, d *servers.Daprd) driver.Locker { return locker(t, d) }, takesLock, givesLock},
	"lease":          {func(*testing.T, *servers.Daprd) driver.Locker { return nil }, swapsLease, swapsLease},
}

// unwaiting returns a provider whose sessions do not wait for others, because there are none.
func unwaiting(t *testing.T, s driver.State, l driver.Locker) *eventstore.Provider {
	t.Helper()
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout = 0
	options := []eventstore.Option{eventstore.WithSettings(settings)}
	if l != nil {
		options = append(options, eventstore.WithLocker(l))
	}
	p, err := eventstore.NewProvider(s, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestARequestForTheLockThatIsRepeatedBelowBlocksNoStream(t *testing.T) {
	for by, repeats := range repeaters {
		for name, l := range lockers {
			t.Run(name+" repeated by "+by, func(t *testing.T) {
				_, way, d := startRepeating(t, repeats)
				p := unwaiting(t, state(t, d), l.of(t, d))
				cycle := func(lose func(when string)) {
					t.Helper()
					lose("open")
					s, err := p.Open(t.Context(), p.Stream("account", "1"))
					if err != nil {
						t.Fatalf("Open: %v", err)
					}
					if _, err := s.Append(t.Context(), eventstore.ExpectAny(), eventstore.Raw{Type: "x", ContentType: "text/plain", Payload: []byte("1")}); err != nil {
						t.Errorf("Append: %v", err)
					}
					lose("close")
					if err := s.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
				cycle(func(string) {}) // the lease exists after this
				for _, when := range []string{"open", "close"} {
					match := l.takes
					if when == "close" {
						match = l.gives
					}
					cycle(func(now string) {
						if now == when {
							way.lose(match, nil)
						}
					})
					if n := way.deliveries(); n < 2 {
						t.Errorf("at %s the request went to Redis %d times, so it was not repeated", when, n)
					}
					cycle(func(string) {}) // nothing is left behind
				}
			})
		}
	}
}

// Redis stands still until the sidecar's client gives up on the answer, by default after 3 s, and
// sends the request again.
func TestARedisThatStandsStillBlocksNoStream(t *testing.T) {
	for name, l := range lockers {
		t.Run(name, func(t *testing.T) {
			r, way, d := startRepeating(t, repeats{})
			p := unwaiting(t, state(t, d), l.of(t, d))
			var s *eventstore.Session
			open := func() (err error) {
				s, err = p.Open(context.WithoutCancel(t.Context()), p.Stream("account", "1"))
				return err
			}
			during := func(match string, operation func() error) {
				t.Helper()
				arrived, goOn := make(chan struct{}), make(chan struct{})
				gaveUp := way.lose(match, func() { close(arrived); <-goOn })
				ended := make(chan error, 1)
				go func() { ended <- operation() }()
				<-arrived
				r.Pause(t)
				close(goOn)
				<-gaveUp
				r.Resume(t)
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			during(l.takes, open)
			if s == nil {
				t.FailNow()
			}
			during(l.gives, s.Close)
			if err := open(); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// tries counts the attempts to take a lock.
type tries struct {
	driver.Locker
	n atomic.Int64
}

func (c *tries) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	c.n.Add(1)
	return c.Locker.TryLock(ctx, resource, owner, expiry)
}

func TestManyThatOpenOneStreamAtOnceAreAllServed(t *testing.T) {
	const many = 64
	r := servers.StartRedis(t)
	components := []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}
	sidecars := make([]*servers.Daprd, 2)
	for i := range sidecars {
		sidecars[i] = servers.StartDaprd(t, servers.DaprdConfig{AppID: fmt.Sprintf("many-%d", i), Components: components})
	}
	for _, processes := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d sidecars", processes), func(t *testing.T) {
			counts := make([]*tries, processes)
			providers := make([]*eventstore.Provider, processes)
			for i := range providers {
				counts[i] = &tries{Locker: locker(t, sidecars[i])}
				var err error
				if providers[i], err = eventstore.NewProvider(state(t, sidecars[i]), eventstore.WithLocker(counts[i])); err != nil {
					t.Fatal(err)
				}
			}
			id := fmt.Sprint(processes)
			var all sync.WaitGroup
			for i := range many {
				p := providers[i%processes]
				all.Go(func() {
					s, err := p.Open(context.WithoutCancel(t.Context()), p.Stream("account", id))
					if err != nil {
						t.Errorf("Open: %v", err)
						return
					}
					if _, err := s.Append(context.WithoutCancel(t.Context()), eventstore.ExpectAny(), eventstore.Raw{Type: "x", ContentType: "text/plain", Payload: []byte("1")}); err != nil {
						t.Errorf("Append: %v", err)
					}
					if err := s.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				})
			}
			all.Wait()
			total := int64(0)
			for _, c := range counts {
				total += c.n.Load()
			}
			// At most three attempts at first, and three each time that the lock was free.
			if total > 6*many {
				t.Errorf("%d sessions tried the lock %d times", many, total)
			}
			reader := providers[0].Reader(providers[0].Stream("account", id))
			if v, err := reader.Version(t.Context()); v != many || err != nil {
				t.Errorf("the stream is at version %d, %v, want %d", v, err, many)
			}
			t.Logf("%d sessions of %d processes tried the lock %d times", many, processes, total)
		})
	}
}
