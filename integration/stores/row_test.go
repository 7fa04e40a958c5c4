package stores

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/integration/servers"
)

// row is one store of the matrix.
type row struct {
	name   string // of its test
	store  string // as printed: kind, version, and what is special
	folder string // in components/
	lock   bool   // whether the folder also has a lock component
	start  func(t *testing.T) server
}

// server is a running store.
type server struct {
	version string
	replace []string // pairs of a text that occurs once in each component file, and its replacement
	env     []string // for the sidecar
	folders []string // that the sidecar uses
	alone   bool     // every sidecar has a separate store

	crash func(t *testing.T)               // kills the store and starts it again; nil: no crash
	after func(t *testing.T, events int64) // checks the keys after the race
}

// raceStream is the beginning of all keys of the race's stream.
const raceStream = "{EventStores:race:1}"

var rows = []row{
	{name: "in-memory", store: "state.in-memory", folder: "in-memory", start: func(*testing.T) server {
		return server{version: "in the sidecar", alone: true}
	}},
	{name: "sqlite", store: "state.sqlite", folder: "sqlite", start: func(t *testing.T) server {
		folder := t.TempDir()
		return server{version: "in the sidecar", folders: []string{folder},
			replace: []string{"file:events.db?", "file:" + filepath.Join(folder, "events.db") + "?"}}
	}},
	{name: "redis", store: "state.redis", folder: "redis", lock: true, start: func(t *testing.T) server {
		return onRedis(t, servers.StartRedis(t))
	}},
	{name: "redis-crash", store: "state.redis/aof,killed", folder: "redis", lock: true, start: func(t *testing.T) server {
		r := servers.StartRedis(t, servers.Durable())
		s := onRedis(t, r)
		s.crash = func(t *testing.T) { r.Kill(t); r.Restart(t) }
		return s
	}},
	{name: "redis-cluster", store: "state.redis/cluster", folder: "redis-cluster", start: func(t *testing.T) server {
		c := servers.StartRedisCluster(t, 3)
		return server{version: redisVersion(t, c.Masters[0]) + ", three masters",
			replace: []string{"localhost:7000,localhost:7001,localhost:7002", c.Addrs()},
			after:   func(t *testing.T, events int64) { allInOneSlot(t, c, events) }}
	}},
	{name: "postgresql-v1", store: "state.postgresql/v1", folder: "postgresql-v1", start: onPostgreSQL},
	{name: "postgresql-v2", store: "state.postgresql/v2", folder: "postgresql", start: onPostgreSQL},
	{name: "mysql", store: "state.mysql", folder: "mysql", start: func(t *testing.T) server {
		m := servers.StartMariaDB(t, "events")
		return server{version: "MariaDB " + m.Version, env: []string{"MYSQL_CONNECTION_STRING=" + m.ConnString}}
	}},
}

func onRedis(t *testing.T, r *servers.Redis) server {
	t.Helper()
	return server{version: redisVersion(t, r), replace: []string{"localhost:6379", r.Addr}}
}

func onPostgreSQL(t *testing.T) server {
	t.Helper()
	p := servers.StartPostgres(t)
	host, port, _ := strings.Cut(p.Addr, ":")
	return server{version: "PostgreSQL " + p.Version, replace: []string{"host=localhost port=5432", "host=" + host + " port=" + port}}
}

func redisVersion(t *testing.T, r *servers.Redis) string {
	t.Helper()
	info, err := r.Do("INFO", "server")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			return "Redis " + version
		}
	}
	t.Fatal("Redis reports no version")
	return ""
}

// config returns the configuration of a sidecar with the component files of the row's folder, in
// which only the addresses are replaced.
func (s server) config(t *testing.T, r row, appID string) servers.DaprdConfig {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root(t), "components", r.folder, "*.yaml"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no component files in %s: %v", r.folder, err)
	}
	config := servers.DaprdConfig{AppID: appID, Env: s.env, Folders: s.folders}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		component := string(content)
		for i := 0; i < len(s.replace); i += 2 {
			if n := strings.Count(component, s.replace[i]); n != 1 {
				t.Fatalf("%s contains %d times %q, which the test replaces, want once", name, n, s.replace[i])
			}
			component = strings.Replace(component, s.replace[i], s.replace[i+1], 1)
		}
		config.Components = append(config.Components, component)
	}
	return config
}

// allInOneSlot checks that all keys of the race's stream are in one hash slot, on the master of
// that slot. It also checks that the streams of all cases are spread over all masters.
func allInOneSlot(t *testing.T, c *servers.RedisCluster, events int64) {
	t.Helper()
	slot := ""
	for _, key := range []string{"head", "1", fmt.Sprint(events), "lease"} {
		got, err := c.Masters[0].Do("CLUSTER", "KEYSLOT", "statestore||"+raceStream+":"+key)
		if err != nil {
			t.Fatal(err)
		}
		if slot == "" {
			slot = got
		}
		if got != slot {
			t.Errorf("key %s is in slot %s, the head in %s", key, got, slot)
		}
	}
	owners := 0
	for _, m := range c.Masters {
		if keys, err := m.Do("DBSIZE"); err != nil || keys == "0" {
			t.Errorf("master %s has %s keys: %v", m.Addr, keys, err)
		}
		inSlot, err := m.Do("CLUSTER", "GETKEYSINSLOT", slot, fmt.Sprint(10*events))
		if err != nil {
			t.Fatal(err)
		}
		var ours int64
		for key := range strings.SplitSeq(inSlot, "\n") {
			if strings.HasPrefix(key, "statestore||"+raceStream+":") {
				ours++
			}
		}
		if ours == 0 {
			continue
		}
		owners++
		if ours != events+2 { // also the head and the lease
			t.Errorf("the stream has %d keys in slot %s, want those of %d events, the head and the lease", ours, slot, events)
		}
	}
	if owners != 1 {
		t.Errorf("%d masters have keys of the stream, want 1", owners)
	}
}
