package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func (f *fakeSidecar) BulkPublishEvent(ctx context.Context, r *pb.BulkPublishRequest) (*pb.BulkPublishResponse, error) {
	return serve[pb.BulkPublishResponse](ctx, f, r)
}

// several returns messages a, b, c and so on.
func several(n int) []driver.Message {
	messages := make([]driver.Message, n)
	for i := range messages {
		name := string(rune('a' + i))
		messages[i] = driver.Message{ID: name + "/1", Source: "bank", Type: "Opened", Key: name, TraceParent: "00-1-2-01", Data: []byte(`{"owner":"Ada"}`)}
	}
	return messages
}

// sentOf returns the messages of a request by their keys, and how it sent them.
func sentOf(r proto.Message) (keys string, together bool) {
	many, together := r.(*pb.BulkPublishRequest)
	if !together {
		return r.(*pb.PublishEventRequest).GetMetadata()["partitionKey"], false
	}
	for _, e := range many.GetEntries() {
		keys += e.GetMetadata()["partitionKey"]
	}
	return keys, true
}

func TestMessagesAreSentTogetherAsTheyAreAlone(t *testing.T) {
	t.Parallel()
	f, b := startBroker(t)
	messages := several(3)
	messages[1].Data, messages[1].ContentType = []byte("hello"), "text/plain"
	for i, err := range b.PublishMany(t.Context(), "accounts", messages) {
		if err != nil {
			t.Error(i, err)
		}
	}
	for _, m := range messages {
		if err := b.Publish(t.Context(), "accounts", m); err != nil {
			t.Fatal(err)
		}
	}
	all := f.noted()
	if len(all) != 4 {
		t.Fatalf("sent %v", all)
	}
	want := &pb.BulkPublishRequest{PubsubName: "pubsub", Topic: "accounts"}
	for i, r := range all[1:] {
		one := r.(*pb.PublishEventRequest)
		want.Entries = append(want.Entries, &pb.BulkPublishRequestEntry{EntryId: fmt.Sprint(i), Event: one.GetData(), ContentType: one.GetDataContentType(), Metadata: one.GetMetadata()})
	}
	if !proto.Equal(all[0], want) {
		t.Errorf("sent %v, want %v", all[0], want)
	}
}

func TestRequestsWithManyMessagesAreLimited(t *testing.T) {
	t.Parallel()
	pad := func(bytes int) []byte { return []byte(`"` + strings.Repeat("x", bytes) + `"`) }
	for name, c := range map[string]struct {
		messages []driver.Message
		want     []int // entries of requests, 0 for a message by itself
	}{
		"none":              {nil, nil},
		"one":               {several(1), []int{0}},
		"a hundred":         {several(100), []int{100}},
		"more":              {several(101), []int{0, 100}},
		"large ones":        {slices.Repeat([]driver.Message{{ID: "a", Type: "Opened", Data: pad(40 << 10)}}, 5), []int{0, 2, 2}},
		"a very large one":  {append(several(2), driver.Message{ID: "x", Type: "Opened", Data: pad(1 << 20)}), []int{0, 2}},
		"one that is wrong": {append(several(2), driver.Message{ID: "x", Type: "Opened", Data: []byte("{")}), []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, b := startBroker(t)
			for i, err := range b.PublishMany(t.Context(), "accounts", c.messages) {
				if wrong := string(c.messages[i].Data) == "{"; wrong != (err != nil) {
					t.Error(i, err)
				}
			}
			var got []int
			for _, r := range f.noted() {
				many, _ := r.(*pb.BulkPublishRequest)
				got = append(got, len(many.GetEntries()))
			}
			if slices.Sort(got); !slices.Equal(got, c.want) {
				t.Errorf("sent %v, want %v", got, c.want)
			}
		})
	}
}

// Whatever happens to a request, an error of a message is its own.
func TestAFailureReachesOnlyItsMessage(t *testing.T) {
	t.Parallel()
	failedEntry := func(ids ...string) func() (proto.Message, error) {
		return func() (proto.Message, error) {
			answer := &pb.BulkPublishResponse{}
			for _, id := range ids {
				answer.FailedEntries = append(answer.FailedEntries, &pb.BulkPublishResponseFailedEntry{EntryId: id})
			}
			return answer, nil
		}
	}
	failure := func(code codes.Code) func() (proto.Message, error) {
		return func() (proto.Message, error) { return nil, status.Error(code, "no") }
	}
	for name, c := range map[string]struct {
		answer func() (proto.Message, error) // to the request with all
		want   string                        // sent alone
		failed string                        // messages with errors
	}{
		"all arrive":                  {failedEntry(), "", ""},
		"the sidecar says which":      {failedEntry("1", "2"), "bc", "b"},
		"another one fails":           {failedEntry("0"), "a", ""},
		"it says one that is not":     {failedEntry("7"), "abc", "b"},
		"it does not say which":       {failure(codes.Internal), "abc", "b"},
		"it cannot read one of them":  {failure(codes.InvalidArgument), "abc", "b"},
		"they are too large together": {failure(codes.ResourceExhausted), "abc", "b"},
		"the sidecar is away":         {failure(codes.Unavailable), "", "abc"},
		"the sidecar denies access":   {failure(codes.PermissionDenied), "", "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, b := startBroker(t)
			f.answer = func(_ context.Context, r proto.Message) (proto.Message, error) {
				switch keys, together := sentOf(r); {
				case together:
					return c.answer()
				case keys == "b":
					return nil, errors.New("it is poison")
				}
				return nil, nil
			}
			messages := several(3)
			var failed, alone string
			for i, err := range b.PublishMany(t.Context(), "accounts", messages) {
				if err != nil {
					failed += messages[i].Key
					if !strings.Contains(err.Error(), "publishing to accounts") || c.want != "" && !strings.Contains(err.Error(), "poison") {
						t.Error(err)
					}
				}
			}
			sent := []string{}
			for _, r := range f.noted()[1:] {
				keys, _ := sentOf(r)
				sent = append(sent, keys)
			}
			slices.Sort(sent)
			if alone = strings.Join(sent, ""); alone != c.want || failed != c.failed {
				t.Errorf("sent alone: %q, want %q; failed: %q, want %q", alone, c.want, failed, c.failed)
			}
		})
	}
}

func TestABrokerThatCannotTakeManyMessagesSaysSo(t *testing.T) {
	t.Parallel()
	unsupported := func(b *sidecar.Broker) {
		t.Helper()
		for i, err := range b.PublishMany(t.Context(), "accounts", several(2)) {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Error(i, err)
			}
		}
	}
	f, b := startBroker(t)
	f.answer = func(context.Context, proto.Message) (proto.Message, error) {
		return nil, status.Error(codes.Unimplemented, "")
	}
	for range 2 {
		unsupported(b)
		if sent := f.noted(); len(sent) != 1 {
			t.Errorf("sent %v, want one request", sent)
		}
	}
	f, client := start(t, "state.sqlite")
	f.components = append(f.components, &pb.RegisteredComponents{Name: "hub", Type: "pubsub.azure.eventhubs", Version: "v1"})
	b, err := sidecar.NewBroker(t.Context(), client, "hub")
	if err != nil {
		t.Fatal(err)
	}
	if unsupported(b); len(f.noted()) != 0 {
		t.Errorf("sent %v", f.noted())
	}
}

func TestPublishingManyMessagesEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, b := startBroker(t)
		f.answer = hung
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		for _, err := range b.PublishMany(ctx, "accounts", several(3)) {
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second+100*time.Millisecond {
				t.Errorf("it ended with %v after %s", err, time.Since(began))
			}
		}
		if sent := f.noted(); len(sent) != 1 {
			t.Errorf("sent %v", sent)
		}
	})
}
