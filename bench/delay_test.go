package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// rates are at how many appends a second delays are measured.
var rates = []int{1, 100, 1000}

// appenders is how many streams are appended to at the same time, if the rate is above 1.
const appenders = 16

// delivery says when a subscription's handler was called for an event.
type delivery struct {
	Event string    // see commitsOf
	At    time.Time // by the clock of the machine, which all processes share
}

func eventName(id string, version int64) string { return fmt.Sprint(id, "/", version) }

// subscribing runs a subscription, and an indexer too if indexes is true. It calls tell for each
// event. Call stop to end it.
func subscribing(ctx context.Context, p *eventstore.Provider, indexes bool, tell func(delivery)) (stop func() error, err error) {
	f, err := feed.Open(p)
	if err != nil {
		return nil, err
	}
	s, err := subscription.New(f, "delays", func(_ context.Context, item feed.Item) error {
		if _, ok := item.Event.Data.(deposited); !ok {
			return fmt.Errorf("it is a %T", item.Event.Data)
		}
		tell(delivery{eventName(item.Stream.ID, item.Version), time.Now()})
		return nil
	})
	if err != nil {
		return nil, err
	}
	stopIndexing := func() error { return nil }
	if indexes {
		stopIndexing = indexing(ctx, f)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() error {
		cancel()
		return errors.Join(<-done, stopIndexing())
	}, nil
}

// runFollower runs a subscription and reports what it handles, until its input ends.
func runFollower(c childConfig, state driver.State, in io.Reader, results io.Writer) error {
	s := &store{state: newRealm(state, c.Part), feed: true}
	provider, err := s.provider(s.state)
	if err != nil {
		return err
	}
	out := json.NewEncoder(results)
	var writing sync.Mutex
	stop, err := subscribing(context.Background(), provider, c.Indexes, func(d delivery) {
		writing.Lock()
		defer writing.Unlock()
		_ = out.Encode(d)
	})
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in)
	return stop()
}

// delivered receives deliveries, and finds out how long they took since their commits.
type delivered struct {
	mu        sync.Mutex
	committed map[string]time.Time
	arrived   map[string]time.Time
	news      chan struct{}
}

func newDelivered() *delivered {
	return &delivered{committed: map[string]time.Time{}, arrived: map[string]time.Time{}, news: make(chan struct{}, 1)}
}

func (d *delivered) tell(of delivery) {
	d.mu.Lock()
	if _, again := d.arrived[of.Event]; !again {
		d.arrived[of.Event] = of.At.Round(0)
	}
	d.mu.Unlock()
	select {
	case d.news <- struct{}{}:
	default:
	}
}

func (d *delivered) commit(event string) {
	now := time.Now().Round(0)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.committed[event] = now
}

// wait waits until all that was committed has arrived. It returns how long each took, and forgets
// them.
func (d *delivered) wait(ctx context.Context) (took []time.Duration, err error) {
	for timeout := time.After(patience); ; {
		d.mu.Lock()
		missing := 0
		for event := range d.committed {
			if _, here := d.arrived[event]; !here {
				missing++
			}
		}
		if missing == 0 {
			for event, at := range d.committed {
				took = append(took, max(d.arrived[event].Sub(at), 0)) // the handler can be quicker than the answer to the append
			}
			clear(d.committed)
			clear(d.arrived)
		}
		d.mu.Unlock()
		if missing == 0 {
			return took, nil
		}
		select {
		case <-d.news:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timeout:
			return nil, fmt.Errorf("%d events did not arrive", missing)
		}
	}
}

// atRate calls append n times, at a rate per second, and lets some calls run at the same time. The
// argument says which of the callers calls. It returns the rate that was reached.
func atRate(rate, n int, append func(caller int) error) (reached float64, err error) {
	callers := min(rate, appenders)
	errs := make([]error, callers)
	began := time.Now()
	var running sync.WaitGroup
	for w := range callers {
		running.Go(func() {
			for i := w; i < n && errs[w] == nil; i += callers {
				time.Sleep(time.Until(began.Add(time.Duration(i+1) * time.Second / time.Duration(rate))))
				errs[w] = append(w)
			}
		})
	}
	running.Wait()
	return float64(n) / time.Since(began).Seconds(), errors.Join(errs...)
}

// line is one way from commits to a handler.
type line struct {
	name      string
	delivered *delivered
	append    func(caller int) error // it tells delivered of the commit
}

// line starts a subscription on a part of the store that is empty, in this process or in another
// one, and waits until it works.
func (l *lab) line(name string, inOtherProcess, indexesThere bool) *line {
	l.t.Helper()
	p := l.part(true)
	ctx := l.t.Context()
	d := newDelivered()
	if !inOtherProcess {
		stop := must(subscribing(ctx, p.events, true, d.tell))(l.t)
		l.t.Cleanup(func() { l.check(stop()) })
	} else {
		if !indexesThere {
			stop := indexing(ctx, p.openFeed())
			l.t.Cleanup(func() { l.check(stop()) })
		}
		_, results := l.startChild(childConfig{Address: l.address, Part: p.realm.prefix, Indexes: indexesThere})
		go func() {
			for in := json.NewDecoder(results); ; {
				var of delivery
				if in.Decode(&of) != nil { // the process has ended
					return
				}
				d.tell(of)
			}
		}()
	}
	sessions := make([]*eventstore.Session, appenders)
	ids := make([]string, appenders)
	for i := range sessions {
		ids[i] = newName()
		sessions[i] = p.open(ids[i])
	}
	made := &line{name, d, func(caller int) error {
		version, err := sessions[caller].Append(ctx, eventstore.ExpectAny(), event())
		d.commit(eventName(ids[caller], version))
		return err
	}}
	for i := range sessions {
		l.check(made.append(i))
	}
	must(d.wait(ctx))(l.t)
	return made
}

// measure measures the delays at a rate.
func (a *line) measure(ctx context.Context, rate, n int) (series, float64, error) {
	reached, err := atRate(rate, n, a.append)
	if err != nil {
		return series{}, 0, err
	}
	took, err := a.delivered.wait(ctx)
	return series{name: a.name, took: took, medians: []time.Duration{quantile(took, 0.5)}, events: n}, reached, err
}

// delays has the delays that were measured on a store, by rates and lines.
type delays struct {
	of      map[int]map[string]series
	reached map[int]map[string]float64
}

const (
	here  = "ours"          // subscription, writer and indexer are in one process
	there = "across"        // the subscription is in another process
	apart = "indexeracross" // the subscription and the indexer are in another process
	mill  = "watermill"     // the rival
	least = "floor"         // the requests of a delivery, one after the other
)

// allDelays measures the delays on the store. All comparisons on one store share them. At the
// lowest rate, which keeps the machine idle, all lines are measured at the same time.
func (l *lab) allDelays() *delays {
	l.t.Helper()
	if l.store.delays != nil {
		return l.store.delays
	}
	ctx := l.t.Context()
	d := &delays{map[int]map[string]series{}, map[int]map[string]float64{}}
	for _, rate := range rates {
		d.of[rate], d.reached[rate] = map[string]series{}, map[string]float64{}
		n := int(float64(rate) * l.delayed.Seconds())
		if rate == 1 {
			n = l.slow
		}
		n = max(n, 1)
		var mu sync.Mutex
		note := func(a *line) error {
			s, reached, err := a.measure(ctx, rate, n)
			mu.Lock()
			defer mu.Unlock()
			d.of[rate][a.name], d.reached[rate][a.name] = s, reached
			return err
		}
		start := []func(*lab) *line{
			func(l *lab) *line { return l.line(here, false, true) },
			func(l *lab) *line { return l.line(there, true, false) },
			func(l *lab) *line { return l.line(apart, true, true) },
		}
		if l.watermill != nil {
			start = append(start, func(l *lab) *line { return l.watermill(l.t).line(ctx, l.t) })
		}
		if rate == rates[0] {
			within(l.t, func(t testing.TB) {
				l := newLab(t, l.store, l.sizes)
				var lines []*line
				for _, start := range start {
					lines = append(lines, start(l))
				}
				errs := make([]error, len(lines))
				var running sync.WaitGroup
				for i, a := range lines {
					running.Go(func() {
						time.Sleep(time.Duration(i) * time.Second / time.Duration(len(lines)))
						errs[i] = note(a)
					})
				}
				running.Wait()
				l.check(errors.Join(errs...))
			})
		} else {
			for _, start := range start {
				within(l.t, func(t testing.TB) {
					l := newLab(t, l.store, l.sizes)
					l.check(note(start(l)))
				})
			}
		}
		d.of[rate][least] = must(l.fewestRequests(ctx, n))(l.t)
	}
	l.store.delays = d
	return d
}

// fewestRequests measures the requests that a delivery takes at least, one after the other. They
// are a look into a journal, an append to the log, a read of the log's head, and reads of its batch
// and of the event.
func (l *lab) fewestRequests(ctx context.Context, n int) (series, error) {
	f := l.part(false).newFloor()
	look := f.raw.read(f.partition, []string{f.named("absent1"), f.named("absent2")})
	appendOne := f.appending()
	s := series{name: least, events: n}
	for range max(n, fewestRounds) {
		writes := f.next(1)
		read := f.raw.read(f.partition, []string{f.keys.event(short)})
		took, err := timed(ctx, func() error {
			_, err := look(ctx)
			if err == nil {
				err = appendOne(ctx, writes)
			}
			if err == nil {
				_, err = f.etag(ctx)
			}
			for range 2 {
				if err == nil {
					_, err = read(ctx)
				}
			}
			return err
		})
		if err != nil {
			return series{}, err
		}
		s.took = append(s.took, took)
	}
	s.medians = []time.Duration{quantile(s.took, 0.5)}
	return s, nil
}

// delayed returns the series of a comparison of delays.
func delayed(rate int, names ...string) func(*lab) ([]series, float64) {
	return func(l *lab) (all []series, reached float64) {
		d := l.allDelays()
		for _, name := range names {
			all = append(all, d.of[rate][name])
		}
		all[0].name = "ours"
		return all, d.reached[rate][names[0]]
	}
}
