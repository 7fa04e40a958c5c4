package eventstore

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// Services and tools depend on these names, so they never change.
func TestTheJSONOfEventsAndSnapshots(t *testing.T) {
	t.Parallel()
	at := time.Date(2025, 2, 28, 12, 0, 0, 5e8, time.UTC)
	raw := Raw{Type: "noted", SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"a":1}`)}
	metadata := Metadata{
		Message: MessageMetadata{ID: "m-1", Type: "noted", SchemaVersion: 1, AggregateType: "account", AggregateID: "1", Created: at},
		Context: ContextMetadata{
			CorrelationID: "c", CausationID: "d", UserID: "ada", PartitionID: "EventStores", Timestamp: at.Add(-time.Hour),
			SessionID: "s", SequenceNumber: 7, IdempotencyID: "i", Scopes: []string{"read", ""},
		},
		Custom: map[string]string{"b": "", "a": "x"},
	}
	const (
		message = `{"id":"m-1","type":"noted","schemaVersion":1,"aggregateType":"account","aggregateId":"1","created":"2025-02-28T12:00:00.5Z"}`
		context = `{"correlationId":"c","causationId":"d","userId":"ada","partitionId":"EventStores","timestamp":"2025-02-28T11:00:00.5Z",` +
			`"sessionId":"s","sequenceNumber":7,"idempotencyId":"i","scopes":["read",""]}`
		custom  = `{"a":"x","b":""}`
		payload = `{"type":"noted","schemaVersion":1,"contentType":"application/json","payload":"eyJhIjoxfQ=="}`
	)
	for _, c := range []struct {
		value any // a pointer
		into  any // what the JSON is decoded into; nil means an empty value
		want  string
	}{
		{&Event{Version: 7, Data: &raw, Metadata: metadata, Erased: true}, &Event{Data: &Raw{}},
			`{"version":7,"data":` + payload + `,"metadata":{"message":` + message + `,"context":` + context + `,"custom":` + custom + `},"erased":true}`},
		{&Event{Version: 7, Data: &noted{"a"}}, &Event{Data: &noted{}}, `{"version":7,"data":{"Text":"a"}}`},
		{&Event{}, nil, `{}`},
		{&metadata, nil, `{"message":` + message + `,"context":` + context + `,"custom":` + custom + `}`},
		{&Metadata{}, nil, `{}`},
		{&Metadata{Custom: metadata.Custom}, nil, `{"custom":` + custom + `}`},
		{&metadata.Message, nil, message},
		{&MessageMetadata{}, nil, `{}`},
		{&metadata.Context, nil, context},
		{&ContextMetadata{}, nil, `{}`},
		{&Snapshot{Version: 7, Data: &raw, Created: at, Custom: metadata.Custom}, &Snapshot{Data: &Raw{}},
			`{"version":7,"data":` + payload + `,"created":"2025-02-28T12:00:00.5Z","custom":` + custom + `}`},
		{&Snapshot{}, nil, `{}`},
		{&raw, nil, payload},
		{&Raw{}, nil, `{}`},
		{&Stream{"EventStores", "account", "1"}, nil, `{"database":"EventStores","type":"account","id":"1"}`},
		{&Stream{}, nil, `{}`},
	} {
		got, err := json.Marshal(c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%T is written as\n%s, %v, want\n%s", c.value, got, err, c.want)
		}
		into := c.into
		if into == nil {
			into = reflect.New(reflect.TypeOf(c.value).Elem()).Interface()
		}
		if err := json.Unmarshal(got, into); err != nil || !reflect.DeepEqual(into, c.value) {
			t.Errorf("%s is read as\n%+v, %v, want\n%+v", got, into, err, c.value)
		}
	}
}

// A field without a JSON name would get its Go name by accident.
func TestEveryFieldHasAJSONName(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[Event](), reflect.TypeFor[Metadata](), reflect.TypeFor[MessageMetadata](), reflect.TypeFor[ContextMetadata](),
		reflect.TypeFor[Snapshot](), reflect.TypeFor[Raw](), reflect.TypeFor[Stream](),
	} {
		for field := range typ.Fields() {
			if field.Tag.Get("json") == "" {
				t.Errorf("%s.%s has no JSON name", typ.Name(), field.Name)
			}
		}
	}
}
