// Package driver defines what an event store asks of the world below it: a
// key-value [State] store with ETags, and optionally a [Locker]. Users of the
// event store see package eventstore; only who connects another store needs
// this package. The split follows database/sql and database/sql/driver.
//
// The interfaces say no more than what Dapr's state and lock APIs give on
// every store with ETags: one conditional write of one key, plain writes
// of several keys, reads. What some stores can do beyond that is declared in
// [Capabilities].
package driver

import (
	"context"
	"errors"
	"time"
)

// State is a key-value store in which one key can be written conditionally.
//
// All methods are safe for concurrent use. Every request belongs to one stream;
// partition names it, for stores that place data by a partition key. Keys hold
// only the characters A–Z a–z 0–9 - _ . ~ % : { } and values are never empty.
// Implementations must not keep or change a value after they return, and the
// values they return belong to the caller.
//
// A method that returns an error may still have taken effect, at once or
// later, unless the error matches [ErrRefused].
//
// When a context ends the method returns at once, with an error that matches the context's: the
// event store relies on it to heed the contexts of its own callers.
type State interface {
	// Capabilities tells what the store can do. The answer never changes.
	Capabilities() Capabilities

	// Get reads one key, with the strongest consistency that the store has. A
	// key that is absent is an Item without an ETag, and no error.
	Get(ctx context.Context, partition, key string) (Item, error)

	// GetMany reads keys in one request where the store allows, in as few as
	// possible otherwise. It returns one Item for each key, in the order of
	// keys. It is no snapshot: each item may be from another moment. An item
	// that could not be read carries its error in Item.Err.
	GetMany(ctx context.Context, partition string, keys []string) ([]Item, error)

	// Swap writes one key if its ETag is still swap.ETag, or if the key is absent where swap.ETag is
	// empty. Everything rests on this operation: of any number of swaps with the same ETag, at most
	// one succeeds.
	Swap(ctx context.Context, partition string, swap Swap) error

	// Write applies writes unconditionally, in any order, in as few requests
	// as possible. It is not atomic: on an error any of them may have been
	// applied. Writing the same again does no harm.
	Write(ctx context.Context, partition string, writes []Write) error

	// Commit is Swap of one key together with writes, as a whole or not at all.
	// It is called only where Capabilities.Atomic is true.
	Commit(ctx context.Context, partition string, swap Swap, writes []Write) error
}

// Item is one key as it was read.
type Item struct {
	Key   string
	Value []byte
	ETag  string // empty if the key is absent
	Err   error  // set by GetMany if this one key could not be read
}

// Found reports whether the key was there.
func (i Item) Found() bool { return i.ETag != "" }

// Write is one unconditional write.
type Write struct {
	Key   string
	Value []byte // nil deletes the key; deleting an absent key is no error
}

// Swap is one conditional write, see [State.Swap].
type Swap struct {
	Key   string
	Value []byte
	ETag  string // empty: the key must be absent
}

// Capabilities declare what a store can do beyond a swap of one key. The zero
// value is always safe: it takes the careful way.
type Capabilities struct {
	// Store names the kind of store for logs and messages, "state.redis".
	Store string

	// Atomic says that State.Commit takes effect as a whole or not at all, and
	// that its swap is refused like one by State.Swap, whichever of the two wrote the
	// key last. Redis transactions do neither.
	Atomic bool

	// CountedETags says that a key's ETag is a decimal number that is 1 after
	// the creation and grows by 1 with each write, so that the next one is known
	// without reading it.
	CountedETags bool

	// UniqueETags says that an ETag of a key never comes back with another value, not even after
	// the store lost its last writes. Random ETags are unique, counters are not. Where it is
	// false, the event store uses an ETag only for a moment after the answer that told it.
	UniqueETags bool

	// BulkMisses says that GetMany may call absent also a key that it did not get to, as Dapr's SQL components do when a
	// connection breaks in the middle of an answer. Where that matters the event store asks again with Get.
	BulkMisses bool

	// MaxRequestBytes bounds the keys and values of one Swap or Commit; 0 is no bound.
	// Write and GetMany divide what does not fit into several requests.
	MaxRequestBytes int

	// MaxCommitWrites bounds len(writes) of one Commit; 0 is no bound.
	MaxCommitWrites int

	// MaxKeyBytes bounds the length of a key; 0 is no bound.
	MaxKeyBytes int
}

// ErrRefused is matched by the error of a request that certainly has not taken
// effect and will not later: it was never sent, or it was turned
// down before it reached the store. A condition that did not hold is no refusal,
// since an intermediary may have repeated a request that did succeed.
//
// It is also right for what the store itself turned down, where nothing between the implementation and the store repeats a request.
var ErrRefused = errors.New("refused, nothing was changed")

// ErrDenied is matched by the error of a swap or commit that the store itself turned down, with words that leave no doubt: the disk is full, the
// server is read-only, the client is not let in. This attempt changed nothing. It is less than [ErrRefused]: where something in
// between has repeated the request, an earlier attempt may have taken effect, unanswered. So the event store looks once, and believes
// the store's words if it finds nothing.
//
// The error of a read matches it only where no read will succeed until somebody does something about it, as after a change of the password.
var ErrDenied = errors.New("the store turned it down")

// ErrAnswered is matched by the error of a swap or commit that the store answered, in words that leave open whether it took effect. Nobody works
// on it any more. After two answers alike, and a look at the store that finds nothing, the event store does not try again.
// What got no answer, and what may go by itself, as a deadlock, does not match it.
var ErrAnswered = errors.New("the store answered with an error")

// Locker keeps sessions apart. Its locks are for order only: the event store
// stays correct where two owners hold one lock.
//
// A request may be delivered twice on its way, and its second answer be returned. The event store
// copes with that as long as no owner is ever mistaken for another: it gives each session an owner of its own.
//
// All methods are safe for concurrent use, and return at once when their context ends.
type Locker interface {
	// TryLock takes the lock of resource for owner, without waiting, for at least
	// expiry (implementations may round up to a whole second). An owner
	// that already holds the lock is not given it again. So a request that is delivered twice may be
	// answered as if another held the lock. Where [Lock.Holder] is empty, or the owner itself, the event
	// store finds out by Unlock and tries again.
	TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (Lock, error)

	// Unlock gives the lock back if owner holds it, and changes nothing if not. The event store also
	// calls it for an owner that does not know whether it holds the lock.
	Unlock(ctx context.Context, resource, owner string) (UnlockStatus, error)
}

// Lock is the answer to [Locker.TryLock].
type Lock struct {
	Acquired bool
	Holder   string // who holds it instead, where known
}

// UnlockStatus is the answer to [Locker.Unlock].
type UnlockStatus int

const (
	Unlocked        UnlockStatus = iota // it was held by owner and is free now
	LockAbsent                          // nobody held it: it had expired, or was given back by an earlier delivery of the request
	LockHeldByOther                     // likewise, and another owner holds it now
)
