package sidecar_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	common "github.com/dapr/dapr/pkg/proto/common/v1"
	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// What a request looks like on the wire.
var (
	partition  = map[string]string{"partitionKey": "stream"}
	firstWrite = &common.StateOptions{Concurrency: common.StateOptions_CONCURRENCY_FIRST_WRITE, Consistency: common.StateOptions_CONSISTENCY_STRONG}
	lastWrite  = &common.StateOptions{Concurrency: common.StateOptions_CONCURRENCY_LAST_WRITE, Consistency: common.StateOptions_CONSISTENCY_STRONG}
)

func swapped(key, value, etag string) *common.StateItem {
	item := &common.StateItem{Key: key, Value: []byte(value), Options: firstWrite, Metadata: partition}
	if etag != "" {
		item.Etag = &common.Etag{Value: etag}
	}
	return item
}

func written(key, value string) *common.StateItem {
	item := &common.StateItem{Key: key, Options: lastWrite, Metadata: partition}
	if value != "" {
		item.Value = []byte(value)
	}
	return item
}

func upsert(item *common.StateItem) *pb.TransactionalStateOperation {
	return &pb.TransactionalStateOperation{OperationType: "upsert", Request: item}
}

func TestEachCallSendsWhatTheProtocolRestsOn(t *testing.T) {
	t.Parallel()
	writes := []driver.Write{{Key: "a", Value: []byte("1")}, {Key: "gone"}, {Key: "b", Value: []byte("2")}}
	deletion := &pb.TransactionalStateOperation{OperationType: "delete", Request: written("gone", "")}
	for _, test := range []struct {
		name string
		kind string
		call func(context.Context, *sidecar.State) error
		want []proto.Message
	}{
		{"a creation is first-write without an ETag", "state.redis",
			func(ctx context.Context, s *sidecar.State) error {
				return s.Swap(ctx, "stream", driver.Swap{Key: "head", Value: []byte("v")})
			},
			[]proto.Message{&pb.SaveStateRequest{StoreName: "statestore", States: []*common.StateItem{swapped("head", "v", "")}}}},
		{"a swap is first-write with the ETag", "state.redis",
			func(ctx context.Context, s *sidecar.State) error {
				return s.Swap(ctx, "stream", driver.Swap{Key: "head", Value: []byte("v"), ETag: "7"})
			},
			[]proto.Message{&pb.SaveStateRequest{StoreName: "statestore", States: []*common.StateItem{swapped("head", "v", "7")}}}},
		{"a commit is one transaction, its swap first-write and its writes last-write", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error {
				return s.Commit(ctx, "stream", driver.Swap{Key: "head", Value: []byte("v"), ETag: "7"}, writes)
			},
			[]proto.Message{&pb.ExecuteStateTransactionRequest{StoreName: "statestore", Metadata: partition, Operations: []*pb.TransactionalStateOperation{
				upsert(swapped("head", "v", "7")), upsert(written("a", "1")), deletion, upsert(written("b", "2")),
			}}}},
		{"a commit that creates has no ETag", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error {
				return s.Commit(ctx, "stream", driver.Swap{Key: "head", Value: []byte("v")}, nil)
			},
			[]proto.Message{&pb.ExecuteStateTransactionRequest{StoreName: "statestore", Metadata: partition, Operations: []*pb.TransactionalStateOperation{
				upsert(swapped("head", "v", "")),
			}}}},
		{"several writes are one last-write transaction, on Redis too", "state.redis",
			func(ctx context.Context, s *sidecar.State) error { return s.Write(ctx, "stream", writes) },
			[]proto.Message{&pb.ExecuteStateTransactionRequest{StoreName: "statestore", Metadata: partition, Operations: []*pb.TransactionalStateOperation{
				upsert(written("a", "1")), deletion, upsert(written("b", "2")),
			}}}},
		{"several writes on a store that is not known are a bulk save and a deletion", "state.other",
			func(ctx context.Context, s *sidecar.State) error { return s.Write(ctx, "stream", writes) },
			[]proto.Message{
				&pb.SaveStateRequest{StoreName: "statestore", States: []*common.StateItem{written("a", "1"), written("b", "2")}},
				&pb.DeleteStateRequest{StoreName: "statestore", Key: "gone", Options: lastWrite, Metadata: partition},
			}},
		{"several deletions on a store that is not known are one bulk deletion", "state.other",
			func(ctx context.Context, s *sidecar.State) error {
				return s.Write(ctx, "stream", []driver.Write{{Key: "a"}, {Key: "b"}})
			},
			[]proto.Message{&pb.DeleteBulkStateRequest{StoreName: "statestore", States: []*common.StateItem{written("a", ""), written("b", "")}}}},
		{"one write is a save", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error { return s.Write(ctx, "stream", writes[:1]) },
			[]proto.Message{&pb.SaveStateRequest{StoreName: "statestore", States: []*common.StateItem{written("a", "1")}}}},
		{"one deletion is a delete", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error { return s.Write(ctx, "stream", writes[1:2]) },
			[]proto.Message{&pb.DeleteStateRequest{StoreName: "statestore", Key: "gone", Options: lastWrite, Metadata: partition}}},
		{"no writes are no request", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error { return s.Write(ctx, "stream", nil) }, nil},
		{"a read is strong", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error {
				_, err := s.Get(ctx, "stream", "head")
				return err
			},
			[]proto.Message{&pb.GetStateRequest{StoreName: "statestore", Key: "head", Consistency: common.StateOptions_CONSISTENCY_STRONG, Metadata: partition}}},
		{"a bulk read asks for each key once", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error {
				_, err := s.GetMany(ctx, "stream", []string{"b", "a", "b"})
				return err
			},
			[]proto.Message{&pb.GetBulkStateRequest{StoreName: "statestore", Keys: []string{"b", "a"}, Metadata: partition, Parallelism: 32}}},
		{"no keys are no request", "state.sqlite",
			func(ctx context.Context, s *sidecar.State) error {
				_, err := s.GetMany(ctx, "stream", nil)
				return err
			}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s := startState(t, test.kind)
			if err := test.call(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if got := f.noted(); !slices.EqualFunc(got, test.want, proto.Equal) {
				t.Errorf("sent\n%v, want\n%v", got, test.want)
			}
		})
	}
}

func TestManyWritesAreDividedIntoRequestsThatTheSidecarTakes(t *testing.T) {
	t.Parallel()
	const stream = "EventStores:BankAccount:123456000"
	for _, test := range []struct {
		name  string
		kind  string
		count int
		bytes int
	}{
		{"large values in transactions", "state.sqlite", 3000, 4 << 10},
		{"large values in bulk saves", "state.other", 3000, 4 << 10},
		{"small values, of which most is what goes along", "state.redis", 60_000, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s := startState(t, test.kind)
			value := bytes.Repeat([]byte{'v'}, test.bytes)
			writes := make([]driver.Write, test.count)
			for i := range writes {
				writes[i] = driver.Write{Key: fmt.Sprintf("{%s}:%d", stream, i), Value: value}
			}
			if err := s.Write(t.Context(), stream, writes); err != nil {
				t.Fatal(err)
			}
			requests := f.noted()
			seen := map[string]int{}
			for i, r := range requests {
				size := proto.Size(r)
				if size > s.Capabilities().MaxRequestBytes {
					t.Errorf("request %d has %d bytes", i, size)
				}
				if i < len(requests)-1 && size < bodyLimit/3 {
					t.Errorf("request %d is small, of %d bytes, and not the last", i, size)
				}
				switch r := r.(type) {
				case *pb.ExecuteStateTransactionRequest:
					for _, o := range r.GetOperations() {
						seen[o.GetRequest().GetKey()]++
					}
				case *pb.SaveStateRequest:
					for _, item := range r.GetStates() {
						seen[item.GetKey()]++
					}
				}
			}
			for _, w := range writes {
				if seen[w.Key] != 1 {
					t.Fatalf("%s was written %d times", w.Key, seen[w.Key])
				}
			}
		})
	}
}

// stored answers reads from a map, with the length of the key as the ETag. It reverses the items of
// a bulk read.
func stored(values map[string]string) func(context.Context, proto.Message) (proto.Message, error) {
	return func(_ context.Context, request proto.Message) (proto.Message, error) {
		switch r := request.(type) {
		case *pb.GetStateRequest:
			if value, ok := values[r.GetKey()]; ok {
				return &pb.GetStateResponse{Data: []byte(value), Etag: fmt.Sprint(len(r.GetKey()))}, nil
			}
		case *pb.GetBulkStateRequest:
			answer := &pb.GetBulkStateResponse{}
			for _, key := range slices.Backward(r.GetKeys()) {
				item := &pb.BulkStateItem{Key: key}
				if value, ok := values[key]; ok {
					item.Data, item.Etag = []byte(value), fmt.Sprint(len(key))
				}
				answer.Items = append(answer.Items, item)
			}
			return answer, nil
		}
		return nil, nil
	}
}

func TestABulkReadGivesEachKeyItsOwnAnswer(t *testing.T) {
	t.Parallel()
	f, s := startState(t, "state.redis")
	f.answer = func(ctx context.Context, request proto.Message) (proto.Message, error) {
		answer, err := stored(map[string]string{"a": "1", "bb": "2\x00\xff"})(ctx, request)
		bulk := answer.(*pb.GetBulkStateResponse)
		for _, item := range bulk.GetItems() {
			if item.GetKey() == "broken" {
				item.Error = "disk on fire"
			}
			if item.GetKey() == "foreign" {
				item.Data = []byte("no ETag with this")
			}
		}
		bulk.Items = slices.DeleteFunc(bulk.GetItems(), func(item *pb.BulkStateItem) bool { return item.GetKey() == "lost" })
		return bulk, err
	}
	items, err := s.GetMany(t.Context(), "stream", []string{"bb", "broken", "absent", "a", "lost", "foreign", "bb"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ key, value, etag, says string }{
		{"bb", "2\x00\xff", "2", ""},
		{"broken", "", "", "disk on fire"},
		{"absent", "", "", ""},
		{"a", "1", "1", ""},
		{"lost", "", "", "the answer lacks the key"},
		{"foreign", "", "", "no ETag"},
		{"bb", "2\x00\xff", "2", ""},
	} {
		got := items[i]
		if got.Key != want.key || string(got.Value) != want.value || got.ETag != want.etag || got.Found() != (want.etag != "") {
			t.Errorf("item %d is %+v, want %+v", i, got, want)
		}
		if (got.Err != nil) != (want.says != "") || got.Err != nil && !strings.Contains(got.Err.Error(), want.says) {
			t.Errorf("item %d has error %v, want %q", i, got.Err, want.says)
		}
	}
	items[0].Value[0] = 'x'
	if string(items[6].Value) != "2\x00\xff" {
		t.Error("a key asked for twice shares one value")
	}
}

func TestASingleReadTellsAbsentFromPresent(t *testing.T) {
	t.Parallel()
	f, s := startState(t, "state.sqlite")
	f.answer = stored(map[string]string{"head": "v"})
	if item, err := s.Get(t.Context(), "stream", "head"); err != nil || !item.Found() || string(item.Value) != "v" || item.ETag != "4" || item.Key != "head" {
		t.Errorf("got %+v, %v", item, err)
	}
	if item, err := s.Get(t.Context(), "stream", "none"); err != nil || item.Found() || item.Key != "none" {
		t.Errorf("got %+v, %v", item, err)
	}
}

// asked returns how many keys each bulk read requested, and how often each key was requested.
func (f *fakeSidecar) asked() (requests []int, times map[string]int) {
	times = map[string]int{}
	for _, r := range f.noted() {
		if r, ok := r.(*pb.GetBulkStateRequest); ok {
			requests = append(requests, len(r.GetKeys()))
			for _, key := range r.GetKeys() {
				times[key]++
			}
		}
	}
	return requests, times
}

func TestABulkReadAsksForLittleUntilItHasSeenHowLargeValuesAre(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		sizes func(i int) int // of value i; 0 if it is absent
		count int
		want  []int // keys in each request; nil if that may vary
		most  int   // requests
		times int   // how often a key is requested, at most
	}{
		{"small values", func(int) int { return 100 }, 1000, []int{8, 32, 128, 512, 320}, 5, 1},
		{"values of 10 KiB", func(int) int { return 10 << 10 }, 1000, []int{8, 32, 128, 201, 201, 201, 201, 28}, 8, 1},
		{"values of 64 KiB", func(int) int { return 64 << 10 }, 1000, nil, 34, 1},
		{"values of 3 MiB", func(int) int { return 3 << 20 }, 40, nil, 42, 2},
		{"nothing", func(int) int { return 0 }, 1000, nil, 18, 1},
		{"large ones after small ones", func(i int) int { return min(1, max(0, i-100))*(1<<20) + 10 }, 160, nil, 80, 3},
		{"large ones among small ones", func(i int) int { return (i%7+1)/7*(1<<20) + 10 }, 200, nil, 100, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s := startState(t, "state.sqlite")
			values := map[string]string{}
			var keys []string
			large := strings.Repeat("x", 3<<20)
			for i := range test.count {
				key := fmt.Sprint("key", i)
				keys = append(keys, key)
				if n := test.sizes(i); n > 0 {
					values[key] = large[:n]
				}
			}
			f.answer = stored(values)
			items, err := s.GetMany(t.Context(), "stream", keys)
			if err != nil {
				t.Fatal(err)
			}
			for i, item := range items {
				if item.Key != keys[i] || string(item.Value) != values[keys[i]] || item.Err != nil {
					t.Fatalf("item %d is wrong: %s, %v", i, item.Key, item.Err)
				}
			}
			requests, times := f.asked()
			if test.want != nil && !slices.Equal(requests, test.want) || len(requests) > test.most {
				t.Errorf("it asked for %v, want %v, in %d requests at most", requests, test.want, test.most)
			}
			for key, n := range times {
				if n > test.times {
					t.Errorf("%s was asked for %d times, in %v", key, n, requests)
				}
			}
		})
	}
}

func TestABulkReadGoesOnFromWhatAnotherOneOfThePartitionHasSeen(t *testing.T) {
	t.Parallel()
	f, s := startState(t, "state.sqlite")
	var keys []string
	for i := range 600 {
		keys = append(keys, fmt.Sprint("key", i))
	}
	values := map[string]string{}
	for _, key := range keys {
		values[key] = "small"
	}
	f.answer = stored(values)
	for _, portion := range [][]string{keys[:8], keys[8:40], keys[40:168], keys[168:]} {
		if _, err := s.GetMany(t.Context(), "stream", portion); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.GetMany(t.Context(), "another", keys[:20]); err != nil {
		t.Fatal(err)
	}
	if requests, _ := f.asked(); !slices.Equal(requests, []int{8, 32, 128, 432, 8, 12}) {
		t.Errorf("it asked for %v", requests)
	}
}

func TestAValueThatIsTooLargeToReceiveHindersNoOther(t *testing.T) {
	t.Parallel()
	f, s := startState(t, "state.sqlite")
	f.answer = stored(map[string]string{"a": "1", "large": strings.Repeat("x", 5<<20), "b": "2"})
	items, err := s.GetMany(t.Context(), "stream", []string{"a", "large", "b"})
	if err != nil {
		t.Fatal(err)
	}
	if string(items[0].Value) != "1" || string(items[2].Value) != "2" {
		t.Errorf("got %+v", items)
	}
	_, single := s.Get(t.Context(), "stream", "large")
	for _, err := range []error{items[1].Err, single} {
		if err == nil || !strings.Contains(err.Error(), "grpc.MaxCallRecvMsgSize") {
			t.Errorf("the error is %v", err)
		}
		if errors.Is(err, driver.ErrRefused) || err != nil && strings.Contains(err.Error(), "request is larger") {
			t.Errorf("it is the answer that is too large, not the request: %v", err)
		}
	}
}
