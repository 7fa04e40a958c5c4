package inprocess

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/dapr/components-contrib/state"
	memory "github.com/dapr/components-contrib/state/in-memory"
	"github.com/dapr/components-contrib/state/redis"
	"github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/kit/logger"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// NewMemory returns a new, empty state store in memory: Dapr's state.in-memory.
func NewMemory() (*State, error) {
	return open(context.Background(), memory.NewInMemoryStateStore(quiet()), nil,
		driver.Capabilities{Store: "state.in-memory", Atomic: true})
}

// OpenSQLite opens, or creates, a state store in a SQLite file: Dapr's state.sqlite. The folder must exist. What is committed
// survives the end of the process and of the machine: the journal is a write-ahead log, synced at every
// commit. Several processes of one machine may use the file at once; it must not lie on a network file system.
func OpenSQLite(ctx context.Context, path string) (*State, error) {
	if strings.TrimSpace(path) == "" {
		return nil, errors.New("inprocess: the path of the SQLite file is blank")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("inprocess: the path of the SQLite file: %w", err)
	}
	file := url.URL{Scheme: "file", Path: absolute, RawQuery: url.Values{"_pragma": {"synchronous(FULL)"}}.Encode()}
	s, err := open(ctx, sqlite.NewSQLiteStateStore(quiet()), map[string]string{
		"connectionString": file.String(),
		"busyTimeout":      "10s",
	}, driver.Capabilities{Store: "state.sqlite", Atomic: true})
	if err != nil {
		return nil, fmt.Errorf("inprocess: the SQLite file %s can't be opened, does its folder exist and can it be written? %w", path, err)
	}
	return s, nil
}

// Redis says how to reach a Redis server.
type Redis struct {
	Addr     string // host:port; not blank
	Username string // defaults to none
	Password string // defaults to none
	TLS      bool   // defaults to false
}

// OpenRedis connects to a state store on a Redis server: Dapr's state.redis. The server must not evict
// keys (maxmemory-policy noeviction), and keeps what it acknowledged only as far as its persistence does.
func OpenRedis(ctx context.Context, r Redis) (*State, error) {
	if strings.TrimSpace(r.Addr) == "" {
		return nil, errors.New("inprocess: the address of the Redis server is blank")
	}
	s, err := open(ctx, redis.NewRedisStateStore(quiet()), map[string]string{
		"redisHost":     r.Addr,
		"redisUsername": r.Username,
		"redisPassword": r.Password,
		"enableTLS":     fmt.Sprint(r.TLS),
	}, driver.Capabilities{Store: "state.redis", CountedETags: true})
	if err != nil {
		return nil, fmt.Errorf("inprocess: no Redis at %s: %w", r.Addr, err)
	}
	return s, nil
}

func open(ctx context.Context, store state.Store, p map[string]string, caps driver.Capabilities) (*State, error) {
	multi, ok := store.(state.TransactionalStore)
	if !ok {
		return nil, fmt.Errorf("inprocess: the component %s takes no transactions", caps.Store)
	}
	var m state.Metadata
	m.Name = caps.Store
	m.Properties = p
	if err := store.Init(ctx, m); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &State{store: store, multi: multi, caps: caps}, nil
}

// quiet is a logger for components: what matters of theirs comes back as errors.
func quiet() logger.Logger {
	l := logger.NewLogger("eventstores-go.inprocess")
	l.SetOutputLevel(logger.FatalLevel)
	return l
}
