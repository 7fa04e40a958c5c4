package console

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

const (
	maxTypes = 200             // how many types are told apart
	countFor = 2 * time.Second // how long a page counts
)

// census counts the streams of each type. It goes on where it was, so that only the first page
// reads the whole catalogue.
type census struct {
	mu    sync.Mutex
	after feed.Position
	all   int64
	types map[string]int64
}

// typeCount is how many streams an aggregate type has.
type typeCount struct {
	Name    string
	Shown   string
	Streams int64
	Path    string
}

// count returns the types with the most streams first. It reports whether it is done with the
// catalogue.
func (c *census) count(ctx context.Context, f *feed.Feed) (types []typeCount, all int64, done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done, err = c.proceed(ctx, f); errors.As(err, new(*eventstore.ArgumentError)) && c.after > 0 {
		c.after, c.all, c.types = 0, 0, nil // the store was brought back from a backup
		done, err = c.proceed(ctx, f)
	}
	for name, n := range c.types {
		types = append(types, typeCount{Name: name, Shown: visible(name), Streams: n})
	}
	slices.SortFunc(types, func(a, b typeCount) int {
		return cmp.Or(cmp.Compare(b.Streams, a.Streams), cmp.Compare(a.Name, b.Name))
	})
	return types, c.all, done, err
}

func (c *census) proceed(ctx context.Context, f *feed.Feed) (done bool, err error) {
	if c.types == nil {
		c.types = map[string]int64{}
	}
	began := time.Now()
	for info, err := range f.Streams(ctx, feed.After(c.after)) {
		if err != nil {
			return false, err
		}
		c.after = info.Position
		c.all++
		if _, known := c.types[info.Stream.Type]; known || len(c.types) < maxTypes {
			c.types[info.Stream.Type]++
		}
		if time.Since(began) > countFor {
			return false, nil
		}
	}
	return true, nil
}
