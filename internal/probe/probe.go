// Package probe tries out what a state store does, with a few keys of its own: what it does not declare, and what a setting of its server or
// component can take away.
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

// What a store can be found to do. Each matches an error of [Run].
var (
	ErrFoldsCase    = errors.New("takes keys that differ in case alone for one: streams whose names do would share their events")
	ErrOtherBytes   = errors.New("gives back other bytes than were saved")
	ErrNotThere     = errors.New("does not give back what it has just acknowledged")
	ErrOverwrites   = errors.New("overwrites a key that was to be created only if it is absent: where two begin one stream at once, one would lose its events")
	ErrIgnoresETags = errors.New("overwrites a key whose ETag is another than the one given: where two write at once, one would lose its events")
	ErrNoRollback   = errors.New("keeps a part of a transaction that failed")

	// ErrFailed says that a request failed which should not have.
	ErrFailed = errors.New("could not be tried out")
)

// Requests is how many requests a probe takes at most where all goes well.
const Requests = 7

// cleanup is how long the keys of a probe that was cut short may take to be removed.
const cleanup = 3 * time.Second

// Options say what to try.
type Options struct {
	// Text restricts values to UTF-8, for stores that keep nothing else.
	Text bool
}

// Findings are what was found of a store that is fit.
type Findings struct {
	// Transactions is nil where what several writes of one request leave is what was written. Otherwise it says what comes back instead, and
	// transactions can't be used.
	Transactions error
}

// Run tries out a store: Commit where its capabilities say Atomic, Write of several keys otherwise, and Swap on either. It returns an error
// that matches one of this package where the store is not fit or could not be tried.
//
// Its keys can't be those of a stream, whose name has no empty part, and are other ones each time, so that any number may run at once.
// They are removed at the end, also where it fails or ctx ends, as far as the store lets it.
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
	undone       string // of a transaction that must not take effect
}

func (p *probe) key(name string) string { return "{" + p.partition + "}:" + name }

// value is one of those that are written: all bytes that there are, where the store takes them.
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
		// Something below may have sent it twice, and the second found the first.
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
	if atomic { // the condition does not hold, and all of it must not take effect
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
			if item, err = p.state.Get(ctx, p.partition, keys[i]); err != nil { // it may only have been missed
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
		found.Transactions = fmt.Errorf("several keys that are written together come back as other bytes: %w", ErrOtherBytes)
	}

	// The ETag of another key is one that must not do. Where both are the same, as where they count writes, it takes one more write.
	wrong := second.ETag
	if wrong == upper.ETag {
		if err := p.swap(ctx, p.upper, "swapped", upper.ETag); err != nil {
			return found, fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	if err := p.swap(ctx, p.upper, "swapped with a wrong ETag", wrong); err == nil {
		return found, ErrIgnoresETags
	}
	if err := context.Cause(ctx); err != nil { // then a refusal that was expected may be no more than that
		return found, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return found, p.remove(ctx)
}

// remove deletes the keys of the probe.
func (p *probe) remove(ctx context.Context) error {
	writes := []driver.Write{{Key: p.upper}, {Key: p.lower}, {Key: p.second}, {Key: p.undone}}
	if err := p.state.Write(ctx, p.partition, writes); err != nil {
		return fmt.Errorf("%w: the keys of the probe could not be removed: %w", ErrFailed, err)
	}
	p.removed = true
	return nil
}
