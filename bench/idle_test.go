package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/process"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

const idleCase = "idle"

// idleUse is what one use of a feed sends to the store while nothing happens.
type idleUse struct {
	what string
	sent traffic // each second
}

func (u idleUse) row() string {
	return fmt.Sprintf("bench case=%s store=embedded/memory what=%s requests_per_s=%.2f keys_per_s=%.2f bytes_per_s=%.0f", idleCase, u.what, u.sent.requests, u.sent.keys, u.sent.bytes)
}

// idlers use one feed while nothing happens, each with its own provider. They
// run in the background of all cases, since it takes time until they look for news only rarely.
// They send a few requests a second to a store in memory of their own.
type idlers struct {
	began  time.Time
	names  []string
	labs   []*lab
	stop   func() error
	done   chan struct{}
	ending sync.Once

	mu      sync.Mutex
	samples []idleSample
}

type idleSample struct {
	at   time.Time
	sent []traffic
}

// startIdlers starts an indexer and whatever follows a feed.
func startIdlers(t testing.TB, z sizes) *idlers {
	t.Helper()
	state := memory.New()
	t.Cleanup(func() { _ = state.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	i := &idlers{began: time.Now(), done: make(chan struct{})}
	var running sync.WaitGroup
	errs := make([]error, 6)
	begin := func(name string, run func(*lab, *feed.Feed) error) {
		n := len(i.labs)
		l := newLab(t, &store{name: "embedded/memory", state: state}, z).partAt("idle.", true)
		i.names, i.labs = append(i.names, name), append(i.labs, l)
		f := l.openFeed()
		running.Go(func() { errs[n] = run(l, f) })
	}
	begin("indexer", func(l *lab, f *feed.Feed) error { return errors.Join(l.appendOne(ctx), f.Index(ctx)) })
	begin("reader", func(_ *lab, f *feed.Feed) error {
		for _, err := range f.Read(ctx, feed.Live()) {
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
	begin("subscription", func(l *lab, _ *feed.Feed) error {
		stop, err := subscribing(ctx, l.events, false, func(delivery) {})
		if err != nil {
			return err
		}
		<-ctx.Done()
		return stop()
	})
	begin("projection", func(_ *lab, f *feed.Feed) error {
		p, err := totals(f, 1)
		if err != nil {
			return err
		}
		return p.Run(ctx)
	})
	begin("publication", func(_ *lab, f *feed.Feed) error {
		broker := publishing.NewLocal()
		running.Go(func() { // without which nothing could be published
			_ = broker.Subscribe(ctx, "deposits", func(context.Context, publishing.Message) error { return nil })
		})
		p, err := publishing.New(f, "announcements", broker, "deposits")
		if err != nil {
			return err
		}
		return p.Run(ctx)
	})
	begin("process", func(_ *lab, f *feed.Feed) error {
		p, err := process.New(f, "Nothing", process.Rules[struct{}]{
			Fold:   func(s struct{}, _ eventstore.Event) (struct{}, error) { return s, nil },
			Route:  func(feed.Item) string { return "" },
			Decide: func(struct{}, feed.Item) ([]any, error) { return nil, nil },
			Act:    func(struct{}, eventstore.Event) []process.Command { return nil },
		})
		if err != nil {
			return err
		}
		return p.Run(ctx)
	})
	running.Go(func() {
		every := time.NewTicker(max(z.idleCount/12, 50*time.Millisecond))
		defer every.Stop()
		for {
			i.sample()
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
		}
	})
	i.stop = func() (err error) {
		i.ending.Do(func() {
			cancel()
			running.Wait()
			err = errors.Join(errs...)
		})
		return err
	}
	t.Cleanup(func() { _ = i.stop() })
	return i
}

func (i *idlers) sample() {
	s := idleSample{at: time.Now()}
	for _, l := range i.labs {
		s.sent = append(s.sent, l.realm.traffic())
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.samples = append(i.samples, s)
}

// measure waits until the idlers have been idle for long enough, ends them, and returns what they
// sent in the last part of that time.
func (i *idlers) measure(z sizes) ([]idleUse, error) {
	time.Sleep(time.Until(i.began.Add(z.idle + z.idleCount)))
	i.sample()
	i.mu.Lock()
	last := i.samples[len(i.samples)-1]
	n := slices.IndexFunc(i.samples, func(s idleSample) bool { return last.at.Sub(s.at) <= z.idleCount })
	first := i.samples[n]
	i.mu.Unlock()
	var all []idleUse
	for k, name := range i.names {
		all = append(all, idleUse{name, last.sent[k].minus(first.sent[k]).over(last.at.Sub(first.at).Seconds())})
	}
	return all, i.stop()
}
