// Package driver defines what an event store needs from the layer below it: a key-value [State]
// store with ETags, and optionally a [Locker]. Users of the event store need package eventstore
// only. This package is for those who connect another store. The split follows database/sql and
// database/sql/driver.
//
// The interfaces ask for no more than what Dapr's state and lock APIs offer on every store with
// ETags: a conditional write of one key, plain writes of several keys, and reads. [Capabilities]
// declares what a store can do beyond that.
//
// # Examples
//
//   - example_publish_test.go: a broker that wraps another one
package driver

import (
	"context"
	"errors"
	"time"
)

// State is a key-value store in which one key can be written conditionally.
//
// All methods are safe for concurrent use. Every request belongs to one stream. The argument
// partition names that stream, for stores that place data by a partition key. Keys contain only the
// characters A–Z a–z 0–9 - _ . ~ % : { } and values are never empty. Implementations must not keep
// or change a value after they return. The values that they return belong to the caller.
//
// A method that returns an error may still have taken effect, or take effect later, unless the
// error matches [ErrRefused].
//
// When a context ends, the method returns at once with an error that matches the context's error.
// The event store relies on this to honour the contexts of its own callers.
type State interface {
	// Capabilities reports what the store can do. The answer never changes.
	Capabilities() Capabilities

	// Get reads one key, with the strongest consistency that the store offers. An absent key is an
	// Item without an ETag, and not an error.
	Get(ctx context.Context, partition, key string) (Item, error)

	// GetMany reads several keys, in as few requests as the store allows. It returns one Item for
	// each key, in the order of keys. The items are not a snapshot: each may be from a different
	// moment. An item that could not be read has its error in Item.Err.
	GetMany(ctx context.Context, partition string, keys []string) ([]Item, error)

	// Swap writes one key if its ETag still equals swap.ETag. If swap.ETag is empty, Swap writes
	// the key only if it is absent. The event store's safety depends on one rule: of all swaps with
	// the same ETag, at most one succeeds.
	Swap(ctx context.Context, partition string, swap Swap) error

	// Write applies writes unconditionally, in any order, in as few requests as possible. It is not
	// atomic: after an error any of them may have been applied. Repeating the same writes does no
	// harm.
	Write(ctx context.Context, partition string, writes []Write) error

	// Commit applies a Swap of one key together with writes, either all of them or none. It applies
	// none if the condition of a Write does not hold. The event store calls it only if
	// Capabilities.Atomic is true.
	Commit(ctx context.Context, partition string, swap Swap, writes []Write) error
}

// Item is what was read of one key.
type Item struct {
	Key   string
	Value []byte
	ETag  string // empty if the key is absent
	Err   error  // set by GetMany if this one key could not be read
}

// Found reports whether the key existed.
func (i Item) Found() bool { return i.ETag != "" }

// Write is one unconditional write. In a [State.Commit] it may have a condition.
type Write struct {
	Key   string
	Value []byte // nil deletes the key; deleting an absent key is no error

	// Partition is the partition of the key if it is not that of the request. Only a Commit has
	// writes of other partitions, and only if Capabilities.AnyPartition is true.
	Partition string

	// IfAbsent makes a Commit fail and change nothing if the key exists, whichever method wrote it.
	// Only a Commit has such writes, and only if Capabilities.BulkMisses or Capabilities.Conditions
	// is true.
	IfAbsent bool

	// ETag, if it is not empty, makes a Commit fail and change nothing unless the key still has
	// that ETag. Only a Commit has such writes, and only if Capabilities.Conditions is true. They
	// never delete.
	ETag string
}

// Swap is one conditional write. See [State.Swap].
type Swap struct {
	Key   string
	Value []byte
	ETag  string // empty: the key must be absent
}

// Capabilities declares what a store can do beyond a swap of one key. The zero value is always
// safe: the event store then assumes nothing.
type Capabilities struct {
	// Store names the kind of store for logs and messages, for example "state.redis".
	Store string

	// Atomic says that State.Commit takes effect either completely or not at all. It also says that
	// a Commit rejects its swap whenever State.Swap would, whichever of the two methods wrote the
	// key last. Redis transactions do neither.
	Atomic bool

	// Conditions says that a Commit heeds the conditions of all of its writes, see [Write].IfAbsent
	// and [Write].ETag. Of all commits and swaps that depend on one ETag of a key, at most one
	// succeeds, whether the key is that of the Swap or of a Write. If it is false, nothing but
	// events can be part of an append, see package projection.
	Conditions bool

	// CountedETags says that a key's ETag is a decimal number. It is 1 after the key is created,
	// and each write adds 1. So the event store knows the next ETag without reading it.
	CountedETags bool

	// UniqueETags says that an ETag of a key never returns with another value, not even after the
	// store lost its last writes. Random ETags are unique, counters are not. If it is false, the
	// event store uses an ETag only for a moment after the answer that reported it.
	UniqueETags bool

	// BulkMisses says that GetMany may report a key as absent although it was not read. Dapr's SQL
	// components do so when a connection breaks in the middle of an answer. Where that matters, the
	// event store asks again with Get.
	BulkMisses bool

	// AnyPartition says that one request may be about keys of several partitions. GetMany then
	// reads all of them, whatever partition it is given. A Commit may write keys of other
	// partitions, see [Write].Partition. It is true for stores that do not place data by a
	// partition key. If it is false, the event store sends one request for each partition.
	AnyPartition bool

	// MaxRequestBytes is the largest total size of keys and values in one Swap or Commit, in bytes;
	// 0 means no limit. Write and GetMany split what does not fit into several requests.
	MaxRequestBytes int

	// MaxCommitWrites is the largest len(writes) of one Commit; 0 means no limit.
	MaxCommitWrites int

	// MaxKeyBytes is the largest length of a key, in bytes; 0 means no limit.
	MaxKeyBytes int
}

// ErrRefused is matched by the error of a request that has certainly not taken effect and never
// will. Either it was never sent, or it was rejected before it reached the store. A condition that
// did not hold does not match ErrRefused, because an intermediary may have repeated a request that
// had succeeded.
//
// An implementation may also use it for a request that the store itself rejected, if nothing
// between the implementation and the store repeats requests.
var ErrRefused = errors.New("refused, nothing was changed")

// ErrDenied is matched by the error of a swap or commit that the store itself rejected, for a
// reason that leaves no doubt. For example, the disk is full, the server is read-only, or the
// credentials are wrong. This attempt changed nothing.
//
// It promises less than [ErrRefused]. If something on the way repeated the request, an earlier
// attempt may have taken effect although its answer was lost. So the event store looks once, and
// trusts the rejection if it finds nothing.
//
// The error of a read matches ErrDenied only if every read will fail until somebody acts, for
// example after the password was changed.
var ErrDenied = errors.New("the store rejected the request")

// ErrAnswered is matched by the error of a swap or commit that the store answered with an error
// that does not say whether the request took effect. The store has stopped working on the request.
// If two attempts are answered alike, and a look at the store finds nothing, the event store does
// not try again.
//
// An error without an answer does not match it. Nor does an error that may go away without help,
// such as a deadlock.
var ErrAnswered = errors.New("the store answered with an error")

// Locker keeps sessions apart. Its locks are only for order: the event store stays correct even if
// two owners hold one lock.
//
// A request may be delivered twice, and the caller may get the second answer. The event store copes
// with that as long as no owner is mistaken for another. So it gives each session its own owner.
//
// All methods are safe for concurrent use, and return at once when their context ends.
type Locker interface {
	// TryLock takes the lock of resource for owner, without waiting, for at least expiry.
	// Implementations may round expiry up to a whole second. TryLock does not give the lock again
	// to an owner that already holds it. So a request that is delivered twice may be answered as if
	// another owner held the lock. If [Lock.Holder] is empty or equals owner, the event store calls
	// Unlock to find out, and tries again.
	TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (Lock, error)

	// Unlock releases the lock if owner holds it, and otherwise changes nothing. The event store
	// also calls it for an owner that does not know whether it holds the lock.
	Unlock(ctx context.Context, resource, owner string) (UnlockStatus, error)
}

// Lock is the answer of [Locker.TryLock].
type Lock struct {
	Acquired bool
	Holder   string // the owner that holds it instead, if known
}

// UnlockStatus is the answer of [Locker.Unlock].
type UnlockStatus int

const (
	Unlocked        UnlockStatus = iota // owner held it; it is free now
	LockAbsent                          // it was free: it had expired, or an earlier delivery of the request released it
	LockHeldByOther                     // likewise, but another owner has taken it since
)
