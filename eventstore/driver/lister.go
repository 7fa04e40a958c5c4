package driver

import (
	"context"
	"iter"
)

// Lister is what some stores can do beyond [State]: list their keys. Dapr's API cannot. The event
// store works without it. Tools use it to find streams that nothing else names.
type Lister interface {
	// ListKeys returns the keys that end in suffix, in any order. It returns every key that is in
	// the store from the beginning of the loop to its end. A key that was written or deleted
	// meanwhile may be returned or not. A key may be returned twice.
	//
	// An error as the second value ends the loop. It is the error of the store or of ctx. The
	// suffix contains only characters of keys. Memory does not grow with the number of keys,
	// unless the store itself is in memory. ListKeys is safe for concurrent use.
	ListKeys(ctx context.Context, suffix string) iter.Seq2[string, error]
}
