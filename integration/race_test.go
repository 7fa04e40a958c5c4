package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const (
	racers         = 2 // processes
	racerWriters   = 4 // in each process, half of them with locks
	appendsOfEach  = 250
	raceTimeout    = 5 * time.Minute
	racerVariable  = "EVENTSTORES_RACER" // turns this executable into a racer, and holds its raceConfig
	racerResultsFD = 3
)

// raceConfig is the configuration of a racer.
type raceConfig struct {
	Name    string
	Sidecar string // address
	Stream  string
}

// raceResult is the result of a racer.
type raceResult struct {
	Acknowledged []racing.Ack
	Refused      int
	Error        string
}

// roles are the roles that this executable can have instead of running tests. The key is the
// variable that holds the configuration.
var roles = map[string]func(config string, ready *json.Encoder) any{
	racerVariable:   func(config string, ready *json.Encoder) any { return race(config, ready) },
	updaterVariable: func(config string, ready *json.Encoder) any { return updates(config, ready) },
}

func TestMain(m *testing.M) {
	for variable, play := range roles {
		config := os.Getenv(variable)
		if config == "" {
			continue
		}
		results := json.NewEncoder(os.NewFile(racerResultsFD, "results"))
		if err := results.Encode(play(config, results)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// race is the main function of a racer. It reports that it is ready, waits for the start, and
// writes until all its appends are acknowledged.
func race(config string, ready *json.Encoder) (result raceResult) {
	failed := func(err error) raceResult { result.Error = err.Error(); return result }
	var c raceConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return failed(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), raceTimeout)
	defer cancel()
	client, err := dapr.NewClientWithAddressContext(ctx, c.Sidecar)
	if err != nil {
		return failed(err)
	}
	defer client.Close()
	state, err := sidecar.NewState(ctx, client, "statestore")
	if err != nil {
		return failed(err)
	}
	locker, err := sidecar.NewLocker(ctx, client, "lockstore")
	if err != nil {
		return failed(err)
	}
	var writers []racing.Writer
	for i := range racerWriters {
		w := racing.Writer{Name: fmt.Sprintf("%s-%d", c.Name, i), Stream: c.Stream, Appends: appendsOfEach, Events: 3, PerSession: 25}
		var l driver.Locker = locker
		if i%2 == 1 {
			l = racing.NoLock{}
		}
		if w.Provider, err = racing.NewProvider(state, l); err != nil {
			return failed(err)
		}
		writers = append(writers, w)
	}
	if err := ready.Encode("ready"); err != nil {
		return failed(err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil { // ends when the test gives the start
		return failed(err)
	}

	var mu sync.Mutex
	var all sync.WaitGroup
	for _, w := range writers {
		all.Go(func() {
			acks, refused, err := w.Run(ctx)
			mu.Lock()
			defer mu.Unlock()
			result.Acknowledged = append(result.Acknowledged, acks...)
			result.Refused += refused
			if err != nil {
				result.Error = fmt.Sprintf("writer %s: %v", w.Name, err)
				cancel()
			}
		})
	}
	all.Wait()
	return result
}

// Two processes, each with its own sidecar, append to one stream on one Redis. Half of the writers
// take the lock. The other half goes ahead without it, so that only the swap of the head keeps the
// appends apart. Then a third sidecar and this process, which have seen nothing of the race, read
// the stream.
func TestTwoProcessesRaceOnOneStreamAndNothingIsLostOrDoubled(t *testing.T) {
	r := servers.StartRedis(t)
	components := []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}
	processes := make([]*racer, racers)
	for i := range processes {
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: fmt.Sprintf("racer-%d", i), Components: components})
		processes[i] = startRacer(t, racerVariable, raceConfig{Name: fmt.Sprintf("p%d", i), Sidecar: d.GRPCAddr(), Stream: "1"})
	}
	for _, p := range processes {
		p.start(t)
	}
	var acks []racing.Ack
	for i, p := range processes {
		var result raceResult
		p.result(t, &result)
		if result.Error != "" {
			t.Errorf("process %d: %s", i, result.Error)
		}
		if result.Refused == 0 {
			t.Errorf("process %d: no append was refused, so there was no race", i)
		}
		fmt.Printf("race process=%d acked=%d refused=%d\n", i, len(result.Acknowledged), result.Refused)
		acks = append(acks, result.Acknowledged...)
	}
	if want := racers * racerWriters * appendsOfEach; len(acks) != want {
		t.Errorf("%d appends were acknowledged, want %d", len(acks), want)
	}

	fresh := servers.StartDaprd(t, servers.DaprdConfig{AppID: "auditor", Components: components})
	reader := provider(t, state(t, fresh), locker(t, fresh)).Reader(racing.Stream("1"))
	lost, _ := racing.Compare(t, reader, acks)
	fmt.Printf("race store=state.redis appends=%d lost=%d\n", len(acks), lost)
}

// racer is a process that races, or has another role.
type racer struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	results *json.Decoder
}

// startRacer starts a process in a role and waits until it is ready.
func startRacer(t *testing.T, variable string, c any) *racer {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = read.Close() })
	p := &racer{cmd: exec.CommandContext(t.Context(), executable), results: json.NewDecoder(read)}
	p.cmd.Env = append(os.Environ(), variable+"="+string(config))
	p.cmd.Stderr = os.Stderr
	p.cmd.ExtraFiles = []*os.File{write} // racerResultsFD
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	err = p.cmd.Start()
	_ = write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.stdin.Close()
		_ = p.cmd.Wait()
	})
	var ready json.RawMessage
	if err := p.results.Decode(&ready); err != nil || string(ready) != `"ready"` {
		t.Fatalf("the racer is not ready: %s, %v", ready, err)
	}
	return p
}

// start tells the process to begin.
func (p *racer) start(t *testing.T) {
	t.Helper()
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
}

// result waits for the process to end and decodes its result.
func (p *racer) result(t *testing.T, result any) {
	t.Helper()
	if err := p.results.Decode(result); err != nil {
		t.Fatalf("the racer returned no result: %v", err)
	}
}
