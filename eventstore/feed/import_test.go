package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// before returns a provider without a feed.
func (l *lab) before() *eventstore.Provider {
	l.Helper()
	p, err := eventstore.NewProvider(l.store, eventstore.WithRegistry(types(l.T)), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		l.Fatal(err)
	}
	return p
}

// write appends n events to the stream of an account with a provider.
func (l *lab) write(p *eventstore.Provider, id string, n int) {
	l.Helper()
	for i := range n {
		if _, err := p.Append(l.Context(), p.Stream("account", id), eventstore.ExpectAny(), deposited{i}); err != nil {
			l.Fatal(err)
		}
	}
}

// end closes or deletes the stream of an account.
func (l *lab) end(p *eventstore.Provider, id string, end func(*eventstore.Session) error) {
	l.Helper()
	s, err := p.Open(l.Context(), p.Stream("account", id))
	if err != nil {
		l.Fatal(err)
	}
	if err := errors.Join(end(s), s.Close()); err != nil {
		l.Fatal(err)
	}
}

// endBoth closes the stream of the account closed, and deletes that of deleted, in any order.
func (l *lab) endBoth() {
	l.Helper()
	for id, end := range map[string]func(*eventstore.Session) error{
		"closed":  func(s *eventstore.Session) error { return s.CloseStream(l.Context(), eventstore.ExpectAny()) },
		"deleted": func(s *eventstore.Session) error { return s.DeleteStream(l.Context(), eventstore.ExpectAny()) },
	} {
		l.end(l.p, id, end)
	}
}

func (l *lab) accounts(ids ...string) (all []eventstore.Stream) {
	for _, id := range ids {
		all = append(all, l.p.Stream("account", id))
	}
	return all
}

// imports imports streams, and returns what became of each.
func (l *lab) imports(streams iter.Seq2[eventstore.Stream, error]) string {
	l.Helper()
	var words []string
	for i, err := range l.f.Import(l.Context(), streams) {
		if err != nil {
			l.Fatal(err)
		}
		if (i.Err != nil) != (i.Result == feed.ImportFailed) {
			l.Errorf("%+v", i)
		}
		words = append(words, fmt.Sprintf("%s %s %d", i.Stream.ID, i.Result, i.Version))
	}
	return strings.Join(words, ", ")
}

func TestStreamsFromBeforeTheFeedAreImported(t *testing.T) {
	inLab(t, func(l *lab) {
		old := l.before()
		for _, id := range []string{"a", "b", "closed", "gone", "damaged", "new format", "mixed"} {
			l.write(old, id, 2)
		}
		l.end(old, "closed", func(s *eventstore.Session) error { return s.CloseStream(l.Context(), eventstore.ExpectAny()) })
		l.end(old, "gone", func(s *eventstore.Session) error { return s.DeleteStream(l.Context(), eventstore.ExpectAny()) })
		l.store.Set("{EventStores:account:damaged}:head", []byte("nonsense"))
		head, _ := l.store.Value("{EventStores:account:new%20format}:head")
		l.store.Set("{EventStores:account:new%20format}:head", []byte(strings.Replace(string(head), "eventstore/1", "eventstore/9", 1)))
		l.write(l.p, "mixed", 1)
		l.write(old, "mixed", 1)
		l.write(l.p, "inside", 1)
		all := append(l.accounts("a", "b", "closed", "gone", "damaged", "new format", "mixed", "inside", "nosuch", "a"), eventstore.Stream{Type: "account", ID: "no database"})

		want := "a added 2, b added 2, closed added 2, gone deleted 3, damaged failed 0, new format failed 0, mixed added 4, inside known 1, nosuch absent 0, no database failed 0"
		if got := l.imports(feed.Named(all...)); got != want {
			l.Errorf("the import says\n%s, not\n%s", got, want)
		}
		want = strings.ReplaceAll(want, "added", "known")
		if got := l.imports(feed.Named(all...)); got != want {
			l.Errorf("the second import says\n%s, not\n%s", got, want)
		}
		l.settle()
		versions := map[string][]int64{}
		for _, item := range l.read() {
			if item.What == feed.Closed {
				item.Version = -item.Version
			}
			versions[item.Stream.ID] = append(versions[item.Stream.ID], item.Version)
		}
		for id, want := range map[string][]int64{"a": {1, 2}, "b": {1, 2}, "closed": {1, 2, -2}, "mixed": {1, 2, 3, 4}, "inside": {1}} {
			if !slices.Equal(versions[id], want) {
				l.Errorf("stream %s has versions %v in the feed, not %v", id, versions[id], want)
			}
		}
		if len(versions) != 5 {
			l.Errorf("the feed has the streams %v", slices.Sorted(maps.Keys(versions)))
		}
	})
}

func TestAnImportSaysWhyAStreamFailed(t *testing.T) {
	inLabOn(t, memstate.Careful(), func(l *lab) {
		old := l.before()
		for _, id := range []string{"a", "b", "c"} {
			l.write(old, id, 1)
		}
		l.stop()
		l.store.Intervene(refusing("swap", "{EventStores:account:b}:head"))
		for i, err := range l.f.Import(l.Context(), feed.Named(l.accounts("a", "b", "c")...)) {
			if err != nil {
				l.Fatal(err)
			}
			if failed := isA[*eventstore.StorageError](i.Err); failed != (i.Stream.ID == "b") {
				l.Errorf("%s %s: %v", i.Stream.ID, i.Result, i.Err)
			}
		}
		l.store.Intervene(nil)
		if got := l.imports(feed.Named(l.accounts("a", "b", "c")...)); got != "a known 1, b added 1, c known 1" {
			l.Error(got)
		}
		l.index()
		l.settle()
		got := strings.Split(shown(l.read()), ", ") // the streams were adopted at the same time
		if slices.Sort(got); !slices.Equal(got, []string{"a/1", "b/1", "c/1"}) {
			l.Errorf("it read %q", got)
		}
	})
}

func TestAnImportEnds(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		old := l.before()
		for i := range 600 {
			l.write(old, fmt.Sprint(i), 1)
		}
		all := func(yield func(eventstore.Stream, error) bool) {
			for i := range 600 {
				if !yield(old.Stream("account", fmt.Sprint(i)), nil) {
					return
				}
			}
			yield(eventstore.Stream{}, io.ErrUnexpectedEOF)
		}
		for range l.f.Import(l.Context(), all) {
			break // leaves nothing behind: the bubble would not end
		}
		ctx, cancel := context.WithCancel(l.Context())
		defer cancel()
		n := 0
		var failed error
		for _, err := range l.f.Import(ctx, all) {
			if n++; n == 300 {
				cancel()
			}
			failed = err
		}
		if !errors.Is(failed, context.Canceled) || n > 550 {
			l.Errorf("after %d streams: %v", n, failed)
		}
		n, failed = 0, nil
		for i, err := range l.f.Import(l.Context(), all) {
			if failed = err; err == nil {
				n++
			}
			if i.Err != nil {
				l.Error(i.Err)
			}
		}
		if n != 600 || failed != io.ErrUnexpectedEOF {
			l.Errorf("%d streams: %v", n, failed)
		}
		l.settle()
		l.settle()
		if got := len(l.read()); got != 600 {
			l.Errorf("the feed has %d events", got)
		}
	})
}

func TestAnImportIsForTheFeedOfTheStore(t *testing.T) {
	inLabOn(t, memstate.Redis(), func(l *lab) {
		l.add("a", deposited{1})
		p, err := eventstore.NewProvider(l.store, eventstore.WithFeed("other"))
		if err != nil {
			l.Fatal(err)
		}
		other, err := feed.Open(p)
		if err != nil {
			l.Fatal(err)
		}
		for i, err := range other.Import(l.Context(), feed.Named(l.accounts("a")...)) {
			if !isA[*eventstore.ArgumentError](err) {
				l.Errorf("%+v, %v", i, err)
			}
		}
		l.settle()
	})
}

// Writers with and without the feed and an indexer work while streams are imported.
func TestAnImportRunsBesideWritersAndAnIndexer(t *testing.T) {
	inLab(t, func(l *lab) {
		old := l.before()
		const streams, events = 40, 6
		var ids []string
		for i := range streams {
			ids = append(ids, fmt.Sprint(i))
			l.write(old, fmt.Sprint(i), 1)
		}
		done := make(chan bool)
		for w, p := range []*eventstore.Provider{old, l.p} {
			go func() {
				for n := range events {
					for i := range streams {
						if (i+n)%2 == w {
							l.write(p, fmt.Sprint(i), 1)
						}
					}
				}
				done <- true
			}()
		}
		for range 3 {
			for i, err := range l.f.Import(l.Context(), feed.Named(l.accounts(ids...)...)) {
				if err != nil || i.Err != nil {
					l.Error(err, i.Err)
				}
			}
		}
		<-done
		<-done
		for i, err := range l.f.Import(l.Context(), feed.Named(l.accounts(ids...)...)) {
			if err != nil || i.Err != nil || i.Version != events+1 {
				l.Error(err, i.Err, i.Version)
			}
		}
		l.settle()
		l.settle()
		highest := map[string]int64{}
		for _, item := range l.read() {
			if item.Version > highest[item.Stream.ID]+1 || item.Err != nil {
				l.Errorf("%s/%d came after %d (%v)", item.Stream.ID, item.Version, highest[item.Stream.ID], item.Err)
			}
			highest[item.Stream.ID] = max(highest[item.Stream.ID], item.Version)
		}
		for _, id := range ids {
			if highest[id] != events+1 {
				l.Errorf("stream %s is in the feed up to version %d", id, highest[id])
			}
		}
	})
}

func TestAnImportTakesFewRequests(t *testing.T) {
	inLabOn(t, memstate.Redis(), func(l *lab) {
		old := l.before()
		var ids []string
		for i := range 250 {
			ids = append(ids, fmt.Sprint(i))
			l.write(old, fmt.Sprint(i), 1)
		}
		l.settle()
		l.stop()
		l.store.Trace()
		l.imports(feed.Named(l.accounts(ids...)...))
		synctest.Wait()
		if n := len(l.store.Trace()); n > 4*250 {
			l.Errorf("to import 250 streams took %d requests", n)
		}
		l.imports(feed.Named(l.accounts(ids...)...))
		if n := len(l.store.Trace()); n > 3 {
			l.Errorf("to find that 250 streams are imported took %d requests", n)
		}
		l.index()
		l.settle()
		if n := len(l.streams()); n != 250 {
			l.Errorf("%d streams are listed", n)
		}
	})
}

func TestStreamsAreFoundByTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		state := memory.New()
		p, f := open(t, state)
		want := []eventstore.Stream{p.Stream("account", "a"), p.Stream("account", "ü }:head"), {Database: "other", Type: "t", ID: ":"}}
		for _, s := range want {
			if _, err := p.Append(t.Context(), s, eventstore.ExpectAny(), eventstore.Event{
				Data: raw("x"), Metadata: eventstore.Metadata{Context: eventstore.ContextMetadata{IdempotencyID: "head"}}}); err != nil {
				t.Fatal(err)
			}
		}
		stop := memstate.Start(t, f.Index)
		(&lab{T: t}).settle() // the log has a head too
		stop()
		for _, key := range []string{"app||{EventStores:account:b}:head", "{no stream}:head", "{a:b:c:d}:head"} {
			if err := state.Write(t.Context(), "x", []driver.Write{{Key: key, Value: []byte("v")}}); err != nil {
				t.Fatal(err)
			}
		}
		var got []eventstore.Stream
		for s, err := range feed.Stored(t.Context(), state) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
		}
		byName := func(a, b eventstore.Stream) int { return strings.Compare(a.String(), b.String()) }
		slices.SortFunc(got, byName)
		slices.SortFunc(want, byName)
		if !slices.Equal(got, want) {
			t.Errorf("the streams are %v, not %v", got, want)
		}
		for range feed.Stored(t.Context(), state) {
			break
		}
		if err := state.Close(); err != nil {
			t.Fatal(err)
		}
		for _, err := range feed.Stored(t.Context(), state) {
			if !isA[*eventstore.StorageError](err) {
				t.Error(err)
			}
		}
	})
}
