package sidecar_test

import (
	"net"
	"strings"
	"testing"

	dapr "github.com/dapr/go-sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func TestCapabilitiesFollowFromTheKindOfStore(t *testing.T) {
	t.Parallel()
	const limit = 4<<20 - 64<<10
	for _, test := range []struct {
		name         string
		kind         string
		capabilities []string
		options      []sidecar.Option
		want         driver.Capabilities
	}{
		{"in-memory is atomic", "state.in-memory", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.in-memory", AnyPartition: true, Atomic: true, Conditions: true, UniqueETags: true, MaxRequestBytes: limit}},
		{"SQLite is atomic", "state.sqlite", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.sqlite", AnyPartition: true, UniqueETags: true, Atomic: true, Conditions: true, BulkMisses: true, MaxRequestBytes: limit}},
		{"PostgreSQL is atomic", "state.postgresql", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.postgresql", AnyPartition: true, Atomic: true, Conditions: true, BulkMisses: true, MaxRequestBytes: limit}},
		{"an alias of PostgreSQL is atomic", "state.postgres", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.postgres", AnyPartition: true, Atomic: true, Conditions: true, BulkMisses: true, MaxRequestBytes: limit}},
		{"the kind is read as the sidecar reads it, without regard to case", "state.PostgreSQL", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.postgresql", AnyPartition: true, Atomic: true, Conditions: true, BulkMisses: true, MaxRequestBytes: limit}},
		{"MySQL is atomic and has short keys", "state.mysql", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.mysql", AnyPartition: true, UniqueETags: true, Atomic: true, Conditions: true, BulkMisses: true, MaxRequestBytes: limit, MaxKeyBytes: 255 - 64 - len("statestore||")}},
		{"Redis is never atomic, and counts its ETags", "state.redis", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.redis", AnyPartition: true, CountedETags: true, MaxRequestBytes: limit}},
		{"an unknown kind is not atomic whatever it declares", "state.other", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.other", BulkMisses: true, MaxRequestBytes: limit}},
		{"a known kind without transactions is not atomic", "state.sqlite", []string{"ETAG"}, nil,
			driver.Capabilities{Store: "state.sqlite", AnyPartition: true, UniqueETags: true, BulkMisses: true, MaxRequestBytes: limit}},
		{"transactions can be left aside", "state.sqlite", []string{"ETAG", "TRANSACTIONAL"}, []sidecar.Option{sidecar.WithoutTransactions()},
			driver.Capabilities{Store: "state.sqlite", AnyPartition: true, UniqueETags: true, BulkMisses: true, MaxRequestBytes: limit}},
		{"the size of a request follows that of the sidecar", "state.sqlite", []string{"ETAG"}, []sidecar.Option{sidecar.WithMaxRequestBytes(16 << 20)},
			driver.Capabilities{Store: "state.sqlite", AnyPartition: true, UniqueETags: true, BulkMisses: true, MaxRequestBytes: 16<<20 - 64<<10}},
		{"a service that takes small items only", "state.aws.dynamodb", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.aws.dynamodb", AnyPartition: true, BulkMisses: true, MaxRequestBytes: 400<<10 - 1<<10}},
		{"does so whatever the sidecar takes", "state.azure.tablestorage", []string{"ETAG"}, []sidecar.Option{sidecar.WithMaxRequestBytes(16 << 20)},
			driver.Capabilities{Store: "state.azure.tablestorage", BulkMisses: true, MaxRequestBytes: 32<<10 - 1<<10}},
		{"a service that places data by a partition key", "state.azure.cosmosdb", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.azure.cosmosdb", BulkMisses: true, MaxRequestBytes: 3*(2<<20)/4 - 1<<10}},
		{"a service that takes more than the sidecar", "state.mongodb", []string{"ETAG", "TRANSACTIONAL"}, nil,
			driver.Capabilities{Store: "state.mongodb", AnyPartition: true, BulkMisses: true, MaxRequestBytes: limit}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, client := start(t, test.kind, test.capabilities...)
			s, err := sidecar.NewState(t.Context(), client, "statestore", append(test.options, sidecar.WithoutProbe())...)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Capabilities(); got != test.want {
				t.Errorf("capabilities are %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestWhatCanNotWorkIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	_, sqlite := start(t, "state.sqlite", "ETAG", "TRANSACTIONAL")
	_, etcd := start(t, "state.etcd", "ETAG", "TRANSACTIONAL")
	_, bare := start(t, "state.bare", "TRANSACTIONAL")
	// The capabilities that Dapr 1.18 declares.
	_, memcached := start(t, "state.memcached", "TTL")
	_, cassandra := start(t, "state.cassandra", "TTL")
	_, rethinkdb := start(t, "state.rethinkdb")
	state := func(client dapr.Client, store string, options ...sidecar.Option) func(*testing.T) error {
		return func(t *testing.T) error {
			_, err := sidecar.NewState(t.Context(), client, store, options...)
			return err
		}
	}
	lock := func(client dapr.Client, store string) func(*testing.T) error {
		return func(t *testing.T) error {
			_, err := sidecar.NewLocker(t.Context(), client, store)
			return err
		}
	}
	for _, test := range []struct {
		name string
		make func(*testing.T) error
		says []string
	}{
		{"no client", state(nil, "statestore"), []string{"client is nil"}},
		{"no client for locks", lock(nil, "lockstore"), []string{"client is nil"}},
		{"a blank name", state(sqlite, " "), []string{"name of the state component is blank"}},
		{"a blank name of a lock component", lock(sqlite, ""), []string{"name of the lock component is blank"}},
		{"a store that is not there: the error lists what is", state(sqlite, "nosuch"), []string{`no state component "nosuch"`, `app "bank"`, `it has "statestore" (state.sqlite)`, "scopes"}},
		{"a lock component that is not there: the error lists what is", lock(sqlite, "statestore"), []string{`no lock component "statestore"`, `it has "lockstore" (lock.redis)`}},
		{"a store without ETags", state(bare, "statestore"), []string{`"statestore"`, "state.bare", "no ETags", "capability ETAG"}},
		{"memcached, which has none", state(memcached, "statestore"), []string{`"statestore"`, "state.memcached", "no ETags", "overwrite each other", "Choose a store"}},
		{"Cassandra, which has none", state(cassandra, "statestore"), []string{`"statestore"`, "state.cassandra", "no ETags", "overwrite each other", "Choose a store"}},
		{"a store that declares nothing at all", state(rethinkdb, "statestore"), []string{"state.rethinkdb", "no ETags"}},
		{"a nil option", state(sqlite, "statestore", sidecar.WithMaxRequestBytes(1<<20), nil), []string{"bad argument option: it is nil"}},
		{"no logger", state(sqlite, "statestore", sidecar.WithLogger(nil)), []string{"WithLogger", "nil"}},
		{"etcd, whose ETags do not hold", state(etcd, "statestore"), []string{"state.etcd", "would lose events"}},
		{"a request size that is too small", state(sqlite, "statestore", sidecar.WithMaxRequestBytes(4)), []string{"WithMaxRequestBytes", "4 is not between"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.make(t)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
}

// The sources of Dapr's components show this; docs/stores.md has the details.
func TestAStoreWhoseConditionsDoNotHoldIsRefusedAlthoughItDeclaresETags(t *testing.T) {
	t.Parallel()
	for kind, says := range map[string]string{
		"state.aerospike":           "without a condition",
		"state.alicloud.tablestore": "never compares",
		"state.couchbase":           "without a condition",
		"state.etcd":                "reports success if etcd then refuses the write",
		"state.oci.objectstorage":   "no stream can be created",
		"state.ravendb":             "without a condition",
		"state.sqlserver":           "overwrites",
		"state.SQLServer":           "overwrites",
		"state.zookeeper":           "without a condition",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			_, client := start(t, kind, "ETAG", "TRANSACTIONAL")
			_, err := sidecar.NewState(t.Context(), client, "statestore")
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, part := range []string{`"statestore"`, strings.ToLower(kind), says, "Choose another store"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
}

func TestASidecarThatDoesNotRunIsSaidSo(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close() // nothing listens there now
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = sidecar.NewState(t.Context(), dapr.NewClientWithConnection(conn), "statestore")
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, part := range []string{"no Dapr sidecar answers", address, "DAPR_GRPC_PORT"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}
