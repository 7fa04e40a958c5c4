package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

const (
	updaterTimeout = time.Minute
	childVariable  = "EVENTSTORES_BENCH_CHILD" // turns this executable into an updater or a follower, and holds its configuration
	childResults   = 3                         // the file descriptor to which a child writes its results
)

// childConfig is what an updater or a follower needs to know.
type childConfig struct {
	Address address
	Writers int    // goroutines that update
	Part    string // a follower's part of the store; empty for an updater
	Indexes bool   // the follower runs an indexer too
}

// address says how another process reaches a store: the address of a sidecar, or a SQLite file. It
// is empty if no other process can.
type address struct{ Sidecar, SQLite string }

func isReachable(s *store) bool { return s.address != address{} }

func (a address) open(ctx context.Context) (driver.State, error) {
	if a.SQLite != "" {
		return sqlite.Open(ctx, a.SQLite)
	}
	client, err := dapr.NewClientWithAddressContext(ctx, a.Sidecar)
	if err != nil {
		return nil, err
	}
	return sidecar.NewState(ctx, client, "statestore")
}

// updaterResult is what an updater answers to the id of an aggregate.
type updaterResult struct {
	Versions []int // that its updates have appended
	Error    string
}

func TestMain(m *testing.M) {
	if config := os.Getenv(childVariable); config != "" {
		if err := runChild(config, os.Stdin, os.NewFile(childResults, "results")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runChild is the main function of an updater or a follower.
func runChild(config string, in io.Reader, results io.Writer) error {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	state, err := c.Address.open(context.Background())
	if err != nil {
		return err
	}
	if c.Part != "" {
		return runFollower(c, state, in, results)
	}
	return runUpdater(c, state, in, results)
}

// runUpdater reports that it is ready. Then it updates each aggregate whose id it reads, until its
// input ends.
func runUpdater(c childConfig, state driver.State, ids io.Reader, results io.Writer) error {
	s := &store{state: state}
	provider, err := s.provider(state)
	if err != nil {
		return err
	}
	r, err := newAccounts(provider)
	if err != nil {
		return err
	}
	in, out := json.NewDecoder(ids), json.NewEncoder(results)
	for result := (updaterResult{}); ; {
		if err := out.Encode(result); err != nil {
			return err
		}
		var id string
		if err := in.Decode(&id); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result = func() updaterResult {
			ctx, cancel := context.WithTimeout(context.Background(), updaterTimeout)
			defer cancel()
			versions, err := updateAtOnce(ctx, id, c.Writers, r.update1)
			if err != nil {
				return updaterResult{Error: err.Error()}
			}
			return updaterResult{Versions: versions}
		}()
	}
}

// updater is a process that updates aggregates.
type updater struct {
	ids     *json.Encoder
	results *json.Decoder
}

// startUpdater starts an updater, which ends with the test, and waits until it is ready.
func (l *lab) startUpdater(writers int) *updater {
	l.t.Helper()
	stdin, results := l.startChild(childConfig{Address: l.address, Writers: writers})
	u := &updater{ids: json.NewEncoder(stdin), results: json.NewDecoder(results)}
	must(u.result())(l.t)
	return u
}

// startChild starts this executable as another process, which ends with the test. It returns its
// input and where it writes its results.
func (l *lab) startChild(c childConfig) (stdin io.Writer, results io.Reader) {
	l.t.Helper()
	executable := must(os.Executable())(l.t)
	config := must(json.Marshal(c))(l.t)
	read, write, err := os.Pipe()
	l.check(err)
	l.t.Cleanup(func() { _ = read.Close() })
	cmd := exec.CommandContext(l.t.Context(), executable)
	cmd.Env = append(os.Environ(), childVariable+"="+string(config))
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{write} // childResults
	in := must(cmd.StdinPipe())(l.t)
	err = cmd.Start()
	_ = write.Close()
	l.check(err)
	l.t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return in, read
}

func (u *updater) result() ([]int, error) {
	var r updaterResult
	if err := u.results.Decode(&r); err != nil {
		return nil, fmt.Errorf("an updater returned no result: %w", err)
	}
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return r.Versions, nil
}

// startUpdaters starts updaters of so many writers each. It returns a function that lets all of
// them update one aggregate, and returns the versions that they appended.
func (l *lab) startUpdaters(n, writers int) func(ctx context.Context, id string) (versions []int, err error) {
	l.t.Helper()
	all := make([]*updater, n)
	for i := range all {
		all[i] = l.startUpdater(writers)
	}
	return func(_ context.Context, id string) (versions []int, err error) {
		for _, u := range all {
			if err := u.ids.Encode(id); err != nil {
				return nil, err
			}
		}
		results, errs := make([][]int, len(all)), make([]error, len(all))
		var running sync.WaitGroup
		for i, u := range all {
			running.Go(func() { results[i], errs[i] = u.result() })
		}
		running.Wait()
		for _, r := range results {
			versions = append(versions, r...)
		}
		return versions, errors.Join(errs...)
	}
}
