package sidecar

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"

	dapr "github.com/dapr/go-sdk/client"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/internal/statekind"
)

const (
	// sidecarMaxBody is a sidecar's default --max-body-size.
	sidecarMaxBody = 4 << 20

	// headroom is reserved for the parts of a request that are not writes.
	headroom = 64 << 10

	// besidesValue is reserved for what a store keeps with a value: the names of its fields, and
	// the ETag.
	besidesValue = 1 << 10

	// perWrite is an upper bound for what accompanies one key, value and partition: names, lengths,
	// options and the ETag.
	perWrite = 128
)

// State is a state component of a Dapr sidecar, for [driver.State]. It is safe for concurrent use.
type State struct {
	client    dapr.Client
	store     string
	caps      driver.Capabilities
	transacts bool // several writes are sent as one transaction
	textOnly  bool // the store keeps only UTF-8
	log       *slog.Logger
	portions  portions
	expires   sync.Once // for the warning that stored values expire
}

var (
	_ driver.State       = (*State)(nil)
	_ driver.ManySwapper = (*State)(nil)
)

// Option configures a [State], see [NewState].
type Option func(*config) error

// config contains what the options of a State set.
type config struct {
	maxRequestBytes     int
	withoutTransactions bool
	withoutProbe        bool
	log                 *slog.Logger
}

// WithMaxRequestBytes says what --max-body-size the sidecar was given, in bytes. The default is 4
// MiB, which is also the sidecar's default. For a larger size, dial the client with the same limit,
// so that it can receive the answers:
//
//	dapr.NewClient(append(DialOptions(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(n)))...)
//
// Some stores, such as DynamoDB, accept less in one value. On those the limit stays at what they
// accept.
func WithMaxRequestBytes(n int) Option {
	return func(c *config) error {
		if n < 4*headroom || n > math.MaxInt32 {
			return &eventstore.ArgumentError{Argument: "WithMaxRequestBytes", Reason: fmt.Sprintf("%d is not between %d and %d", n, 4*headroom, math.MaxInt32)}
		}
		c.maxRequestBytes = n - headroom
		return nil
	}
}

// WithoutTransactions writes without transactions even if the store has them. [NewState] finds out
// by itself where that is needed. With Dapr's automatic encryption (primaryEncryptionKey), for
// example, the sidecar damages values that it encrypts in a transaction. Together with
// [WithoutProbe] the caller has to know this.
func WithoutTransactions() Option {
	return func(c *config) error {
		c.withoutTransactions = true
		return nil
	}
}

// WithoutProbe makes NewState neither test the store nor write to it. Use it in an app that must
// not write when it starts, or that only reads. Then a component with Dapr's automatic encryption
// needs [WithoutTransactions], and NewState does not refuse an unsuitable store.
func WithoutProbe() Option {
	return func(c *config) error {
		c.withoutProbe = true
		return nil
	}
}

// WithLogger sets where logs go. State logs a warning if stored values expire, and what the test of
// the store found. The default is [slog.Default].
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) error {
		if logger == nil {
			return &eventstore.ArgumentError{Argument: "WithLogger", Reason: "the logger is nil: use slog.New(slog.DiscardHandler) for none"}
		}
		c.log = logger
		return nil
	}
}

// rollsBack lists the kinds of store whose transactions were shown to take effect entirely or not
// at all. Redis is not one of them. On other kinds the event store does not rely on transactions.
var rollsBack = map[string]bool{
	"state.in-memory":  true,
	"state.sqlite":     true,
	"state.sqlite3":    true, // an alias
	"state.postgresql": true,
	"state.postgres":   true, // an alias
	"state.mysql":      true,
}

// randomETags lists the kinds and versions of store that give each value a random ETag. In version
// 1 of PostgreSQL the ETag is a transaction number. A server that lost recent writes in a restart
// gives the same numbers again.
var randomETags = map[string]bool{
	"state.in-memory v1":  true,
	"state.sqlite v1":     true,
	"state.sqlite3 v1":    true, // an alias
	"state.postgresql v2": true,
	"state.postgres v2":   true, // an alias
	"state.mysql v1":      true,
}

// findsAll lists the kinds of store whose bulk reads distinguish a key that could not be read from
// an absent key. The SQL components do not. If a connection breaks in the middle of an answer, they
// report all keys that are still missing as absent.
var findsAll = map[string]bool{
	"state.in-memory": true,
	"state.redis":     true,
}

// NewState connects to the state component of that name. It asks the sidecar once what the
// component can do. It refuses a component that does not exist or that has no ETags. It also
// refuses etcd, SQL Server and some others, whose conditions do not hold under concurrent writes,
// so that two writers would overwrite each other. The errors say why, or which components exist.
// The project's docs/stores.md lists all kinds.
//
// Then NewState tests the component with at most 7 requests. They use a few keys that no stream can
// have, and NewState removes these keys. It refuses a store in any of these cases:
//
//   - The store does not distinguish keys that differ only in case.
//   - The store returns other bytes than were saved.
//   - A condition does not hold.
//   - Transactions do not roll back.
//
// If only transactions damage values, as with Dapr's automatic encryption, the State works without
// transactions. [WithoutProbe] turns the test off. Any number of processes may start at once.
//
// A wrong option is an [eventstore.ArgumentError], and nothing is sent. Each request ends after 15
// s, or with ctx.
//
// The caller keeps the client, and closes it after the last use of the State.
func NewState(ctx context.Context, client dapr.Client, store string, options ...Option) (*State, error) {
	set := config{maxRequestBytes: sidecarMaxBody - headroom, log: slog.Default()}
	for _, option := range options {
		if option == nil {
			return nil, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&set); err != nil {
			return nil, err
		}
	}
	c, err := find(ctx, client, "state", store)
	if err != nil {
		return nil, err
	}
	if !c.can("ETAG") {
		return nil, fmt.Errorf("sidecar: state store %q (%s) %s. Choose a store with the capability ETAG", store, c.kind, statekind.NoETags)
	}
	if why := statekind.Unfit(c.kind); why != "" {
		return nil, fmt.Errorf("sidecar: state store %q (%s) %s. Choose another store", store, c.kind, why)
	}
	redis := c.kind == "state.redis"
	s := &State{
		client: client,
		store:  store,
		log:    set.log,
		caps: driver.Capabilities{
			Store:           c.kind,
			Atomic:          c.can("TRANSACTIONAL") && rollsBack[c.kind],
			Conditions:      c.can("TRANSACTIONAL") && rollsBack[c.kind],
			CountedETags:    redis,
			UniqueETags:     randomETags[c.kind+" "+c.version],
			BulkMisses:      !findsAll[c.kind],
			AnyPartition:    statekind.AnyPartition(c.kind),
			MaxRequestBytes: set.maxRequestBytes,
			MaxKeyBytes:     maxKeyBytes(c, store),
		},
		// For other kinds it is unknown how much one transaction may contain.
		transacts: c.can("TRANSACTIONAL") && (rollsBack[c.kind] || redis),
		textOnly:  statekind.TextOnly(c.kind),
	}
	if set.withoutTransactions {
		s.transacts, s.caps.Atomic, s.caps.Conditions = false, false, false
	}
	if limit := statekind.MaxValue(c.kind); limit > 0 {
		s.caps.MaxRequestBytes = min(s.caps.MaxRequestBytes, limit-besidesValue)
	}
	if !set.withoutProbe {
		if err := s.probe(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// mysqlKey is the length of the key column in state.mysql, in characters.
const mysqlKey = 255

// maxKeyBytes returns how long a key may be, for kinds of store whose limit names can reach. It is
// the length of the column minus the prefix that the sidecar adds. The prefix is the app id or the
// name of the store, perhaps with a namespace. The sidecar does not tell which.
func maxKeyBytes(c component, store string) int {
	if c.kind != "state.mysql" {
		return 0
	}
	const namespace = 64
	return max(1, mysqlKey-namespace-max(len(c.appID), len(store))-len("||"))
}

// Capabilities implements [driver.State].
func (s *State) Capabilities() driver.Capabilities { return s.caps }

// partitionKey returns the metadata that makes some stores keep the keys of a stream together.
func partitionKey(partition string) map[string]string {
	return map[string]string{"partitionKey": partition}
}
