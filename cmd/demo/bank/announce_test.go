package bank

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

func TestACompletedTransferIsAnnouncedAndNoOtherEvent(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a := newBank(t)
	transferring(t, a)
	broker := &recorder{published: make(chan string, 9)}
	announcements, err := a.Announcements(broker)
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- announcements.Run(running) }()
	for _, number := range []string{"A", "B", "C"} {
		if _, err := a.Open(ctx, number, "Ada", 100, anyVersion); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(ctx, "C", -1); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Send(ctx, "A", "C", "refused", 30, anyVersion); err != nil {
		t.Fatal(err)
	}
	over(t, a, "refused", Returned)
	want := map[string]bool{}
	for n := range 2 {
		id := fmt.Sprint("t", n)
		if _, err := a.Send(ctx, "A", "B", id, 30, anyVersion); err != nil {
			t.Fatal(err)
		}
		over(t, a, id, Completed)
		want[`transfers TransferCompleted bank EventStores:Transfer:`+id+`/2 {"id":"`+id+`","from":"A","to":"B","amount":30}`] = true
	}
	for range 2 {
		select {
		case got := <-broker.published:
			if !want[got] {
				t.Errorf("published %s", got)
			}
			delete(want, got)
		case <-ctx.Done():
			t.Fatalf("not published: %v", want)
		}
	}
	// The feed is in order of its partitions only, so what comes late of the refused transfer is
	// found here at the latest.
	for _, version := range []int64{1, 2, 3} {
		if err := announcements.WaitFor(ctx, a.provider.Stream(TransferType, "refused"), version); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(broker.published) > 0 {
		t.Errorf("published %s", <-broker.published)
	}
}

// recorder is a broker without subscribers.
type recorder struct {
	publishing.Broker
	published chan string
}

func (r *recorder) Publish(_ context.Context, topic string, m publishing.Message) error {
	r.published <- fmt.Sprint(topic, " ", m.Type, " ", m.Source, " ", m.ID, " ", string(m.Data))
	return nil
}
