package eventstore

import (
	"strconv"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// keys builds the keys of one stream: {database:type:id}:… The braces make a Redis Cluster put all
// of them into one hash slot.
type keys struct {
	partition string
	prefix    string
}

func keysOf(s Stream) keys {
	name := s.String()
	return keys{partition: name, prefix: "{" + name + "}:"}
}

func (k keys) head() string                 { return k.prefix + "head" }
func (k keys) event(version int64) string   { return k.prefix + strconv.FormatInt(version, 10) }
func (k keys) idempotency(id string) string { return k.prefix + "idem:" + frame.Escape(id) }
func (k keys) snapshots() string            { return k.prefix + "snapshots" }
func (k keys) snapshot(v int64) string      { return k.prefix + "snapshot:" + strconv.FormatInt(v, 10) }
func (k keys) lease() string                { return k.prefix + "lease" }

// longest returns an upper bound of the length of all keys except idempotency keys.
func (k keys) longest() int { return len(k.prefix) + len("snapshot:9223372036854775807") }
