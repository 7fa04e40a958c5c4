package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// order is an event of some size, of which decoding takes a while.
type order struct {
	Customer string
	Lines    []line
}

type line struct {
	Article, Text string
	Count         int
	Price         int64
}

// small is an event that is decoded in no time.
type small struct{ N int }

// BenchmarkRead reads a feed of 10,000 events in memory.
func BenchmarkRead(b *testing.B) {
	for name, event := range map[string]any{
		"small": small{1},
		"heavy": order{"somebody", slicesOf(line{"4711", strings.Repeat("text ", 5), 3, 1999}, 12)},
	} {
		b.Run(name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			registry, err := eventstore.NewRegistry(eventstore.Type[order]("order"), eventstore.Type[small]("small"))
			if err != nil {
				b.Fatal(err)
			}
			p, err := eventstore.NewProvider(memstate.Transactional(), eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
			if err != nil {
				b.Fatal(err)
			}
			f, err := feed.Open(p)
			if err != nil {
				b.Fatal(err)
			}
			const events, streams = 10_000, 20
			for s := range streams {
				for range events / streams / 50 {
					batch := make([]any, 50)
					for i := range batch {
						batch[i] = event
					}
					if _, err := p.Append(ctx, p.Stream("order", fmt.Sprint(s)), eventstore.ExpectAny(), batch...); err != nil {
						b.Fatal(err)
					}
				}
			}
			indexed := make(chan error, 1)
			indexing, stop := context.WithCancel(ctx)
			go func() { indexed <- f.Index(indexing) }()
			for end := feed.Position(0); end < events/50; {
				if end, err = f.End(ctx); err != nil {
					b.Fatal(err)
				}
			}
			stop()
			<-indexed
			for b.Loop() {
				n := 0
				for item, err := range f.Read(ctx) {
					if err != nil || item.Err != nil {
						b.Fatal(err, item.Err)
					}
					n++
				}
				if n != events {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
		})
	}
}

func slicesOf[T any](v T, n int) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = v
	}
	return all
}
