package bench

import (
	"context"
	"database/sql"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dapr/components-contrib/state"
	inmemory "github.com/dapr/components-contrib/state/in-memory"
	contrib "github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/kit/logger"
	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/fastjson"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// store is one store to measure on.
type store struct {
	name   string
	state  driver.State // used by the event store
	locker driver.Locker
	raw    raw    // used by the floor: the same store or, embedded, another of the same kind
	apart  bool   // raw uses another store
	locks  *locks // used by the floor; nil if it takes a lease

	// rival opens the database of the rival on the same disk or server. It is nil where there is no
	// comparison with the rival.
	rival func(t testing.TB) *rival

	address address // how another process reaches the store

	// watermill opens the database of watermill-sql on the same server. It is nil where there is no
	// comparison with it.
	watermill func(t testing.TB) *watermill

	versions []string // of the servers and libraries that run
	longID   string   // of the long stream; empty until it is made

	realm *realm // state, if it is a part of a store; see lab.part
	feed  bool   // providers write to the feed

	// Comparisons on one store share these. They are empty until they are made.
	delays *delays
	aged   *agedFeeds
	listed string // the prefix of the part that has many streams
}

// counted reports whether the store counts its ETags, as Redis does. There transactions do not roll
// back.
func (s *store) counted() bool { return s.state.Capabilities().CountedETags }

// kind names a store and starts it. start returns a function that is called for each comparison
// with the t of that comparison.
type kind struct {
	name  string
	start func(t testing.TB) func(testing.TB) *store
}

var kinds = []kind{
	{"sidecar/in-memory", startSidecarInMemory},
	{"sidecar/redis", startSidecarRedis},
	{"sidecar/sqlite", startSidecarSQLite},
	{"sidecar/postgresql", startSidecarPostgreSQL},
	{"embedded/memory", startInMemory},
	{"embedded/sqlite", startSQLite},
}

func startSidecarInMemory(t testing.TB) func(testing.TB) *store {
	s := viaDaprd(t, "sidecar/in-memory", servers.DaprdConfig{Components: []string{servers.InMemoryState("statestore")}}, false)
	return func(testing.TB) *store { return s }
}

func startSidecarRedis(t testing.TB) func(testing.TB) *store {
	r := servers.StartRedis(t)
	s := viaDaprd(t, "sidecar/redis", servers.DaprdConfig{Components: []string{servers.RedisState("statestore", r), servers.RedisLock("lockstore", r)}}, true)
	s.versions = append(s.versions, "Redis "+redisVersion(t, r.Addr))
	return func(testing.TB) *store { return s }
}

func startSidecarSQLite(t testing.TB) func(testing.TB) *store {
	folder := t.TempDir()
	s := viaDaprd(t, "sidecar/sqlite", servers.DaprdConfig{Folders: []string{folder},
		Components: []string{servers.SQLiteState("statestore", filepath.Join(folder, "state.db"))}}, false)
	return func(testing.TB) *store { return s }
}

func startSidecarPostgreSQL(t testing.TB) func(testing.TB) *store {
	p := servers.StartPostgres(t)
	s := viaDaprd(t, "sidecar/postgresql", servers.DaprdConfig{Components: []string{servers.PostgresState("statestore", p, "v2")}}, false)
	s.rival = func(t testing.TB) *rival { return startRival(t, "pgx", p.ConnString) }
	s.watermill = func(t testing.TB) *watermill { return startWatermill(t, p.ConnString) }
	s.versions = append(s.versions, "PostgreSQL "+askVersion(t, openDB(t, "pgx", p.ConnString), "SHOW server_version"))
	return func(testing.TB) *store { return s }
}

// viaDaprd starts a sidecar and connects the event store and the floor through one client.
func viaDaprd(t testing.TB, name string, config servers.DaprdConfig, locking bool) *store {
	t.Helper()
	config.AppID = "bench"
	d := servers.StartDaprd(t, config)
	client := d.Client(t)
	s := &store{
		name:     name,
		address:  address{Sidecar: d.GRPCAddr()},
		state:    must(sidecar.NewState(t.Context(), client, "statestore"))(t),
		raw:      viaSidecar{client: client, store: "statestore"},
		versions: []string{daprVersion(t)},
	}
	if locking {
		s.locker = must(sidecar.NewLocker(t.Context(), client, "lockstore"))(t)
		s.locks = &locks{client: client, store: "lockstore"}
	}
	return s
}

// startInMemory makes a new store for each comparison. The content of an old one would slow down
// the garbage collection of all later comparisons.
func startInMemory(testing.TB) func(testing.TB) *store {
	return func(t testing.TB) *store {
		state := memory.New()
		t.Cleanup(func() { _ = state.Close() })
		return &store{name: "embedded/memory", state: state, apart: true,
			raw: inProcess{store: inmemory.NewInMemoryStateStore(silent())}}
	}
}

func startSQLite(t testing.TB) func(testing.TB) *store {
	folder := t.TempDir()
	file := filepath.Join(folder, "ours.db")
	state := must(sqlite.Open(t.Context(), file))(t)
	t.Cleanup(func() { _ = state.Close() })
	s := &store{name: "embedded/sqlite", state: state, address: address{SQLite: file}, apart: true, raw: inProcess{store: sqliteComponent(t, filepath.Join(folder, "floor.db"))}}
	s.rival = func(t testing.TB) *rival {
		return startRival(t, "sqlite", sqliteURL(filepath.Join(folder, "rival.db"), "journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"))
	}
	s.versions = append(s.versions, "SQLite "+askVersion(t, openDB(t, "sqlite", "file::memory:"), "SELECT sqlite_version()"))
	return func(testing.TB) *store { return s }
}

// sqliteComponent starts Dapr's component with the settings that the adapter gives it.
func sqliteComponent(t testing.TB, path string) state.Store {
	t.Helper()
	component := contrib.NewSQLiteStateStore(silent())
	var m state.Metadata
	m.Name = "floor"
	m.Properties = map[string]string{"connectionString": sqliteURL(path, "synchronous(FULL)"), "disableWAL": "false", "busyTimeout": "10s"}
	if err := component.Init(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = component.Close() })
	return component
}

func sqliteURL(path string, pragmas ...string) string {
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: url.Values{"_pragma": pragmas}.Encode()}
	return file.String()
}

func silent() logger.Logger { return logger.FromContextOrDefault(context.Background()) }

// openDB opens a database that is closed when the test ends.
func openDB(t testing.TB, driverName, source string) *sql.DB {
	t.Helper()
	db := must(sql.Open(driverName, source))(t)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// sessionTimeout is longer than any comparison.
const sessionTimeout = time.Hour

// payloadBytes is the size of an event's payload.
const payloadBytes = 512

// deposited is the event that is written and read: 512 bytes of JSON.
type deposited struct {
	Account   string
	Amount    int64
	Currency  string
	Reference string
	Tags      []string
	Note      string
}

// event returns an event whose payload has payloadBytes.
func event() deposited {
	d := deposited{Account: "DE02120300000000202051", Amount: 1_234_567, Currency: "EUR", Reference: uuid.NewString(), Tags: []string{"salary", "monthly"}}
	raw, err := eventstore.JSON.Marshal(d)
	if err != nil {
		panic(err)
	}
	words := strings.Repeat("the quick brown fox jumps over the lazy dog; ", payloadBytes/40)
	d.Note = words[:payloadBytes-len(raw)]
	return d
}

func events(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = event()
	}
	return all
}

// aggregate is the aggregate type of all streams.
const aggregate = "BankAccount"

// newName returns the id of a new stream. All ids have the same length, so that keys have it too.
func newName() string { return uuid.NewString() }

// keys makes the keys of one stream.
type keys struct{ partition, prefix string }

func keysOf(id string) keys {
	partition := eventstore.Stream{Database: eventstore.DefaultSettings().DefaultDatabase, Type: aggregate, ID: id}.String()
	return keys{partition, "{" + partition + "}:"}
}

func (k keys) event(version int) string { return k.prefix + strconv.Itoa(version) }
func (k keys) named(what string) string { return k.prefix + what }

// provider returns an event store on state. It decodes with the faster of the two JSON codecs.
func (s *store) provider(state driver.State) (*eventstore.Provider, error) {
	return s.providerWith(state, fastjson.JSON)
}

func (s *store) providerWith(state driver.State, codec eventstore.Codec) (*eventstore.Provider, error) {
	registry, err := eventstore.NewRegistry(
		eventstore.Type[deposited]("deposited", eventstore.WithCodec(codec)), eventstore.Type[account]("account", eventstore.WithCodec(codec)))
	if err != nil {
		return nil, err
	}
	settings := eventstore.DefaultSettings()
	settings.SessionTimeout = sessionTimeout
	options := []eventstore.Option{eventstore.WithRegistry(registry), eventstore.WithSettings(settings), eventstore.WithLogger(slog.New(slog.DiscardHandler))}
	if s.feed {
		options = append(options, eventstore.WithFeed(feedName))
	}
	if s.locker != nil {
		options = append(options, eventstore.WithLocker(s.locker))
	}
	return eventstore.NewProvider(state, options...)
}
