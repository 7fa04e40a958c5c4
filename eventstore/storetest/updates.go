package storetest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// ledger is an aggregate that records what its fold was given, as far as a snapshot can hold it.
type ledger struct {
	Balance int64
	Entries []entry
}

// entry is what a ledger records of one event.
type entry struct {
	Version         int64
	Type            string
	ID              string
	Created, Stated time.Time
	Context         eventstore.ContextMetadata
	Custom          map[string]string
}

func (l ledger) apply(event eventstore.Event) (ledger, error) {
	if d, ok := event.Data.(deposited); ok {
		l.Balance += d.Amount
	}
	m := event.Metadata
	l.Entries = append(l.Entries[:len(l.Entries):len(l.Entries)], entry{event.Version, m.Message.Type, m.Message.ID, m.Message.Created, m.Context.Timestamp, m.Context, m.Custom})
	return l, nil
}

// ledgers returns a new repository, as another process has it.
func (target Target) ledgers(t *testing.T, options ...aggregate.Option) *aggregate.Repository[ledger] {
	t.Helper()
	types, err := eventstore.NewRegistry(
		eventstore.Type[opened]("opened"),
		eventstore.Type[deposited]("deposited"),
		eventstore.Type[ledger]("ledger"),
	)
	if err != nil {
		t.Fatal(err)
	}
	r, err := aggregate.NewRepository(target.provider(t, eventstore.WithRegistry(types)), "account", ledger.apply, options...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testUpdates lets writers update one aggregate at the same time. Two writers deliver each command.
// Another repository then compares what each update returned with what is stored.
func testUpdates(t *testing.T, target Target) {
	writers := []*aggregate.Repository[ledger]{
		target.ledgers(t),
		target.ledgers(t, aggregate.WithSnapshotEvery(5)),
		target.ledgers(t, aggregate.Exclusive()),
	}
	const commands = 6 // per pair of writers
	u := updating{id: unique(), fresh: target.ledgers(t), told: map[string][]aggregate.Aggregate[ledger]{}}
	u.events = reader(t, target.provider(t), u.id)
	var all sync.WaitGroup
	for pair := range writers {
		for _, writer := range []int{pair, (pair + 1) % len(writers)} {
			all.Go(func() {
				for n := range commands {
					if err := u.deliver(contextOf(t), writers[writer], fmt.Sprintf("command %d of pair %d", n, pair), n); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	all.Wait()
	if t.Failed() {
		return
	}
	stored := int64(0)
	for command, told := range u.told {
		first, repeat := told[0], told[1]
		if first.RepeatOf != 0 {
			first, repeat = repeat, first
		}
		stored += int64(len(first.Appended))
		if at := first.Version - int64(len(first.Appended)) + 1; first.RepeatOf != 0 || repeat.RepeatOf != at || len(repeat.Appended) != 0 {
			t.Errorf("%s was appended at version %d, as a repeat of %d; its second delivery is told that it is a repeat of %d and has appended %d events",
				command, at, first.RepeatOf, repeat.RepeatOf, len(repeat.Appended))
		}
	}
	final, err := u.fresh.Load(contextOf(t), u.id)
	if err != nil || final.Version != stored || len(u.told) != len(writers)*commands {
		t.Errorf("of %d commands %d events were appended, there are %d, %v", len(u.told), stored, final.Version, err)
	}
}

// updating is one aggregate while it is being updated.
type updating struct {
	id     string
	fresh  *aggregate.Repository[ledger]
	events *eventstore.Reader

	mu   sync.Mutex
	told map[string][]aggregate.Aggregate[ledger] // what each delivery of a command returned
}

// deliver carries out a command, and compares what Update returned with what is stored.
func (u *updating) deliver(ctx context.Context, writer *aggregate.Repository[ledger], command string, n int) error {
	a, err := writer.Update(ctx, u.id, func(l ledger) ([]any, error) {
		stated := eventstore.Event{Data: deposited{Amount: int64(len(l.Entries)), Note: "stated"}}
		stated.Metadata.Context.Timestamp = time.Now().In(time.FixedZone("storetest", 5*3600+1800))
		stated.Metadata.Context.Scopes = make([]string, n%3)
		stated.Metadata.Custom = map[string]string{"command=\n": command}
		return []any{&deposited{Amount: int64(n)}, stated, opened{}}[:1+n%3], nil
	}, aggregate.WithIdempotencyID(command), aggregate.WithMetadata(eventstore.Metadata{Context: eventstore.ContextMetadata{UserID: command}}))
	if err != nil {
		return err
	}
	loaded, err := u.fresh.Load(ctx, u.id, eventstore.ToVersion(max(a.Version, 1)))
	if err != nil {
		return err
	}
	if a.Version != loaded.Version || !reflect.DeepEqual(a.State, loaded.State) {
		return fmt.Errorf("the update returned, at version %d,\n%+v\nloaded is, at version %d,\n%+v", a.Version, a.State, loaded.Version, loaded.State)
	}
	if appended := int64(len(a.Appended)); appended > 0 {
		read, err := u.events.Slice(ctx, a.Version-appended+1, a.Version)
		if err != nil || !reflect.DeepEqual(a.Appended, read) {
			return fmt.Errorf("the update appended\n%+v\nread are\n%+v, %v", a.Appended, read, err)
		}
	}
	if a.RepeatOf > a.Version {
		return fmt.Errorf("%s is a repeat of version %d, but the state is of version %d", command, a.RepeatOf, a.Version)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.told[command] = append(u.told[command], a)
	return nil
}
