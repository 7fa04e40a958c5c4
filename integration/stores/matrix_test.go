package stores

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
	"github.com/hexalith/eventstores-go/integration/servers"
)

var writeFlag = flag.Bool("write", false, "measure as well, and write the results of a full run into "+document)

// reportVariable makes this executable examine one store. It names the file for the report.
const reportVariable = "EVENTSTORES_STORES_REPORT"

// report is the result for one store.
type report struct {
	Server string // and its version
	Atomic bool   // whether an append is one transaction
	Race   raceResult
	Limits limits
	Append comparison // only if measured
	Read   comparison

	cases, passed, failed int
}

// line returns the report as a line of output.
func (r report) line(store string) string {
	return fmt.Sprintf("store=%s cases=%d passed=%d failed=%d race_lost=%d", store, r.cases, r.passed, r.failed, r.Race.Lost)
}

// TestStores examines each store in a separate process. It counts the cases in the output of the
// testing package.
func TestStores(t *testing.T) {
	reports := map[string]report{}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if path := os.Getenv(reportVariable); path != "" {
				examine(t, r, path)
				return
			}
			report := examineApart(t, r)
			fmt.Println(report.line(r.store))
			reports[r.name] = report
		})
	}
	var etcd etcdReport
	t.Run("etcd", func(t *testing.T) {
		etcd = examineEtcd(t)
		fmt.Println(etcd.line())
	})
	if *writeFlag && os.Getenv(reportVariable) == "" {
		if t.Failed() || len(reports) < len(rows) || etcd.acked == 0 {
			t.Fatal("only a full run without failures can be written")
		}
		write(t, reports, etcd)
		fmt.Println("written:", document)
	}
}

// examine runs all examinations of a store and writes the report to a file.
func examine(t *testing.T, r row, path string) {
	s := r.start(t)
	first := r.sidecar(t, s, "first")
	state, locker := connect(t, first, r)

	t.Run("state", func(t *testing.T) { storetest.TestState(t, state, storetest.Limits{}) })
	if locker != nil {
		t.Run("lock", func(t *testing.T) { storetest.TestLocker(t, locker) })
		t.Run("event store with the lock", func(t *testing.T) {
			storetest.TestEventStore(t, storetest.Target{State: state, Locker: locker})
		})
		t.Run("feed with the lock", func(t *testing.T) { storetest.TestFeed(t, storetest.Target{State: state, Locker: locker}) })
	}
	t.Run("event store with the lease", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: state}) })
	t.Run("feed with the lease", func(t *testing.T) { storetest.TestFeed(t, storetest.Target{State: state}) })

	report := report{Server: s.version, Atomic: state.Capabilities().Atomic}
	t.Run("race", func(t *testing.T) { report.Race = race(t, r, s, first) })
	t.Run("names", func(t *testing.T) { longestNames(t, state) })
	if *writeFlag {
		report.Limits = probe(t, r, s)
		report.Append, report.Read = measure(t, first, state)
	}
	content, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// sidecar starts a sidecar with the project's own component files.
func (r row) sidecar(t *testing.T, s server, appID string) *servers.Daprd {
	t.Helper()
	return servers.StartDaprd(t, s.config(t, r, appID))
}

func connect(t *testing.T, d *servers.Daprd, r row) (*sidecar.State, driver.Locker) {
	t.Helper()
	client := d.Client(t)
	state, err := sidecar.NewState(t.Context(), client, "statestore")
	if err != nil {
		t.Fatal(err)
	}
	if !r.lock {
		return state, nil
	}
	locker, err := sidecar.NewLocker(t.Context(), client, "lockstore")
	if err != nil {
		t.Fatal(err)
	}
	return state, locker
}

func TestEveryFolderOfComponentsIsExaminedAndNoOther(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join(root(t), "components"))
	if err != nil {
		t.Fatal(err)
	}
	var folders, examined []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, e.Name())
		}
	}
	for _, r := range rows {
		examined = append(examined, r.folder)
	}
	slices.Sort(examined)
	if examined = slices.Compact(examined); !slices.Equal(folders, examined) {
		t.Errorf("components/ has %v, want %v", folders, examined)
	}
}

func root(t testing.TB) string {
	t.Helper()
	dir, err := servers.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
