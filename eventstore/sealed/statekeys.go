package sealed

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// The defaults of [NewStateKeys].
const (
	DefaultCacheKeys = 1000
	DefaultCacheTime = time.Minute
)

// Wrapper encrypts subjects' keys before they are stored, for example with a key in a vault: see
// sidecar.NewKeyWrapper. Implementations are safe for concurrent use.
type Wrapper interface {
	Wrap(ctx context.Context, key []byte) (wrapped []byte, err error)
	Unwrap(ctx context.Context, wrapped []byte) (key []byte, err error)
}

// StateKeys keeps [Keys] in a state store. Use another store than the one for events, and back it
// up separately. A restored backup of the keys undoes every erasure that came after it. The names
// of the store's keys are hashes of the subjects.
//
// StateKeys caches keys in memory to save requests. When a subject is forgotten, this process drops
// its key from memory at once. Other processes drop it within the time set by [WithCache], by
// default one minute. StateKeys is safe for concurrent use.
type StateKeys struct {
	state   driver.State
	wrapper Wrapper // nil: none
	cache   cache
}

var _ Keys = (*StateKeys)(nil)

// KeysOption configures [StateKeys]. See [NewStateKeys].
type KeysOption func(*keysConfig) error

type keysConfig struct {
	wrapper   Wrapper // nil: none
	cacheKeys int
	cacheTime time.Duration
}

// WithWrapper sets a wrapper that encrypts keys before they are stored. By default there is none.
// Keys that were stored without a wrapper can still be read. Keys that were stored with a wrapper
// need it to be read.
func WithWrapper(wrapper Wrapper) KeysOption {
	return func(c *keysConfig) error {
		if wrapper == nil {
			return &eventstore.ArgumentError{Argument: "WithWrapper", Reason: "the wrapper is nil: leave the option out for none"}
		}
		c.wrapper = wrapper
		return nil
	}
}

// WithCache limits the keys in memory: how many, and how long after they were asked for in the
// store. The defaults are [DefaultCacheKeys] and [DefaultCacheTime]. Neither may be negative. If
// either is 0 nothing is cached, and each event that is read takes a request to the key store.
func WithCache(keys int, keep time.Duration) KeysOption {
	return func(c *keysConfig) error {
		if keys < 0 || keep < 0 {
			return &eventstore.ArgumentError{Argument: "WithCache", Reason: fmt.Sprintf("%d keys for %s: neither can be negative", keys, keep)}
		}
		c.cacheKeys, c.cacheTime = keys, keep
		return nil
	}
}

// NewStateKeys returns keys that are kept in a state store, such as those of packages sidecar and
// sqlite. It sends nothing. A wrong option is an ArgumentError.
func NewStateKeys(state driver.State, options ...KeysOption) (*StateKeys, error) {
	if state == nil {
		return nil, &eventstore.ArgumentError{Argument: "state", Reason: "it is nil: make one with sidecar.NewState, sqlite.Open or memory.New"}
	}
	c := keysConfig{cacheKeys: DefaultCacheKeys, cacheTime: DefaultCacheTime}
	for _, option := range options {
		if option == nil {
			return nil, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&c); err != nil {
			return nil, err
		}
	}
	return &StateKeys{state: state, wrapper: c.wrapper, cache: cache{limit: c.cacheKeys, keep: c.cacheTime}}, nil
}

// keyRecord is what the store holds for a subject.
type keyRecord struct {
	Key       []byte `json:"key,omitempty"`
	Wrapped   []byte `json:"wrapped,omitempty"`
	Forgotten bool   `json:"forgotten,omitempty"`
}

// name returns the store's key for a subject.
func name(subject string) string {
	sum := sha256.Sum256([]byte("eventstores-go subject " + subject))
	return "sealed:" + hex.EncodeToString(sum[:])
}

// Find returns the key of a subject: see [Keys]. An error of the store or of the wrapper is the
// cause of the error that Find returns.
func (k *StateKeys) Find(ctx context.Context, subject string) ([]byte, error) {
	if found, ok := k.cache.get(subject); ok {
		return found.answer(subject)
	}
	found, err := k.load(ctx, subject)
	if err != nil {
		return nil, err
	}
	return found.answer(subject)
}

// Create returns the key of a subject, and makes one if there is none: see [Keys].
func (k *StateKeys) Create(ctx context.Context, subject string) ([]byte, error) {
	key, err := k.Find(ctx, subject)
	if _, none := err.(*NoKeyError); !none {
		return key, err
	}
	record, err := k.newRecord(ctx)
	if err != nil {
		return nil, fmt.Errorf("sealed: the new key of subject %q can't be wrapped: %w", subject, err)
	}
	// If several processes do so at the same time, the store lets one win. All of them then read
	// what it stored.
	failed := k.state.Swap(ctx, name(subject), driver.Swap{Key: name(subject), Value: record})
	key, err = k.Find(ctx, subject)
	if _, none := err.(*NoKeyError); none && failed != nil {
		return nil, fmt.Errorf("sealed: the key of subject %q can't be stored: %w", subject, failed)
	}
	return key, err
}

func (k *StateKeys) newRecord(ctx context.Context) ([]byte, error) {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails
	if k.wrapper == nil {
		return json.Marshal(keyRecord{Key: key})
	}
	wrapped, err := k.wrapper.Wrap(ctx, key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(keyRecord{Wrapped: wrapped})
}

// Forget destroys the key of a subject: see [Keys]. It leaves a mark in the key's place. The mark
// prevents another key, and tells erased data from lost data. The store may keep the old key in its
// files for some time: see docs/privacy.md.
func (k *StateKeys) Forget(ctx context.Context, subject string) error {
	mark, err := json.Marshal(keyRecord{Forgotten: true})
	if err != nil {
		return err
	}
	k.cache.drop(subject)
	defer k.cache.drop(subject) // also after an error, when the outcome is unknown
	var failed error
	for range forgetAttempts {
		// Keys are made by a swap, and on Redis only a swap can replace what a swap wrote.
		item, err := k.state.Get(ctx, name(subject), name(subject))
		if err != nil {
			failed = err
			break
		}
		var record keyRecord
		if item.Found() && json.Unmarshal(item.Value, &record) == nil && record.Forgotten {
			return nil
		}
		if failed = k.state.Swap(ctx, name(subject), driver.Swap{Key: name(subject), Value: mark, ETag: item.ETag}); failed == nil {
			return nil
		}
	}
	return fmt.Errorf("sealed: could not confirm that subject %q was forgotten: forget it again: %w", subject, failed)
}

// forgetAttempts is how often Forget tries. A swap fails if another process makes the key, or
// forgets it, at the same time. Each of these can happen once.
const forgetAttempts = 5

// load asks the store and caches the answer.
func (k *StateKeys) load(ctx context.Context, subject string) (cached, error) {
	began, generation := time.Now(), k.cache.generation()
	item, err := k.state.Get(ctx, name(subject), name(subject))
	if err != nil {
		return cached{}, fmt.Errorf("sealed: the key of subject %q can't be read: %w", subject, err)
	}
	if !item.Found() {
		return cached{}, nil // not kept: another process may make one at any time
	}
	var record keyRecord
	if err := json.Unmarshal(item.Value, &record); err != nil {
		return cached{}, fmt.Errorf("sealed: the key store holds no valid key for subject %q", subject)
	}
	found := cached{key: record.Key, forgotten: record.Forgotten}
	switch {
	case record.Forgotten:
		found.key = nil
	case len(record.Wrapped) > 0 && k.wrapper == nil:
		return cached{}, fmt.Errorf("sealed: the key of subject %q was stored with a wrapper: use WithWrapper", subject)
	case len(record.Wrapped) > 0:
		if found.key, err = k.wrapper.Unwrap(ctx, record.Wrapped); err != nil {
			return cached{}, fmt.Errorf("sealed: the key of subject %q can't be unwrapped: %w", subject, err)
		}
	}
	if !found.forgotten && len(found.key) != KeySize {
		return cached{}, fmt.Errorf("sealed: the key store holds no valid key for subject %q", subject)
	}
	k.cache.put(subject, found, began, generation)
	return found, nil
}
