package sidecar_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore"
)

// topics are the pub/sub API of a fake sidecar, with one topic.
type topics struct {
	messages chan string // to the subscriber
	answered chan string // the ids of messages that were handled
	broken   chan struct{}
}

func (f *fakeSidecar) PublishEvent(ctx context.Context, r *pb.PublishEventRequest) (*emptypb.Empty, error) {
	return serve[emptypb.Empty](ctx, f, r)
}

func (f *fakeSidecar) SubscribeTopicEventsAlpha1(s pb.Dapr_SubscribeTopicEventsAlpha1Server) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	if r := first.GetInitialRequest(); r.GetPubsubName() != "pubsub" || r.GetTopic() != "rings" {
		return errors.New("it is another topic")
	}
	if err := s.Send(&pb.SubscribeTopicEventsResponseAlpha1{SubscribeTopicEventsResponseType: &pb.SubscribeTopicEventsResponseAlpha1_InitialResponse{InitialResponse: &pb.SubscribeTopicEventsResponseInitialAlpha1{}}}); err != nil {
		return err
	}
	for {
		select {
		case <-s.Context().Done():
			return nil
		case <-f.topic.broken:
			return io.ErrUnexpectedEOF
		case text := <-f.topic.messages:
			message := &pb.TopicEventRequest{Id: text, Data: []byte(text), DataContentType: "text/plain", Topic: "rings", PubsubName: "pubsub"}
			if err := s.Send(&pb.SubscribeTopicEventsResponseAlpha1{SubscribeTopicEventsResponseType: &pb.SubscribeTopicEventsResponseAlpha1_EventMessage{EventMessage: message}}); err != nil {
				return err
			}
			answer, err := s.Recv()
			if err != nil {
				return err
			}
			if answer.GetEventProcessed().GetStatus().GetStatus() == pb.TopicEventResponse_SUCCESS {
				f.topic.answered <- answer.GetEventProcessed().GetId()
			}
		}
	}
}

func startBell(t *testing.T) (*fakeSidecar, *sidecar.Bell) {
	t.Helper()
	f, client := start(t, "state.sqlite", "ETAG")
	f.topic = topics{messages: make(chan string), answered: make(chan string, 9), broken: make(chan struct{})}
	b, err := sidecar.NewBell(t.Context(), client, "pubsub", "rings")
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

func TestABellPublishesWhatExpires(t *testing.T) {
	t.Parallel()
	f, b := startBell(t)
	if err := b.Ring(t.Context(), "all written x"); err != nil {
		t.Fatal(err)
	}
	want := &pb.PublishEventRequest{PubsubName: "pubsub", Topic: "rings", Data: []byte("all written x"), DataContentType: "text/plain", Metadata: map[string]string{"ttlInSeconds": "5"}}
	if got := f.noted(); len(got) != 1 || !proto.Equal(got[0], want) {
		t.Errorf("sent %v, want %v", got, want)
	}
	f.answer = func(context.Context, proto.Message) (proto.Message, error) { return nil, errors.New("out of order") }
	if err := b.Ring(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "publishing to rings") {
		t.Error(err)
	}
}

func TestABellHearsEachMessageUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	f, b := startBell(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	heard := make(chan string, 9)
	done := make(chan error, 1)
	go func() { done <- b.Listen(ctx, func(message string) { heard <- message }) }()
	for _, text := range []string{"first", "second"} {
		f.topic.messages <- text
		if got, answered := <-heard, <-f.topic.answered; got != text || answered != text {
			t.Errorf("heard %q, answered %q", got, answered)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ends with %v", err)
	}
}

func TestABellSurvivesABrokenStreamOrTellsOfIt(t *testing.T) {
	t.Parallel()
	f, b := startBell(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan error, 1)
	heard := make(chan string, 1)
	go func() { done <- b.Listen(ctx, func(message string) { heard <- message }) }()
	f.topic.broken <- struct{}{}
	select {
	case f.topic.messages <- "again": // the SDK has connected again
		if got := <-heard; got != "again" {
			t.Errorf("heard %q", got)
		}
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "listening to rings") {
			t.Error(err)
		}
	}
}

func TestABellThatIsNotPossible(t *testing.T) {
	t.Parallel()
	_, client := start(t, "state.sqlite", "ETAG")
	var argument *eventstore.ArgumentError
	if _, err := sidecar.NewBell(t.Context(), client, "pubsub", ""); !errors.As(err, &argument) || argument.Argument != "topic" {
		t.Error(err)
	}
	if _, err := sidecar.NewBell(t.Context(), client, "other", "rings"); err == nil || !strings.Contains(err.Error(), `"pubsub" (pubsub.redis)`) {
		t.Error(err)
	}
}
