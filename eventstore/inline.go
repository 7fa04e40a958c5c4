package eventstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/pause"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// This file puts documents into the transaction of a commit, for package projection. They are
// written if and only if the commit takes effect. Each is written under the condition that it is
// still what its projection has read. If it is not, the commit does not take effect, although its
// head is current. Then the writer reads the documents again, and sends the same events with them.

// Inline writes documents in the transaction of each commit of a provider.
type Inline struct {
	Name string

	// Apply reads documents and puts others. It may be called several times for a commit, so its
	// effects must depend on nothing but the events and the documents.
	Apply func(ctx context.Context, docs *Beside, at time.Time, events []Committed) error
}

// inlines are the inline projections of a provider. The zero value has none.
type inlines struct {
	mu  sync.Mutex // of those who add one
	all atomic.Pointer[[]Inline]
}

func (i *inlines) list() []Inline {
	if i == nil {
		return nil
	}
	if all := i.all.Load(); all != nil {
		return *all
	}
	return nil
}

// Inline makes p part of every commit of the provider from now on. The store must have the
// capabilities Atomic, Conditions and AnyPartition.
func (in Inside) Inline(_ permit.Permit, p Inline) error {
	i := &in.p.inline
	i.mu.Lock()
	defer i.mu.Unlock()
	all := i.list()
	if slices.ContainsFunc(all, func(other Inline) bool { return other.Name == p.Name }) {
		return &ArgumentError{Argument: "name", Reason: fmt.Sprintf("the provider has an inline projection %q already", p.Name)}
	}
	all = append(slices.Clone(all), p)
	i.all.Store(&all)
	return nil
}

// Beside is what goes into the transaction of a commit beside the events. It is not safe for
// concurrent use.
type Beside struct {
	h     *streamHandle
	items map[string]driver.Item // as read
	told  time.Time              // when the first of them was read
	puts  map[string]driver.Write
}

// Get reads a key, unless it was read before.
func (b *Beside) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	if item, known := b.items[key]; known {
		return item, nil
	}
	item, err := b.h.getOf(ctx, "append", partition, key)
	if err != nil {
		return item, err
	}
	if len(b.items) == 0 {
		b.told = time.Now()
	}
	b.items[key] = item
	return item, nil
}

// Put writes a key that was read, if the commit takes effect. The commit takes effect only if the
// key has not changed since. A key that was put once is never deleted, or its ETag could come back.
func (b *Beside) Put(partition, key string, value []byte) {
	item := b.items[key]
	b.puts[key] = driver.Write{Partition: partition, Key: key, Value: value, ETag: item.ETag, IfAbsent: !item.Found()}
}

// writes returns what was put. They are in the order of their keys, so that no two transactions
// wait for each other.
func (b *Beside) writes() []driver.Write {
	return slices.SortedFunc(maps.Values(b.puts), func(a, b driver.Write) int { return strings.Compare(a.Key, b.Key) })
}

// changed reports whether a document is no longer what it was when some writes were made. Then
// those writes can never be part of a commit any more, or they already are.
func (b *Beside) changed(writes []driver.Write) bool {
	return slices.ContainsFunc(writes, func(w driver.Write) bool {
		item, known := b.items[w.Key]
		return known && item.ETag != w.ETag
	})
}

var errNotBeside = errors.New("the events and the documents do not fit into one transaction of the store")

// applyInline sets what the inline projections write beside the events of a commit. It returns nil
// if there are none. Afterwards the ETags of the documents and of the head are current. It sends
// nothing of the commit. An [InlineError] says that a projection refuses the events.
func (w *writer) applyInline(ctx context.Context, c commit) ([]driver.Write, *Beside, error) {
	all := w.inline.list()
	if len(all) == 0 {
		return nil, nil, nil
	}
	events, err := w.eventsOf(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	docs := &Beside{h: w.streamHandle, items: map[string]driver.Item{}}
	for n := 0; ; n++ {
		if !pauseBefore(ctx, n) {
			return nil, docs, w.failed("append", fmt.Errorf("%w: documents of inline projections kept changing: %w", driver.ErrRefused, contextErr(ctx)))
		}
		docs.puts = map[string]driver.Write{}
		for _, p := range all {
			if err := p.Apply(ctx, docs, timeOf(c.id), events); err != nil {
				return nil, docs, w.notInline(p.Name, err)
			}
		}
		c.beside = docs.writes()
		if len(c.beside) > 0 && !w.fitsTransaction(c) {
			return nil, docs, &InlineError{Stream: w.Stream, Projection: all[0].Name, Cause: errNotBeside}
		}
		if w.current() && (w.caps.UniqueETags || len(docs.items) == 0 || time.Since(docs.told) < etagTrust) {
			return c.beside, docs, nil
		}
		same, err := w.readBeside(ctx, docs)
		if err == nil && !w.current() {
			same, err = false, w.stillAt(ctx, c)
		}
		if err != nil || same {
			return c.beside, docs, err
		}
	}
}

// notInline returns the error of an append whose projection failed. If a document could not be
// read, it is that error.
func (h *streamHandle) notInline(name string, err error) error {
	if storage, ok := errors.AsType[*StorageError](err); ok {
		return storage
	}
	return &InlineError{Stream: h.Stream, Projection: name, Cause: err}
}

// eventsOf returns the events of a commit as a reader will get them.
func (w *writer) eventsOf(ctx context.Context, c commit) ([]Committed, error) {
	events := make([]Committed, len(c.events))
	for i, r := range c.events {
		_, m, raw, err := decodeEventAt(w.Stream, w.keys.partition, r.version, r.data)
		if err != nil {
			return nil, w.damaged(w.keys.event(r.version), r.version, err)
		}
		e := &events[i]
		*e = Committed{Stream: w.Stream, Version: r.version, Event: Event{Version: r.version, Data: raw, Metadata: m}, Size: len(r.data)}
		about := About{Stream: w.Stream, Version: r.version, Metadata: m}
		data, erased, err := w.registry.decodeAt(ctx, &about, w.keys.event(r.version), raw)
		switch {
		case isA[*StorageError](err):
			return nil, err
		case err != nil:
			e.Err = err
		default:
			e.Event.Data, e.Event.Erased = data, erased
		}
	}
	return events, nil
}

// readBeside reads the head and all documents again in one request. Afterwards all ETags are as
// current as rule 1 demands where a store can give an ETag again, unless the head is another one.
// It reports whether the documents are the same.
func (w *writer) readBeside(ctx context.Context, docs *Beside) (same bool, err error) {
	keys := append([]string{w.keys.head()}, slices.Sorted(maps.Keys(docs.items))...)
	items, err := w.getManyOf(ctx, "append", w.keys.partition, keys)
	if err != nil {
		return false, err
	}
	h, etag, err := w.headOf(items[0])
	if err != nil {
		return false, err
	}
	if w.fresh = w.fresh && etag == w.etag && h.version == w.head.version && h.commit == w.head.commit; w.fresh {
		w.told = time.Now()
	}
	same, docs.told = true, time.Now()
	for _, item := range items[1:] {
		before := docs.items[item.Key]
		same = same && before.ETag == item.ETag && bytes.Equal(before.Value, item.Value)
		docs.items[item.Key] = item
	}
	return same, nil
}

// inlineTries keeps account of the inline projections of one commit over its attempts.
//
// Suppose that a document has changed since an attempt. Then either the attempt took effect and has
// changed it, or the attempt never takes effect. The next look at the head tells which. So an error
// of a projection is certain only after that look. All attempts since the last change have the same
// conditions, so what is true of the last one is true of them all.
type inlineTries struct {
	until     time.Time // when to give up
	conflicts int       // how often a document had changed
	refusal   error     // why there was no further attempt, to be returned after the next look
}

// next is called before an attempt with what the documents are now, and with the error of the
// projections. It returns why there can be no attempt.
func (t *inlineTries) next(w *writer, before []driver.Write, now *Beside, err error, so *attempts) error {
	if now == nil || !now.changed(before) {
		return err
	}
	t.conflicts++
	so.alike = 0 // another answer is to be expected
	if err == nil && time.Now().After(t.until) {
		err = &InlineError{Stream: w.Stream, Projection: w.inline.list()[0].Name, Conflicts: t.conflicts, Cause: errBusy}
	}
	if isA[*InlineError](err) {
		t.refusal = err
	}
	return err
}

var errBusy = errors.New("other appends kept changing the documents")

// pause waits before the next look. If documents keep changing, the wait is short and random.
func (t *inlineTries) pause(ctx context.Context, n int) bool {
	if t.conflicts == 0 {
		return backoff(ctx, n)
	}
	return pause.For(ctx, jitter.Of(ctx, time.Millisecond<<min(t.conflicts, 5)))
}
