package protobuf_test

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hexalith/eventstores-go/adapter/protobuf"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// renamed is an event in JSON.
type renamed struct{ Name string }

func document(t *testing.T) *structpb.Struct {
	t.Helper()
	s, err := structpb.NewStruct(map[string]any{"a": 1.5, "b": "two", "c": []any{true, nil}, "d": map[string]any{"x": "y"}, "e": "ü", "f": "", "g": 1})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMessagesAndJSONShareAStream(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	provider := eventtest.NewProvider(t,
		eventstore.Type[*structpb.Struct]("Described", eventstore.WithCodec(protobuf.Codec)),
		eventstore.Type[*durationpb.Duration]("Measured", eventstore.WithCodec(protobuf.Codec)),
		eventstore.Type[renamed]("Renamed"),
	)
	session, err := provider.Open(ctx, provider.Stream("Device", "1"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	want := []any{document(t), renamed{"Ada"}, durationpb.New(1500), &durationpb.Duration{}, renamed{}}
	if _, err := session.Append(ctx, eventstore.ExpectVersion(0), want...); err != nil {
		t.Fatal(err)
	}
	if err := session.SaveSnapshot(ctx, 5, document(t)); err != nil {
		t.Fatal(err)
	}
	var got []any
	for event, err := range session.Read(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event.Data)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("they did not come back as they were (-want +got):\n%s", diff)
	}
	if snapshot, err := session.LastSnapshot(ctx); err != nil || !proto.Equal(snapshot.Data.(proto.Message), document(t)) {
		t.Errorf("the snapshot is %v, %v", snapshot, err)
	}
	event, err := session.Event(ctx, 1, eventstore.AsRaw())
	if raw := event.Data.(eventstore.Raw); err != nil || raw.ContentType != "application/protobuf" {
		t.Errorf("it is stored as %s, %v", raw.ContentType, err)
	}
}

func TestATypeMovesFromJSONToProtobuf(t *testing.T) {
	t.Parallel()
	registry, err := eventstore.NewRegistry(eventstore.Type[*wrapperspb.Int64Value]("Deposited", eventstore.WithCodec(protobuf.Codec, eventstore.JSON)))
	if err != nil {
		t.Fatal(err)
	}
	written, err := registry.Encode(wrapperspb.Int64(1250))
	if err != nil || written.ContentType != "application/protobuf" {
		t.Fatalf("%+v, %v", written, err)
	}
	for _, raw := range []eventstore.Raw{written, {Type: "Deposited", ContentType: "application/json", Payload: []byte(`{"value":1250}`)}} {
		value, err := registry.Decode(raw)
		if message, ok := value.(*wrapperspb.Int64Value); err != nil || !ok || message.Value != 1250 {
			t.Errorf("%s is read as %v, %v", raw.ContentType, value, err)
		}
	}
}

func TestAMessageIsTheSameBytesEachTime(t *testing.T) {
	t.Parallel()
	want, err := protobuf.Codec.Marshal(document(t))
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if got, err := protobuf.Codec.Marshal(document(t)); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x, %v, want %x", got, err, want)
		}
	}
}

func TestFieldsOfANewerVersionAreKept(t *testing.T) {
	t.Parallel()
	newer, err := proto.Marshal(&durationpb.Duration{Seconds: 1, Nanos: 2})
	if err != nil {
		t.Fatal(err)
	}
	older := &wrapperspb.Int64Value{} // knows only the first field
	if err := protobuf.Codec.Unmarshal(newer, older); err != nil || older.Value != 1 {
		t.Fatalf("%v, %v", older, err)
	}
	if again, err := protobuf.Codec.Marshal(older); err != nil || !bytes.Equal(again, newer) {
		t.Errorf("%x has become %x, %v", newer, again, err)
	}
}

func TestTheCodecKeepsNothingOfTheBytes(t *testing.T) {
	t.Parallel()
	data, err := proto.Marshal(wrapperspb.Bytes([]byte("abc")))
	if err != nil {
		t.Fatal(err)
	}
	var message wrapperspb.BytesValue
	if err := protobuf.Codec.Unmarshal(data, &message); err != nil {
		t.Fatal(err)
	}
	clear(data)
	if string(message.Value) != "abc" {
		t.Errorf("the message has become %q", message.Value)
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	t.Parallel()
	registry, err := eventstore.NewRegistry(eventstore.Type[renamed]("Renamed", eventstore.WithCodec(protobuf.Codec)), eventstore.Type[*durationpb.Duration]("Measured", eventstore.WithCodec(protobuf.Codec)))
	if err != nil {
		t.Fatal(err)
	}
	var none *durationpb.Duration
	failures := map[string]error{}
	_, failures["a struct is encoded"] = registry.Encode(renamed{"Ada"})
	_, failures["a struct is decoded"] = registry.Decode(eventstore.Raw{Type: "Renamed", ContentType: "application/protobuf"})
	_, failures["nil is encoded"] = registry.Encode(none)
	_, failures["damage is decoded"] = registry.Decode(eventstore.Raw{Type: "Measured", ContentType: "application/protobuf", Payload: []byte{0xff}})
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		err := failures[name]
		if !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("%s: %v", name, err)
		}
		var notOne *protobuf.NotAMessageError
		if wants := name[:8] == "a struct"; errors.As(err, &notOne) != wants || wants && notOne.Type != map[bool]string{true: "protobuf_test.renamed", false: "*protobuf_test.renamed"}[name == "a struct is encoded"] {
			t.Errorf("%s: %v, %+v", name, err, notOne)
		}
	}
}

func TestAMessageThatWouldNotComeBackIsRefused(t *testing.T) {
	t.Parallel()
	registry, err := eventstore.NewRegistry(eventstore.Type[*wrapperspb.StringValue]("Named", eventstore.WithCodec(protobuf.Codec)))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "Ada"} {
		message := wrapperspb.String(text)
		proto.Size(message) // the message caches it
		if _, err := registry.Encode(message); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := registry.Encode(wrapperspb.String("\xff")); !errors.As(err, new(*eventstore.ArgumentError)) {
		t.Errorf("text that is not UTF-8: %v", err)
	}
	comparer, ok := protobuf.Codec.(eventstore.Comparer)
	if !ok || comparer.Equal(wrapperspb.String("a"), wrapperspb.String("b")) || comparer.Equal(1, wrapperspb.String("b")) || comparer.Equal(wrapperspb.String("a"), 1) ||
		!comparer.Equal(wrapperspb.String("a"), wrapperspb.String("a")) {
		t.Error("messages are not compared as messages")
	}
}

func TestScenariosCompareMessages(t *testing.T) {
	t.Parallel()
	fold := func(sum int64, event eventstore.Event) (int64, error) {
		return sum + event.Data.(*wrapperspb.Int64Value).Value, nil
	}
	eventtest.Given(t, fold, wrapperspb.Int64(1), wrapperspb.Int64(2)).Comparing(protocmp.Transform()).
		When(func(sum int64) ([]any, error) {
			message := wrapperspb.Int64(sum)
			proto.Size(message) // the message caches it
			return []any{message}, nil
		}).
		Then(wrapperspb.Int64(3))
}
