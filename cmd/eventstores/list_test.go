package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// withFeed makes a file whose feed has accounts of three events, one with a hostile name, and an
// order that is closed.
func withFeed(t *testing.T) (file, store string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "events.db")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for _, stream := range []eventstore.Stream{p.Stream("account", "1"), p.Stream("account", "Ada Lövelace"), p.Stream("account", "a:\x1b[2J\n::error::"), p.Stream("order", "9")} {
			for n := range 3 {
				if _, err := p.Append(ctx, stream, eventstore.ExpectAny(), eventstore.Raw{Type: "t", ContentType: "application/json", Payload: fmt.Appendf(nil, `{"n":%d}`, n)}); err != nil {
					return err
				}
			}
		}
		s, err := p.Open(ctx, p.Stream("order", "9"))
		if err == nil {
			err = s.CloseStream(ctx, eventstore.ExpectAny())
		}
		if err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
		for listed := 0; listed < 4; { // the catalogue follows the log
			listed = 0
			for _, err := range f.Streams(ctx) {
				if err != nil {
					return err
				}
				listed++
			}
		}
		_, err = upTo(ctx, f, 13)
		return err
	})
	return file, "sqlite:" + file
}

func TestStreamsAreListed(t *testing.T) {
	t.Parallel()
	_, store := withFeed(t)
	code, out, errs := runs(t, "", "streams", "--store", store)
	wants(t, code, exitWell, out+errs, "       3  20", "open     EventStores:account:1\n", "open     EventStores:account:Ada Lövelace\n",
		"open     EventStores:account:a%3A%1B%5B2J%0A%3A%3Aerror%3A%3A\n", "closed   EventStores:order:9\n")
	isHarmless(t, out)

	code, out, _ = runs(t, "", "streams", "--store", store, "--type", "order", "--since", "1h", "--output", "json")
	var line struct{ Stream, State, Changed string }
	if err := json.Unmarshal([]byte(out), &line); code != exitWell || err != nil || line.Stream != "EventStores:order:9" || line.State != "closed" || line.Changed == "" {
		t.Errorf("exit code %d: %s (%v)", code, out, err)
	}
	code, out, _ = runs(t, "", "streams", "--store", store, "--since", "2126-01-01")
	if wants(t, code, exitWell, out); strings.Contains(out, "account") {
		t.Errorf("it lists what did not change:\n%s", out)
	}
	// What --names prints, other commands take.
	_, names, _ := runs(t, "", "streams", "--store", store, "--names")
	code, out, errs = runs(t, names, "verify", "--store", store, "--streams", "-")
	wants(t, code, exitWell, out+errs, "4 of 4 streams sound")
}

func TestStreamsOfAStoreWithoutAFeedAreFoundByTheirKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 3, "1", "2", "gone")
	inFile(t, file, func(state driver.State, p *eventstore.Provider) error {
		s, err := p.Open(t.Context(), p.Stream("account", "gone"))
		if err == nil {
			err = s.DeleteStream(t.Context(), eventstore.ExpectAny())
		}
		if err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
		return state.Write(t.Context(), "x", []driver.Write{{Key: "{EventStores:account:damaged}:head", Value: []byte("\x1b[31mnonsense")}})
	})
	code, out, errs := runs(t, "", "streams", "--store", "sqlite:"+file)
	wants(t, code, exitNot, out+errs, "       3  20", "open     EventStores:account:1\n", "deleted  EventStores:account:gone\n", "damaged  EventStores:account:damaged  eventstore: ")
	isHarmless(t, out+errs)
	code, out, errs = runs(t, "", "streams", "--store", "sqlite:"+file, "--type", "order")
	if wants(t, code, exitWell, out+errs); strings.Count(out, "\n") != 1 {
		t.Errorf("it lists others:\n%s", out)
	}
}

// manyStreams lists so many streams, and notes how many were asked for.
type manyStreams struct {
	driver.State
	count, asked int
	each         func(n int)
}

func (m *manyStreams) ListKeys(_ context.Context, suffix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if suffix != anyHead { // of one stream
			yield(suffix, nil)
			return
		}
		for m.asked = range m.count {
			if m.each(m.asked); !yield(fmt.Sprintf("{EventStores:account:%d}:head", m.asked), nil) {
				return
			}
		}
	}
}

// Get and GetMany find nothing, faster than a real store.
func (m *manyStreams) Get(_ context.Context, _, key string) (driver.Item, error) {
	return driver.Item{Key: key}, nil
}

func (m *manyStreams) GetMany(_ context.Context, _ string, keys []string) ([]driver.Item, error) {
	items := make([]driver.Item, len(keys))
	for i, key := range keys {
		items[i].Key = key
	}
	return items, nil
}

func TestManyStreamsAreListedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	m := &manyStreams{State: memory.New(), count: 100_000}
	lines, behind := 0, 0
	c := &call{stdout: &printer{w: writerFunc(func(p []byte) (int, error) {
		if lines++; !strings.HasPrefix(string(p), "EventStores:account:") {
			t.Errorf("it prints %q", p)
		}
		return len(p), nil
	})}, stderr: &bytes.Buffer{}}
	m.each = func(n int) { behind = max(behind, n-lines) }
	what := listing{names: true, format: asText}
	if err := what.list(t.Context(), c, opened{state: m}); err != nil || lines != m.count || behind > 1000 {
		t.Errorf("%d lines, up to %d streams held: %v", lines, behind, err)
	}

	// It does not go on when nothing reads it.
	ctx, stop := context.WithCancelCause(t.Context())
	c.stdout = &printer{w: &brokenPipe{after: 10, err: syscall.EPIPE}, failed: stop}
	if err := what.list(ctx, c, opened{state: m}); err == nil || m.asked > 1000 {
		t.Errorf("it went on to %d: %v", m.asked, err)
	}
}

func TestCommandsForAllStreamsHoldOnlyAFew(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"verify --all --store", "copy --all --to TO --from", "feed import --all --feed all --store"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			var lines atomic.Int64
			out := writerFunc(func(p []byte) (int, error) {
				lines.Add(1)
				return len(p), nil
			})
			behind := 0
			m := &manyStreams{State: memory.New(), count: 5_000, each: func(n int) { behind = max(behind, n-int(lines.Load())) }}
			var errs bytes.Buffer
			code := run(t.Context(), append(job{args: args}.of(t, "", lend(t, &manyStreams{State: memory.New()}), ""), lend(t, m)), nil, out, &errs)
			if wants(t, code, exitNot, errs.String()); lines.Load() != 5_001 || behind > 1000 {
				t.Errorf("%d lines, up to %d streams held", lines.Load(), behind)
			}
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAStoreThatKnowsNoStreamsSaysSo(t *testing.T) {
	t.Parallel()
	c := &call{stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}}
	type bare struct{ driver.State } // as a sidecar, which lists no keys
	err := listing{format: asText}.list(t.Context(), c, opened{state: bare{memory.New()}})
	if err == nil || !strings.Contains(err.Error(), "the store has no feed yet") {
		t.Errorf("it says %v", err)
	}
}
