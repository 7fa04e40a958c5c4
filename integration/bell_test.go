package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
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

// hearings are what the instances of a service have heard. They are safe for concurrent use.
type hearings struct {
	mu sync.Mutex
	by map[string]map[int]bool // the instances that heard a message
}

func (h *hearings) note(message string, instance int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.by[message] == nil {
		h.by[message] = map[int]bool{}
	}
	h.by[message][instance] = true
}

// of returns how many instances heard a message.
func (h *hearings) of(message string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.by[message])
}

// Two instances of one service have a sidecar each. Each of them hears each message if each has its
// own consumer ID. Otherwise they share the messages. A publisher has no effect on that.
func TestEachInstanceHearsTheBellIfItHasItsOwnConsumerID(t *testing.T) {
	t.Parallel()
	const rings = 50
	for _, test := range []struct {
		consumerID string
		by         int // how many instances hear a message
	}{
		{"{uuid}", 2},
		{"", 1},
	} {
		t.Run("consumerID "+test.consumerID, func(t *testing.T) {
			r := servers.StartRedis(t)
			heard := hearings{by: map[string]map[int]bool{}}
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			var bells []*sidecar.Bell
			for i := range 2 {
				d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{pubsub(r, test.consumerID)}})
				b := bellOf(t, d)
				bells = append(bells, b)
				all.Go(func() {
					if err := b.Listen(ctx, func(message string) { heard.note(message, i) }); err != nil {
						t.Error(err)
					}
				})
			}
			ringUntilBothHear := func(message string) {
				t.Helper()
				eventually(t, func() error {
					if err := bells[0].Ring(t.Context(), message); err != nil {
						return err
					}
					if n := heard.of(message); n < 2 {
						return fmt.Errorf("%d instances hear %q", n, message)
					}
					return nil
				})
			}
			ringUntilBothHear("are you there?")
			for n := range rings {
				if err := bells[n%2].Ring(t.Context(), fmt.Sprint(n)); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, func() error {
				for n := range rings {
					if by := heard.of(fmt.Sprint(n)); by < test.by {
						return fmt.Errorf("message %d was heard by %d instances, want %d", n, by, test.by)
					}
				}
				return nil
			})
			ringUntilBothHear("was that all?") // comes after all that was rung before
			for n := range rings {
				if by := heard.of(fmt.Sprint(n)); by != test.by {
					t.Errorf("message %d was heard by %d instances, want %d", n, by, test.by)
				}
			}
		})
	}
}

// deaf is the link of a process to the store and to the bell. While it holds, the process looks for
// news only when the bell has rung: each message about them lets one look through.
type deaf struct {
	driver.State
	driver.Bell
	news   eventstore.News       // that the process waits for
	isLook func(key string) bool // whether the process looks for them there

	holds atomic.Bool
	heard atomic.Int64  // messages about the news
	rung  chan struct{} // holds a token for a look
	held  chan struct{} // can be received from while a look is held
}

func (d *deaf) Listen(ctx context.Context, heard func(message string)) error {
	return d.Bell.Listen(ctx, func(message string) {
		if strings.Contains(message, " "+string(d.news)+" ") {
			d.heard.Add(1)
			select {
			case d.rung <- struct{}{}:
			default:
			}
		}
		heard(message)
	})
}

// look holds a request for news.
func (d *deaf) look(ctx context.Context, keys ...string) error {
	if !d.holds.Load() || !slices.ContainsFunc(keys, d.isLook) {
		return nil
	}
	for {
		select {
		case <-d.rung:
			return nil
		default:
		}
		select {
		case <-d.rung:
			return nil
		case d.held <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", driver.ErrRefused, ctx.Err())
		}
	}
}

func (d *deaf) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	if err := d.look(ctx, key); err != nil {
		return driver.Item{}, err
	}
	return d.State.Get(ctx, partition, key)
}

func (d *deaf) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	if err := d.look(ctx, keys...); err != nil {
		return nil, err
	}
	return d.State.GetMany(ctx, partition, keys)
}

// A writer, an indexer and a reader have a sidecar each. The indexer and the reader never look by
// themselves, so it is the bell that brings the events.
func TestABellBringsEventsToOtherProcesses(t *testing.T) {
	t.Parallel()
	const patience = 30 * time.Second
	r := servers.StartRedis(t)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	process := func(appID string, news eventstore.News, isLook func(key string) bool) (*eventstore.Provider, *feed.Feed, *deaf) {
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: appID, Components: []string{servers.RedisState("statestore", r), pubsub(r, "{uuid}")}})
		link := &deaf{State: state(t, d), Bell: bellOf(t, d), news: news, isLook: isLook, rung: make(chan struct{}, 1), held: make(chan struct{})}
		settings := eventstore.DefaultSettings()
		settings.RequestTimeout = time.Hour // a look that is held does not end by itself
		p := provider(t, link, nil, eventstore.WithFeed("all"), eventstore.WithBell(link), eventstore.WithSettings(settings))
		t.Cleanup(func() {
			if err := p.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		f, err := feed.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		return p, f, link
	}
	writer, _, _ := process("writer", "", nil)
	_, indexer, indexing := process("indexer", eventstore.NewsOfJournals, func(key string) bool { return strings.HasPrefix(key, "{:journal:") })
	_, reader, reading := process("reader", eventstore.NewsOfLog, func(key string) bool { return key == "{:feed:all}:head" })
	all.Go(func() {
		if err := indexer.Index(ctx); err != nil {
			t.Error(err)
		}
	})
	came := make(chan int64, 1000)
	all.Go(func() {
		for item, err := range reader.Read(ctx, feed.Live(), feed.AsRaw()) {
			if err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			came <- item.Version
		}
	})
	add := func() (version int64) {
		t.Helper()
		version, err := writer.Append(t.Context(), writer.Stream("account", "1"), eventstore.ExpectAny(), eventstore.Raw{Type: "deposited"})
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	comes := func(version int64) {
		t.Helper()
		for late := time.After(patience); ; {
			select {
			case v := <-came:
				if v == version {
					return
				}
			case <-late:
				t.Fatalf("version %d did not come", version)
			}
		}
	}
	var last int64
	eventually(t, func() error {
		last = add()
		if indexing.heard.Load() == 0 || reading.heard.Load() == 0 {
			return errors.New("not both hear the bell")
		}
		return nil
	})
	comes(last)
	indexing.holds.Store(true)
	reading.holds.Store(true)
	for range 10 {
		for name, link := range map[string]*deaf{"indexer": indexing, "reader": reading} {
			select {
			case <-link.held:
			case <-time.After(patience):
				t.Fatalf("the %s does not look for news", name)
			}
		}
		comes(add())
	}
}
