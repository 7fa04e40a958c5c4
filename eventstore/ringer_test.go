package eventstore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/bell"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// hearing counts what a provider hears, until the test ends.
func hearing(t *testing.T, p *Provider) (written, logged *atomic.Int64) {
	written, logged = &atomic.Int64{}, &atomic.Int64{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Inside(permit.Permit{}).Listen(ctx, func() { written.Add(1) }, func() { logged.Add(1) })
	}()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return written, logged
}

func TestAProviderRingsForWhatItHasWritten(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		var shared bell.Shared
		p, other := l.feeding(WithBell(&shared)), l.feeding(WithBell(&shared))
		own, _ := hearing(t, p)
		written, logged := hearing(t, other)
		s := l.session(p)
		for range 50 {
			l.add(s, "a")
		}
		pass(time.Second)
		if n := written.Load(); n < 1 || n > 4 || logged.Load() != 0 || own.Load() != 0 {
			t.Errorf("of 50 appends at once another process heard %d and %d times, and this one %d times", n, logged.Load(), own.Load())
		}
		in := p.Inside(permit.Permit{})
		done := in.Indexing()
		before := shared.Rings()
		l.add(s, "a")
		pass(time.Second)
		if shared.Rings() != before {
			t.Error("it rings although its own indexer works")
		}
		in.Ring(NewsOfLog)
		pass(time.Second)
		if logged.Load() != 1 {
			t.Errorf("another process heard %d times of the log", logged.Load())
		}
		done()
	})
}

func TestABellThatFailsHarmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		broken := atomic.Bool{}
		broken.Store(true)
		shared := bell.Shared{Fails: func() error {
			if broken.Load() {
				return errors.New("out of order")
			}
			return nil
		}}
		p, err := NewProvider(memstate.Transactional(), WithFeed("all"), WithBell(&shared), WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		if err != nil {
			t.Fatal(err)
		}
		hearing(t, p)
		for range 1000 {
			if _, err := p.Append(t.Context(), labStream, ExpectAny(), Raw{Type: "e"}); err != nil {
				t.Fatal(err)
			}
			pass(20 * time.Millisecond)
		}
		if n := shared.Rings(); n < 5 || n > 15 {
			t.Errorf("in 20 s it tried %d times", n)
		}
		broken.Store(false)
		pass(time.Minute)
		if shared.Listeners() != 1 {
			t.Error("it did not listen again")
		}
		if _, err := p.Append(t.Context(), labStream, ExpectAny(), Raw{Type: "e"}); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, message := range []string{"does not ring", "rings again", "is not heard"} {
			if n := strings.Count(log.String(), message); n != 1 {
				t.Errorf("%d log records say that the bell %s", n, message)
			}
		}
	})
}

func TestClosingAProviderWaitsForItsBell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := slowBell{time.Second, make(chan string, 1)}
		p, err := NewProvider(memstate.Transactional(), WithFeed("all"), WithBell(slow), WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := p.Append(t.Context(), labStream, ExpectAny(), Raw{Type: "e"}); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > 0 {
			t.Errorf("the append waited for the bell for %s", time.Since(began))
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(slow.rung) != 1 {
			t.Error("the message was not sent when Close returned")
		}
	})
}

type slowBell struct {
	takes time.Duration
	rung  chan string
}

func (b slowBell) Ring(_ context.Context, message string) error {
	pass(b.takes)
	b.rung <- message
	return nil
}

func (b slowBell) Listen(ctx context.Context, _ func(string)) error { <-ctx.Done(); return nil }

func TestMessagesOfOthersAreNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shared bell.Shared
		p, err := NewProvider(memstate.Transactional(), WithFeed("all"), WithBell(&shared))
		if err != nil {
			t.Fatal(err)
		}
		written, logged := hearing(t, p)
		for _, message := range slices.Concat([]string{"", " ", "all", "all ", "all other x", "other written x", "other logged x"}, []string{"all written x", "all logged x", "all logged"}) {
			if err := shared.Ring(t.Context(), message); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if written.Load() != 1 || logged.Load() != 2 {
			t.Errorf("it heard %d and %d times", written.Load(), logged.Load())
		}
	})
}

func TestABellNeedsAFeed(t *testing.T) {
	for name, options := range map[string][]Option{"nil": {WithFeed("all"), WithBell(nil)}, "no feed": {WithBell(&bell.Shared{})}} {
		var argument *ArgumentError
		if _, err := NewProvider(memstate.Transactional(), options...); !errors.As(err, &argument) || argument.Argument != "WithBell" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
