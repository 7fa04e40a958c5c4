package publishing_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

var errBusy = errors.New("busy")

func TestALocalBrokerHasAMessageWhenAllHaveHandledIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := publishing.NewLocal()
		var got []string
		failures := 3
		stop := memstate.Start(t, func(ctx context.Context) error {
			return broker.Subscribe(ctx, "moves", func(_ context.Context, m publishing.Message) error {
				if failures > 0 {
					failures--
					return errBusy
				}
				got = append(got, m.ID)
				return nil
			})
		})
		slow := memstate.Start(t, func(ctx context.Context) error {
			return broker.Subscribe(ctx, "moves", func(context.Context, publishing.Message) error {
				<-time.After(time.Second)
				return nil
			})
		})
		other := memstate.Start(t, func(ctx context.Context) error {
			return broker.Subscribe(ctx, "other", func(context.Context, publishing.Message) error {
				t.Error("a message came to another topic")
				return nil
			})
		})
		synctest.Wait()
		for n := range 3 {
			began := time.Now()
			if err := broker.Publish(t.Context(), "moves", publishing.Message{ID: fmt.Sprint(n)}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != time.Second || len(got) != n+1 {
				t.Errorf("message %d was published after %s, want 1s; handled: %v", n, took, got)
			}
		}
		stop()
		slow()
		other()
		if fmt.Sprint(got) != "[0 1 2]" {
			t.Errorf("the messages came as %v", got)
		}
	})
}

func TestALocalBrokerRefusesAMessageThatNoOneWouldHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := publishing.NewLocal()
		none := func() {
			t.Helper()
			if err := broker.Publish(t.Context(), "moves", publishing.Message{}); err == nil || !strings.Contains(err.Error(), `"moves" has no subscriber`) {
				t.Errorf("without a subscriber: %v", err)
			}
		}
		none()
		stop := memstate.Start(t, func(ctx context.Context) error {
			return broker.Subscribe(ctx, "moves", func(ctx context.Context, _ publishing.Message) error {
				<-ctx.Done()
				return ctx.Err()
			})
		})
		synctest.Wait()
		published := make(chan error)
		for range 2 { // one is being handled, the other waits
			go func() { published <- broker.Publish(t.Context(), "moves", publishing.Message{}) }()
		}
		synctest.Wait()
		stop()
		for range 2 {
			if err := <-published; err == nil || !strings.Contains(err.Error(), "ended before") {
				t.Errorf("the subscriber ended: %v", err)
			}
		}
		none()
	})
}

func TestALocalBrokerStopsWithThePublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := publishing.NewLocal()
		var tries []string
		stop := memstate.Start(t, func(ctx context.Context) error {
			return broker.Subscribe(ctx, "moves", func(_ context.Context, m publishing.Message) error {
				if tries = append(tries, m.ID); m.ID == "poison" {
					return errBusy
				}
				return nil
			})
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Millisecond)
		defer cancel()
		if err := broker.Publish(ctx, "moves", publishing.Message{ID: "poison"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := broker.Publish(ctx, "moves", publishing.Message{ID: "late"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := broker.Publish(t.Context(), "moves", publishing.Message{ID: "next"}); err != nil {
			t.Error(err)
		}
		stop()
		if got := fmt.Sprint(tries); got != "[poison poison next]" { // after 0 and 10 ms
			t.Errorf("handled: %s", got)
		}
	})
}
