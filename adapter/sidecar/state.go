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
	// sidecarMaxBody is the --max-body-size of a sidecar unless it is told otherwise.
	sidecarMaxBody = 4 << 20

	// headroom is for what a request holds but writes.
	headroom = 64 << 10

	// besidesValue is for what a store keeps with a value: the names of its fields, and the ETag.
	besidesValue = 1 << 10

	// perWrite is more than what goes along with one key, value and partition: names,
	// lengths, options and the ETag.
	perWrite = 128
)

// State is a state component of a Dapr sidecar, for [driver.State]. It is safe for concurrent use.
type State struct {
	client    dapr.Client
	store     string
	caps      driver.Capabilities
	transacts bool // several writes go as one transaction
	textOnly  bool // the store keeps nothing but UTF-8
	log       *slog.Logger
	portions  portions
	expires   sync.Once // says that what is stored expires
}

var _ driver.State = (*State)(nil)

// Option configures a [State], see [NewState].
type Option func(*config) error

// config is what the options of a state set.
type config struct {
	maxRequestBytes     int
	withoutTransactions bool
	withoutProbe        bool
	log                 *slog.Logger
}

// WithMaxRequestBytes says what --max-body-size the sidecar was given, in bytes. The default is
// 4 MiB, as is the sidecar's. For more, the client has to be dialled with as much, too, to
// receive the answers:
//
//	dapr.NewClient(append(DialOptions(), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(n)))...)
//
// On stores that are known to take less in one value, as DynamoDB, it stays at what they take.
func WithMaxRequestBytes(n int) Option {
	return func(c *config) error {
		if n < 4*headroom || n > math.MaxInt32 {
			return &eventstore.ArgumentError{Argument: "WithMaxRequestBytes", Reason: fmt.Sprintf("%d is not between %d and %d", n, 4*headroom, math.MaxInt32)}
		}
		c.maxRequestBytes = n - headroom
		return nil
	}
}

// WithoutTransactions takes the careful way also where the store has transactions. [NewState] finds out by itself where that is needed, as with
// Dapr's automatic encryption (primaryEncryptionKey): the sidecar damages values that it encrypts in a transaction. Together with
// [WithoutProbe] the caller has to know.
func WithoutTransactions() Option {
	return func(c *config) error {
		c.withoutTransactions = true
		return nil
	}
}

// WithoutProbe leaves the store as it is when a State is made: nothing is written and nothing found out. It is for an app that may not write
// when it starts, and for one that only reads. A component with Dapr's automatic encryption then needs [WithoutTransactions], and a store
// that is not fit is not refused.
func WithoutProbe() Option {
	return func(c *config) error {
		c.withoutProbe = true
		return nil
	}
}

// WithLogger sets where logs go: a warning that what is stored expires, and what trying the store out has found; defaults to [slog.Default].
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) error {
		if logger == nil {
			return &eventstore.ArgumentError{Argument: "WithLogger", Reason: "the logger is nil: use slog.New(slog.DiscardHandler) for none"}
		}
		c.log = logger
		return nil
	}
}

// rollsBack are the kinds of store whose transactions were shown to take effect as a whole or not at all.
// Redis is not among them; kinds that are not listed take the careful way.
var rollsBack = map[string]bool{
	"state.in-memory":  true,
	"state.sqlite":     true,
	"state.sqlite3":    true, // an alias
	"state.postgresql": true,
	"state.postgres":   true, // an alias
	"state.mysql":      true,
}

// randomETags are the kinds and versions of store that give each value a random ETag. The ETag of
// PostgreSQL's version 1 is a transaction number, which a server that restarts with less gives again.
var randomETags = map[string]bool{
	"state.in-memory v1":  true,
	"state.sqlite v1":     true,
	"state.sqlite3 v1":    true, // an alias
	"state.postgresql v2": true,
	"state.postgres v2":   true, // an alias
	"state.mysql v1":      true,
}

// findsAll are the kinds of store whose bulk reads tell a key that could not be read from one that is absent. The SQL components
// do not: when a connection breaks in the middle of an answer, they call all that had not come yet absent.
var findsAll = map[string]bool{
	"state.in-memory": true,
	"state.redis":     true,
}

// NewState connects to the state component of that name. It asks the sidecar once what the component can
// do, and refuses a component that is not there, one without ETags, and those of etcd, SQL Server and some others,
// whose conditions do not hold under concurrent writes: on these, two writers would overwrite each other. The
// errors say why, or what there is instead. The project's docs/stores.md lists all kinds.
//
// Then it tries the component out, with at most 7 requests about a few keys that no stream can have, and that it removes. It refuses a store
// that takes keys for one that differ in case alone, that gives back other bytes than were saved, on which a condition does not hold, or
// whose transactions do not roll back. Where only transactions damage what is written, as with Dapr's automatic
// encryption, it takes the careful way. [WithoutProbe] turns that off. Any number of processes may start at once.
//
// A wrong option is an [eventstore.ArgumentError], and nothing is sent. Each request ends after 15 s, or
// with ctx.
//
// The client stays the caller's, to be closed after the last use of the State.
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
			CountedETags:    redis,
			UniqueETags:     randomETags[c.kind+" "+c.version],
			BulkMisses:      !findsAll[c.kind],
			MaxRequestBytes: set.maxRequestBytes,
			MaxKeyBytes:     maxKeyBytes(c, store),
		},
		// Of other kinds it is not known how much one transaction may hold.
		transacts: c.can("TRANSACTIONAL") && (rollsBack[c.kind] || redis),
		textOnly:  statekind.TextOnly(c.kind),
	}
	if set.withoutTransactions {
		s.transacts, s.caps.Atomic = false, false
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

// mysqlKey is how many characters the key's column has in state.mysql.
const mysqlKey = 255

// maxKeyBytes is how long a key may be, for kinds of store with a limit that names can reach: the column less the prefix that the
// sidecar adds. That is the app id or the name of the store, perhaps after a namespace; the
// sidecar does not tell which.
func maxKeyBytes(c component, store string) int {
	if c.kind != "state.mysql" {
		return 0
	}
	const namespace = 64
	return max(1, mysqlKey-namespace-max(len(c.appID), len(store))-len("||"))
}

// Capabilities implements [driver.State].
func (s *State) Capabilities() driver.Capabilities { return s.caps }

// partitionKey is the metadata by which some stores place a stream's keys together.
func partitionKey(partition string) map[string]string {
	return map[string]string{"partitionKey": partition}
}
