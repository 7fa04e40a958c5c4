package integration

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// buildCommand builds cmd/eventstores.
func buildCommand(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "eventstores")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/eventstores")
	build.Dir = root(t)
	build.Env = append(build.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build ./cmd/eventstores: %v\n%s", err, out)
	}
	return binary
}

// oldHouse is the SQLite file bank.db in dir, with streams of n events each.
type oldHouse struct {
	dir, file string
	names     []string
}

func (o *oldHouse) inFile(t *testing.T, do func(p *eventstore.Provider) error) {
	t.Helper()
	s, err := sqlite.Open(t.Context(), o.file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := do(provider(t, s, nil)); err != nil {
		t.Fatal(err)
	}
}

// grow appends n events to each stream. Some of them have all fields of metadata set.
func (o *oldHouse) grow(t *testing.T, n int) {
	t.Helper()
	o.inFile(t, func(p *eventstore.Provider) error {
		for _, name := range o.names {
			stream, err := eventstore.ParseStream(name)
			if err != nil {
				return err
			}
			s, err := p.Open(t.Context(), stream)
			if err != nil {
				return err
			}
			events := make([]any, n)
			for i := range events {
				e := eventstore.Event{Data: eventstore.Raw{Type: "Deposited", SchemaVersion: 2, ContentType: "application/json", Payload: fmt.Appendf(nil, `{"n":%d,"pad":%q}`, i, strings.Repeat("x", 300))}}
				if i%7 == 0 {
					e.Metadata.Context = eventstore.ContextMetadata{CorrelationID: "ü%\n", CausationID: "c", UserID: "Ada", Scopes: []string{"", "read"}}
				}
				if i%50 == 0 {
					e.Metadata.Context.IdempotencyID = fmt.Sprintf("request %d of %s", i, s.ID())
				}
				events[i] = e
			}
			version, err := s.Append(t.Context(), eventstore.ExpectAny(), events...)
			if err == nil {
				err = s.SaveSnapshot(t.Context(), version, eventstore.Raw{Type: "Account", ContentType: "application/json", Payload: []byte(`{}`)})
			}
			if err := errors.Join(err, s.Close()); err != nil {
				return err
			}
		}
		return nil
	})
}

func newOldHouse(t *testing.T, streams, events int) *oldHouse {
	t.Helper()
	dir := t.TempDir()
	o := &oldHouse{dir: dir, file: filepath.Join(dir, "bank.db")}
	for i := range streams {
		o.names = append(o.names, eventstore.Stream{Database: "EventStores", Type: "BankAccount", ID: fmt.Sprintf("no. %d / ü", i)}.String())
	}
	o.grow(t, events)
	return o
}

// movedTo checks that a store has everything that the file has, unchanged.
func (o *oldHouse) movedTo(t *testing.T, s driver.State) {
	t.Helper()
	target := provider(t, s, nil)
	type content struct {
		events    []eventstore.Event
		snapshots []eventstore.Snapshot
		named     map[string]int64
	}
	of := func(p *eventstore.Provider, name string) (c content, err error) {
		stream, err := eventstore.ParseStream(name)
		if err != nil {
			return c, err
		}
		r := p.Reader(stream)
		c.named = map[string]int64{}
		for e, err := range r.Read(t.Context(), eventstore.AsRaw()) {
			if err != nil {
				return c, err
			}
			c.events = append(c.events, e)
			if id := e.Metadata.Context.IdempotencyID; id != "" {
				if c.named[id], err = r.VersionOf(t.Context(), id); err != nil {
					return c, err
				}
			}
		}
		versions, err := r.Snapshots(t.Context())
		for _, version := range versions {
			snapshot, e := r.Snapshot(t.Context(), version, eventstore.AsRaw())
			c.snapshots, err = append(c.snapshots, snapshot), errors.Join(err, e)
		}
		return c, err
	}
	o.inFile(t, func(p *eventstore.Provider) error {
		for _, name := range o.names {
			want, err := of(p, name)
			if err != nil {
				return err
			}
			got, err := of(target, name)
			if err != nil {
				return err
			}
			if len(want.events) == 0 || len(want.snapshots) == 0 || !reflect.DeepEqual(got, want) {
				t.Errorf("%s differs: the new store has %d events and %d snapshots, the old one %d and %d", name, len(got.events), len(got.snapshots), len(want.events), len(want.snapshots))
			}
		}
		return nil
	})
}

// moveTimeout is longer than a copy in these tests ever takes.
const moveTimeout = 3 * time.Minute

// command runs the built command in the folder of the old house.
func (o *oldHouse) command(t *testing.T, binary string, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), moveTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = o.dir
	all, err := cmd.CombinedOutput()
	return string(all), err
}

// The test runs the commands of docs/moving.md in their order, with its own addresses. The app
// appends between them.
func TestTheGuideMovesASQLiteFileToPostgreSQL(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join(root(t), "docs", "moving.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```(sh|sql)\n(.*?)\n```$").FindAllStringSubmatch(string(guide), -1)
	binary, old := buildCommand(t), newOldHouse(t, 5, 700)
	component := servers.PostgresState("statestore", servers.StartPostgres(t), "v2")
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{component}})
	folder := filepath.Join(old.dir, "components", "postgresql")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "statestore.yaml"), []byte(component), 0o600); err != nil {
		t.Fatal(err)
	}
	copies := 0
	for _, block := range blocks {
		if block[1] == "sql" {
			old.list(t, block[2])
			continue
		}
		args := strings.Fields(strings.ReplaceAll(block[2], "localhost:50001", d.GRPCAddr()))
		out, err := old.command(t, binary, args[1:]...)
		if args[0] != "eventstores" || err != nil {
			t.Fatalf("%q: %v\n%s", block[2], err, out)
		}
		says := map[string]string{
			"check":  "1 components: 0 refused, 0 warnings",
			"copy":   "5 of 5 streams copied",
			"verify": "5 of 5 streams sound",
		}[args[1]]
		if !strings.Contains(out, says) {
			t.Errorf("%q does not say %q:\n%s", block[2], says, out)
		}
		if args[1] != "copy" {
			continue
		}
		if copies++; copies == 1 {
			old.grow(t, 30) // the app goes on appending
		} else if n := strings.Count(out, "version=730 before=700 copied=30 "); n != 5 {
			t.Errorf("the second copy does not copy the rest:\n%s", out)
		}
	}
	if copies != 2 {
		t.Fatalf("the guide copies %d times", copies)
	}
	old.movedTo(t, state(t, d))
}

// list writes names.txt with the guide's query.
func (o *oldHouse) list(t *testing.T, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", o.file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if len(names) != len(o.names) {
		t.Fatalf("the query lists %q", names)
	}
	if err := os.WriteFile(filepath.Join(o.dir, "names.txt"), []byte(strings.Join(names, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The test kills (SIGKILL) a copy in the middle of a long stream, and another when a stream is
// complete. The next copy goes on.
func TestACopyThatWasKilledGoesOn(t *testing.T) {
	t.Parallel()
	binary := buildCommand(t)
	for name, start := range map[string]func(t *testing.T) (d *servers.Daprd, parameters string){
		"to Redis": func(t *testing.T) (*servers.Daprd, string) {
			r := servers.StartRedis(t)
			return servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}}), "?lock=lockstore"
		},
		"to a Redis Cluster": func(t *testing.T) (*servers.Daprd, string) {
			cluster := servers.Component("statestore", "state.redis", "v1", map[string]string{"redisType": "cluster", "redisHost": servers.StartRedisCluster(t, 3).Addrs()})
			return servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{cluster}}), ""
		},
		"to PostgreSQL": func(t *testing.T) (*servers.Daprd, string) {
			return servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.PostgresState("statestore", servers.StartPostgres(t), "v2")}}), ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, parameters := start(t)
			old := newOldHouse(t, 4, 4000)
			target := provider(t, state(t, d), nil)
			args := append([]string{"copy", "-from", "sqlite:bank.db", "-to", "dapr:statestore@" + d.GRPCAddr() + parameters, "-parallel", "2"}, old.names...)

			// Wait until the target has something of the first stream.
			first, err := eventstore.ParseStream(old.names[0])
			if err != nil {
				t.Fatal(err)
			}
			reader := target.Reader(first)
			old.kill(t, binary, args, func(*bufio.Scanner) {
				for {
					version, err := reader.Version(t.Context())
					if err != nil || version > 0 {
						if err != nil {
							t.Error(err)
						}
						return
					}
				}
			})
			there, err := reader.Version(t.Context())
			if err != nil || there == 0 {
				t.Fatalf("version %d, %v", there, err)
			}
			t.Logf("killed with %d of 4000 events of the first stream copied", there)

			// Wait until a copy reports a complete stream.
			complete := ""
			old.kill(t, binary, args, func(lines *bufio.Scanner) {
				if lines.Scan() {
					complete = lines.Text()
				}
			})
			if !strings.HasPrefix(complete, "copied ") {
				t.Fatalf("it says %q", complete)
			}

			out, err := old.command(t, binary, args...)
			if err != nil || !strings.Contains(out, "4 of 4 streams copied") || !strings.Contains(out, "before=4000 copied=0 ") {
				t.Fatalf("%v\n%s", err, out)
			}
			old.movedTo(t, state(t, d))
			out, err = old.command(t, binary, append([]string{"verify", "-store", "dapr:statestore@" + d.GRPCAddr()}, old.names...)...)
			if err != nil || !strings.Contains(out, "4 of 4 streams sound") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// There is no sidecar before this Redis, so the address has all the settings.
func TestACopyToARedisClusterInTheProcess(t *testing.T) {
	t.Parallel()
	cluster := servers.StartRedisCluster(t, 3).Masters[0].Addr
	binary, old := buildCommand(t), newOldHouse(t, 5, 200)
	address := "redis://" + cluster + "/0?cluster=true"
	out, err := old.command(t, binary, append([]string{"copy", "-from", "sqlite:bank.db", "-to", address}, old.names...)...)
	if err != nil || !strings.Contains(out, "5 of 5 streams copied") {
		t.Fatalf("%v\n%s", err, out)
	}
	s, err := redis.Open(t.Context(), cluster, redis.WithCluster())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	old.movedTo(t, s)
	out, err = old.command(t, binary, append([]string{"verify", "-store", address}, old.names...)...)
	if err != nil || !strings.Contains(out, "5 of 5 streams sound") {
		t.Errorf("%v\n%s", err, out)
	}
}

// kill runs the command and kills it when until returns. The function until gets the lines that the
// command prints.
func (o *oldHouse) kill(t *testing.T, binary string, args []string, until func(lines *bufio.Scanner)) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = o.dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	until(bufio.NewScanner(out))
	if err := cmd.Process.Kill(); err != nil {
		t.Errorf("the command ended before it was killed: %v\n%s", err, &errs)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the command was not killed: %v\n%s", err, &errs)
	}
}

func TestARedisThatMayLoseHistoryIsWarnedAbout(t *testing.T) {
	t.Parallel()
	binary, r := buildCommand(t), servers.StartRedis(t, servers.Durable())
	o := &oldHouse{dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(o.dir, "statestore.yaml"), []byte(servers.RedisState("statestore", r)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		set    []string
		checks []string // what check reports about the server
		warns  bool     // whether opening the store logs a warning
	}{
		{nil, nil, false},
		{[]string{"appendfsync everysec"}, []string{"appendfsync is everysec"}, false},
		{[]string{"appendonly no"}, []string{"appendonly is no"}, false},
		{[]string{"maxmemory-policy allkeys-lru"}, []string{"maxmemory-policy is allkeys-lru", "appendonly is no"}, true},
	} {
		for _, set := range test.set {
			configure(t, r, set)
		}
		out, err := o.command(t, binary, "check", "-ask", r.Addr, ".")
		if n := strings.Count(out, "warning: statestore (state.redis): the server "+r.Addr); err != nil || n != len(test.checks) {
			t.Errorf("after %q: %d warnings, %v\n%s", test.set, n, err, out)
		}
		for _, says := range test.checks {
			if !strings.Contains(out, says) {
				t.Errorf("after %q the output does not contain %q:\n%s", test.set, says, out)
			}
		}
		out, _ = o.command(t, binary, "verify", "-store", "redis://"+r.Addr, "a:b")
		if warns := strings.Contains(out, "set its maxmemory-policy to noeviction"); warns != test.warns {
			t.Errorf("after %q, when it is opened:\n%s", test.set, out)
		}
	}
	if out, err := o.command(t, binary, "check", "-strict", "-ask", r.Addr, "."); err == nil {
		t.Errorf("check -strict does not fail:\n%s", out)
	}
}

// configure changes a setting of a Redis.
func configure(t *testing.T, r *servers.Redis, set string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", r.Addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONFIG SET %s\r\n", set)
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "+OK") {
		t.Fatalf("CONFIG SET %s: %q, %v", set, line, err)
	}
}

// These components report in their answers when a value expires.
func TestHistoryThatExpiresIsWarnedAbout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, config := range map[string]servers.DaprdConfig{
		"in-memory":  {Components: []string{servers.InMemoryState("statestore")}},
		"SQLite":     {Components: []string{servers.SQLiteState("statestore", filepath.Join(dir, "state.db"))}, Folders: []string{dir}},
		"PostgreSQL": {Components: []string{servers.PostgresState("statestore", servers.StartPostgres(t), "v2")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config.AppID = "bank"
			d := servers.StartDaprd(t, config)
			client := d.Client(t)
			for _, key := range []string{"lasts", "expires"} {
				metadata := map[string]string{}
				if key == "expires" {
					metadata["ttlInSeconds"] = "1000"
				}
				if err := client.SaveState(t.Context(), "statestore", key, []byte("x"), metadata, dapr.WithConcurrency(dapr.StateConcurrencyLastWrite)); err != nil {
					t.Fatal(err)
				}
				for _, bulk := range []bool{false, true} {
					var log bytes.Buffer
					s, err := sidecar.NewState(t.Context(), client, "statestore", sidecar.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
					if err != nil {
						t.Fatal(err)
					}
					if bulk {
						_, err = s.GetMany(t.Context(), "p", []string{key})
					} else {
						_, err = s.Get(t.Context(), "p", key)
					}
					if warned := strings.Contains(log.String(), "lets history expire"); err != nil || warned != (key == "expires") {
						t.Errorf("%s, in bulk %t: %v, %q", key, bulk, err, &log)
					}
				}
			}
		})
	}
}
