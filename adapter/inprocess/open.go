package inprocess

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dapr/components-contrib/state"
	memory "github.com/dapr/components-contrib/state/in-memory"
	"github.com/dapr/components-contrib/state/redis"
	"github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/kit/logger"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/probe"
	"github.com/hexalith/eventstores-go/internal/redisserver"
)

// NewMemory returns a new, empty store in memory, Dapr's state.in-memory. It is gone with its Close.
func NewMemory() (*State, error) {
	// Not initialised: all that Init does is to start a search for keys that expire, of which there
	// are none, and which Close can wait for in vain.
	return newState(memory.NewInMemoryStateStore(silent()), driver.Capabilities{Store: "state.in-memory", Atomic: true, UniqueETags: true})
}

// tried is a store after it was tried out. One that is not fit is closed.
func tried(ctx context.Context, s *State, without bool) (*State, error) {
	if without {
		return s, nil
	}
	found, err := probe.Run(ctx, s, probe.Options{})
	if err == nil {
		err = found.Transactions // Dapr encrypts in a sidecar alone, so that nothing explains it
	}
	if err == nil {
		return s, nil
	}
	_ = s.Close()
	if errors.Is(err, probe.ErrFailed) {
		return nil, fmt.Errorf("%w: may this process write to it? Who may not write when the store is opened uses WithoutProbe", err)
	}
	return nil, fmt.Errorf("the store %w: choose another one", err)
}

// OpenSQLite opens the store in a SQLite file, Dapr's state.sqlite, and creates the file if it is not there, for
// its owner alone (mode 0600); its folder must be.
//
// What was acknowledged survives the end of the process and a power cut: SQLite writes ahead into a
// log that it syncs with every commit. Several processes of one machine may have the file open; it must
// not lie on a network file system. The log stands beside the file, as path-wal and path-shm, and belongs to it.
//
// A store is tried out with at most 7 requests about keys that no stream can have, and that are removed. One that is not fit is refused; a
// full disk or a file that may not be written to is an error that says so. SQLiteOptions.WithoutProbe of [OpenSQLiteWith] turns that off.
//
// A writer waits up to 10 s for another process that has the file locked; then its append certainly did not take effect.
func OpenSQLite(ctx context.Context, path string) (*State, error) {
	return OpenSQLiteWith(ctx, SQLiteOptions{Path: path})
}

// SQLiteOptions say how to open a SQLite file.
type SQLiteOptions struct {
	Path string // a plain path, required

	// WithoutProbe leaves the file as it is when it is opened: it is not tried out, and nothing is written but what creates a store where
	// there is none. It is for who may not write then, or only reads, as from a full disk. Defaults to false.
	WithoutProbe bool
}

// OpenSQLiteWith is [OpenSQLite] with options.
func OpenSQLiteWith(ctx context.Context, options SQLiteOptions) (*State, error) {
	path := options.Path
	if strings.TrimSpace(path) == "" {
		return nil, errors.New("inprocess: the path of the SQLite file is blank")
	}
	if strings.HasPrefix(path, ":memory:") || strings.HasPrefix(path, "file:") {
		return nil, fmt.Errorf("inprocess: %q is no path of a file: give a plain path, or use NewMemory", path)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("inprocess: the SQLite file %s: %w", path, err)
	}
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: url.Values{"_pragma": {"synchronous(FULL)"}}.Encode()}
	createPrivately(absolute)
	began := time.Now()
	s, err := openSQLite(ctx, file.String())
	for wait := time.Millisecond; busy(err) && time.Since(began) < sqliteBusy; wait = min(2*wait, 100*time.Millisecond) {
		// Another is just creating the file, for which SQLite does not wait.
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		s, err = openSQLite(ctx, file.String())
	}
	if err != nil {
		return nil, fmt.Errorf("inprocess: can't open the SQLite file %s, is its folder there, and may this process write to it? %w", path, err)
	}
	if s, err = tried(ctx, s, options.WithoutProbe); err != nil {
		return nil, fmt.Errorf("inprocess: the SQLite file %s: %w", path, err)
	}
	return s, nil
}

// sqliteBusy is how long one writer waits for another.
const sqliteBusy = 10 * time.Second

func openSQLite(ctx context.Context, file string) (*State, error) {
	return open(ctx, sqlite.NewSQLiteStateStore(silent()), map[string]string{
		"connectionString": file,
		"disableWAL":       "false",
		"busyTimeout":      sqliteBusy.String(),
	}, driver.Capabilities{Store: "state.sqlite", Atomic: true, UniqueETags: true, BulkMisses: true}, once)
}

// once are components that send no request twice.
func once(s *State) { s.alone = true }

// busy reports whether SQLite refused something because another has the file for itself (SQLITE_BUSY).
func busy(err error) bool {
	var coded interface{ Code() int }
	return errors.As(err, &coded) && coded.Code()&0xff == 5
}

// RedisOptions say how to reach a Redis server.
type RedisOptions struct {
	Addr     string // host:port, required; of a cluster several, with commas between
	Username string // defaults to none
	Password string // defaults to none
	DB       int    // defaults to 0
	TLS      bool   // defaults to false
	Cluster  bool   // Addr is of a Redis Cluster; defaults to false

	// WithoutProbe leaves the server as it is when it is connected to: it is not tried out, and nothing is written. It is for who may not write
	// then, or only reads. Defaults to false.
	WithoutProbe bool
}

// OpenRedis connects to the store on a Redis server, Dapr's state.redis.
//
// The server must not evict keys (maxmemory-policy noeviction): where it says that it may, a warning is logged to [slog.Default]; many hosted
// servers do not say. What was acknowledged survives the end
// of the server only as far as the server persists: appendonly yes, and appendfsync always for all of it.
//
// The store is tried out as by [OpenSQLite], unless RedisOptions.WithoutProbe is set.
func OpenRedis(ctx context.Context, options RedisOptions) (*State, error) {
	if strings.TrimSpace(options.Addr) == "" {
		return nil, errors.New("inprocess: RedisOptions.Addr is blank: give host:port")
	}
	kind := "node"
	if options.Cluster {
		kind = "cluster"
	}
	properties := map[string]string{
		"redisHost":     options.Addr,
		"redisUsername": options.Username,
		"redisPassword": options.Password,
		"redisDB":       strconv.Itoa(options.DB),
		"redisType":     kind,
		"enableTLS":     strconv.FormatBool(options.TLS),
	}
	how := func(*State) {}
	if !options.Cluster { // the client of a cluster follows moved keys, and can't do without
		// By default Dapr's client sends again what got no answer, also a swap: what the server then says of the second is no proof.
		properties["redisMaxRetries"] = "-1"
		how = func(s *State) { s.alone, s.repeats = true, redisRepeats }
	}
	s, err := open(ctx, redis.NewRedisStateStore(silent()), properties, driver.Capabilities{Store: "state.redis", CountedETags: true}, how)
	if err != nil {
		return nil, fmt.Errorf("inprocess: can't use the Redis at %s: %w", options.Addr, err)
	}
	if s, err = tried(ctx, s, options.WithoutProbe); err != nil {
		return nil, fmt.Errorf("inprocess: can't use the Redis at %s: %w", options.Addr, err)
	}
	switch server, err := redisserver.Ask(ctx, properties); {
	case err != nil:
		slog.DebugContext(ctx, "the Redis server does not say whether it evicts keys", "address", options.Addr, "error", err)
	case server.Evicts():
		slog.WarnContext(ctx, "the Redis server may throw history away when its memory runs out: set its maxmemory-policy to noeviction", "address", options.Addr, "maxmemory-policy", server.MaxmemoryPolicy)
	}
	return s, nil
}

// redisRepeats is how often a read whose connection broke is sent again, as Dapr's client would.
const redisRepeats = 3

// open starts a component.
func open(ctx context.Context, store state.Store, properties map[string]string, caps driver.Capabilities, how func(*State)) (*State, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var m state.Metadata
	m.Name = caps.Store
	m.Properties = properties
	started := make(chan error, 1)
	go func() { started <- store.Init(ctx, m) }()
	select {
	case err := <-started:
		if err != nil {
			discard(store)
			return nil, err
		}
		s, err := newState(store, caps)
		if err == nil {
			how(s)
		}
		return s, err
	case <-ctx.Done(): // which components are slow to see, as in await
		go func() {
			<-started
			discard(store)
		}()
		return nil, ctx.Err()
	}
}

// discard closes a component that did not start, so that nothing of it goes on. That of Redis panics where it has
// not got as far as a client.
func discard(store state.Store) {
	defer func() { _ = recover() }()
	_ = store.Close()
}

func newState(store state.Store, caps driver.Capabilities) (*State, error) {
	multi, ok := store.(state.TransactionalStore)
	if !ok {
		return nil, fmt.Errorf("inprocess: the component %s takes no transactions", caps.Store)
	}
	return &State{store: store, multi: multi, caps: caps}, nil
}

// silent is a logger for components. What matters of theirs comes back as errors; the rest would
// go to standard output.
func silent() logger.Logger {
	return logger.FromContextOrDefault(context.Background())
}
