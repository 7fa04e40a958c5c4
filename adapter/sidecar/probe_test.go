package sidecar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	commonv1 "github.com/dapr/dapr/pkg/proto/common/v1"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// component is a state component behind the fake sidecar, with the faults that a component can
// have.
type component struct {
	counted      bool // ETags count the writes of a key, as on Redis; otherwise they are unique
	tears        bool // a failed transaction leaves a part of its writes
	foldsCase    bool
	garbles      bool // the values of a transaction, as encryption does
	garblesAll   bool
	drops        bool // writes that it acknowledges
	overwrites   bool // a key that should only be created
	txOverwrites bool // the same in a transaction
	ignoresETags bool
	readOnly     bool
	failsAt      int    // the request with that number and all later ones, counted from 1; 0 means never
	endsAt       func() // called at request failsAt

	mu       sync.Mutex
	items    map[string]kept
	writes   int
	requests []string
}

type kept struct {
	value []byte
	etag  string
}

func (c *component) answer(_ context.Context, request proto.Message) (proto.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.items == nil {
		c.items = map[string]kept{}
	}
	name := string(request.ProtoReflect().Descriptor().Name())
	c.requests = append(c.requests, strings.TrimSuffix(name, "Request"))
	if c.failsAt > 0 && len(c.requests) >= c.failsAt {
		if c.endsAt != nil {
			c.endsAt()
			c.endsAt = nil
		} else if !strings.HasPrefix(name, "Delete") && name != "ExecuteStateTransactionRequest" {
			return nil, status.Error(codes.Internal, "the store is away")
		}
	}
	switch r := request.(type) {
	case *pb.GetStateRequest:
		item := c.items[c.name(r.Key)]
		return &pb.GetStateResponse{Data: item.value, Etag: item.etag}, nil
	case *pb.GetBulkStateRequest:
		answer := &pb.GetBulkStateResponse{}
		for _, key := range r.Keys {
			item := c.items[c.name(key)]
			answer.Items = append(answer.Items, &pb.BulkStateItem{Key: key, Data: item.value, Etag: item.etag})
		}
		return answer, nil
	case *pb.SaveStateRequest:
		for _, item := range r.States {
			if err := c.save(item, c.overwrites, false); err != nil {
				return nil, err
			}
		}
	case *pb.DeleteStateRequest:
		delete(c.items, c.name(r.Key))
	case *pb.DeleteBulkStateRequest:
		for _, item := range r.States {
			delete(c.items, c.name(item.Key))
		}
	case *pb.ExecuteStateTransactionRequest:
		before := maps.Clone(c.items)
		var failed error
		for _, operation := range r.Operations {
			if operation.OperationType == "delete" {
				delete(c.items, c.name(operation.Request.Key))
			} else if err := c.save(operation.Request, c.txOverwrites, c.garbles); err != nil {
				failed = err
			}
		}
		if failed != nil && !c.tears {
			c.items = before
		}
		return nil, failed
	}
	return nil, nil
}

func (c *component) name(key string) string {
	if c.foldsCase {
		return strings.ToLower(key)
	}
	return key
}

func (c *component) save(item *commonv1.StateItem, overwrites, garbles bool) error {
	key, value := c.name(item.Key), bytes.Clone(item.Value)
	now, found := c.items[key]
	first := item.Options.GetConcurrency() == commonv1.StateOptions_CONCURRENCY_FIRST_WRITE
	switch {
	case c.readOnly:
		return status.Error(codes.Internal, "failed to set key: READONLY You can't write against a read only replica.")
	case first && item.Etag == nil && found && !overwrites,
		item.Etag != nil && item.Etag.Value != now.etag && !c.ignoresETags:
		return status.Error(codes.Aborted, "possible etag mismatch")
	}
	if garbles || c.garblesAll {
		value = fmt.Append(nil, value)
	}
	c.writes++
	etag := fmt.Sprint("e", c.writes)
	if c.counted {
		n := 0
		_, _ = fmt.Sscan(now.etag, &n)
		etag = fmt.Sprint(n + 1)
	}
	if !c.drops {
		c.items[key] = kept{value, etag}
	}
	return nil
}

func (c *component) left() []string { return slices.Sorted(maps.Keys(c.items)) }

func TestAStoreIsTriedOutWhenAStateIsMade(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		kind    string
		store   *component
		options []sidecar.Option
		says    []string // texts in the error; none if there is no error
		atomic  bool
	}{
		{"a store with transactions", "state.sqlite", &component{}, nil, nil, true},
		{"a store that keeps text alone", "state.mongodb", &component{}, nil, nil, false},
		{"a Redis", "state.redis", &component{counted: true, tears: true, txOverwrites: true}, nil, nil, false},
		{"a store that is not known", "state.other", &component{tears: true}, nil, nil, false},
		{"a store with transactions, used without", "state.sqlite", &component{tears: true, garbles: true}, []sidecar.Option{sidecar.WithoutTransactions()}, nil, false},
		{"encryption by Dapr", "state.sqlite", &component{garbles: true}, nil, nil, false},
		{"encryption by Dapr on Redis", "state.redis", &component{counted: true, tears: true, txOverwrites: true, garbles: true}, nil, nil, false},

		{"other bytes of all that is saved", "state.redis", &component{counted: true, garblesAll: true}, nil, []string{"other bytes than were saved"}, false},
		{"a collation that folds case", "state.mysql", &component{foldsCase: true}, nil, []string{"differ only in case", "utf8mb4_bin"}, false},
		{"a collation that folds case, and encryption", "state.mysql", &component{foldsCase: true, garbles: true}, nil, []string{"differ only in case"}, false},
		{"a collation that folds case on another store", "state.other", &component{foldsCase: true}, nil, []string{"differ only in case", "collation"}, false},
		{"a store that overwrites what is to be created", "state.sqlite", &component{overwrites: true}, nil, []string{"overwrites an existing key", "Choose another store"}, false},
		{"the same where it is not known", "state.other", &component{overwrites: true}, nil, []string{"overwrites an existing key"}, false},
		{"the same in a transaction alone", "state.sqlite", &component{txOverwrites: true}, nil, []string{"overwrites an existing key"}, false},
		{"a store that ignores ETags", "state.sqlite", &component{ignoresETags: true}, nil, []string{"ETag"}, false},
		{"a Redis that ignores ETags", "state.redis", &component{counted: true, ignoresETags: true}, nil, []string{"ETag"}, false},
		{"transactions that do not roll back", "state.mysql", &component{tears: true}, nil, []string{"part of a failed transaction", "WithoutTransactions"}, false},
		{"a store that keeps nothing", "state.sqlite", &component{drops: true}, nil, []string{`"statestore"`}, false},
		{"a store that is read-only", "state.redis", &component{readOnly: true}, nil, []string{"READONLY", "WithoutProbe"}, false},
		{"a store that is read-only, left alone", "state.redis", &component{readOnly: true}, []sidecar.Option{sidecar.WithoutProbe()}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, client := start(t, test.kind, "ETAG", "TRANSACTIONAL")
			f.answer = test.store.answer
			options := append([]sidecar.Option{sidecar.WithLogger(slog.New(slog.DiscardHandler))}, test.options...)
			s, err := sidecar.NewState(t.Context(), client, "statestore", options...)
			if left := test.store.left(); len(left) > 0 {
				t.Errorf("it left %q", left)
			}
			if n := len(test.store.requests) + 1; n > 8 { // including the one for the metadata
				t.Errorf("it took %d requests: %q", n, test.store.requests)
			}
			if len(test.says) > 0 {
				if err == nil {
					t.Fatal("it is taken")
				}
				for _, part := range append(test.says, "statestore", test.kind) {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("the error does not say %q: %v", part, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Capabilities().Atomic != test.atomic {
				t.Errorf("capabilities are %+v", s.Capabilities())
			}
			before := len(test.store.requests)
			if _, err := s.Get(t.Context(), "stream", "k"); err != nil {
				t.Error(err)
			}
			if n := len(test.store.requests) - before; n != 1 {
				t.Errorf("a read took %d requests", n)
			}
		})
	}
}

func TestWithEncryptionByDaprEventsAreNotWrittenInTransactions(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"state.sqlite", "state.redis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			store := &component{counted: kind == "state.redis", garbles: true}
			f, client := start(t, kind, "ETAG", "TRANSACTIONAL")
			f.answer = store.answer
			s, err := sidecar.NewState(t.Context(), client, "statestore", sidecar.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"1": "first", "2": "second"}
			if err := s.Write(t.Context(), "stream", writesOf(want)); err != nil {
				t.Fatal(err)
			}
			for key, value := range want {
				if item, err := s.Get(t.Context(), "stream", key); string(item.Value) != value || err != nil {
					t.Errorf("%s is %q, want %q, %v", key, item.Value, value, err)
				}
			}
		})
	}
}

func TestAProbeLeavesNothingBehindWhereverItEnds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"state.sqlite", "state.redis", "state.other"} {
		for _, cancelled := range []bool{false, true} {
			for at := 1; at <= 7; at++ {
				t.Run(fmt.Sprintf("%s, request %d, cancelled %t", kind, at, cancelled), func(t *testing.T) {
					t.Parallel()
					store := &component{counted: kind == "state.redis", failsAt: at}
					f, client := start(t, kind, "ETAG", "TRANSACTIONAL")
					f.answer = store.answer
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if cancelled {
						store.endsAt = cancel
					}
					if _, err := sidecar.NewState(ctx, client, "statestore"); err == nil && cancelled && at < len(store.requests) { // the last answer may come before the context ends
						t.Error("it was made although its context had ended")
					} else if cancelled && err != nil && !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					if left := store.left(); len(left) > 0 {
						t.Errorf("it left %q", left)
					}
				})
			}
		}
	}
}

func TestManyMayStartAtOnce(t *testing.T) {
	t.Parallel()
	store := &component{}
	f, client := start(t, "state.sqlite", "ETAG", "TRANSACTIONAL")
	f.answer = store.answer
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if _, err := sidecar.NewState(t.Context(), client, "statestore"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left := store.left(); len(left) > 0 {
		t.Errorf("they left %q", left)
	}
}

func writesOf(values map[string]string) (writes []driver.Write) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		writes = append(writes, driver.Write{Key: key, Value: []byte(values[key])})
	}
	return writes
}
