// Package statekind is what is known of Dapr's kinds of state store that they do not declare: which of them events can't be kept on, and what the others do not take.
package statekind

// NoETags is why a store without ETags is none for events.
const NoETags = "has no ETags, with which a write is made conditional: two writers would overwrite each other's events"

const overwritesWhenCreating = "would lose events where two begin one stream at once: in Dapr's component a write that creates a key is not conditional"

// unfit are the kinds that declare no ETags in Dapr 1.18, and those that do, but on which one condition or the other does not hold: two
// writers would both succeed. Of etcd that was measured (integration/stores), of the others it is what Dapr's components do by their source.
var unfit = map[string]string{
	"state.aerospike":            overwritesWhenCreating,
	"state.alicloud.tablestore":  "would lose events where two write at once: Dapr's component keeps the ETag beside the value and never compares it",
	"state.cassandra":            NoETags,
	"state.cloudflare.workerskv": NoETags,
	"state.coherence":            NoETags,
	"state.consul":               NoETags, // an alias
	"state.couchbase":            overwritesWhenCreating,
	"state.etcd":                 "would lose events where two write at once: Dapr's etcd component compares the ETag first and writes afterwards, and takes a write that etcd then refuses for done",
	"state.gcp.firestore":        NoETags,
	"state.hashicorp.consul":     NoETags,
	"state.hazelcast":            NoETags,
	"state.jetstream":            NoETags,
	"state.memcached":            NoETags,
	"state.oci.objectstorage":    "refuses every first-write without an ETag, so that no stream could be begun",
	"state.ravendb":              overwritesWhenCreating,
	"state.rethinkdb":            NoETags,
	"state.sqlserver":            "would lose events where two begin one stream at once: Dapr's component, when another has created the key meanwhile, overwrites it",
	"state.zookeeper":            overwritesWhenCreating,
}

// Unfit says why no events can be kept on a kind of store, as "state.etcd", in lower case; it is empty if nothing is known against it.
func Unfit(kind string) string { return unfit[kind] }
