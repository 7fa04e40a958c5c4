package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// These variables turn this executable into one of the services of the bank. They hold the
// feedConfig.
const (
	keeperVariable   = "EVENTSTORES_CHAOS_KEEPER"
	moverVariable    = "EVENTSTORES_CHAOS_MOVER"
	receiverVariable = "EVENTSTORES_CHAOS_RECEIVER"
)

const (
	partitions   = 16
	operateEvery = 700 * time.Millisecond
)

// bankService is a process that runs subscriptions of the bank.
type bankService struct {
	feedConfig
	journal *journal
	ctx     context.Context
	feed    *feed.Feed

	mu  sync.Mutex
	rng *rand.Rand
}

// startService reads the configuration of this process, and waits for its sidecar. It returns nil
// if the process has to end before that.
func startService(variable string) *bankService {
	b := &bankService{journal: &journal{out: os.NewFile(resultsFD, "journal")}}
	configOf(variable, &b.feedConfig)
	b.rng = rand.New(rand.NewPCG(b.Seed, 1))
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithCancel(context.Background())
	go func() { <-untilStdinEnds(); cancel() }()
	if b.feed = b.open(b.ctx); b.feed == nil {
		return nil
	}
	return b
}

// broker connects to the broker. It returns nil if the process has to end before that.
func (b *bankService) broker() *sidecar.Broker {
	for b.ctx.Err() == nil {
		conn, err := clientOf(b.ctx, b.Sidecar)
		if err == nil {
			asking, cancel := context.WithTimeout(b.ctx, patience)
			broker, err := sidecar.NewBroker(asking, conn, "pubsub")
			cancel()
			if err == nil {
				return broker
			}
			conn.Close()
		}
		wait(b.ctx, 100*time.Millisecond)
	}
	return nil
}

var errFault = errors.New("the handler fails")

// fails fails now and then.
func (b *bankService) fails() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rng.IntN(200) == 0 {
		return errFault
	}
	return nil
}

// options returns the options of all subscriptions. A stream is soon parked, and in some instances
// at once.
func (b *bankService) options() []subscription.Option {
	return []subscription.Option{
		subscription.WithLease(sessionTimeout), subscription.WithPartitions(partitions), subscription.WithSaving(20, 500*time.Millisecond),
		subscription.WithRetries(b.rng.IntN(2)), subscription.WithBackoff(time.Millisecond, 50*time.Millisecond), subscription.WithHandlerTimeout(5 * time.Second),
		subscription.WithParking(),
	}
}

// serve runs a subscription until the process has to end, and again when it has stopped at an item.
// An operator asks for another try of each stream that is parked.
func (b *bankService) serve(run func(context.Context) error, s *subscription.Subscription) {
	ctx, cancel := context.WithCancel(b.ctx)
	var operator sync.WaitGroup
	operator.Go(func() {
		for ctx.Err() == nil {
			wait(ctx, operateEvery)
			parked, err := s.Parked(ctx)
			if err != nil {
				continue // it has not begun, or the store is away
			}
			for _, p := range parked {
				if !p.Asked && s.Retry(ctx, p.Stream) == nil {
					b.journal.write(entry{Kind: retried, Client: b.Name, Stream: p.Stream.ID})
				}
			}
		}
	})
	defer operator.Wait()
	defer cancel()
	for {
		err := run(ctx)
		if !errors.As(err, new(*subscription.HandlerError)) {
			b.note(b.journal, "run "+s.Name(), err)
			return
		}
		b.journal.write(entry{Kind: stopped, Client: b.Name, Error: err.Error()})
		wait(ctx, 100*time.Millisecond)
	}
}

// keepPages is the main function of a service that keeps pages and announces what happens.
func keepPages() {
	b := startService(keeperVariable)
	if b == nil {
		return
	}
	broker := b.broker()
	if broker == nil {
		return
	}
	p, err := newPages(b.feed, b.fails, b.options()...)
	if err != nil {
		fatal(err)
	}
	a, err := newAnnouncements(b.feed, flaky{broker, b.fails}, b.options()...)
	if err != nil {
		fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() { b.serve(p.Run, p.Subscription()) })
	all.Go(func() { b.serve(a.Run, a.Subscription) })
	all.Wait()
}

// moveMoney is the main function of a service that makes transfers.
func moveMoney() {
	b := startService(moverVariable)
	if b == nil {
		return
	}
	accounts, err := aggregate.NewRepository(b.feed.Provider(), accountType, balance.apply)
	if err != nil {
		fatal(err)
	}
	p, err := newTransfers(b.feed, accounts, b.fails, b.options()...)
	if err != nil {
		fatal(err)
	}
	b.serve(p.Run, p.Subscription)
	closing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = b.feed.Provider().Close(closing)
}

// message is an announcement.
type message struct {
	ID   string
	Kind string
	Fact fact
}

func messageOf(m publishing.Message) message {
	got := message{ID: m.ID, Kind: m.Type}
	if len(m.Data) > 0 && json.Unmarshal(m.Data, &got.Fact) != nil {
		got.Kind += " with the data " + string(m.Data)
	}
	return got
}

// receive is the main function of the service that is told what happens. It notes each message that
// its inbox lets pass.
func receive() {
	b := startService(receiverVariable)
	if b == nil {
		return
	}
	broker := b.broker()
	if broker == nil {
		return
	}
	state, _, err := dial(b.ctx, b.Sidecar, byNone)
	if err != nil {
		fatal(err)
	}
	inbox, err := publishing.NewInbox(state, "receiver", time.Hour)
	if err != nil {
		fatal(err)
	}
	for b.ctx.Err() == nil {
		err := broker.Subscribe(b.ctx, topic, func(ctx context.Context, m publishing.Message) error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return inbox.Handle(ctx, m, func(context.Context) error {
				received := messageOf(m)
				b.journal.write(entry{Kind: got, Client: b.Name, Message: &received})
				return nil
			})
		})
		if err != nil {
			wait(b.ctx, 100*time.Millisecond)
		}
	}
}
