package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	updaters        = 4 // processes
	updaterWriters  = 8 // in each process
	updatesOfEach   = 10
	updateTimeout   = 5 * time.Minute
	updaterVariable = "EVENTSTORES_UPDATER" // turns this executable into an updater, and holds its updaterConfig
)

// updaterConfig is the configuration of an updater: the address of a sidecar, or a SQLite file.
type updaterConfig struct{ Sidecar, SQLite string }

// updaterResult is the result of an updater.
type updaterResult struct {
	Versions []int64  // of the events that its updates have appended
	Decided  int      // how often updates were decided
	Most     int      // the most decisions for one update
	Failures []string // of single updates
	Error    string   // before the first update
}

// point is an event of the aggregate that all processes update. The aggregate is the sum of its
// points.
type point struct{ N int }

func points(state driver.State, options ...eventstore.Option) (*aggregate.Repository[int], error) {
	types, err := eventstore.NewRegistry(eventstore.Type[point]("point"))
	if err != nil {
		return nil, err
	}
	options = append(options, eventstore.WithRegistry(types), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	p, err := eventstore.NewProvider(state, options...)
	if err != nil {
		return nil, err
	}
	return aggregate.NewRepository(p, "score", func(sum int, e eventstore.Event) (int, error) { return sum + e.Data.(point).N, nil })
}

// tally is an observer that notes how often updates were decided.
type tally struct {
	mu sync.Mutex
	updaterResult
}

func (*tally) Begin(ctx context.Context, _ eventstore.Operation) context.Context { return ctx }

func (y *tally) End(_ context.Context, operation eventstore.Operation, result eventstore.OperationResult) {
	if operation.Name != "aggregate_update" {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.Decided, y.Most = y.Decided+result.Attempts, max(y.Most, result.Attempts)
}

func (c updaterConfig) open(ctx context.Context) (driver.State, error) {
	if c.SQLite != "" {
		return sqlite.Open(ctx, c.SQLite)
	}
	client, err := dapr.NewClientWithAddressContext(ctx, c.Sidecar)
	if err != nil {
		return nil, err
	}
	return sidecar.NewState(ctx, client, "statestore")
}

// updates is the main function of an updater. It reports that it is ready, waits for the start, and
// updates with the defaults of a repository.
func updates(config string, ready *json.Encoder) updaterResult {
	failed := func(err error) updaterResult { return updaterResult{Error: err.Error()} }
	var c updaterConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return failed(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), updateTimeout)
	defer cancel()
	state, err := c.open(ctx)
	if err != nil {
		return failed(err)
	}
	result := &tally{}
	r, err := points(state, eventstore.WithObserver(result))
	if err != nil {
		return failed(err)
	}
	if err := ready.Encode("ready"); err != nil {
		return failed(err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // ends when the test gives the start
		return failed(err)
	}
	var all sync.WaitGroup
	for range updaterWriters {
		all.Go(func() {
			for range updatesOfEach {
				a, err := r.Update(ctx, "1", func(int) ([]any, error) { return []any{point{1}}, nil })
				result.mu.Lock()
				if err != nil {
					result.Failures = append(result.Failures, err.Error())
				} else {
					result.Versions = append(result.Versions, a.Version)
				}
				result.mu.Unlock()
			}
		})
	}
	all.Wait()
	return result.updaterResult
}

// Four processes update one aggregate with the defaults of a repository. All their updates succeed,
// and each counts once.
func TestWithTheDefaultsTheUpdatesOfFourProcessesAllGetThrough(t *testing.T) {
	t.Parallel()
	t.Run("through sidecars on Redis", func(t *testing.T) {
		t.Parallel()
		r := servers.StartRedis(t)
		sidecars := make([]updaterConfig, updaters)
		for i := range sidecars {
			d := servers.StartDaprd(t, servers.DaprdConfig{AppID: fmt.Sprintf("updater-%d", i), Components: []string{servers.RedisState("statestore", r)}})
			sidecars[i] = updaterConfig{Sidecar: d.GRPCAddr()}
		}
		allGetThrough(t, sidecars)
	})
	t.Run("on a SQLite file", func(t *testing.T) {
		t.Parallel()
		file := updaterConfig{SQLite: filepath.Join(t.TempDir(), "events.db")}
		allGetThrough(t, []updaterConfig{file, file, file, file})
	})
}

func allGetThrough(t *testing.T, configs []updaterConfig) {
	t.Helper()
	var processes []*racer
	for _, c := range configs {
		processes = append(processes, startRacer(t, updaterVariable, c))
	}
	for _, p := range processes {
		p.start(t)
	}
	want, decided, most := len(configs)*updaterWriters*updatesOfEach, 0, 0
	by := map[int64]int{} // the process that appended a version
	for i, p := range processes {
		var result updaterResult
		p.result(t, &result)
		if result.Error != "" {
			t.Errorf("process %d: %s", i, result.Error)
		}
		for _, failure := range result.Failures {
			t.Errorf("an update of process %d failed: %s", i, failure)
		}
		for _, version := range result.Versions {
			if other, ok := by[version]; ok {
				t.Errorf("process %d and process %d both appended version %d", other, i, version)
			}
			by[version] = i
		}
		decided, most = decided+result.Decided, max(most, result.Most)
	}
	if decided <= want {
		t.Errorf("%d updates were decided %d times, so there was no race", want, decided)
	}
	state, err := configs[0].open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if closer, ok := state.(io.Closer); ok {
		defer closer.Close()
	}
	r, err := points(state)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := r.Load(t.Context(), "1"); err != nil || a.State != want || a.Version != int64(want) || len(by) != want {
		t.Errorf("%d updates were acknowledged, the sum is %d at version %d, %v, want %d", len(by), a.State, a.Version, err, want)
	}
	fmt.Printf("updates store=%s processes=%d writers=%d updates=%d decided=%d most=%d\n",
		state.Capabilities().Store, len(configs), len(configs)*updaterWriters, want, decided, most)
}
