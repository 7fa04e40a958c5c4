package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

// provider returns a provider of a process. The feed is empty for a writer without one.
func (f *following) provider(p *process, rng *rand.Rand, feed string, older bool) *eventstore.Provider {
	caps := f.store.Capabilities()
	if f.careless {
		caps = driver.Capabilities{BulkMisses: caps.BulkMisses}
	}
	settings := eventstore.DefaultSettings()
	settings.SessionTimeout = sessionTimeout
	settings.TailEvents = f.tail
	settings.OpenTimeout = time.Duration(rng.IntN(3)) * time.Second
	settings.RequestTimeout = 5 * time.Second
	settings.CommitTimeout = []time.Duration{20 * time.Millisecond, time.Second, 5 * time.Second}[rng.IntN(3)]
	options := []eventstore.Option{eventstore.WithSettings(settings), eventstore.WithLogger(slog.New(slog.DiscardHandler))}
	if feed != "" {
		options = append(options, eventstore.WithFeed(feed))
	}
	if f.types != nil {
		options = append(options, eventstore.WithRegistry(f.types))
	}
	var s driver.State = state{process: p, caps: caps}
	if older {
		s = olderState{s}
	}
	provider, err := eventstore.NewProvider(s, options...)
	if err != nil {
		panic(err)
	}
	return provider
}

// olderState makes a provider one of an older version of the library, which reads heads without
// their tickets and so writes heads without tickets.
type olderState struct{ driver.State }

func (s olderState) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := s.State.Get(ctx, partition, key)
	return withoutTicket(partition, item), err
}

func (s olderState) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	items, err := s.State.GetMany(ctx, partition, keys)
	for i, item := range items {
		items[i] = withoutTicket(partition, item)
	}
	return items, err
}

func withoutTicket(partition string, item driver.Item) driver.Item {
	if !strings.HasSuffix(item.Key, ":head") || item.Value == nil {
		return item
	}
	w := frame.New("head", partition, len(item.Value))
	body, err := frame.Read(item.Value, "head", partition, func(name, value string) error {
		if name != "ticket" {
			w.Line(name, value)
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	item.Value = w.Finish(bytes.Clone(body))
	return item
}

// writer is one thread of a process that appends.
type writer struct {
	*following
	p        *process
	rng      *rand.Rand
	name     string
	provider *eventstore.Provider
	others   *eventstore.Provider // without the feed, or of an older version; nil: none
	appended int
	unknown  map[eventstore.Stream][]*eventstore.OutcomeUnknownError
}

// write is the life of a process that appends. Some of them also index.
func (f *following) write(p *process) {
	f.mu.Lock()
	p.writes = true
	f.mu.Unlock()
	defer f.written(p)
	provider := f.provider(p, p.rng, "all", false)
	var others *eventstore.Provider
	if f.mixed != "" {
		others = f.provider(p, p.rng, "", f.mixed == "older")
	}
	var all sync.WaitGroup
	for i := range f.threads {
		rng := rand.New(rand.NewPCG(p.rng.Uint64(), p.rng.Uint64()))
		w := &writer{following: f, p: p, rng: rng, name: fmt.Sprintf("p%d.%d", p.id, i), provider: provider, others: others, unknown: map[eventstore.Stream][]*eventstore.OutcomeUnknownError{}}
		all.Go(func() {
			pass(time.Duration(rng.Int64N(int64(time.Millisecond)))) // so that no two begin at the same moment
			w.work()
		})
	}
	all.Wait()
	f.mu.Lock()
	lost := p.lostSight
	f.mu.Unlock()
	if lost {
		f.recover(p, provider)
	}
	pass(time.Duration(1 + p.rng.IntN(1000))) // its flusher may begin to write at this very moment
	if p.rng.IntN(2) == 0 {
		_ = provider.Close(jitter.WithSource(context.Background(), p.rng))
	}
}

// written ends the life of a process that appends.
func (f *following) written(p *process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.crashedAt.IsZero() { // otherwise another process has taken its place
		f.kill(p) // what its goroutines have not sent is not sent any more
		f.writers--
	}
}

func (w *writer) context() (context.Context, context.CancelFunc) {
	ctx := jitter.WithSource(context.Background(), w.rng)
	if w.rng.IntN(8) == 0 {
		return context.WithTimeout(ctx, time.Duration(1+w.rng.IntN(200))*time.Millisecond)
	}
	return context.WithCancel(ctx)
}

func (w *writer) work() {
	for range 1 + w.rng.IntN(5) {
		w.session()
		switch w.rng.IntN(16) {
		case 0, 1, 2, 3:
			pass(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
		case 4:
			pass(time.Duration(60+w.rng.IntN(90)) * time.Second) // longer than the root is trusted
		}
	}
}

// session appends in one session on one of the streams.
func (w *writer) session() {
	ctx, cancel := w.context()
	defer cancel()
	provider := w.provider
	foreign := w.others != nil && w.rng.IntN(3) == 0
	if foreign {
		provider = w.others
	}
	stream := provider.Stream("account", fmt.Sprint(w.rng.IntN(w.streams)))
	var options []eventstore.OpenOption
	if w.rng.IntN(3) > 0 {
		options = append(options, eventstore.Shared())
	}
	s, err := provider.Open(ctx, stream, options...)
	if err != nil {
		w.failed(w.p, "open", err)
		return
	}
	for _, unknown := range w.unknown[stream] {
		if !foreign {
			w.retry(s, unknown)
		}
	}
	w.unknown[stream] = nil
	for range 1 + w.rng.IntN(4) {
		if w.gathers {
			w.appendTogether(provider, s, foreign)
		} else {
			w.append(s, foreign)
		}
		if w.ends && !(foreign && w.mixed == "older") && w.rng.IntN(12) == 0 {
			w.end(s)
		}
	}
	if w.rng.IntN(4) > 0 {
		_ = s.Close()
	}
}

func (w *writer) append(s *eventstore.Session, foreign bool) {
	ctx, cancel := w.context()
	defer cancel()
	events := w.events()
	expected := eventstore.ExpectAny()
	if w.rng.IntN(4) == 0 {
		expected = eventstore.ExpectVersion(int64(w.rng.IntN(8)))
	}
	appending := s.Append
	if w.together && !foreign && w.rng.IntN(2) == 0 { // together with other threads of the process
		expected = eventstore.ExpectAny()
		appending = func(ctx context.Context, expected eventstore.Expected, events ...any) (int64, error) {
			return w.provider.Append(ctx, s.Stream(), expected, events...)
		}
	}
	_, err := appending(ctx, expected, events...)
	w.failed(w.p, "append", err)
	w.record(w.p, "%s appends to %s: %s", w.name, s.Stream(), short(err))
	if !foreign {
		w.complete(s, err)
	}
}

// events returns some new events.
func (w *writer) events() (events []any) {
	for range 1 + w.rng.IntN(3) {
		w.appended++
		payload := fmt.Sprintf("%s.%d", w.name, w.appended)
		events = append(events, eventstore.Raw{Type: "e", ContentType: "text/plain", Payload: []byte(payload)})
	}
	return events
}

// appendTogether makes appends that take any version and wait for each other, so that one commit
// stores several of them.
func (w *writer) appendTogether(provider *eventstore.Provider, s *eventstore.Session, foreign bool) {
	errs := make([]error, 2+w.rng.IntN(2))
	inSession := w.rng.IntN(2) == 0
	var all sync.WaitGroup
	for i := range errs {
		rng := rand.New(rand.NewPCG(w.rng.Uint64(), w.rng.Uint64()))
		events := w.events()
		all.Go(func() {
			// No two begin at the same moment, but most begin while others are under way.
			pass(time.Duration(1 + rng.Int64N(int64(2*time.Millisecond))))
			ctx, cancel := context.WithCancel(jitter.WithSource(context.Background(), rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))))
			defer cancel()
			if rng.IntN(8) == 0 {
				time.AfterFunc(time.Duration(1+rng.IntN(200))*time.Millisecond, cancel)
			}
			if inSession {
				_, errs[i] = s.Append(ctx, eventstore.ExpectAny(), events...)
			} else {
				_, errs[i] = provider.Append(ctx, s.Stream(), eventstore.ExpectAny(), events...)
			}
			pass(time.Duration(1 + rng.Int64N(int64(100*time.Microsecond)))) // no two end at the same moment
			w.failed(w.p, "append", errs[i])
			w.record(w.p, "%s appends to %s with others: %s", w.name, s.Stream(), short(errs[i]))
		})
	}
	all.Wait()
	for _, err := range errs {
		if !foreign {
			w.complete(s, err)
		}
	}
}

// complete deals with an append of unknown outcome: it retries it at once, later or never.
func (w *writer) complete(s *eventstore.Session, err error) {
	var unknown *eventstore.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return
	}
	switch w.rng.IntN(3) {
	case 0:
		w.retry(s, unknown)
	case 1:
		w.unknown[s.Stream()] = append(w.unknown[s.Stream()], unknown)
	}
}

// retry completes an append, sometimes twice.
func (w *writer) retry(s *eventstore.Session, unknown *eventstore.OutcomeUnknownError) {
	ctx, cancel := w.context()
	defer cancel()
	for range 1 + w.rng.IntN(2) {
		_, err := s.Retry(ctx, unknown)
		w.failed(w.p, "retry", err)
		w.record(w.p, "%s retries on %s: %s", w.name, s.Stream(), short(err))
	}
}

// end closes or deletes the stream.
func (w *writer) end(s *eventstore.Session) {
	ctx, cancel := w.context()
	defer cancel()
	what, end := "closes", s.CloseStream
	if w.rng.IntN(2) == 0 {
		what, end = "deletes", s.DeleteStream
	}
	err := end(ctx, eventstore.ExpectAny())
	w.failed(w.p, what, err)
	w.record(w.p, "%s %s %s: %s", w.name, what, s.Stream(), short(err))
}

// recover lets a process that has lived through a restart of the store append once more, after it
// has looked whether the root still names its journal. (Rule F14)
func (f *following) recover(p *process, provider *eventstore.Provider) {
	for n := range 8 {
		pass(61 * time.Second)
		ctx, cancel := context.WithTimeout(jitter.WithSource(context.Background(), p.rng), 10*time.Second)
		_, err := provider.Append(ctx, provider.Stream("account", fmt.Sprint(p.rng.IntN(f.streams))), eventstore.ExpectAny(),
			eventstore.Raw{Type: "e", ContentType: "text/plain", Payload: fmt.Appendf(nil, "p%d.r.%d", p.id, n)})
		cancel()
		f.record(p, "p%d appends after the restart: %s", p.id, short(err))
		if err == nil {
			pass(time.Minute) // so that its entry stands
			f.mu.Lock()
			p.recovered = true
			f.mu.Unlock()
			return
		}
	}
}

// record logs a line about a process at the next step, unless it has crashed. Then what it still
// does has no order.
func (f *following) record(p *process, format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !p.crashed {
		f.notes = append(f.notes, fmt.Sprintf(format, args...))
	}
}

// failed records an error that must not occur.
func (f *following) failed(p *process, operation string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale || p.crashed || f.violation != nil || !errors.As(err, new(*eventstore.DamagedError)) {
		return
	}
	f.violation = fmt.Errorf("p%d %s: %w", p.id, operation, err)
}

// index is the life of a process that indexes the feed.
func (f *following) index(p *process) {
	ctx, stop := f.stoppable(p)
	defer stop()
	pass(time.Duration(p.rng.Int64N(int64(time.Millisecond))))
	lease := time.Duration(1+p.rng.IntN(3)) * time.Second
	f.mu.Lock()
	if f.resting { // the store is still slow, but an indexer shall get something done
		lease = 10 * time.Second
	}
	f.mu.Unlock()
	walk := time.Duration(50+p.rng.IntN(400)) * time.Millisecond
	ix, err := feed.Open(f.provider(p, p.rng, "all", false), feed.WithLease(lease), feed.WithWalk(walk))
	if err != nil {
		panic(err)
	}
	for ctx.Err() == nil {
		err := ix.Index(ctx)
		f.record(p, "p%d stops indexing: %s", p.id, short(err))
		f.failed(p, "index", err)
		if err == nil {
			return
		}
		pass(time.Second)
	}
}

// stoppable returns a context that ends when the process shall end.
func (f *following) stoppable(p *process) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(jitter.WithSource(context.Background(), p.rng))
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.stop = stop; p.crashed || f.over {
		stop()
	}
	return ctx, stop
}
