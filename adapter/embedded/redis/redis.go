// Package redis runs Dapr's component state.redis in this process, on a Redis server or cluster.
//
//	state, err := redis.Open(ctx, "localhost:6379", redis.WithCredentials("", password))
//	if err != nil {
//		return err
//	}
//	defer state.Close()
//	provider, err := eventstore.NewProvider(state)
//
// A sidecar puts a prefix before every key, and this package does not. It finds a stream that was
// written through a sidecar only if the sidecar's component has keyPrefix: none.
//
// # Examples
//
//   - example_test.go: open a Redis server with a user, a password and TLS
package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	contrib "github.com/dapr/components-contrib/state/redis"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/redisserver"
)

// State is a store on a Redis server. It implements [driver.State] and is safe for concurrent use.
//
// A request returns as soon as its context ends. The component may be busy with it for some seconds
// more, and a write may still take effect.
type State struct {
	*base
	properties map[string]string // of the component
}

type base = component.State

var _ driver.State = (*State)(nil)

// Option configures [Open].
type Option func(*config) error

type config struct {
	username, password string
	db                 int
	tls, cluster       bool
	withoutProbe       bool
}

// WithCredentials signs in to the server. An empty username means the user "default". By default
// there is neither a username nor a password.
func WithCredentials(username, password string) Option {
	return func(c *config) error {
		c.username, c.password = username, password
		return nil
	}
}

// WithDB selects the numbered keyspace of the server, as SELECT does. The default is 0. A negative
// number is an error, and a cluster has only 0.
func WithDB(number int) Option {
	return func(c *config) error {
		if number < 0 {
			return fmt.Errorf("WithDB: the number %d is negative", number)
		}
		c.db = number
		return nil
	}
}

// WithTLS connects with TLS and verifies the server's certificate. The environment variables
// SSL_CERT_FILE and SSL_CERT_DIR replace this machine's certificate authorities. By default the
// connection is not encrypted.
func WithTLS() Option {
	return func(c *config) error {
		c.tls = true
		return nil
	}
}

// WithCluster says that the address belongs to a Redis Cluster. It may then list several nodes,
// separated by commas. By default the address belongs to a single server.
func WithCluster() Option {
	return func(c *config) error {
		c.cluster = true
		return nil
	}
}

// WithoutProbe opens the store without testing it, so that Open writes nothing. Use it in a program
// that only reads, or that must not write yet. By default [Open] tests the store.
func WithoutProbe() Option {
	return func(c *config) error {
		c.withoutProbe = true
		return nil
	}
}

// redisRepeats is how often a read is sent again after its connection broke, as Dapr's client does.
const redisRepeats = 3

// Open connects to the Redis server at address, which is host:port.
//
// The server must not evict keys (maxmemory-policy noeviction). If the server says that it may,
// Open logs a warning to [slog.Default]. Many hosted servers do not say. If the server stops, it
// keeps acknowledged events only as far as it persists them. To keep all events, set appendonly yes
// and appendfsync always.
//
// Open tests the store with at most 7 requests. They use keys that no stream can have, and Open
// removes these keys. Open refuses an unsuitable store and says why. [WithoutProbe] turns the test
// off.
func Open(ctx context.Context, address string, options ...Option) (*State, error) {
	if strings.TrimSpace(address) == "" {
		return nil, errors.New("redis: the address is blank: give host:port")
	}
	var c config
	for _, option := range options {
		if option == nil {
			return nil, errors.New("redis: an option is nil")
		}
		if err := option(&c); err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
	}
	state, properties, err := start(ctx, address, c)
	if err == nil && !c.withoutProbe {
		err = component.Probe(ctx, state)
	}
	if err != nil {
		return nil, fmt.Errorf("redis: cannot use the server at %s: %w", address, err)
	}
	warn(ctx, address, properties)
	return &State{state, properties}, nil
}

// start starts the component. It also returns the properties, which tell how to reach the server.
func start(ctx context.Context, address string, c config) (*component.State, map[string]string, error) {
	properties := map[string]string{
		"redisHost":     address,
		"redisUsername": c.username,
		"redisPassword": c.password,
		"redisDB":       strconv.Itoa(c.db),
		"redisType":     "node",
		"enableTLS":     strconv.FormatBool(c.tls),
	}
	how := component.Config{Package: "redis", Capabilities: driver.Capabilities{Store: "state.redis", CountedETags: true, AnyPartition: true}}
	if c.cluster { // its client follows moved keys, which needs repeated requests
		properties["redisType"] = "cluster"
	} else {
		// By default Dapr's client sends a request again if it gets no answer, even a swap. The
		// server's answer to the second swap proves nothing about the first.
		properties["redisMaxRetries"] = "-1"
		how.SendsOnce, how.Repeats = true, redisRepeats
	}
	store := contrib.NewRedisStateStore(component.Logger()).(component.Store)
	state, err := component.Start(ctx, store, properties, how)
	return state, properties, err
}

// warn logs a warning if the server says that it evicts keys.
func warn(ctx context.Context, address string, properties map[string]string) {
	switch server, err := redisserver.Ask(ctx, properties); {
	case err != nil:
		slog.DebugContext(ctx, "the Redis server does not say whether it evicts keys", "address", address, "error", err)
	case server.Evicts():
		slog.WarnContext(ctx, "the Redis server may evict history when its memory runs out: set its maxmemory-policy to noeviction", "address", address, "maxmemory-policy", server.MaxmemoryPolicy)
	}
}

// Close closes the connections to the server. End all requests first, because later ones fail.
// Closing again does nothing and returns nil.
func (s *State) Close() error { return s.base.Close() }
