// Package statekind lists facts about Dapr's state components that the components do not declare:
// which ones cannot keep events, and which values the others refuse.
package statekind

// NoETags says why a store without ETags cannot keep events.
const NoETags = "has no ETags for conditional writes: two writers would overwrite each other's events"

const overwritesWhenCreating = "would lose events when two writers create a stream at the same time: Dapr's component creates keys without a condition"

// unfit lists the kinds that declare no ETags in Dapr 1.18, and kinds that declare them but do not
// check one of the two conditions, so that two writers would both succeed. For etcd,
// integration/stores measures this. For the others it follows from the source of Dapr's components.
var unfit = map[string]string{
	"state.aerospike":            overwritesWhenCreating,
	"state.alicloud.tablestore":  "would lose events when two writers write at the same time: Dapr's component stores the ETag next to the value and never compares it",
	"state.cassandra":            NoETags,
	"state.cloudflare.workerskv": NoETags,
	"state.coherence":            NoETags,
	"state.consul":               NoETags, // an alias
	"state.couchbase":            overwritesWhenCreating,
	"state.etcd":                 "would lose events when two writers write at the same time: Dapr's etcd component compares the ETag before it writes, and reports success if etcd then refuses the write",
	"state.gcp.firestore":        NoETags,
	"state.hashicorp.consul":     NoETags,
	"state.hazelcast":            NoETags,
	"state.jetstream":            NoETags,
	"state.memcached":            NoETags,
	"state.oci.objectstorage":    "refuses every first-write without an ETag, so that no stream can be created",
	"state.ravendb":              overwritesWhenCreating,
	"state.rethinkdb":            NoETags,
	"state.sqlserver":            "would lose events when two writers create a stream at the same time: Dapr's component overwrites a key that another writer has just created",
	"state.zookeeper":            overwritesWhenCreating,
}

// Unfit says why a kind of store in lower case, such as "state.etcd", cannot keep events. It
// returns an empty string if no problem is known.
func Unfit(kind string) string { return unfit[kind] }
