package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// tellerVariable turns this executable into a teller. It holds the writerConfig.
const tellerVariable = "EVENTSTORES_CHAOS_TELLER"

const (
	accountEvents  = 400 // after about this many an account is closed
	tellerClients  = 4
	longestPause   = 150 * time.Millisecond // of a client, after each operation
	operationTries = 5
)

// operation is what a client does to an account.
type operation struct {
	Name    string
	Account string
	Kind    string // of the event, or closedKind
	Amount  int64  `json:",omitempty"`
	To      string `json:",omitempty"`
	Outcome outcome
	Error   string `json:",omitempty"`
}

// teller is one client of the bank. It pays money in, sends it to other accounts, and closes
// accounts.
type teller struct {
	*writerProcess
	accounts *aggregate.Repository[balance]
	name     string
	rng      *rand.Rand
	done     int // operations
}

// tell is the main function of a teller process, until its standard input ends or it is killed.
func tell() {
	w := &writerProcess{journal: &journal{out: os.NewFile(resultsFD, "journal")}}
	configOf(tellerVariable, &w.writerConfig)
	w.generations = w.Generations
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-untilStdinEnds(); cancel() }()
	for w.provider == nil && ctx.Err() == nil { // the sidecar may be down
		if err := w.connect(ctx); err != nil {
			wait(ctx, 100*time.Millisecond)
		}
	}
	if w.provider == nil {
		return
	}
	accounts, err := aggregate.NewRepository(w.provider, accountType, balance.apply)
	if err != nil {
		fatal(err)
	}
	var all sync.WaitGroup
	for i := range tellerClients {
		c := &teller{writerProcess: w, accounts: accounts, name: fmt.Sprintf("%s.%d", w.Name, i), rng: rand.New(rand.NewPCG(w.Seed, uint64(i)))}
		all.Go(func() {
			for ctx.Err() == nil {
				c.act(ctx)
				wait(ctx, upTo(c.rng, longestPause))
			}
		})
	}
	all.Wait()
	closing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = w.provider.Close(closing) // what it did not tell the feed is found without it
}

// act does one thing. Some accounts send money to a closed one, and are closed at once.
func (c *teller) act(ctx context.Context) {
	account, other := c.account(), c.account()
	switch n := c.rng.IntN(200); {
	case n < 60:
		c.payIn(ctx, account)
	case n < 75:
		c.append(ctx, operation{Account: account, Kind: "Noted"}, func(o operation) any { return noted{Op: o.Name} })
	case n < 77:
		c.close(ctx, c.quietAccount())
	case n < 80:
		account, other = c.quietAccount(), c.quietAccount()
		if account != other && c.payIn(ctx, account) && c.close(ctx, other) && c.send(ctx, account, other) {
			c.close(ctx, account)
		}
	case account != other:
		if !c.send(ctx, account, other) {
			c.payIn(ctx, account)
		}
	}
}

// account returns an account: one that is in use, or now and then an earlier one of the same slot,
// which is closed or about to be.
func (c *teller) account() string {
	slot := c.rng.IntN([]int{hot, slots, slots, slots}[c.rng.IntN(4)])
	return c.accountOf(slot, c.rng.IntN(10) == 0)
}

// quietAccount returns an account that few clients use.
func (c *teller) quietAccount() string { return c.accountOf(hot+c.rng.IntN(slots-hot), false) }

func (c *teller) accountOf(slot int, earlier bool) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	generation := c.generations[slot]
	if earlier && generation > 0 {
		generation--
	}
	return streamID(slot, generation)
}

func (c *teller) payIn(ctx context.Context, account string) bool {
	o := operation{Account: account, Kind: "PaidIn", Amount: 1 + c.rng.Int64N(500)}
	return c.append(ctx, o, func(o operation) any { return paidIn{Amount: o.Amount, Op: o.Name} })
}

// append appends an event without looking at the account.
func (c *teller) append(ctx context.Context, o operation, event func(operation) any) bool {
	return c.do(ctx, o, func(ctx context.Context, o operation) (int64, error) {
		e := eventstore.Event{Data: event(o)}
		e.Metadata.Context.IdempotencyID = o.Name
		version, err := c.provider.Append(ctx, c.provider.Stream(accountType, o.Account), eventstore.ExpectAny(), e)
		var used *eventstore.IdempotencyIDUsedError
		if errors.As(err, &used) {
			return used.Version, nil
		}
		return version, err
	})
}

func (c *teller) send(ctx context.Context, account, to string) bool {
	o := operation{Account: account, Kind: "Sent", Amount: 1 + c.rng.Int64N(60), To: to}
	return c.do(ctx, o, func(ctx context.Context, o operation) (int64, error) {
		a, err := c.accounts.Update(ctx, o.Account, func(b balance) ([]any, error) { return b.send(o.Amount, o.To, o.Name) }, aggregate.WithIdempotencyID(o.Name))
		return a.Version, err
	})
}

func (c *teller) close(ctx context.Context, account string) bool {
	closes := c.do(ctx, operation{Account: account, Kind: closedKind}, func(ctx context.Context, o operation) (int64, error) {
		s, err := c.provider.Open(ctx, c.provider.Stream(accountType, o.Account))
		if err != nil {
			return 0, err
		}
		defer func() { _ = s.Close() }()
		return 0, s.CloseStream(ctx, eventstore.ExpectAny())
	})
	if closes {
		c.reached(account, c.StreamEvents)
	}
	return closes
}

// do does an operation under a new name. It mostly repeats it until it knows what became of it. A
// refusal counts only if no try before it can have taken effect.
func (c *teller) do(ctx context.Context, o operation, call func(context.Context, operation) (int64, error)) bool {
	c.done++
	o.Name = fmt.Sprintf("%s-%d", c.name, c.done)
	c.journal.write(entry{Kind: opBegan, Client: c.name, Stream: o.Account, Op: &o})
	for n := 0; ; n++ {
		limited, cancel := context.WithTimeout(context.Background(), patience)
		version, err := call(limited, o)
		cancel()
		switch {
		case err == nil:
			o.Outcome = acknowledged
			c.reached(o.Account, version)
		case errors.Is(err, errPoor), errors.As(err, new(*eventstore.StreamClosedError)), errors.As(err, new(*eventstore.ArgumentError)):
			if n == 0 {
				o.Outcome = refused
			}
			if final(err) {
				c.reached(o.Account, c.StreamEvents)
			}
		case n < operationTries && c.rng.IntN(4) > 0:
			wait(ctx, between(c.rng, 20*time.Millisecond, 200*time.Millisecond))
			continue
		}
		if err != nil {
			o.Error = err.Error()
		}
		if errors.As(err, new(*eventstore.DamagedError)) {
			c.journal.write(entry{Kind: broken, Client: c.name, Stream: o.Account, Error: o.Kind + ": " + o.Error})
		}
		c.journal.write(entry{Kind: opEnded, Client: c.name, Stream: o.Account, Op: &o})
		return err == nil
	}
}
