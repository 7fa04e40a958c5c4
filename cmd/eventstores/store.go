package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/redisserver"
)

// aboutStores is part of the usage of commands.
const aboutStores = `A store is one of

  sqlite:events.db                  the SQLite file of an app without a sidecar
  redis://user@localhost:6379/0     the Redis of an app without a sidecar; rediss:// uses TLS,
                                    ?cluster=true says that the host is a node of a cluster
  dapr:statestore@localhost:50001   a state component of the sidecar with this gRPC address; without
                                    @… the sidecar at DAPR_GRPC_PORT. ?lock=lockstore uses the app's
                                    lock component. ?max-request-bytes=16777216 is the sidecar's
                                    --max-body-size, if it has one

If a sidecar has written to a file or a Redis, ?prefix=statestore after its name says which prefix its
keys have: the app id, or what keyPrefix in the component file says.

Passwords and tokens come from the environment variables REDIS_PASSWORD and DAPR_API_TOKEN, or from
those that ?password-env=NAME and ?token-env=NAME name.
`

// store describes where streams are.
type store struct {
	name string // for printing: it contains nothing that could be a password
	// same is equal for two specs that certainly name the same store.
	same   string
	secret string // password or token
	prefix string // of all keys, if a sidecar writes them
	lists  bool   // it can list its keys
	// flaws returns which settings of its server may lose events. It is nil if none can be asked.
	flaws func(ctx context.Context) ([]string, error)
	open  func(ctx context.Context, log *slog.Logger) (opened, error)
}

// opened is an open store.
type opened struct {
	state  driver.State
	locker driver.Locker // nil: sessions use a lease in the state store
	close  func()
}

// use says what a command does with a store.
type use int

const (
	reading   use = iota // the store exists, and nothing is written
	examining            // the same, but a server is tried out with keys that no stream can have
	mending              // the store exists and is changed
	creating             // the store is changed, and created if it does not exist
)

// kinds parse the names of stores, by what stands before the colon.
var kinds = map[string]func(rest string, as use) (store, error){
	"sqlite": sqliteStore,
	"redis":  func(rest string, as use) (store, error) { return redisStore("redis:"+rest, as) },
	"rediss": func(rest string, as use) (store, error) { return redisStore("rediss:"+rest, as) },
	"dapr":   daprStore,
}

// parseStore parses the name of a store, without connecting. Its errors never quote the name,
// because any part of it may be a password.
func parseStore(spec string, as use) (store, error) {
	kind, rest, ok := strings.Cut(spec, ":")
	if spec == "" || !ok {
		return store{}, errors.New("not a store; use sqlite:FILE, redis://HOST:PORT/0 or dapr:COMPONENT@HOST:PORT")
	}
	parse, known := kinds[kind]
	if !known {
		return store{}, errors.New("not a store; want one that begins with dapr:, redis://, rediss:// or sqlite: (see help)")
	}
	s, err := parse(rest, as)
	if err != nil {
		return store{}, fmt.Errorf("%s store: %w", kind, err)
	}
	if s.prefix != "" {
		s.name += "?prefix=" + s.prefix
		s.same += " " + s.prefix
	}
	return s, nil
}

// checkPrefix refuses what cannot be the prefix of a sidecar. Its error does not quote it.
func checkPrefix(prefix string, given bool) error {
	if given && !isComponent(prefix) {
		return errors.New("?prefix= must be what keyPrefix stands for: the app id, the name of the component, or another name, without ||")
	}
	return nil
}

func sqliteStore(path string, as use) (store, error) {
	prefix, given := "", false
	if before, after, ok := strings.Cut(path, "?prefix="); ok && !isFile(path) {
		path, prefix, given = before, after, true
	}
	switch {
	case path == "":
		return store{}, errors.New("no file name")
	case strings.HasPrefix(path, "file:") || strings.HasPrefix(path, "//") || strings.Contains(path, "://"):
		return store{}, errors.New("use the plain path of the file, not a URL")
	case mayHoldPassword(path) && !isFile(path):
		return store{}, errors.New("no such file; the name is not shown because it may contain a password; use the plain path of a file")
	}
	if err := checkPrefix(prefix, given); err != nil {
		return store{}, err
	}
	same, err := filepath.Abs(path)
	if err != nil {
		return store{}, err
	}
	if real, err := filepath.EvalSymlinks(same); err == nil {
		same = real
	} else if as != creating && errors.Is(err, fs.ErrNotExist) {
		return store{}, fmt.Errorf("no such file: %s", same)
	} else if as != creating {
		return store{}, fmt.Errorf("no such file: %w", err)
	}
	return store{name: "sqlite:" + path, same: "sqlite " + same, prefix: prefix, lists: true, open: func(ctx context.Context, _ *slog.Logger) (opened, error) {
		state, err := openSQLite(ctx, path, as)
		if err != nil {
			return opened{}, err
		}
		return opened{state: state, close: func() { _ = state.Close() }}, nil
	}}, nil
}

// openSQLite opens a file. It does not change an existing file that is not an event store.
func openSQLite(ctx context.Context, path string, as use) (*sqlite.State, error) {
	if info, err := os.Stat(path); as == creating && (err != nil || info.Mode().IsRegular() && info.Size() == 0) {
		return sqlite.Open(ctx, path)
	}
	state, err := sqlite.Open(ctx, path, sqlite.WithReadOnly())
	if err != nil || as < mending {
		return state, err
	}
	if err := state.Close(); err != nil {
		return nil, err
	}
	return sqlite.Open(ctx, path)
}

// query returns the parameters of a spec. It refuses those that are not allowed.
func query(values url.Values, allowed ...string) (map[string]string, error) {
	q := map[string]string{}
	for name, all := range values {
		if !slices.Contains(allowed, name) || len(all) != 1 {
			if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" {
				name = "…"
			}
			return nil, fmt.Errorf("parameter ?%s is unknown or repeated; allowed are %s", name, strings.Join(allowed, ", "))
		}
		q[name] = all[0]
	}
	return q, nil
}

// secret returns the value of the variable named, which then must be set, or else of the usual
// variable.
func secret(named, usual string) (string, error) {
	if named == "" {
		return os.Getenv(usual), nil
	}
	if !isVariable(named) {
		return "", errors.New("not the name of an environment variable; name the variable, do not write the password itself")
	}
	value, ok := os.LookupEnv(named)
	if !ok {
		return "", fmt.Errorf("environment variable %s is not set", named)
	}
	return value, nil
}

var errPasswordInArguments = errors.New("other users of this machine can read a password in arguments; put it into the environment variable REDIS_PASSWORD, or one that ?password-env names")

func redisStore(spec string, as use) (store, error) {
	u, err := url.Parse(spec)
	if err != nil {
		return store{}, errors.New("not a URL like redis://user@localhost:6379/0") // the error may quote a password
	}
	_, hasPassword := u.User.Password()
	_, after, _ := strings.Cut(spec, "://")
	switch {
	case hasPassword:
		return store{}, errPasswordInArguments
	case strings.Count(after, "@") > 1, u.User == nil && strings.ContainsAny(after, "@#"), u.Fragment != "":
		// A password with / ? or # in it ends the part of the URL that may contain a password.
		return store{}, fmt.Errorf("not a URL like redis://user@localhost:6379/0: an @ or # is in a wrong place; if it is part of a password: %w", errPasswordInArguments)
	case u.Hostname() == "":
		return store{}, errors.New("no host")
	case !isHost(u.Host):
		return store{}, errors.New("invalid host; use a URL like redis://user@localhost:6379/0")
	}
	q, err := query(u.Query(), "cluster", "password-env", "prefix")
	if err != nil {
		return store{}, err
	}
	prefix, given := q["prefix"]
	if err := checkPrefix(prefix, given); err != nil {
		return store{}, err
	}
	address, number := u.Host, 0
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "6379")
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if number, err = strconv.Atoi(db); err != nil || number < 0 {
			return store{}, errors.New("the database after the host is not a number")
		}
	}
	options := []redis.Option{redis.WithDB(number)}
	if as == reading {
		options = append(options, redis.WithoutProbe())
	}
	if u.Scheme == "rediss" {
		options = append(options, redis.WithTLS())
	}
	if cluster, ok := q["cluster"]; ok {
		switch is, err := strconv.ParseBool(cluster); {
		case err != nil:
			return store{}, errors.New("?cluster must be true or false")
		case is:
			options = append(options, redis.WithCluster())
		}
	}
	password, err := secret(q["password-env"], "REDIS_PASSWORD")
	if err != nil {
		return store{}, err
	}
	options = append(options, redis.WithCredentials(u.User.Username(), password))
	name := fmt.Sprintf("%s://%s/%d", u.Scheme, address, number)
	flaws := func(ctx context.Context) ([]string, error) {
		settings, err := redisserver.Ask(ctx, map[string]string{
			"redisType": "node", "redisHost": address, "redisUsername": u.User.Username(), "redisPassword": password, "enableTLS": strconv.FormatBool(u.Scheme == "rediss"),
		})
		return settings.Flaws(), err
	}
	return store{name: name, same: fmt.Sprintf("redis %s/%d", address, number), secret: password, prefix: prefix, lists: true, flaws: flaws, open: func(ctx context.Context, _ *slog.Logger) (opened, error) {
		state, err := redis.Open(ctx, address, options...)
		if err != nil {
			return opened{}, err
		}
		return opened{state: state, close: func() { _ = state.Close() }}, nil
	}}, nil
}

func daprStore(rest string, as use) (store, error) {
	rest, parameters, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(parameters)
	if err != nil {
		return store{}, errors.New("invalid parameters after the ?")
	}
	q, err := query(values, "lock", "token-env", "max-request-bytes")
	if err != nil {
		return store{}, err
	}
	component, address, ok := strings.Cut(rest, "@")
	switch {
	case component == "":
		return store{}, errors.New("no component; use a name like dapr:statestore@localhost:50001")
	case !isComponent(component), ok && !isSidecar(address):
		return store{}, errors.New("not a name like dapr:statestore@localhost:50001")
	case !ok:
		port := os.Getenv("DAPR_GRPC_PORT")
		if port == "" {
			return store{}, errors.New("no address of the sidecar, and DAPR_GRPC_PORT is not set; use dapr:" + component + "@localhost:50001")
		}
		if address = net.JoinHostPort("127.0.0.1", port); !isHost(address) {
			return store{}, errors.New("DAPR_GRPC_PORT is not a port")
		}
	}
	token, err := secret(q["token-env"], "DAPR_API_TOKEN")
	if err != nil {
		return store{}, err
	}
	var (
		options []sidecar.Option
		dial    []grpc.DialOption
	)
	if as == reading {
		options = append(options, sidecar.WithoutProbe())
	}
	if given, ok := q["max-request-bytes"]; ok {
		n, err := strconv.Atoi(given)
		if err != nil || n < 1 || n > math.MaxInt32 {
			return store{}, errors.New("?max-request-bytes must be a positive number of bytes")
		}
		options = append(options, sidecar.WithMaxRequestBytes(n))
		dial = append(dial, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(n)))
	}
	return store{name: "dapr:" + component + "@" + address, same: "dapr " + component + "@" + address, secret: token, open: func(ctx context.Context, log *slog.Logger) (_ opened, err error) {
		dapr.SetLogger(nil) // it would write to standard output
		client, err := dapr.NewClientWithAddressContext(ctx, address, append(sidecar.DialOptions(), dial...)...)
		if err != nil {
			return opened{}, fmt.Errorf("no Dapr sidecar answers at %s; check that it is its gRPC port: %w", address, err)
		}
		defer func() {
			if err != nil {
				client.Close()
			}
		}()
		client.WithAuthToken(token)
		o := opened{close: client.Close}
		if o.state, err = sidecar.NewState(ctx, client, component, append(options, sidecar.WithLogger(log))...); err != nil {
			return opened{}, err
		}
		if lock := q["lock"]; lock != "" {
			if o.locker, err = sidecar.NewLocker(ctx, client, lock); err != nil {
				return opened{}, err
			}
		}
		return o, nil
	}}, nil
}

// A command that was killed leaves its streams locked for up to sessionTimeout. The next command
// waits for that long.
const (
	sessionTimeout = 10 * time.Second
	openTimeout    = 15 * time.Second
)

// openWith opens a store. Its error names the store.
func (s store) openWith(ctx context.Context, log *slog.Logger) (opened, error) {
	o, err := s.open(ctx, log)
	if err != nil {
		return opened{}, fmt.Errorf("store %s: %w", s.name, err)
	}
	if s.prefix != "" {
		o.state = withPrefix(o.state, s.prefix)
	}
	return o, nil
}

// provide opens a store and creates a provider for it.
func (s store) provide(ctx context.Context, log *slog.Logger) (*eventstore.Provider, func(), error) {
	o, err := s.openWith(ctx, log)
	if err != nil {
		return nil, nil, err
	}
	provider, err := o.provider(log)
	if err != nil {
		o.close()
		return nil, nil, err
	}
	return provider, o.close, nil
}

// provider creates a provider for an open store.
func (o opened) provider(log *slog.Logger, more ...eventstore.Option) (*eventstore.Provider, error) {
	settings := eventstore.DefaultSettings()
	settings.SessionTimeout, settings.OpenTimeout = sessionTimeout, openTimeout
	options := append(more, eventstore.WithLogger(log), eventstore.WithSettings(settings))
	if o.locker != nil {
		options = append(options, eventstore.WithLocker(o.locker))
	}
	return eventstore.NewProvider(o.state, options...)
}
