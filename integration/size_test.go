package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/racing"
	"github.com/hexalith/eventstores-go/integration/servers"
)

const maxBody = 4 << 20 // of a sidecar by default

// wire counts the requests to a sidecar by method, and notes the size of the largest.
type wire struct {
	mu      sync.Mutex
	calls   map[string]int
	largest int
}

func newWire() *wire { return &wire{calls: map[string]int{}} }

// option returns the dial option that counts a client's requests.
func (w *wire) option() grpc.DialOption {
	return grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		w.mu.Lock()
		w.calls[method[strings.LastIndex(method, "/")+1:]]++
		w.largest = max(w.largest, proto.Size(request.(proto.Message)))
		w.mu.Unlock()
		return invoke(ctx, method, request, answer, conn, options...)
	})
}

// take returns the counts and resets them.
func (w *wire) take() (calls map[string]int, largest int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, largest = w.calls, w.largest
	w.calls, w.largest = map[string]int{}, 0
	return calls, largest
}

func blob(size int) eventstore.Raw {
	return eventstore.Raw{Type: "blob", SchemaVersion: 1, ContentType: "text/plain", Payload: []byte(strings.Repeat("x", size))}
}

func TestAnEventThatCannotFitIntoOneRequestIsRefusedAndNothingIsStored(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("redis", r), servers.InMemoryState("memory")}})
	for i, test := range []struct {
		name    string
		store   string
		options []sidecar.Option
		kind    error
		says    string
	}{
		{"on Redis", "redis", nil, &eventstore.BatchTooLargeError{}, "do not fit into one request of 4128768 bytes, nothing was stored"},
		{"on a store with transactions", "memory", nil, &eventstore.BatchTooLargeError{}, "do not fit into one request of 4128768 bytes, nothing was stored"},
		{"by the sidecar, where it takes less than it is said to", "redis", []sidecar.Option{sidecar.WithMaxRequestBytes(16 << 20)}, &eventstore.StorageError{}, "--max-body-size"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWire()
			s, err := sidecar.NewState(t.Context(), d.Client(t, w.option()), test.store, test.options...)
			if err != nil {
				t.Fatal(err)
			}
			stream := eventstore.Stream{Database: "EventStores", Type: "blobs", ID: strconv.Itoa(i)}
			p := provider(t, s, racing.NoLock{})
			session, err := p.Open(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			for _, batch := range [][]any{{blob(maxBody)}, {racing.Event{}, blob(maxBody)}} {
				w.take()
				_, err = session.Append(t.Context(), eventstore.ExpectAny(), batch...)
				wantError(t, err, test.kind, test.says)
				calls, _ := w.take()
				if tooLarge := (*eventstore.BatchTooLargeError)(nil); errors.As(err, &tooLarge) {
					if tooLarge.Size <= tooLarge.Limit || tooLarge.Size < maxBody {
						t.Errorf("the error says that %d bytes are more than %d", tooLarge.Size, tooLarge.Limit)
					}
					if len(calls) > 0 {
						t.Errorf("requests were sent: %v", calls)
					}
				}
			}
			prefix := "{" + stream.String() + "}:"
			items, err := s.GetMany(t.Context(), stream.String(), []string{prefix + "head", prefix + "1", prefix + "2"})
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range items {
				if item.Err != nil || item.Found() {
					t.Errorf("%s is stored, %v", item.Key, item.Err)
				}
			}
			// The session still works: it accepts an event that fits.
			if version, err := session.Append(t.Context(), eventstore.ExpectVersion(0), blob(3<<20)); version != 1 || err != nil {
				t.Errorf("an event that fits: version %d, %v", version, err)
			}
			reader := p.Reader(stream)
			if event, err := reader.Event(t.Context(), 1, eventstore.AsRaw()); err != nil || len(event.Data.(eventstore.Raw).Payload) != 3<<20 {
				t.Errorf("reading it: %v", err)
			}
		})
	}
}

func TestALargerSidecarTakesLargerEvents(t *testing.T) {
	t.Parallel()
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", MaxBodySize: "16Mi", Components: []string{servers.RedisState("statestore", r)}})
	client := d.Client(t, grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	s, err := sidecar.NewState(t.Context(), client, "statestore", sidecar.WithMaxRequestBytes(16<<20))
	if err != nil {
		t.Fatal(err)
	}
	session, err := provider(t, s, racing.NoLock{}).Open(t.Context(), eventstore.Stream{Database: "EventStores", Type: "blobs", ID: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := session.Append(t.Context(), eventstore.ExpectAny(), blob(12<<20)); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for event, err := range session.Read(t.Context(), eventstore.AsRaw()) {
		if err != nil || len(event.Data.(eventstore.Raw).Payload) != 12<<20 {
			t.Fatalf("version %d: %v", event.Version, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("got %d events, want 2", n)
	}

	// A client that was dialled without the option gets an error that names the option.
	if s, err = sidecar.NewState(t.Context(), d.Client(t), "statestore"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(t.Context(), "EventStores:blobs:1", "{EventStores:blobs:1}:1")
	if err == nil || !strings.Contains(err.Error(), "MaxCallRecvMsgSize") {
		t.Errorf("an answer that is too large: %v", err)
	}
}

// note returns an event of 2 KB.
func note(n int) racing.Event {
	return racing.Event{N: n, Writer: fmt.Sprintf("%d %s", n, strings.Repeat("n", 2000))}
}

func TestTenThousandEventsOf2KBGoThroughASidecarInPortions(t *testing.T) {
	t.Parallel()
	const count = 10_000
	r := servers.StartRedis(t)
	d := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: []string{servers.RedisState("statestore", r)}})
	w := newWire()
	s, err := sidecar.NewState(t.Context(), d.Client(t, w.option()), "statestore")
	if err != nil {
		t.Fatal(err)
	}
	w.take()
	sent := func(t *testing.T, what, method string, most int) {
		t.Helper()
		calls, largest := w.take()
		fmt.Printf("size %s: requests %v, the largest of %d bytes\n", what, calls, largest)
		if largest > maxBody {
			t.Errorf("%s: a request had %d bytes", what, largest)
		}
		if n := calls[method]; n < 2 || n > most {
			t.Errorf("%s took %d requests, want 2 to %d", what, n, most)
		}
	}

	t.Run("in an event store", func(t *testing.T) {
		p := provider(t, s, racing.NoLock{})
		session, err := p.Open(t.Context(), p.Stream("notes", "1"))
		if err != nil {
			t.Fatal(err)
		}
		all := make([]any, count)
		for i := range all {
			all[i] = note(i)
		}
		_, err = session.Append(t.Context(), eventstore.ExpectAny(), all...)
		wantError(t, err, &eventstore.BatchTooLargeError{}, "nothing was stored", "append fewer")
		w.take()
		for batch := range slices.Chunk(all, 1500) { // an append is one request, so the caller has to divide the events
			if _, err := session.Append(t.Context(), eventstore.ExpectAny(), batch...); err != nil {
				t.Fatal(err)
			}
		}
		sent(t, "append", "ExecuteStateTransaction", 14) // requests for the events of an append, at most twice
		reader := p.Reader(p.Stream("notes", "1"))
		n := 0
		for event, err := range reader.Read(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Version != int64(n+1) || event.Data != note(n) {
				t.Fatalf("version %d is %.20v, want %.20v", event.Version, event.Data, note(n))
			}
			n++
		}
		if n != count {
			t.Errorf("read %d events, want %d", n, count)
		}
		sent(t, "read", "GetBulkState", 30)
	})

	t.Run("in the adapter", func(t *testing.T) {
		writes := make([]driver.Write, count)
		keys := make([]string, count)
		for i := range writes {
			keys[i] = fmt.Sprintf("{bulk}:%d", i)
			writes[i] = driver.Write{Key: keys[i], Value: []byte(note(i).Writer)}
		}
		if err := s.Write(t.Context(), "bulk", writes); err != nil {
			t.Fatal(err)
		}
		sent(t, "write", "ExecuteStateTransaction", 6) // 22 MB
		items, err := s.GetMany(t.Context(), "bulk", keys)
		if err != nil {
			t.Fatal(err)
		}
		for i, item := range items {
			if item.Err != nil || item.Key != keys[i] || string(item.Value) != note(i).Writer {
				t.Fatalf("item %d is %s with %d bytes, %v", i, item.Key, len(item.Value), item.Err)
			}
		}
		sent(t, "bulk read", "GetBulkState", 14) // it begins with few keys, to find out how many fit
	})
}
