package main

import (
	"context"
	"errors"
	"fmt"
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

	"github.com/hexalith/eventstores-go/adapter/inprocess"
	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// aboutStores is for the usage of commands.
const aboutStores = `A store is one of

  sqlite:events.db                      the SQLite file of an app without a sidecar
  redis://user@localhost:6379/0         the same on a Redis, rediss:// with TLS; with ?cluster=true one node of a cluster
  dapr:statestore@localhost:50001       a state component of the sidecar whose gRPC API is there; without @… the one
                                        at DAPR_GRPC_PORT. With ?lock=lockstore the app's lock component is used, and
                                        with ?max-request-bytes=16777216 the sidecar's --max-body-size, if it has one

Passwords and tokens come from the environment: REDIS_PASSWORD and DAPR_API_TOKEN, or the variable that is named by
?password-env=NAME and ?token-env=NAME.
`

// store is where streams are.
type store struct {
	spec string
	// same is the same for two stores that certainly are one.
	same string
	open func(ctx context.Context, log *slog.Logger) (opened, error)
}

// opened is a store in use.
type opened struct {
	state  driver.State
	locker driver.Locker // nil: sessions use a lease in the state store
	close  func()
}

// parseStore reads how a store is named, without connecting. A store to read from must be there.
func parseStore(spec string, mustExist bool) (store, error) {
	kind, rest, ok := strings.Cut(spec, ":")
	if spec == "" || !ok {
		return store{}, fmt.Errorf("%q names no store: it can be sqlite:FILE, redis://HOST:PORT/0 or dapr:COMPONENT@HOST:PORT", spec)
	}
	var (
		s   store
		err error
	)
	switch kind {
	case "sqlite":
		s, err = sqliteStore(rest, mustExist)
	case "redis", "rediss":
		s, err = redisStore(spec)
	case "dapr":
		s, err = daprStore(rest)
	default:
		err = errors.New("it begins neither with sqlite: nor redis://, rediss:// or dapr: as stores do")
	}
	if err != nil {
		return store{}, fmt.Errorf("store %s: %w", withoutPassword(spec), err)
	}
	s.spec = spec
	return s, nil
}

// withoutPassword is a spec to be shown.
func withoutPassword(spec string) string {
	scheme, rest, ok := strings.Cut(spec, "://")
	user, host, at := strings.Cut(rest, "@")
	if !ok || !at {
		return spec
	}
	name, _, _ := strings.Cut(user, ":")
	return scheme + "://" + name + "@" + host
}

func sqliteStore(path string, mustExist bool) (store, error) {
	if path == "" {
		return store{}, errors.New("the file has no name")
	}
	same, err := filepath.Abs(path)
	if err != nil {
		return store{}, err
	}
	if real, err := filepath.EvalSymlinks(same); err == nil {
		same = real
	} else if mustExist { // opening would create it
		return store{}, fmt.Errorf("there is no such file: %w", err)
	}
	return store{same: "sqlite " + same, open: func(ctx context.Context, _ *slog.Logger) (opened, error) {
		state, err := inprocess.OpenSQLite(ctx, path)
		if err != nil {
			return opened{}, err
		}
		return opened{state: state, close: func() { _ = state.Close() }}, nil
	}}, nil
}

// query are the parameters of a spec, of which only those are allowed.
func query(values url.Values, allowed ...string) (map[string]string, error) {
	q := map[string]string{}
	for name, all := range values {
		if !slices.Contains(allowed, name) || len(all) != 1 {
			return nil, fmt.Errorf("?%s is not possible, or there twice: it can have %s", name, strings.Join(allowed, ", "))
		}
		q[name] = all[0]
	}
	return q, nil
}

// secret is the value of a variable: of the one that is named, which then must be set, or of the usual one.
func secret(named, usual string) (string, error) {
	if named == "" {
		return os.Getenv(usual), nil
	}
	value, ok := os.LookupEnv(named)
	if !ok {
		return "", fmt.Errorf("the environment has no variable %s", named)
	}
	return value, nil
}

func redisStore(spec string) (store, error) {
	u, err := url.Parse(spec)
	if err != nil {
		return store{}, errors.New("it is no URL like redis://user@localhost:6379/0") // the error may quote a password
	}
	if _, given := u.User.Password(); given {
		return store{}, errors.New("everybody on this machine can read a password in arguments: put it into the variable REDIS_PASSWORD, or one that ?password-env names")
	}
	q, err := query(u.Query(), "cluster", "password-env")
	if err != nil {
		return store{}, err
	}
	options := inprocess.RedisOptions{Addr: u.Host, Username: u.User.Username(), TLS: u.Scheme == "rediss"}
	if u.Hostname() == "" {
		return store{}, errors.New("it has no host")
	}
	if u.Port() == "" {
		options.Addr = net.JoinHostPort(u.Hostname(), "6379")
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if options.DB, err = strconv.Atoi(db); err != nil || options.DB < 0 {
			return store{}, fmt.Errorf("%q is no number of a database", db)
		}
	}
	if cluster, ok := q["cluster"]; ok {
		if options.Cluster, err = strconv.ParseBool(cluster); err != nil {
			return store{}, fmt.Errorf("?cluster=%s is neither true nor false", cluster)
		}
	}
	if options.Password, err = secret(q["password-env"], "REDIS_PASSWORD"); err != nil {
		return store{}, err
	}
	return store{same: fmt.Sprintf("redis %s/%d", options.Addr, options.DB), open: func(ctx context.Context, _ *slog.Logger) (opened, error) {
		state, err := inprocess.OpenRedis(ctx, options)
		if err != nil {
			return opened{}, err
		}
		return opened{state: state, close: func() { _ = state.Close() }}, nil
	}}, nil
}

func daprStore(rest string) (store, error) {
	rest, parameters, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(parameters)
	if err != nil {
		return store{}, err
	}
	q, err := query(values, "lock", "token-env", "max-request-bytes")
	if err != nil {
		return store{}, err
	}
	component, address, ok := strings.Cut(rest, "@")
	if component == "" {
		return store{}, errors.New("it names no component, as in dapr:statestore@localhost:50001")
	}
	if !ok {
		port := os.Getenv("DAPR_GRPC_PORT")
		if port == "" {
			return store{}, errors.New("it does not say where the sidecar is, and DAPR_GRPC_PORT is not set: dapr:" + component + "@localhost:50001")
		}
		address = net.JoinHostPort("127.0.0.1", port)
	}
	token, err := secret(q["token-env"], "DAPR_API_TOKEN")
	if err != nil {
		return store{}, err
	}
	var (
		options []sidecar.Option
		dial    []grpc.DialOption
	)
	if given, ok := q["max-request-bytes"]; ok {
		n, err := strconv.Atoi(given)
		if err != nil || n < 1 || n > math.MaxInt32 {
			return store{}, fmt.Errorf("?max-request-bytes=%s is no number of bytes", given)
		}
		options = append(options, sidecar.WithMaxRequestBytes(n))
		dial = append(dial, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(n)))
	}
	return store{same: "dapr " + component + "@" + address, open: func(ctx context.Context, log *slog.Logger) (_ opened, err error) {
		dapr.SetLogger(nil) // it would write to standard output
		client, err := dapr.NewClientWithAddressContext(ctx, address, append(sidecar.DialOptions(), dial...)...)
		if err != nil {
			return opened{}, fmt.Errorf("no Dapr sidecar answers at %s, is that its gRPC port? %w", address, err)
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

// A command that was killed leaves its streams locked for as long as a session lasts. The next waits for that by itself.
const (
	sessionTimeout = 10 * time.Second
	openTimeout    = 15 * time.Second
)

// provide opens a store and makes an event store on it.
func (s store) provide(ctx context.Context, log *slog.Logger) (*eventstore.Provider, func(), error) {
	o, err := s.open(ctx, log)
	if err != nil {
		return nil, nil, fmt.Errorf("store %s: %w", s.spec, err)
	}
	settings := eventstore.DefaultSettings()
	settings.SessionTimeout, settings.OpenTimeout = sessionTimeout, openTimeout
	options := []eventstore.Option{eventstore.WithLogger(log), eventstore.WithSettings(settings)}
	if o.locker != nil {
		options = append(options, eventstore.WithLocker(o.locker))
	}
	provider, err := eventstore.NewProvider(o.state, options...)
	if err != nil {
		o.close()
		return nil, nil, err
	}
	return provider, o.close, nil
}
