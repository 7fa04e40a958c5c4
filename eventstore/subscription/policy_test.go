package subscription_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// secret occurs only in payloads.
const secret = "86753094210"

var errPoisoned = errors.New("the item is poisoned")

// poison are ways in which version 2 of the stream x cannot be handled.
var poison = map[string]struct {
	fails func(item feed.Item) error
	says  string
	calls int // with two retries
	types []eventstore.TypeDefinition
}{
	"an error":              {func(feed.Item) error { return errPoisoned }, errPoisoned.Error(), 3, nil},
	"a panic":               {func(item feed.Item) error { panic(item.Event.Data) }, "panicked with a value of type subscription_test.noted", 3, nil},
	"a panic of Go":         {func(item feed.Item) error { return []error{}[item.Version] }, "index out of range", 3, nil},
	"an end of a goroutine": {func(feed.Item) error { goexit(); return nil }, "ended its goroutine", 3, nil},
	"an unknown type":       {nil, "not registered", 0, []eventstore.TypeDefinition{eventstore.Type[other]("other")}},
}

type other struct{ Text string }

// poisoned returns a process whose handler fails for version 2 of the stream x until it is mended.
func (l *lab) poisoned(how string, mended *atomic.Bool) (*process, subscription.Handler, *atomic.Int64) {
	p := l.process("poisoned", poison[how].types...)
	calls := new(atomic.Int64)
	return p, func(ctx context.Context, item feed.Item) error {
		if item.Stream.ID == "x" && item.Version == 2 && !mended.Load() {
			calls.Add(1)
			return poison[how].fails(item)
		}
		return p.note(ctx, item)
	}, calls
}

// appendPoison appends four events to x, of which the second is the poisoned one, and one to y,
// which is in the same partition.
func (l *lab) appendPoison(how string) {
	l.t.Helper()
	if poison[how].types == nil {
		l.append("x", "1", secret, "3")
		l.append("x", "4")
		l.append("y", "1")
		return
	}
	writer := l.process("writer", eventstore.Type[other]("other"), eventstore.Type[noted]("noted"))
	for _, events := range [][]any{{other{"1"}, noted{secret}, other{"3"}}, {other{"4"}}} {
		_, err := writer.provider.Append(l.t.Context(), l.stream("x"), eventstore.ExpectAny(), events...)
		l.must(err)
	}
	_, err := writer.provider.Append(l.t.Context(), l.stream("y"), eventstore.ExpectAny(), other{"1"})
	l.must(err)
	l.must(writer.provider.Close(l.t.Context()))
}

// eachPoison runs a test for each way to fail, on each kind of store.
func eachPoison(t *testing.T, test func(l *lab, how string)) {
	for how := range poison {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			bench(t, func(l *lab) {
				l.appendPoison(how)
				test(l, how)
				l.mu.Lock()
				defer l.mu.Unlock()
				if strings.Contains(l.logs.String(), secret) {
					l.t.Error("the log has a payload in it")
				}
			})
		})
	}
}

func TestRunStopsAtAnItemThatCannotBeHandled(t *testing.T) {
	t.Parallel()
	eachPoison(t, func(l *lab, how string) {
		var mended atomic.Bool
		p, handle, calls := l.poisoned(how, &mended)
		r := p.run(handle, subscription.WithPartitions(1), subscription.WithRetries(2))
		err := <-r.done
		var failed *subscription.HandlerError
		if !errors.As(err, &failed) {
			l.t.Fatalf("Run returned %v", err)
		}
		if failed.Stream != l.stream("x") || failed.Version != 2 || failed.Attempts != poison[how].calls || failed.Subscription != "mails" || eventstore.Advise(err) != eventstore.AdviceGiveUp {
			l.t.Errorf("the error is %+v", failed)
		}
		if text := err.Error(); !strings.Contains(text, poison[how].says) || strings.Contains(text, secret) {
			l.t.Errorf("the error says %s", text)
		}
		if int(calls.Load()) != poison[how].calls {
			l.t.Errorf("the handler was called %d times", calls.Load())
		}
		if got := l.got("x"); !slices.Equal(got, []string{"1a"}) || len(l.got("y")) > 0 {
			l.t.Errorf("delivered were %v", got)
		}
		if len(l.owners()) != 0 {
			l.t.Error("the partition still has an owner")
		}
		if poison[how].types != nil {
			return
		}
		mended.Store(true)
		r = p.run(handle)
		l.wait("the rest", func() bool { return len(l.got("y")) == 1 })
		r.end()
		// The commit was handled in part, and goes on after that part.
		if got := l.got("x"); !slices.Equal(got, []string{"1a", "2a", "3a", "4a"}) {
			l.t.Errorf("delivered were %v", got)
		}
	})
}

func TestAnItemThatCannotBeHandledIsLeftOut(t *testing.T) {
	t.Parallel()
	eachPoison(t, func(l *lab, how string) {
		p, handle, _ := l.poisoned(how, new(atomic.Bool))
		r := p.run(handle, subscription.WithPartitions(1), subscription.WithSkipping(), subscription.WithRetries(2))
		l.wait("the rest", func() bool { return len(l.got("y")) == 1 })
		r.end()
		if got := l.got("x"); !slices.Equal(got, []string{"1a", "3a", "4a"}) {
			l.t.Errorf("delivered were %v", got)
		}
		if !strings.Contains(l.logs.String(), "an item is left out") {
			l.t.Error("it was not logged")
		}
	})
}

func TestAStreamIsParkedUntilItsHandlerIsMended(t *testing.T) {
	t.Parallel()
	eachPoison(t, func(l *lab, how string) {
		ctx := l.t.Context()
		var mended atomic.Bool
		p, handle, _ := l.poisoned(how, &mended)
		options := []subscription.Option{subscription.WithPartitions(1), subscription.WithParking(), subscription.WithRetries(2)}
		r := p.run(handle, options...)
		l.wait("the other stream", func() bool { return len(l.got("y")) == 1 })
		if got := l.got("x"); !slices.Equal(got, []string{"1a"}) {
			l.t.Errorf("delivered were %v", got)
		}
		var all []subscription.Parked
		l.wait("the list of parked streams", func() bool {
			var err error
			all, err = r.Parked(ctx)
			l.must(err)
			return len(all) == 1 && all[0].To == 4
		})
		if e := all[0]; e.Stream != l.stream("x") || e.From != 2 || e.Attempts != poison[how].calls || !strings.Contains(e.Reason, poison[how].says) || e.Since.IsZero() || e.Asked || strings.Contains(e.Reason, secret) {
			l.t.Errorf("parked is %+v", e)
		}
		operator := l.process("operator").subscribe(p.note)
		l.must(operator.Retry(ctx, l.stream("x")))
		pass(time.Minute)
		if all, err := operator.Parked(ctx); err != nil || len(all) != 1 || all[0].From != 2 || all[0].Asked {
			l.t.Errorf("after another try that failed, parked is %+v, %v", all, err)
		}
		r.end()

		mended.Store(true)
		l.must(operator.Retry(ctx, l.stream("x")))
		if all, err := operator.Parked(ctx); err != nil || len(all) != 1 || !all[0].Asked {
			l.t.Errorf("before the next run, parked is %+v, %v", all, err)
		}
		if poison[how].types != nil { // a version of the service that knows the type
			p = l.process("mended", eventstore.Type[other]("other"), eventstore.Type[noted]("noted"))
			handle = p.note
		}
		r = p.run(handle, options...)
		l.append("y", "2")
		if poison[how].types == nil {
			l.append("x", "5")
		}
		l.wait("what was held back", func() bool {
			all, err := operator.Parked(ctx)
			l.must(err)
			return len(all) == 0 && len(l.got("y")) == 2
		})
		want := []string{"1a", "2a", "3a", "4a"}
		if poison[how].types == nil {
			want = append(want, "5a")
			l.wait("a later item", func() bool { return len(l.got("x")) == 5 })
		}
		r.end()
		if got := l.got("x"); !slices.Equal(got, want) {
			l.t.Errorf("delivered were %v", got)
		}
		err := operator.Retry(ctx, l.stream("x"))
		if !errors.As(err, new(*subscription.NotParkedError)) {
			l.t.Errorf("another try of a stream that is not parked: %v", err)
		}
	})
}

func TestOneItemOfAParkedStreamIsSkipped(t *testing.T) {
	t.Parallel()
	eachPoison(t, func(l *lab, how string) {
		p, handle, _ := l.poisoned(how, new(atomic.Bool))
		r := p.run(handle, subscription.WithPartitions(1), subscription.WithParking(), subscription.WithRetries(0))
		l.wait("the other stream", func() bool { return len(l.got("y")) == 1 })
		l.must(r.Skip(l.t.Context(), l.stream("x")))
		l.wait("the rest", func() bool { return len(l.got("x")) == 3 })
		r.end()
		if got := l.got("x"); !slices.Equal(got, []string{"1a", "3a", "4a"}) {
			l.t.Errorf("delivered were %v", got)
		}
	})
}

func TestTheEndOfAParkedStreamIsHeldBackToo(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"closed", "deleted"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			bench(t, func(l *lab) {
				var mended atomic.Bool
				p := l.process("p")
				r := p.run(func(ctx context.Context, item feed.Item) error {
					if item.Version == 2 && !mended.Load() {
						return errPoisoned
					}
					return p.note(ctx, item)
				}, subscription.WithParking(), subscription.WithRetries(0))
				l.append("x", "1", "2", "3")
				l.wait("the parked stream", func() bool {
					all, err := r.Parked(l.t.Context())
					return err == nil && len(all) == 1 && all[0].To == 3
				})
				s, err := l.main.provider.Open(l.t.Context(), l.stream("x"))
				l.must(err)
				want := []string{"1a", "2a", "3a", "3c"}
				if end == "closed" {
					l.must(s.CloseStream(l.t.Context(), eventstore.ExpectAny()))
				} else {
					want = []string{"1a", "4d"}
					l.must(s.DeleteStream(l.t.Context(), eventstore.ExpectAny()))
				}
				l.must(s.Close())
				pass(10 * time.Second)
				if got := l.got("x"); !slices.Equal(got, []string{"1a"}) {
					l.t.Errorf("delivered were %v", got)
				}
				mended.Store(true)
				l.must(r.Retry(l.t.Context(), l.stream("x")))
				l.wait("the end", func() bool { return len(l.got("x")) == len(want) })
				r.end()
				if got := l.got("x"); !slices.Equal(got, want) {
					l.t.Errorf("delivered were %v, not %v", got, want)
				}
				if all, err := r.Parked(l.t.Context()); err != nil || len(all) != 0 {
					l.t.Errorf("parked is %v, %v", all, err)
				}
			})
		})
	}
}

func TestTooManyParkedStreamsStopRun(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		for i := range 101 {
			l.append(fmt.Sprint(i), "x")
		}
		r := l.main.run(func(context.Context, feed.Item) error { return errPoisoned },
			subscription.WithPartitions(1), subscription.WithParking(), subscription.WithRetries(0))
		err := <-r.done
		if !errors.As(err, new(*subscription.HandlerError)) || !strings.Contains(err.Error(), "100 parked streams") || !errors.Is(err, errPoisoned) {
			l.t.Errorf("Run returned %v", err)
		}
		if all, err := r.Parked(l.t.Context()); err != nil || len(all) != 100 {
			l.t.Errorf("%d streams are parked, %v", len(all), err)
		}
	})
}

func TestARetryWaitsLongerEachTime(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		var calls []time.Time
		r := l.main.run(func(context.Context, feed.Item) error {
			calls = append(calls, time.Now())
			return errPoisoned
		}, subscription.WithRetries(4), subscription.WithBackoff(time.Second, 4*time.Second))
		l.append("x", "1")
		<-r.done
		if len(calls) != 5 {
			l.t.Fatalf("the handler was called %d times", len(calls))
		}
		for i, most := range []time.Duration{1, 2, 4, 4} {
			if d := calls[i+1].Sub(calls[i]); d < most*time.Second/2 || d > most*time.Second {
				l.t.Errorf("retry %d came after %s", i+1, d)
			}
		}
	})
}

func TestAHandlerThatTakesTooLongHasFailed(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		began := time.Now()
		l.append("x", "1")
		r := l.main.run(func(ctx context.Context, _ feed.Item) error {
			<-ctx.Done()
			return ctx.Err()
		}, subscription.WithRetries(0), subscription.WithHandlerTimeout(40*time.Second))
		err := <-r.done
		if !errors.As(err, new(*subscription.HandlerError)) || !strings.Contains(err.Error(), "WithHandlerTimeout") {
			l.t.Errorf("Run returned %v", err)
		}
		if d := time.Since(began); d < 40*time.Second || d > 42*time.Second {
			l.t.Errorf("Run returned after %s", d)
		}
	})
}

func TestAnItemThatFailedAtTheEndOfTheFeedComesAgain(t *testing.T) {
	t.Parallel()
	bench(t, func(l *lab) {
		l.append("x", "1")
		failing := l.main.run(func(context.Context, feed.Item) error { return errPoisoned }, subscription.WithRetries(0))
		if err := <-failing.done; !errors.Is(err, errPoisoned) {
			l.t.Errorf("Run returned %v", err)
		}
		var entered atomic.Bool
		ending := l.main.run(func(ctx context.Context, _ feed.Item) error {
			entered.Store(true)
			<-ctx.Done()
			return ctx.Err()
		})
		l.wait("the item that is not handled", entered.Load)
		ending.end()
		r := l.main.run(l.main.note)
		l.wait("the item", func() bool { return l.count() == 1 })
		r.end()
	})
}
