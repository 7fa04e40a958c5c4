package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// separator stands between a sidecar's prefix and the key.
const separator = "||"

// prefixed is a store as a sidecar sees it: before every key stands the prefix of its component.
type prefixed struct {
	driver.State
	prefix string // with the separator
}

// lister is a prefixed store that can list its keys.
type lister struct{ prefixed }

// withPrefix returns a store in which every key begins with a sidecar's prefix.
func withPrefix(state driver.State, prefix string) driver.State {
	p := prefixed{state, prefix + separator}
	if _, ok := state.(driver.Lister); ok {
		return lister{p}
	}
	return p
}

// Capabilities implements [driver.State].
func (p prefixed) Capabilities() driver.Capabilities {
	can := p.State.Capabilities()
	if can.MaxKeyBytes > 0 {
		can.MaxKeyBytes = max(1, can.MaxKeyBytes-len(p.prefix))
	}
	return can
}

// Get implements [driver.State].
func (p prefixed) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := p.State.Get(ctx, partition, p.prefix+key)
	item.Key = strings.TrimPrefix(item.Key, p.prefix)
	return item, err
}

// GetMany implements [driver.State].
func (p prefixed) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	long := make([]string, len(keys))
	for i, key := range keys {
		long[i] = p.prefix + key
	}
	items, err := p.State.GetMany(ctx, partition, long)
	for i := range items {
		items[i].Key = strings.TrimPrefix(items[i].Key, p.prefix)
	}
	return items, err
}

// Swap implements [driver.State].
func (p prefixed) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return p.State.Swap(ctx, partition, p.swap(swap))
}

// SwapMany implements [driver.ManySwapper].
func (p prefixed) SwapMany(ctx context.Context, partition string, swaps []driver.Swap) error {
	long := make([]driver.Swap, len(swaps))
	for i, swap := range swaps {
		long[i] = p.swap(swap)
	}
	return driver.SwapMany(ctx, p.State, partition, long)
}

// Write implements [driver.State].
func (p prefixed) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return p.State.Write(ctx, partition, p.writes(writes))
}

// Commit implements [driver.State].
func (p prefixed) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return p.State.Commit(ctx, partition, p.swap(swap), p.writes(writes))
}

func (p prefixed) swap(swap driver.Swap) driver.Swap {
	swap.Key = p.prefix + swap.Key
	return swap
}

func (p prefixed) writes(writes []driver.Write) []driver.Write {
	long := make([]driver.Write, len(writes))
	for i, write := range writes {
		write.Key = p.prefix + write.Key
		long[i] = write
	}
	return long
}

// ListKeys implements [driver.Lister].
func (l lister) ListKeys(ctx context.Context, suffix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range l.State.(driver.Lister).ListKeys(ctx, suffix) {
			key, ours := strings.CutPrefix(key, l.prefix)
			if (ours || err != nil) && !yield(key, err) {
				return
			}
		}
	}
}

// The keys that tell under which prefix a store has streams.
const (
	anyHead = "}:head"
	anyFeed = "{:feed}:journals"
)

func headOf(stream eventstore.Stream) string { return "{" + stream.String() + anyHead }

// lookTimeout is how long a command looks for keys under another prefix.
const lookTimeout = 5 * time.Second

// elsewhere returns how to name a store if it has keys that end like this, but only under another
// prefix than the one that it was opened with. Otherwise it returns nothing.
func (o opened) elsewhere(ctx context.Context, end string) (advice string) {
	state, own := o.state, ""
	if l, ok := state.(lister); ok {
		state, own = l.State, l.prefix
	}
	keys, ok := state.(driver.Lister)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	bare, found := false, map[string]bool{}
	for key, err := range keys.ListKeys(ctx, end) {
		if err != nil {
			break // what was found so far is all that can be said
		}
		begin, _, _ := strings.Cut(key, "{")
		name, isPrefix := strings.CutSuffix(begin, separator)
		switch {
		case begin == own:
			return ""
		case begin == "":
			bare = true
		case isPrefix && isComponent(name) && len(found) < maxNamed:
			found["?prefix="+name] = true
		}
	}
	switch {
	case bare:
		return "the keys of the store have no prefix; leave out ?prefix="
	case len(found) > 0:
		return fmt.Sprintf("a sidecar wrote with a prefix before its keys; name the store with %s at its end", strings.Join(slices.Sorted(maps.Keys(found)), " or "))
	}
	return ""
}

// maxNamed is how many prefixes an error names.
const maxNamed = 5
