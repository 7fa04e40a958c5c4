package integration

import (
	"path/filepath"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/inprocess"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/storetest"
	"github.com/hexalith/eventstores-go/integration/parts"
)

func state(t *testing.T, d *parts.Daprd) *sidecar.State {
	t.Helper()
	s, err := sidecar.NewState(t.Context(), d.Client(t), "statestore")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func locker(t *testing.T, d *parts.Daprd) *sidecar.Locker {
	t.Helper()
	l, err := sidecar.NewLocker(t.Context(), d.Client(t), "lockstore")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestSidecarWithInMemory(t *testing.T) {
	t.Parallel()
	d := parts.StartDaprd(t, parts.DaprdConfig{AppID: "bank", Components: []string{parts.InMemoryState("statestore")}})
	s := state(t, d)
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
}

func TestSidecarWithRedis(t *testing.T) {
	t.Parallel()
	r := parts.StartRedis(t)
	d := parts.StartDaprd(t, parts.DaprdConfig{AppID: "bank", Components: []string{parts.RedisState("statestore", r), parts.RedisLock("lockstore", r)}})
	s, l := state(t, d), locker(t, d)
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("lock", func(t *testing.T) { storetest.TestLocker(t, l) })
	t.Run("event store with the lock", func(t *testing.T) {
		storetest.TestEventStore(t, storetest.Target{State: s, Locker: l})
	})
	t.Run("event store with the lease", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
}

func TestSidecarWithSQLite(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	d := parts.StartDaprd(t, parts.DaprdConfig{AppID: "bank", Folders: []string{folder},
		Components: []string{parts.SQLiteState("statestore", filepath.Join(folder, "state.db"))}})
	s := state(t, d)
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
}

func TestSidecarWithPostgreSQL(t *testing.T) {
	t.Parallel()
	p := parts.StartPostgres(t)
	for _, version := range []string{"v1", "v2"} {
		t.Run(version, func(t *testing.T) {
			d := parts.StartDaprd(t, parts.DaprdConfig{AppID: "bank", Components: []string{parts.PostgresState("statestore", p, version)}})
			s := state(t, d)
			t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
			t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
		})
	}
}

func TestRedisInProcess(t *testing.T) {
	t.Parallel()
	r := parts.StartRedis(t)
	s, err := inprocess.OpenRedis(t.Context(), inprocess.RedisOptions{Addr: r.Addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	t.Run("state", func(t *testing.T) { storetest.TestState(t, s, storetest.Limits{}) })
	t.Run("event store", func(t *testing.T) { storetest.TestEventStore(t, storetest.Target{State: s}) })
}
