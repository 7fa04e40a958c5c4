package storetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// testErrorsKeepTheirCause expects the event store's error to wrap the store's error.
func testErrorsKeepTheirCause(t *testing.T, target Target) {
	f := &faulty{State: target.State}
	r := reader(t, Target{State: f}.provider(t), unique())
	cause := errors.New("the cause")
	f.set(func(string, string) error { return cause }, nil)
	_, err := r.Version(contextOf(t))
	if e := want[*eventstore.StorageError](t, err); !errors.Is(err, cause) || errors.Unwrap(e) == nil || e.Operation == "" {
		t.Errorf("%+v", e)
	}
}

// testOwnKeysOnly watches every request and expects only keys of the stream.
func testOwnKeysOnly(t *testing.T, target Target) {
	id := unique()
	var foreign atomic.Value
	f := &faulty{State: target.State}
	f.set(func(op, key string) error {
		if !strings.HasPrefix(key, "{EventStores:account:"+id+"}:") {
			foreign.Store(op + " " + key)
		}
		return nil
	}, nil)
	s := open(t, Target{State: f}.provider(t), id)
	appendOne(t, s, opened{}, deposited{})
	collect(t, s.Read(contextOf(t)))
	s.Close()
	if key := foreign.Load(); key != nil {
		t.Errorf("a key outside of the stream: %s", key)
	}
}

// testWholeOrNothing loses every request of an append in turn, before and after it takes effect.
func testWholeOrNothing(t *testing.T, target Target) {
	for _, lost := range []string{"before", "after"} {
		for n := range 4 {
			f := &faulty{State: target.State}
			s := eventstore.DefaultSettings()
			s.CommitTimeout = 50 * time.Millisecond
			p := Target{State: f, Locker: target.Locker}.provider(t, eventstore.WithSettings(s))
			id := unique()
			session := open(t, p, id)
			appendOne(t, session, opened{})
			var count atomic.Int32
			fault := func(op, key string) error {
				if !strings.HasSuffix(key, ":lease") && int(count.Add(1)) > n {
					return errLost
				}
				return nil
			}
			if lost == "before" {
				f.set(fault, nil)
			} else {
				f.set(nil, fault)
			}
			_, err := session.Append(contextOf(t), eventstore.ExpectVersion(1), deposited{Amount: 1}, deposited{Amount: 2}, deposited{Amount: 3})
			f.set(nil, nil)
			got := int64(len(collect(t, reader(t, target.provider(t), id).Read(contextOf(t)))))
			var unknown *eventstore.OutcomeUnknownError
			switch {
			case err == nil && got != 4:
				t.Errorf("requests lost %s they took effect from number %d on: acknowledged, but the stream has %d events", lost, n, got)
			case got != 1 && got != 4:
				t.Errorf("requests lost %s they took effect from number %d on: the stream has %d events", lost, n, got)
			case errors.As(err, &unknown):
				v, err := session.Retry(contextOf(t), unknown)
				for errors.As(err, &unknown) { // it has as little time as the append had
					v, err = session.Retry(contextOf(t), unknown)
				}
				if v != 4 || err != nil {
					t.Errorf("Retry: %d, %v", v, err)
				}
				wantVersions(t, collect(t, reader(t, target.provider(t), id).Read(contextOf(t))), upTo(4))
				if outcome, err := session.Outcome(contextOf(t), unknown.Base, unknown.CommitID); outcome != eventstore.OutcomeCommitted || err != nil {
					t.Errorf("Outcome: %v, %v", outcome, err)
				}
			}
			session.Close()
		}
	}
}

// testOutcomeUnknown loses the answers of an append, and finds out later whether it was stored.
func testOutcomeUnknown(t *testing.T, target Target) {
	f := &faulty{State: target.State}
	settings := eventstore.DefaultSettings()
	settings.CommitTimeout = 20 * time.Millisecond
	s := open(t, Target{State: f, Locker: target.Locker}.provider(t, eventstore.WithSettings(settings)), unique())
	f.set(func(string, string) error { return errLost }, nil)
	_, err := s.Append(contextOf(t), eventstore.ExpectAny(), opened{})
	f.set(nil, nil)
	e := want[*eventstore.OutcomeUnknownError](t, err)
	if e.Stream != s.Stream() || e.CommitID == "" || e.Base != 0 || !errors.Is(err, errLost) {
		t.Errorf("%+v", e)
	}
	if outcome, err := s.Outcome(contextOf(t), e.Base, e.CommitID); outcome != eventstore.OutcomePending || err != nil {
		t.Errorf("Outcome: %v, %v", outcome, err)
	}
	appendOne(t, s, opened{"instead"})
	if outcome, err := s.Outcome(contextOf(t), e.Base, e.CommitID); outcome != eventstore.OutcomeRejected || err != nil {
		t.Errorf("Outcome: %v, %v", outcome, err)
	}
	s.Close()
	later := open(t, target.provider(t), s.Stream().ID) // which has enough time
	_, err = later.Retry(contextOf(t), e)
	want[*eventstore.VersionMismatchError](t, err)
}

// testStorageFailed opens a stream on a store that does not answer.
func testStorageFailed(t *testing.T, target Target) {
	f := &faulty{State: target.State}
	f.set(func(string, string) error { return errLost }, nil)
	p := Target{State: f, Locker: target.Locker}.provider(t)
	_, err := p.Open(contextOf(t), p.Stream("account", unique()))
	if e := want[*eventstore.StorageError](t, err); !errors.Is(err, errLost) || e.Stream.Type != "account" {
		t.Errorf("%+v", e)
	}
}

// faulty is a state store in front of another. Its requests can be made to fail before they reach
// the other store, or after, so that only the answer is lost.
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

func (f *faulty) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return f.around("swap", swap.Key, func() error { return f.State.Swap(ctx, partition, swap) })
}

func (f *faulty) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return f.around("write", writes[0].Key, func() error { return f.State.Write(ctx, partition, writes) })
}

func (f *faulty) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return f.around("commit", swap.Key, func() error { return f.State.Commit(ctx, partition, swap, writes) })
}
