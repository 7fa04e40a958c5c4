// Package probe tests what a state store does, with a few keys that no stream uses. It finds out
// what the store does not declare, and what a setting of its server or component can turn off.
package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// The faults that a probe can find in a store. Each matches an error of [Run].
var (
	ErrFoldsCase    = errors.New("treats keys that differ only in case as one key: streams whose names differ only in case would share their events")
	ErrOtherBytes   = errors.New("returns other bytes than were saved")
	ErrNotThere     = errors.New("does not return what it has just acknowledged")
	ErrOverwrites   = errors.New("overwrites an existing key although the write was to create it: when two writers create a stream at the same time, one would lose its events")
	ErrIgnoresETags = errors.New("overwrites a key although its ETag is not the given one: when two writers write at the same time, one would lose its events")
	ErrNoRollback   = errors.New("keeps part of a failed transaction")

	// ErrFailed means that a request failed that should have succeeded.
	ErrFailed = errors.New("could not be tested")
)

// Requests is the maximum number of requests of a probe that succeeds.
const Requests = 7

// cleanup limits how long an interrupted probe takes to remove its keys.
const cleanup = 3 * time.Second

// Options say what to test.
type Options struct {
	// Text restricts values to UTF-8, for stores that keep only text.
	Text bool
}

// Findings describe a store that passed the probe.
type Findings struct {
	// Transactions is nil if several writes of one request leave the written values. Otherwise it
	// says what comes back instead, and transactions cannot be used.
	Transactions error
}

// Run tests a store. It uses Commit if the store's capabilities say Atomic, otherwise Write of
// several keys, and Swap in both cases. If the store is unfit or the test fails, Run returns an
// error that matches one of this package.
//
// Run uses new keys each time, so that any number of probes can run at the same time. The keys
// cannot belong to a stream, because the name of a stream has no empty part. Run removes them at
// the end, also if it fails or ctx ends, as far as the store permits.
func Run(ctx context.Context, state driver.State, options Options) (found Findings, err error) {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	p := &probe{state: state, partition: "::" + hex.EncodeToString(id), text: options.Text}
	p.upper, p.lower, p.second, p.undone = p.key("Probe"), p.key("probe"), p.key("second"), p.key("undone")
	defer func() {
		if p.removed {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
		defer cancel()
		_ = p.remove(ctx)
	}()
	return p.run(ctx)
}

type probe struct {
	state     driver.State
	partition string
	text      bool
	removed   bool

	upper, lower string // differ in case
	second       string
	undone       string // of a transaction that must have no effect
}

func (p *probe) key(name string) string { return "{" + p.partition + "}:" + name }

// value returns a value to write. It contains every byte value if the store accepts that.
func (p *probe) value(name string) []byte {
	value := fmt.Appendf(nil, "eventstores probe %s: {\"a\": 12345678901234567890}\r\n", name)
	if p.text {
		return append(value, "äß世\u2028"...)
	}
	for b := range 256 {
		value = append(value, byte(b))
	}
	return value
}

func (p *probe) swap(ctx context.Context, key, value, etag string) error {
	return p.state.Swap(ctx, p.partition, driver.Swap{Key: key, Value: p.value(value), ETag: etag})
}

func (p *probe) run(ctx context.Context) (found Findings, err error) {
	atomic := p.state.Capabilities().Atomic
	if err := p.swap(ctx, p.upper, "created", ""); err != nil {
		// A layer below may have sent the request twice, so that the second found the key of the
		// first.
		if item, again := p.state.Get(ctx, p.partition, p.upper); again != nil || !bytes.Equal(item.Value, p.value("created")) {
			return found, fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	if err := p.swap(ctx, p.upper, "created again", ""); err == nil {
		return found, ErrOverwrites
	}

	// Several keys in one request, as events are written.
	writes := []driver.Write{{Key: p.lower, Value: p.value("lower")}}
	if atomic {
		err = p.state.Commit(ctx, p.partition, driver.Swap{Key: p.second, Value: p.value("second")}, writes)
	} else {
		err = p.state.Write(ctx, p.partition, append(writes, driver.Write{Key: p.second, Value: p.value("second")}))
	}
	if err != nil {
		return found, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	committed := false
	if atomic { // the condition is false, so nothing may take effect
		committed = p.state.Commit(ctx, p.partition, driver.Swap{Key: p.upper, Value: p.value("created in a transaction")},
			[]driver.Write{{Key: p.undone, Value: p.value("undone")}}) == nil
	}

	keys := []string{p.upper, p.lower, p.second, p.undone}
	items, err := p.state.GetMany(ctx, p.partition, keys)
	if err != nil {
		return found, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	for i, item := range items {
		if item.Err == nil && !item.Found() && keys[i] != p.undone && p.state.Capabilities().BulkMisses {
			if item, err = p.state.Get(ctx, p.partition, keys[i]); err != nil { // the bulk read may have missed it
				item.Err = err
			}
			items[i] = item
		}
		if item.Err != nil {
			return found, fmt.Errorf("%w: %w", ErrFailed, item.Err)
		}
	}
	upper, lower, second, undone := items[0], items[1], items[2], items[3]
	is := func(item driver.Item, value string) bool { return bytes.Equal(item.Value, p.value(value)) }
	switch {
	case is(upper, "lower"), upper.Found() && bytes.Equal(upper.Value, lower.Value), !lower.Found() && upper.Found() && !is(upper, "created"):
		return found, ErrFoldsCase
	case committed || is(upper, "created in a transaction"), is(upper, "created again"):
		return found, ErrOverwrites
	case undone.Found():
		return found, ErrNoRollback
	case !upper.Found(), !lower.Found(), !second.Found():
		return found, ErrNotThere
	case !is(upper, "created"):
		return found, ErrOtherBytes
	case !is(lower, "lower"), !is(second, "second"):
		found.Transactions = fmt.Errorf("values that are written together come back changed: %w", ErrOtherBytes)
	}

	// The ETag of another key must be refused. If both ETags are the same, because the store counts
	// writes, one more write makes them differ.
	wrong := second.ETag
	if wrong == upper.ETag {
		if err := p.swap(ctx, p.upper, "swapped", upper.ETag); err != nil {
			return found, fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	if err := p.swap(ctx, p.upper, "swapped with a wrong ETag", wrong); err == nil {
		return found, ErrIgnoresETags
	}
	if err := context.Cause(ctx); err != nil { // then the expected refusal may only be a cancelled request
		return found, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return found, p.remove(ctx)
}

// remove deletes the keys of the probe.
func (p *probe) remove(ctx context.Context) error {
	writes := []driver.Write{{Key: p.upper}, {Key: p.lower}, {Key: p.second}, {Key: p.undone}}
	if err := p.state.Write(ctx, p.partition, writes); err != nil {
		return fmt.Errorf("%w: cannot remove the keys of the probe: %w", ErrFailed, err)
	}
	p.removed = true
	return nil
}
