package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	repositories "github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// The numbers of events of aggregates that are updated. An aggregate that has grown is replaced by
// another one, so that the number of updates in a run does not decide how large the aggregates are.
const (
	middling = 50
	young    = 100
	grown    = 150
)

// Snapshots are saved every coldSnapshots events in commandcold, and every ageSnapshots in age.
const (
	coldSnapshots = 20
	ageSnapshots  = 10
)

// account is the state of the aggregates that are updated.
type account struct {
	Balance  int64
	Deposits int // how many events it has seen
}

func (a *account) deposit(d deposited) {
	a.Balance += d.Amount
	a.Deposits++
}

type accountRepository struct {
	*repositories.Repository[account]
}

func newAccounts(p *eventstore.Provider, options ...repositories.Option) (accountRepository, error) {
	r, err := repositories.NewRepository(p, aggregate, func(a account, e eventstore.Event) (account, error) {
		d, ok := e.Data.(deposited)
		if !ok {
			return a, fmt.Errorf("it is a %T", e.Data)
		}
		a.deposit(d)
		return a, nil
	}, options...)
	return accountRepository{r}, err
}

// accounts returns a new repository with the defaults and with options.
func (l *lab) accounts(options ...repositories.Option) accountRepository {
	l.t.Helper()
	return must(newAccounts(l.events, options...))(l.t)
}

// update makes one update that appends the events. It checks that they were appended, and that the
// state has seen each event of the stream once.
func (r accountRepository) update(ctx context.Context, id string, payload ...any) (version int, err error) {
	a, err := r.Update(ctx, id, func(account) ([]any, error) { return payload, nil })
	if err == nil && (len(a.Appended) != len(payload) || a.State.Deposits != int(a.Version)) {
		err = fmt.Errorf("an update of %d events appended %d, and its state has %d events at version %d",
			len(payload), len(a.Appended), a.State.Deposits, a.Version)
	}
	return int(a.Version), err
}

// update1 makes one update that appends an event.
func (r accountRepository) update1(ctx context.Context, id string, e any) (version int, err error) {
	return r.update(ctx, id, e)
}

// supply makes aggregates to update.
type supply struct {
	from, until int                                               // how many events each has at first, and in the end
	fill        func(ctx context.Context, id string) error        // appends the first events
	count       func(ctx context.Context, id string) (int, error) // counts the events

	ids     []string
	version int // of the last aggregate
}

// aggregates returns a supply of the event store's aggregates. The repository r makes them by
// updates of so many events each.
func (l *lab) aggregates(r accountRepository, from, until, each int) *supply {
	return &supply{
		from:  from,
		until: until,
		fill: func(ctx context.Context, id string) error {
			for n := 0; n < from; n += each {
				if _, err := r.update(ctx, id, events(min(each, from-n))...); err != nil {
					return err
				}
			}
			return nil
		},
		count: func(ctx context.Context, id string) (int, error) { return l.version(id)(ctx) },
	}
}

// next returns the last aggregate, or another one if the last one has grown.
func (s *supply) next(ctx context.Context) (id string, err error) {
	if len(s.ids) == 0 || s.version >= s.until {
		id = newName()
		if err := s.fill(ctx, id); err != nil {
			return "", err
		}
		s.ids, s.version = append(s.ids, id), s.from
	}
	return s.ids[len(s.ids)-1], nil
}

// added counts the events that updates have appended.
func (s *supply) added(ctx context.Context) (int, error) {
	n, err := sum(len(s.ids), func(ctx context.Context, i int) (int, error) { return s.count(ctx, s.ids[i]) })(ctx)
	return n - s.from*len(s.ids), err
}

// updated returns a side that updates an aggregate. The function update appends one event and
// returns its version. The first aggregate is made here, because the warm-up would count the time
// for it as that of a run. A turn would then have too few runs to show what a repository remembers.
func (s *supply) updated(t testing.TB, name string, update func(ctx context.Context, id string, e any) (int, error)) side {
	t.Helper()
	must(s.next(t.Context()))(t)
	return side{name, func(ctx context.Context) (time.Duration, int, error) {
		id, err := s.next(ctx)
		if err != nil {
			return 0, 0, err
		}
		e, version := event(), 0
		took, err := timed(ctx, func() (err error) {
			version, err = update(ctx, id, e)
			return err
		})
		if s.version++; err == nil && version != s.version {
			err = fmt.Errorf("an update appended version %d, want %d", version, s.version)
		}
		return took, 1, err
	}, s.added}
}

// updatedBy returns a side in which writers update one aggregate at the same time, which is another
// one in each run. Each writer makes perSession updates. The time is the total time divided by the
// number of updates.
func (s *supply) updatedBy(name string, writers int, update func(ctx context.Context, id string, e any) (int, error)) side {
	return s.updatedAtOnce(name, writers*perSession, func(ctx context.Context, id string) ([]int, error) {
		return updateAtOnce(ctx, id, writers, update)
	})
}

// updatedAtOnce returns a side that makes n updates of one aggregate, which is another one in each
// run. The function update makes them and returns the versions that they appended. The time is the
// total time divided by n.
func (s *supply) updatedAtOnce(name string, n int, update func(ctx context.Context, id string) (versions []int, err error)) side {
	return side{name, func(ctx context.Context) (time.Duration, int, error) {
		id, err := s.next(ctx)
		if err != nil {
			return 0, 0, err
		}
		var versions []int
		took, err := timed(ctx, func() (err error) {
			versions, err = update(ctx, id)
			return err
		})
		if err == nil {
			err = eachOnce(versions, s.from+1, n)
		}
		s.version = s.until
		return took / time.Duration(n), n, err
	}, s.added}
}

// updateAtOnce lets writers update one aggregate at the same time, each perSession times, and
// returns the versions that they appended.
func updateAtOnce(ctx context.Context, id string, writers int, update func(ctx context.Context, id string, e any) (int, error)) ([]int, error) {
	versions, errs := make([]int, writers*perSession), make([]error, writers)
	var running sync.WaitGroup
	for i := range writers {
		mine := versions[i*perSession : (i+1)*perSession]
		running.Go(func() {
			for n := range mine {
				if mine[n], errs[i] = update(ctx, id, event()); errs[i] != nil {
					return
				}
			}
		})
	}
	running.Wait()
	return versions, errors.Join(errs...)
}

// eachOnce checks that the versions are n versions in a row, each of them once.
func eachOnce(versions []int, first, n int) error {
	got := slices.Sorted(slices.Values(versions))
	for i, version := range got {
		if version != first+i {
			return fmt.Errorf("updates appended version %d, want %d", version, first+i)
		}
	}
	if len(got) != n {
		return fmt.Errorf("updates appended %d versions, want %d", len(got), n)
	}
	return nil
}

// added returns a function that counts the events that the floor appends from now on.
func (f *floor) added() func(context.Context) (int, error) {
	before := f.version
	return func(ctx context.Context) (int, error) {
		n, err := f.stored(ctx)
		return n - before, err
	}
}

// saved returns the side that times the one request of an append of 1 event. It reads the ETag
// before.
func (f *floor) saved() side {
	return side{"floor", func(ctx context.Context) (time.Duration, int, error) {
		etag, err := f.etag(ctx)
		if err != nil {
			return 0, 0, err
		}
		do := f.append(f.next(1))
		took, err := timed(ctx, func() error { return do(ctx, etag) })
		return took, 1, err
	}, f.added()}
}

// looped returns the side that appends n events, one after the other. The time is the total time
// divided by n.
func (f *floor) looped(n int) side {
	f.t.Helper()
	appendOne := f.appending()
	return side{"floor", func(ctx context.Context) (time.Duration, int, error) {
		took, err := timed(ctx, func() error {
			for range n {
				if err := appendOne(ctx, f.next(1)); err != nil {
					return err
				}
			}
			return nil
		})
		return took / time.Duration(n), n, err
	}, f.added()}
}

func command(l *lab) []side {
	r := l.accounts()
	return []side{l.aggregates(r, middling, grown, middling).updated(l.t, "ours", r.update1), l.newFloor().saved()}
}

func commandCold(l *lab) []side {
	option := repositories.WithSnapshotEvery(coldSnapshots)
	cold := func(ctx context.Context, id string, e any) (int, error) {
		r, err := newAccounts(l.events, option) // it sends nothing
		if err != nil {
			return 0, err
		}
		return r.update1(ctx, id, e)
	}
	return []side{l.aggregates(l.accounts(option), young, grown, coldSnapshots).updated(l.t, "ours", cold), l.newFloor().saved()}
}

// together returns the side in which so many processes of so many goroutines update one aggregate.
// A single process is this one.
func (l *lab) together(processes, goroutines int) side {
	l.t.Helper()
	r := l.accounts()
	s := l.aggregates(r, middling, middling, middling)
	if processes == 1 {
		return s.updatedBy("ours", goroutines, r.update1)
	}
	return s.updatedAtOnce("ours", processes*goroutines*perSession, l.startUpdaters(processes, goroutines))
}

func hot16(l *lab) []side {
	return []side{l.together(1, l.writers), l.newFloor().looped(l.writers * perSession)}
}

func hot4x4(l *lab) []side {
	const processes, goroutines = 4, 4
	return []side{l.together(processes, goroutines), l.newFloor().looped(processes * goroutines * perSession)}
}

func age(l *lab) []side {
	r := l.accounts(repositories.WithSnapshotEvery(ageSnapshots))
	old := l.aggregates(r, l.old, math.MaxInt, 1)
	return []side{old.updated(l.t, "ours", r.update1), l.aggregates(r, young, grown, 1).updated(l.t, "floor", r.update1)}
}
