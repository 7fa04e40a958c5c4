package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	manager "github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// moving is a process that brings money from one account to another, or back if the other one is
// closed. Each transfer also wakes up once.
type moving struct {
	*reading
	read  map[string]int64 // by stream: the last version that was looked at
	moves map[string]*move // by transfer
}

// move is what is committed of a transfer.
type move struct {
	sent     sent
	from     string
	started  *started
	back     int
	received []string // by these accounts
	woken    int
}

// The events of an account.
type (
	sent struct {
		Transfer, To string
		Amount       int
	}
	received struct {
		Transfer string
		Amount   int
	}
	closed   struct{}
	reopened struct{}
)

// The events of a transfer.
type (
	started struct {
		Transfer, From, To string
		Amount             int
		Due                time.Time
	}
	takenBack struct{}
	woken     struct{}
)

var moveTypes = func() *eventstore.Registry {
	registry, err := eventstore.NewRegistry(
		eventstore.Type[sent]("sent"), eventstore.Type[received]("received"), eventstore.Type[closed]("closed"), eventstore.Type[reopened]("reopened"),
		eventstore.Type[started]("started"), eventstore.Type[takenBack]("back"), eventstore.Type[woken]("woken"))
	if err != nil {
		panic(err)
	}
	return registry
}()

func newMoving(r *reading) effect {
	rng := rand.New(rand.NewPCG(r.seed, 0x6d6f7665))
	r.types = moveTypes
	r.stale, r.ends, r.skips = false, false, false // idempotency needs reads that are not stale
	r.streams = 2 + rng.IntN(3)
	// A closed account may open again only where no request arrives after its sender has given up.
	// Otherwise its refusal is not the last word.
	if r.prompt = rng.IntN(3) == 0; r.prompt {
		r.freezes, r.instances = false, 1
	}
	s := &moving{r, map[string]int64{}, map[string]*move{}}
	r.writer = s.pay
	r.halts = s.straddles
	return s
}

// straddles reports whether a sender pauses before it adds a time, so that the hand may move
// meanwhile.
func (s *moving) straddles(f *flight) bool {
	return !s.resting && f.request.Op == "swap" && strings.Contains(f.request.Keys[0], "}:minute:") &&
		time.Now().Second() >= 57 && s.rng.IntN(2) == 0
}

func (s *moving) name() string { return "transfer" }

// accountOf is the state of an account.
type accountOf struct{ Closed bool }

func (a accountOf) apply(event eventstore.Event) (accountOf, error) {
	switch event.Data.(type) {
	case closed:
		a.Closed = true
	case reopened:
		a.Closed = false
	}
	return a, nil
}

func (s *moving) accounts(provider *eventstore.Provider) *aggregate.Repository[accountOf] {
	accounts, err := aggregate.NewRepository(provider, "account", accountOf.apply)
	if err != nil {
		panic(err)
	}
	return accounts
}

// pay is the life of a process that sends money, and closes accounts.
func (s *moving) pay(p *process) {
	defer s.written(p)
	accounts := s.accounts(s.provider(p, p.rng, "all", false))
	var all sync.WaitGroup
	for thread := range s.threads {
		rng := rand.New(rand.NewPCG(p.rng.Uint64(), p.rng.Uint64()))
		all.Go(func() {
			pass(time.Duration(rng.Int64N(int64(time.Millisecond))))
			for n := range 1 + rng.IntN(5) {
				s.payOnce(p, rng, accounts, fmt.Sprintf("t%d.%d.%d", p.id, thread, n))
				switch rng.IntN(6) {
				case 0, 1:
					pass(time.Duration(rng.IntN(5000)) * time.Millisecond)
				case 2: // so that times come meanwhile
					pass(time.Duration(rng.IntN(100)) * time.Second)
				case 3: // so that times are added while the hand moves
					left := time.Until(time.Now().Truncate(time.Minute).Add(time.Minute))
					pass(left - time.Duration(rng.IntN(2500))*time.Millisecond)
				}
			}
		})
	}
	all.Wait()
	pass(time.Duration(1 + p.rng.IntN(1000)))
}

func (s *moving) payOnce(p *process, rng *rand.Rand, accounts *aggregate.Repository[accountOf], id string) {
	from, to := rng.IntN(s.streams), rng.IntN(s.streams)
	event := any(sent{id, fmt.Sprint(to), 1 + rng.IntN(100)})
	switch rng.IntN(6) {
	case 0:
		event = closed{}
	case 1:
		if s.prompt {
			event = reopened{}
		}
	}
	ctx := jitter.WithSource(context.Background(), rng)
	for range 1 + rng.IntN(3) {
		_, err := accounts.Update(ctx, fmt.Sprint(from), func(accountOf) ([]any, error) { return []any{event}, nil }, aggregate.WithIdempotencyID(id))
		s.failed(p, "pay", err)
		s.record(p, "p%d pays %s: %s", p.id, id, short(err))
		if err == nil {
			return
		}
	}
}

// transferOf is the state of a transfer.
type transferOf struct {
	started
	Back, Woken bool
}

func (t transferOf) apply(event eventstore.Event) (transferOf, error) {
	switch data := event.Data.(type) {
	case started:
		t.started = data
	case takenBack:
		t.Back = true
	case woken:
		t.Woken = true
	}
	return t, nil
}

var errClosed = errors.New("simulation: the account is closed")

func (s *moving) consume(p *process, from *feed.Feed) runner {
	accounts := s.accounts(from.Provider())
	give := func(t transferOf, account string, refused func(error) []any) manager.Command {
		return manager.Do(func(ctx context.Context, call manager.Call) error {
			_, err := accounts.Update(ctx, account, func(a accountOf) ([]any, error) {
				if a.Closed && refused != nil {
					return nil, errClosed
				}
				return []any{received{t.Transfer, t.Amount}}, nil
			}, call.Options()...)
			return err
		}, refused)
	}
	transfers, err := manager.New(from, s.name(), manager.Rules[transferOf]{
		Fold: transferOf.apply,
		Route: func(item feed.Item) string {
			data, _ := item.Event.Data.(sent)
			return data.Transfer
		},
		Decide: func(_ transferOf, item feed.Item) ([]any, error) {
			if s.fails(item) > 0 {
				return nil, errPoison
			}
			data := item.Event.Data.(sent)
			return []any{started{data.Transfer, item.Stream.ID, data.To, data.Amount, s.due(data.Transfer)}}, nil
		},
		Act: func(t transferOf, event eventstore.Event) []manager.Command {
			switch event.Data.(type) {
			case started:
				return []manager.Command{manager.At(t.Due), give(t, t.To, func(err error) []any {
					if errors.Is(err, errClosed) {
						return []any{takenBack{}}
					}
					return nil
				})}
			case takenBack:
				return []manager.Command{give(t, t.From, nil)}
			}
			return nil
		},
		Wake: func(transferOf, eventstore.Event) ([]any, error) { return []any{woken{}}, nil },
	}, append(s.options(p), subscription.OfType("account"))...)
	if err != nil {
		panic(err)
	}
	return transfers
}

// due returns a time at which a transfer wakes up, often at about the end of a minute.
func (s *moving) due(transfer string) time.Time {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", s.seed, transfer)
	sum := h.Sum64()
	at := time.Now().Add(time.Duration(sum%100_000) * time.Millisecond)
	if sum>>32%2 == 0 {
		at = at.Truncate(time.Minute).Add(time.Duration(59_000+sum>>33%1200) * time.Millisecond)
	}
	return at
}

// after looks at what a request has committed.
func (s *moving) after(f *flight) error {
	stream := f.request.Partition
	a := s.chronicle.audits[stream]
	if a == nil || strings.HasPrefix(stream, ":") {
		return nil
	}
	id := stream[strings.LastIndexByte(stream, ':')+1:]
	for s.read[stream] < a.head.version {
		s.read[stream]++
		record := a.committed[s.read[stream]]
		_, payload, _ := bytes.Cut(record, []byte("\n\n"))
		s.moved()
		if err := s.happened(id, field(record, "type"), payload); err != nil {
			return fmt.Errorf("%s: %w", stream, err)
		}
	}
	return nil
}

func (s *moving) happened(id, kind string, payload []byte) error {
	switch kind {
	case "sent":
		var data sent
		if err := json.Unmarshal(payload, &data); err != nil {
			return err
		}
		if s.moves[data.Transfer] != nil {
			return fmt.Errorf("%s is sent twice", data.Transfer)
		}
		s.moves[data.Transfer] = &move{sent: data, from: id}
	case "started":
		m := s.moves[id]
		if m == nil || m.started != nil {
			return errors.New("it is not sent, or has begun before")
		}
		m.started = &started{}
		return json.Unmarshal(payload, m.started)
	case "back":
		if s.moves[id].back++; s.moves[id].back > 1 {
			return errors.New("it is taken back twice")
		}
	case "woken":
		m := s.moves[id]
		if m.woken++; m.woken > 1 || time.Now().Before(m.started.Due.Truncate(time.Millisecond)) {
			return fmt.Errorf("it wakes up at %v for time %d, but is due at %v", time.Now(), m.woken, m.started.Due)
		}
	case "received":
		var data received
		if err := json.Unmarshal(payload, &data); err != nil {
			return err
		}
		m := s.moves[data.Transfer]
		if m == nil || m.started == nil || m.sent.Amount != data.Amount {
			return fmt.Errorf("it receives %s, which has not begun", payload)
		}
		if m.received = append(m.received, id); len(m.received) > 1 {
			return fmt.Errorf("the money of %s is at %v", data.Transfer, m.received)
		}
		if m.back == 0 && id != m.sent.To || m.back > 0 && id != m.from {
			return fmt.Errorf("it receives %s, which is for another account", payload)
		}
	}
	return nil
}

func (s *moving) saves(number int, position int64, parked map[string]held) error {
	for _, transfer := range slices.Sorted(maps.Keys(s.moves)) {
		m := s.moves[transfer]
		stream := "EventStores:account:" + m.from
		if _, ok := parked[stream]; ok || s.shardOf(stream) != number || len(m.received) > 0 {
			continue
		}
		if to, _ := s.before(stream, position); to == s.chronicle.audits[stream].head.version {
			return fmt.Errorf("position %d is saved, but the money of %s is nowhere", position, transfer)
		}
	}
	return nil
}

func (s *moving) complete() error {
	for _, transfer := range slices.Sorted(maps.Keys(s.moves)) {
		if m := s.moves[transfer]; len(m.received) != 1 || m.woken != 1 {
			return fmt.Errorf("the money of %s from %s to %s is at %v, and it woke up %d times", transfer, m.from, m.sent.To, m.received, m.woken)
		}
	}
	return nil
}

func (s *moving) look(context.Context, *feed.Feed) error { return nil }
