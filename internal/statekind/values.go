package statekind

// maxValue is the maximum size of a value in bytes on services that accept less than a sidecar,
// according to their documentation.
var maxValue = map[string]int{
	"state.aws.dynamodb":       400 << 10,         // an item
	"state.azure.cosmosdb":     3 * (2 << 20) / 4, // a document of 2 MB, in which a value is in base64
	"state.azure.tablestorage": 32 << 10,          // a string of 64 KiB in UTF-16
	"state.mongodb":            16 << 20,          // a document
}

// MaxValue returns the maximum size in bytes of a value, including its metadata, on a kind of store
// in lower case. It returns 0 if no limit below the sidecar's is known.
func MaxValue(kind string) int { return maxValue[kind] }

// textOnly lists the kinds whose components store a value as a string. They change values that are
// not UTF-8, or may do so.
var textOnly = map[string]bool{
	"state.azure.tablestorage": true,
	"state.mongodb":            true,
}

// TextOnly reports whether a kind of store, in lower case, keeps only UTF-8.
func TextOnly(kind string) bool { return textOnly[kind] }
