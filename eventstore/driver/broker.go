package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"strings"
	"time"
)

// Broker takes messages for topics and delivers them. It is safe for concurrent use.
type Broker interface {
	// Publish returns nil when the broker has the message. After an error the broker may have it or
	// not.
	Publish(ctx context.Context, topic string, message Message) error

	// Subscribe calls handle with the messages of a topic until ctx ends, and then returns nil. A
	// message whose handler returns an error, or does not return, is delivered again.
	Subscribe(ctx context.Context, topic string, handle func(context.Context, Message) error) error
}

// Message is a message for other services. Its JSON is a CloudEvent 1.0 in structured mode.
type Message struct {
	ID          string    // the same whenever the message is published again
	Source      string    // a URI reference of the service that published it
	Type        string    // what it tells
	Subject     string    // what it is about
	Time        time.Time // when that happened; zero if it is not known
	Key         string    // messages of one key belong in order
	TraceParent string    // of W3C trace context
	TraceState  string
	ContentType string // of Data; empty means application/json
	Data        []byte
}

// cloudEvent is the JSON of a message.
type cloudEvent struct {
	SpecVersion string          `json:"specversion"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Subject     string          `json:"subject,omitempty"`
	Time        time.Time       `json:"time,omitzero"`
	Key         string          `json:"partitionkey,omitempty"`
	TraceParent string          `json:"traceparent,omitempty"`
	TraceState  string          `json:"tracestate,omitempty"`
	ContentType string          `json:"datacontenttype,omitempty"`
	Data        json.RawMessage `json:"data,omitempty"`
	Base64      []byte          `json:"data_base64,omitempty"`
}

// IsJSON reports whether a content type is one of JSON. An empty one is.
func IsJSON(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return contentType == "" || err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// MarshalJSON returns the message as a CloudEvent. It fails if Data should be JSON and is not.
func (m Message) MarshalJSON() ([]byte, error) {
	e := cloudEvent{
		SpecVersion: "1.0", ID: m.ID, Source: m.Source, Type: m.Type, Subject: m.Subject, Time: m.Time, Key: m.Key,
		TraceParent: m.TraceParent, TraceState: m.TraceState, ContentType: m.ContentType,
	}
	if e.ContentType == "" {
		e.ContentType = "application/json"
	}
	switch {
	case len(m.Data) == 0:
	case !IsJSON(m.ContentType):
		e.Base64 = m.Data
	case !json.Valid(m.Data):
		return nil, fmt.Errorf("the data of message %q is not JSON, as its content type %q says", m.ID, e.ContentType)
	default:
		e.Data = m.Data
	}
	return json.Marshal(e)
}

// UnmarshalJSON reads a CloudEvent in structured mode, such as the body of a request by which Dapr
// delivers a message.
func (m *Message) UnmarshalJSON(data []byte) error {
	var e cloudEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return err
	}
	if e.ID == "" || e.Type == "" {
		return fmt.Errorf("it is not a CloudEvent: its id is %q and its type %q", e.ID, e.Type)
	}
	*m = Message{
		ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time, Key: e.Key,
		TraceParent: e.TraceParent, TraceState: e.TraceState, ContentType: e.ContentType, Data: e.Data,
	}
	if len(e.Base64) > 0 {
		m.Data = e.Base64
	}
	return nil
}
