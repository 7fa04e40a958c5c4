package statekind

// anyPartition lists the kinds whose components ignore the partition key of a request, according to
// their source in Dapr 1.18. Azure Cosmos DB heeds it. Of kinds that are not listed, nothing is
// known.
var anyPartition = map[string]bool{
	"state.aws.dynamodb":   true, // its partitionKey is the name of an attribute, and not a value
	"state.cockroachdb":    true,
	"state.in-memory":      true,
	"state.mongodb":        true,
	"state.mysql":          true,
	"state.oracledatabase": true,
	"state.postgres":       true, // an alias
	"state.postgresql":     true,
	"state.redis":          true,
	"state.sqlite":         true,
	"state.sqlite3":        true, // an alias
}

// AnyPartition reports whether one request to a kind of store, in lower case, can be about keys of
// several partitions.
func AnyPartition(kind string) bool { return anyPartition[kind] }
