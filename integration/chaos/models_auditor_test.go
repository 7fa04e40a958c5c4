package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// booksVariable turns this executable into an auditor of the bank. It holds the booksConfig.
const booksVariable = "EVENTSTORES_CHAOS_BOOKS"

// booksConfig is the configuration of the auditor of the bank.
type booksConfig struct {
	feedConfig
	Broker      string // address of the Redis that has the messages
	Generations []int  // of the accounts that clients used, by slot
	Await       bool   // until everything is as it must be, or nothing changes any more
}

// books are everything that the bank has.
type books struct {
	Streams  []bankStream
	Pages    []bankPage
	Messages []message // in the order in which the broker has them
	Parked   []string  // what cannot be handled
}

// bankStream is an account or a transfer.
type bankStream struct {
	Stream eventstore.Stream
	Events []bankEvent
	Closed bool
	Error  string // what is wrong with it
}

type bankEvent struct {
	Kind string
	Fact fact
}

type bankPage struct {
	ID   string
	Page page
}

// auditBooks is the main function of the auditor of the bank, a fresh process that has seen nothing
// of the run.
func auditBooks() {
	var config booksConfig
	configOf(booksVariable, &config)
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	f := config.open(ctx)
	if f == nil {
		fatal(ctx.Err())
	}
	b, err := config.audit(ctx, f)
	if err != nil {
		fatal(err)
	}
	if err := json.NewEncoder(os.NewFile(resultsFD, "results")).Encode(b); err != nil {
		fatal(err)
	}
}

// readBooks returns a function that reads the auditor's output.
func readBooks(into *books) func(io.Reader) error {
	return func(r io.Reader) error { return json.NewDecoder(r).Decode(into) }
}

func (c booksConfig) audit(ctx context.Context, f *feed.Feed) (books, error) {
	last, since := "", time.Now()
	for {
		now, behind, parked, err := standing(ctx, f)
		if err != nil {
			return books{}, err
		}
		rests := now == last // perhaps at the end: a position without items is not saved at once
		if !rests {
			last, since = now, time.Now()
		}
		over := !c.Await || time.Since(since) > quiet
		if !behind || rests || over {
			b, err := c.read(ctx, f)
			b.Parked = parked
			if err != nil || over || len(judgeBooks(b).complaints) == 0 {
				return b, err
			}
		}
		wait(ctx, time.Second)
	}
}

// standing returns, as text, how far the subscriptions are, whether they are behind the feed, and
// what is parked.
func standing(ctx context.Context, f *feed.Feed) (all string, behind bool, parked []string, err error) {
	for _, name := range []string{"pages", "announcements", transferType} {
		s, err := subscription.New(f, name, func(context.Context, feed.Item) error { return nil })
		if err != nil {
			return "", false, nil, err
		}
		partitions, err := s.Positions(ctx)
		if err != nil {
			return "", false, nil, err
		}
		for _, p := range partitions {
			behind = behind || p.Lag > 0 || p.Parked > 0
			all += fmt.Sprintln(name, p.Number, p.Position, p.Lag, p.Parked)
		}
		waiting, err := s.Parked(ctx)
		if err != nil {
			return "", false, nil, err
		}
		for _, p := range waiting {
			parked = append(parked, fmt.Sprintf("%s parked %s at version %d: %s", name, p.Stream, p.From, p.Reason))
		}
	}
	return all, behind, parked, nil
}

func (c booksConfig) read(ctx context.Context, f *feed.Feed) (b books, err error) {
	if b.Streams, err = c.readStreams(ctx, f); err != nil {
		return b, err
	}
	p, err := newPages(f, nil)
	if err != nil {
		return b, err
	}
	for doc, err := range p.List(ctx) {
		if err != nil {
			return b, err
		}
		got, exists, err := p.Get(ctx, doc.ID)
		if err != nil {
			return b, err
		}
		if !exists || got != doc.Value { // nothing runs any more
			doc.ID += " in the list"
		}
		b.Pages = append(b.Pages, bankPage{doc.ID, doc.Value})
	}
	b.Messages, err = c.readMessages(ctx)
	return b, err
}

// readStreams reads all accounts that clients used, all streams of the catalogue, and all transfers
// that accounts have sent.
func (c booksConfig) readStreams(ctx context.Context, f *feed.Feed) ([]bankStream, error) {
	provider := f.Provider()
	var accounts, transfers []eventstore.Stream
	for slot, last := range c.Generations {
		for generation := range last + 1 {
			accounts = append(accounts, provider.Stream(accountType, streamID(slot, generation)))
		}
	}
	for s, err := range f.Streams(ctx) {
		switch {
		case err != nil:
			return nil, err
		case s.Stream.Type == transferType:
			transfers = append(transfers, s.Stream)
		case !slices.Contains(accounts, s.Stream):
			accounts = append(accounts, s.Stream)
		}
	}
	found := readEach(ctx, provider, accounts)
	known := map[eventstore.Stream]bool{}
	for _, t := range transfers {
		known[t] = true
	}
	for _, account := range found {
		for _, event := range account.Events {
			if t := provider.Stream(transferType, event.Fact.Op); event.Kind == "Sent" && !known[t] {
				known[t] = true
				transfers = append(transfers, t)
			}
		}
	}
	return append(found, readEach(ctx, provider, transfers)...), nil
}

// readEach reads and verifies streams. It leaves out those without events.
func readEach(ctx context.Context, provider *eventstore.Provider, streams []eventstore.Stream) []bankStream {
	found := make([]bankStream, len(streams))
	var all sync.WaitGroup
	next := make(chan int)
	for range 6 {
		all.Go(func() {
			for i := range next {
				found[i].Stream = streams[i]
				if err := found[i].read(ctx, provider); err != nil {
					found[i].Error = err.Error()
				}
			}
		})
	}
	for i := range streams {
		next <- i
	}
	close(next)
	all.Wait()
	return slices.DeleteFunc(found, func(s bankStream) bool { return len(s.Events) == 0 && s.Error == "" })
}

func (s *bankStream) read(ctx context.Context, provider *eventstore.Provider) error {
	reader := provider.Reader(s.Stream)
	for event, err := range reader.Read(ctx) {
		if err != nil {
			return err
		}
		s.Events = append(s.Events, bankEvent{event.Metadata.Message.Type, factOf(event)})
	}
	verified, err := reader.Verify(ctx, nil)
	if err != nil {
		return err
	}
	s.Closed = verified.Closed
	if !verified.Sound() || verified.Version != int64(len(s.Events)) {
		return fmt.Errorf("Verify found %d events and the damage %v, reading gave %d", verified.Version, verified.Damage, len(s.Events))
	}
	return nil
}

// readMessages reads the messages from the broker itself.
func (c booksConfig) readMessages(ctx context.Context) (all []message, err error) {
	client := redis.NewClient(&redis.Options{Addr: c.Broker})
	defer client.Close()
	for from := "-"; ; {
		some, err := client.XRangeN(ctx, topic, from, "+", 1000).Result()
		if err != nil {
			return nil, err
		}
		for _, m := range some {
			from = "(" + m.ID
			text, ok := m.Values["data"].(string)
			if !ok {
				return nil, errors.New("message " + m.ID + " has no data")
			}
			var event driver.Message
			if err := json.Unmarshal([]byte(text), &event); err != nil {
				return nil, fmt.Errorf("message %s is %s: %w", m.ID, text, err)
			}
			all = append(all, messageOf(event))
		}
		if len(some) == 0 {
			return all, nil
		}
	}
}
