package publishing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// office is a broker that takes a second for a request.
type office struct {
	errs map[string]error
	odd  bool // it returns too few errors

	mu     sync.Mutex
	sent   []string // the ids of each request
	ended  int      // requests whose context ended
	flying int
}

func (o *office) Publish(ctx context.Context, topic string, m Message) error {
	return o.take(ctx, "", topic, m)[0]
}

func (o *office) PublishMany(ctx context.Context, topic string, messages []Message) []error {
	errs := o.take(ctx, "+", topic, messages...)
	if o.odd {
		return nil
	}
	return errs
}

func (o *office) take(ctx context.Context, mark, topic string, messages ...Message) []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if topic != "moves" {
		panic("a wrong topic")
	}
	if o.flying++; o.flying > 1 && mark == "+" {
		o.sent = append(o.sent, "two requests at a time")
	}
	ids, errs := []string{}, make([]error, len(messages))
	for i, m := range messages {
		ids, errs[i] = append(ids, m.ID), o.errs[mark+m.ID]
	}
	o.sent = append(o.sent, mark+strings.Join(ids, ","))
	o.mu.Unlock()
	early := false
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		early = true
	}
	o.mu.Lock()
	o.flying--
	if early {
		o.ended++
	}
	return errs
}

func (o *office) Subscribe(context.Context, string, func(context.Context, Message) error) error {
	return nil
}

// window gathers for a broker.
type window struct {
	*gatherer
	t *testing.T
}

// publish publishes a message in the background.
func (w window) publish(ctx context.Context, id string, bytes int) (done <-chan error) {
	published := make(chan error, 1)
	go func() { published <- w.gatherer.publish(ctx, Message{ID: id, Key: id, Data: make([]byte, bytes)}) }()
	synctest.Wait()
	return published
}

// publishAll publishes messages at the same time, and returns the errors.
func (w window) publishAll(ids string) string {
	var all []<-chan error
	for _, id := range ids {
		all = append(all, w.publish(w.t.Context(), string(id), 1))
	}
	errs := []error{}
	for _, done := range all {
		errs = append(errs, <-done)
	}
	return fmt.Sprint(errs)
}

func (w window) sent(o *office, want ...string) {
	w.t.Helper()
	synctest.Wait()
	if got := fmt.Sprint(o.sent); got != fmt.Sprint(want) {
		w.t.Errorf("sent %s, want %s", got, want)
	}
}

func TestMessagesThatWaitAreSentTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{errs: map[string]error{"+c": errors.New("no"), "a": errors.New("nor that")}}
		w := window{newGatherer(o, "moves"), t}
		began := time.Now()
		if got := w.publishAll("abcd"); got != "[nor that <nil> no <nil>]" || time.Since(began) != 2*time.Second {
			t.Errorf("%s after %s", got, time.Since(began))
		}
		if got := w.publishAll("e"); got != "[<nil>]" || time.Since(began) != 3*time.Second {
			t.Errorf("%s after %s", got, time.Since(began))
		}
		w.sent(o, "a", "+b,c,d", "e")
	})
}

func TestARequestIsNotTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{}
		w := window{newGatherer(o, "moves"), t}
		for i := range gatheredMessages + 3 {
			w.publish(t.Context(), fmt.Sprint(i), 1)
		}
		for i, bytes := range []int{gatheredBytes / 2, gatheredBytes / 2, 1, gatheredBytes + 1, 1} {
			w.publish(t.Context(), fmt.Sprintf("x%d", i), bytes)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(o.sent) < 2 || strings.Count(o.sent[1], ",") != gatheredMessages-1 {
			t.Fatalf("sent %v", o.sent)
		}
		o.sent = o.sent[2:]
		w.sent(o, "+101,102,x0", "+x1,x2", "x3", "x4")
	})
}

func TestACallerDoesNotWaitLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{}
		w := window{newGatherer(o, "moves"), t}
		leaving, leave := context.WithCancelCause(t.Context())
		left := func(done <-chan error) {
			t.Helper()
			select {
			case err := <-done:
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			default:
				t.Error("a caller waits although its context has ended")
			}
		}
		// One is on its way alone, and its caller leaves. So does one that waits.
		first, waits := w.publish(leaving, "a", 1), w.publish(leaving, "b", 1)
		stays, other := w.publish(t.Context(), "c", 1), w.publish(t.Context(), "d", 1)
		leave(nil)
		synctest.Wait()
		left(first)
		left(waits)
		w.sent(o, "a", "+c,d")
		if o.ended != 1 {
			t.Errorf("%d requests ended early, want that without a caller", o.ended)
		}
		<-stays
		<-other

		// A request goes on for the callers that stay.
		leaving, leave = context.WithCancelCause(t.Context())
		_, leaves, stays := w.publish(t.Context(), "e", 1), w.publish(leaving, "f", 1), w.publish(t.Context(), "g", 1)
		time.Sleep(1500 * time.Millisecond)
		leave(nil)
		synctest.Wait()
		left(leaves)
		if err := <-stays; err != nil || o.ended != 1 {
			t.Errorf("%v, %d requests ended early", err, o.ended)
		}
		left(w.publish(leaving, "h", 1))
		if got := w.publishAll("i"); got != "[<nil>]" {
			t.Error(got)
		}
		w.sent(o, "a", "+c,d", "e", "+f,g", "i")
	})
}

func TestABrokerThatCannotTakeManyGetsThemOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := fmt.Errorf("it is old: %w", errors.ErrUnsupported)
		o := &office{errs: map[string]error{"+b": no, "+c": no, "c": errors.New("no")}}
		w := window{newGatherer(o, "moves"), t}
		if got := w.publishAll("abc"); got != "[<nil> <nil> no]" {
			t.Error(got)
		}
		if len(o.sent) != 4 || o.sent[1] != "+b,c" {
			t.Errorf("sent %v", o.sent)
		}
		began := time.Now()
		if got := w.publishAll("def"); got != "[<nil> <nil> <nil>]" || time.Since(began) != time.Second || len(o.sent) != 7 {
			t.Errorf("%s after %s, sent %v", got, time.Since(began), o.sent)
		}

		o = &office{}
		w = window{newGatherer(struct{ driver.Broker }{o}, "moves"), t} // which only has Publish
		began = time.Now()
		if got := w.publishAll("abc"); got != "[<nil> <nil> <nil>]" || time.Since(began) != time.Second || len(o.sent) != 3 {
			t.Errorf("%s after %s, sent %v", got, time.Since(began), o.sent)
		}
	})
}

func TestAPanicOfABrokerIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := window{newGatherer(&office{}, "another topic"), t}
		if got := w.publishAll("abc"); strings.Count(got, "the broker panicked: a wrong topic") != 3 {
			t.Error(got)
		}
	})
}

func TestABrokerMustReturnAnErrorForEachMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := window{newGatherer(&office{odd: true}, "moves"), t}
		if got := w.publishAll("abc"); strings.Count(got, "0 errors for 2 messages") != 2 {
			t.Error(got)
		}
	})
}
