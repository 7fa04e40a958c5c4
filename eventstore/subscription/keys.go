package subscription

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// keys makes the keys of one subscription. Database names are never empty, so none of these keys
// can be a key of a user's stream.
type keys struct{ partition string }

func keysOf(feed, name string) keys { return keys{directory(feed) + "." + frame.Escape(name)} }

// directory returns the partition of the record that names all subscriptions of a feed. The feed's
// name has no dot in it, so that two pairs of feed and subscription never have the same keys.
func directory(feed string) string {
	return ":subscription:" + strings.ReplaceAll(frame.Escape(feed), ".", "%2E")
}

func directoryKey(feed string) string { return "{" + directory(feed) + "}:names" }

// shared returns the key of what all instances share.
func (k keys) shared() string { return "{" + k.partition + "}:instances" }

// of returns the key of one partition of the subscription.
func (k keys) of(number int) string { return "{" + k.partition + "}:" + strconv.Itoa(number) }

// partitionOf assigns a stream to one of so many partitions, for ever. It is the 64-bit FNV-1a hash
// of the stream's name, modulo the number.
func partitionOf(stream eventstore.Stream, partitions int) int {
	h := fnv.New64a()
	h.Write([]byte(stream.String()))
	return int(h.Sum64() % uint64(partitions))
}
