package integration

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// redisCLI runs redis-cli against a server.
func redisCLI(t *testing.T, addr string, arguments ...string) string {
	t.Helper()
	cli, err := servers.Installed("redis-cli", "redis-tools")
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, cli, append([]string{"-e", "-h", host, "-p", port}, arguments...)...).Output()
	if err != nil {
		t.Fatalf("redis-cli %v: %v\n%s", arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestABackupOfRedisTakenWhileAWriterAppendsIsWholeWhenRestored follows the sections "Backup" and
// "Restore" of docs/backup.md.
func TestABackupOfRedisTakenWhileAWriterAppendsIsWholeWhenRestored(t *testing.T) {
	type Counted struct{ Number int64 }
	registry, err := eventstore.NewRegistry(eventstore.Type[Counted]("Counted"))
	if err != nil {
		t.Fatal(err)
	}
	provider := func(r *servers.Redis) *eventstore.Provider {
		t.Helper()
		d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "backup", Components: []string{servers.RedisState("statestore", r)}})
		p, err := eventstore.NewProvider(state(t, d), eventstore.WithRegistry(registry))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}

	// The writer begins to append before the backup and stops after it.
	live := servers.StartRedis(t, servers.Durable())
	session, err := provider(live).Open(t.Context(), eventstore.Stream{Database: "EventStores", Type: "Counter", ID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	appendOne := func() int64 {
		version, err := session.Append(t.Context(), eventstore.ExpectAny(), Counted{})
		if err != nil {
			t.Error(err)
		}
		return version
	}
	var before, after int64
	for range 50 {
		before = appendOne()
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for after = before; ; {
			select {
			case <-stop:
				return
			default:
				after = appendOne()
			}
		}
	}()
	backup := filepath.Join(t.TempDir(), "backup.rdb")
	redisCLI(t, live.Addr, "--rdb", backup)
	close(stop)
	<-stopped

	// The dump is restored into a server without an append-only file, which then begins one.
	folder := t.TempDir()
	content, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "dump.rdb"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	server, err := servers.Installed("redis-server", "redis-server")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(servers.FreePorts(t, 1)[0])
	restoring := exec.CommandContext(t.Context(), server, "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "no")
	if err := restoring.Start(); err != nil {
		t.Fatal(err)
	}
	addr := "127.0.0.1:" + port
	eventually(t, func() error {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
	redisCLI(t, addr, "CONFIG", "SET", "appendonly", "yes")
	eventually(t, func() error {
		about := redisCLI(t, addr, "INFO", "persistence")
		if strings.Contains(about, "aof_rewrite_in_progress:0") && strings.Contains(about, "aof_rewrite_scheduled:0") {
			return nil
		}
		return errors.New(about)
	})
	keys := redisCLI(t, addr, "DBSIZE")
	redisCLI(t, addr, "SHUTDOWN")
	if err := restoring.Wait(); err != nil {
		t.Fatal(err)
	}

	// The restored stream is whole. It is the stream as it was at one moment of the backup.
	restored := servers.StartRedis(t, servers.DurableIn(folder))
	if again := redisCLI(t, restored.Addr, "DBSIZE"); again != keys || keys == "0" {
		t.Errorf("after another start the restored server has %s keys, want %s", again, keys)
	}
	reader := provider(restored).Reader(eventstore.Stream{Database: "EventStores", Type: "Counter", ID: "1"})
	version, err := reader.Version(t.Context())
	if err != nil || version < before || version > after {
		t.Errorf("the restored stream is at version %d, %v: it was at %d before the backup and at %d after it", version, err, before, after)
	}
	if found, err := reader.Verify(t.Context(), nil); err != nil || !found.Sound() {
		t.Errorf("the restored stream: %v, %v", found.Damage, err)
	}
}
