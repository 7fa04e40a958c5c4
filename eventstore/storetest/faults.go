package storetest

import (
	"context"
	"errors"
	"sync"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// faulty is a state store in front of another, whose requests can be made to fail: before they
// reach it, or after, so that only the answer is lost.
type faulty struct {
	driver.State

	mu     sync.Mutex
	before func(op, key string) error
	after  func(op, key string) error
}

var errLost = errors.New("storetest: lost on the way")

func (f *faulty) set(before, after func(op, key string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faulty) around(op, key string, request func() error) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(op, key); err != nil {
			return err
		}
	}
	err := request()
	if after != nil && err == nil {
		err = after(op, key)
	}
	return err
}

func (f *faulty) Get(ctx context.Context, partition, key string) (item driver.Item, err error) {
	err = f.around("get", key, func() error { item, err = f.State.Get(ctx, partition, key); return err })
	return item, err
}

func (f *faulty) GetMany(ctx context.Context, partition string, keys []string) (items []driver.Item, err error) {
	err = f.around("getmany", keys[0], func() error { items, err = f.State.GetMany(ctx, partition, keys); return err })
	return items, err
}

func (f *faulty) Swap(ctx context.Context, partition, key string, value []byte, etag string) error {
	return f.around("swap", key, func() error { return f.State.Swap(ctx, partition, key, value, etag) })
}

func (f *faulty) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return f.around("write", writes[0].Key, func() error { return f.State.Write(ctx, partition, writes) })
}

func (f *faulty) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return f.around("commit", swap.Key, func() error { return f.State.Commit(ctx, partition, swap, writes) })
}
