package statekind

// maxValue is how many bytes a value may have on services that take less than a sidecar does, by their documentation.
var maxValue = map[string]int{
	"state.aws.dynamodb":       400 << 10,         // an item
	"state.azure.cosmosdb":     3 * (2 << 20) / 4, // a document of 2 MB, in which a value is in base64
	"state.azure.tablestorage": 32 << 10,          // a string of 64 KiB in UTF-16
	"state.mongodb":            16 << 20,          // a document
}

// MaxValue is how many bytes a value with all that goes with it may have on a kind of store, in lower case; 0 where no bound is
// known that a sidecar would not have, too.
func MaxValue(kind string) int { return maxValue[kind] }

// textOnly are the kinds whose components keep a value as a string. What is not UTF-8 they would change, or might.
var textOnly = map[string]bool{
	"state.azure.tablestorage": true,
	"state.mongodb":            true,
}

// TextOnly reports whether a kind of store, in lower case, keeps nothing but UTF-8.
func TextOnly(kind string) bool { return textOnly[kind] }
