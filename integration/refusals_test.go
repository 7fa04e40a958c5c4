package integration

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// insisting counts how often an append is sent.
type insisting struct {
	driver.State
	commits atomic.Int64
}

func (i *insisting) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	i.commits.Add(1)
	return i.State.Swap(ctx, partition, swap)
}

func (i *insisting) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	i.commits.Add(1)
	return i.State.Commit(ctx, partition, swap, writes)
}

// refuses appends to a store while it refuses writes. The functions on and off begin and end that
// state. The error must contain the server's own words.
func refuses(t *testing.T, state driver.State, on, off func(), payload int, kind error, says string) {
	t.Helper()
	counted := &insisting{State: state}
	p := provider(t, counted, racing.NoLock{})
	session, err := p.Open(t.Context(), racing.Stream("1"))
	if err != nil {
		t.Fatal(err)
	}
	event := func(n int) eventstore.Raw {
		return eventstore.Raw{Type: "scan", ContentType: "text/plain", Payload: bytes.Repeat([]byte("x"), n)}
	}
	if _, err := session.Append(t.Context(), eventstore.ExpectVersion(0), event(1)); err != nil {
		t.Fatal(err)
	}
	on()
	counted.commits.Store(0)
	_, err = session.Append(t.Context(), eventstore.ExpectVersion(1), event(payload))
	if errors.As(kind, new(*eventstore.OutcomeUnknownError)) && errors.As(err, new(*eventstore.StorageError)) {
		kind = &eventstore.StorageError{} // the session read the head again first, and sent nothing
	}
	wantError(t, err, kind, says)
	if unknown := (*eventstore.OutcomeUnknownError)(nil); errors.As(kind, new(*eventstore.StorageError)) && errors.As(err, &unknown) {
		t.Errorf("the outcome is certain but reported as unknown: %v", err)
	}
	if n := counted.commits.Load(); n > 2 {
		t.Errorf("the append was sent %d times", n)
	}
	off()
	version, err := session.Append(t.Context(), eventstore.ExpectVersion(1), event(1))
	if err != nil || version != 2 {
		t.Errorf("when the store accepts writes again: version %d, %v", version, err)
	}
	found, err := session.Verify(t.Context(), nil)
	if err != nil || !found.Sound() || found.Version != 2 {
		t.Errorf("verified %+v, %v", found, err)
	}
}

func TestWhatRedisCertainlyDidNotDoIsAStorageError(t *testing.T) {
	t.Parallel()
	stored, unknown := error(&eventstore.StorageError{}), error(&eventstore.OutcomeUnknownError{})
	for _, test := range []struct {
		name    string
		on, off [][]string
		says    string
		sidecar error // the error through a sidecar
	}{
		{"out of memory", [][]string{{"CONFIG", "SET", "maxmemory", "1"}}, [][]string{{"CONFIG", "SET", "maxmemory", "0"}}, "OOM command not allowed", stored},
		{"a replica", [][]string{{"REPLICAOF", "127.0.0.1", "1"}}, [][]string{{"REPLICAOF", "NO", "ONE"}}, "READONLY You can't write", stored},
		{"too few replicas", [][]string{{"CONFIG", "SET", "min-replicas-to-write", "1"}}, [][]string{{"CONFIG", "SET", "min-replicas-to-write", "0"}}, "NOREPLICAS Not enough good replicas", stored},
		// If the server rejects the sidecar's login, the outcome of what it sent before is unknown.
		{"a new password", [][]string{{"CONFIG", "SET", "requirepass", "x"}, {"-a", "x", "CLIENT", "KILL", "TYPE", "normal"}},
			[][]string{{"-a", "x", "CONFIG", "SET", "requirepass", ""}}, "NOAUTH Authentication required", unknown},
	} {
		for way, kind := range map[string]error{"in the process": stored, "through a sidecar": test.sidecar} {
			t.Run(test.name+" "+way, func(t *testing.T) {
				t.Parallel()
				r := servers.StartRedis(t)
				do := func(commands [][]string) func() {
					return func() {
						for _, command := range commands {
							redisCLI(t, r.Addr, command...)
						}
					}
				}
				refuses(t, redisBy(t, way, r), do(test.on), do(test.off), 1, kind, test.says)
			})
		}
	}
}

func redisBy(t *testing.T, way string, r *servers.Redis) driver.State {
	t.Helper()
	if way == "through a sidecar" {
		return state(t, servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r)}}))
	}
	s, err := redis.Open(t.Context(), r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestARedisThatCanNotSaveIsAStorageError(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"in the process", "through a sidecar"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := servers.StartRedis(t, servers.SavingTo(dir))
			// The folder takes the place of the file to which Redis saves.
			if err := os.Mkdir(filepath.Join(dir, "dump.rdb"), 0o700); err != nil {
				t.Fatal(err)
			}
			refuses(t, redisBy(t, way, r), func() {
				redisCLI(t, r.Addr, "CONFIG", "SET", "save", "3600 1000000")
				redisCLI(t, r.Addr, "BGSAVE")
				waitFor(t, "the saving to fail", func() bool {
					return strings.Contains(redisCLI(t, r.Addr, "INFO", "persistence"), "rdb_last_bgsave_status:err")
				})
			}, func() { redisCLI(t, r.Addr, "CONFIG", "SET", "save", "") }, 1, &eventstore.StorageError{}, "MISCONF Redis is configured to save")
		})
	}
}

// waitFor waits until a condition is true.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(30 * time.Second); !so(); <-ticker.C {
		if time.Now().After(end) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

func TestAPostgresThatIsReadOnlyIsAStorageError(t *testing.T) {
	t.Parallel()
	p := servers.StartPostgres(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.PostgresState("statestore", p, "v2")}})
	set := func(to string) func() {
		return func() {
			psql(t, p.Addr, "ALTER SYSTEM SET default_transaction_read_only = "+to)
			psql(t, p.Addr, "SELECT pg_reload_conf()")
			waitFor(t, "the setting to be read", func() bool { return psql(t, p.Addr, "SHOW default_transaction_read_only") == to })
		}
	}
	refuses(t, state(t, d), set("on"), set("off"), 1, &eventstore.StorageError{}, "SQLSTATE 25006")
}

// psql runs a statement on a PostgreSQL server.
func psql(t *testing.T, addr, statement string) string {
	t.Helper()
	program, err := servers.Installed("psql", "postgresql-client")
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-h", host, "-p", port, "-U", "postgres", "-Atc", statement).CombinedOutput()
	if err != nil {
		t.Fatalf("psql %s: %v\n%s", statement, err, out)
	}
	return strings.TrimSpace(string(out))
}

func mariaState(m *servers.MariaDB, schema string) string {
	return servers.Component("statestore", "state.mysql", "v1", map[string]string{"connectionString": m.ConnString, "schemaName": schema, "keyPrefix": "none"})
}

// The server may report the error, or close the connection while the client still sends. The
// session must then read what is stored, and must not send the packet for ever.
func TestAPacketThatMariaDBDoesNotTakeIsNotSentForEver(t *testing.T) {
	t.Parallel()
	m := servers.StartMariaDB(t, "events", "--max-allowed-packet=1M")
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{mariaState(m, "events")}})
	counted := &insisting{State: state(t, d)}
	session, err := provider(t, counted, racing.NoLock{}).Open(t.Context(), racing.Stream("1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.Append(t.Context(), eventstore.ExpectVersion(0), eventstore.Raw{Type: "scan", ContentType: "text/plain", Payload: bytes.Repeat([]byte("x"), 2<<20)})
	if !errors.As(err, new(*eventstore.StorageError)) && !errors.As(err, new(*eventstore.OutcomeUnknownError)) {
		t.Errorf("got %v", err)
	}
	if n := counted.commits.Load(); n > 3 {
		t.Errorf("the append was sent %d times", n)
	}
	if version, err := session.Append(t.Context(), eventstore.ExpectAny(), racing.Event{}); version != 1 || err != nil {
		t.Errorf("a smaller append after it: version %d, %v", version, err)
	}
}

func TestAMariaDBThatFoldsCaseIsRefused(t *testing.T) {
	t.Parallel()
	m := servers.StartMariaDB(t, "events")
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{mariaState(m, "events"+servers.Folding)}})
	_, err := sidecar.NewState(t.Context(), d.Client(t), "statestore")
	if err == nil || !strings.Contains(err.Error(), "differ only in case") || !strings.Contains(err.Error(), "utf8mb4_bin") {
		t.Errorf("it says %v", err)
	}
}
