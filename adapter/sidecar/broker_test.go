package sidecar_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func startBroker(t *testing.T) (*fakeSidecar, *sidecar.Broker) {
	t.Helper()
	f, client := start(t, "state.sqlite", "ETAG")
	f.topic = topics{messages: make(chan string), answered: make(chan string, 9), broken: make(chan struct{})}
	b, err := sidecar.NewBroker(t.Context(), client, "pubsub")
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

func TestABrokerPublishesCloudEvents(t *testing.T) {
	t.Parallel()
	f, b := startBroker(t)
	m := driver.Message{ID: "a/1", Source: "bank", Type: "Opened", Key: "a", Data: []byte(`{"owner":"Ada"}`)}
	if err := b.Publish(t.Context(), "accounts", m); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := &pb.PublishEventRequest{PubsubName: "pubsub", Topic: "accounts", Data: data, DataContentType: "application/cloudevents+json", Metadata: map[string]string{"partitionKey": "a"}}
	if got := f.noted(); len(got) != 1 || !proto.Equal(got[0], want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	traced := driver.Message{ID: "a/2", Type: "Opened", TraceParent: "00-1-2-01"}
	for state, want := range map[string]string{"": `,"tracestate":""}`, "x=y": `,"traceid":"00-1-2-01"}`} { // or the sidecar replaces them
		traced.TraceState = state
		if err := b.Publish(t.Context(), "accounts", traced); err != nil {
			t.Fatal(err)
		}
		sent := f.noted()
		var fields map[string]any
		got := sent[len(sent)-1].(*pb.PublishEventRequest).GetData()
		if err := json.Unmarshal(got, &fields); err != nil || fields["traceid"] != "00-1-2-01" || fields["traceparent"] != "00-1-2-01" || fields["tracestate"] != state || !strings.HasSuffix(string(got), want) {
			t.Errorf("sent %s, %v", got, err)
		}
	}
	if err := b.Publish(t.Context(), "accounts", driver.Message{ID: "a/2", Data: []byte("{")}); err == nil || !strings.Contains(err.Error(), `message "a/2" is not JSON`) {
		t.Error(err)
	}
	f.answer = func(context.Context, proto.Message) (proto.Message, error) { return nil, errors.New("out of order") }
	if err := b.Publish(t.Context(), "accounts", m); err == nil || !strings.Contains(err.Error(), "publishing to accounts") {
		t.Error(err)
	}
}

// A component may forget a message that it is asked to deliver again, so the broker tries itself.
func TestABrokerTriesAMessageUntilItIsHandled(t *testing.T) {
	t.Parallel()
	f, b := startBroker(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tries := 0
	done := make(chan error, 1)
	go func() {
		done <- b.Subscribe(ctx, "rings", func(_ context.Context, m driver.Message) error {
			if tries++; tries < 3 || m.ID != "first" || string(m.Data) != "first" {
				return errors.New("busy")
			}
			return nil
		})
	}()
	f.topic.messages <- "first"
	if answered := <-f.topic.answered; answered != "first" || tries != 3 {
		t.Errorf("answered %q after %d tries", answered, tries)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestABrokerThatIsNotPossible(t *testing.T) {
	t.Parallel()
	_, client := start(t, "state.sqlite", "ETAG")
	if _, err := sidecar.NewBroker(t.Context(), client, "other"); err == nil || !strings.Contains(err.Error(), `"pubsub" (pubsub.redis)`) {
		t.Error(err)
	}
}
