package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

type sum struct {
	N    int
	Last string
}

// summing adds up the events of each stream, and of all streams. The order of the events is in none
// of the documents.
func summing(_ context.Context, docs *projection.Documents[sum], item feed.Item) error {
	if item.What == feed.Deleted {
		return docs.Delete(item.Stream.ID)
	}
	if item.What == feed.Closed {
		return docs.Update(item.Stream.ID, func(s *sum) error { s.Last = "closed"; return nil })
	}
	n := item.Event.Data.(added).N
	if n < 0 {
		return fmt.Errorf("no: %w", fs.ErrExist)
	}
	return errors.Join(
		docs.Update(item.Stream.ID, func(s *sum) error { s.N += n; return nil }),
		docs.Update("all", func(s *sum) error { s.N += n; return nil }))
}

// lasting keeps the newest stream of all, which depends on their order.
func lasting(_ context.Context, docs *projection.Documents[sum], item feed.Item) error {
	return docs.Update("all", func(s *sum) error { s.Last = item.Stream.ID; return nil })
}

// remembering counts calls outside of the documents.
func remembering() projection.Handler[sum] {
	calls := 0
	return func(_ context.Context, docs *projection.Documents[sum], _ feed.Item) error {
		calls++
		return docs.Put("calls", sum{N: calls})
	}
}

// shy has a field that JSON leaves out. Without it, its documents count no further.
type shy struct{ n, N int }

func shyly(_ context.Context, docs *projection.Documents[shy], _ feed.Item) error {
	return docs.Update("x", func(s *shy) error { s.n++; s.N = s.n; return nil })
}

// A handler sees what a feed would deliver.
func TestAProjectionIsGivenItemsLikeThoseOfAFeed(t *testing.T) {
	t.Parallel()
	var got []feed.Item
	seeing := func(_ context.Context, _ *projection.Documents[sum], item feed.Item) error {
		got = append(got, item)
		return nil
	}
	eventtest.Projecting(t, seeing, eventtest.On("Sum", "a", added{1}), eventtest.Later(time.Hour), eventtest.On("Sum", "b", told("Ada", added{2})), eventtest.On("Sum", "a", feed.Closed, feed.Deleted)).
		Using(mustRegistry(eventstore.Type[added]("Added"))).InOrder().Then(nil)
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, want := range []struct {
		id   string
		what feed.What
		at   time.Time
	}{
		{"EventStores:Sum:a/1", feed.Appended, begin}, {"EventStores:Sum:b/1", feed.Appended, begin.Add(time.Hour)},
		{"EventStores:Sum:a/1/closed", feed.Closed, begin.Add(time.Hour)}, {"EventStores:Sum:a/1", feed.Deleted, begin.Add(time.Hour)},
	} {
		if item := got[i]; item.ID() != want.id || item.What != want.what || !item.Time.Equal(want.at) || item.Position != feed.Position(i+1) {
			t.Errorf("item %d is %+v, want %+v", i, item, want)
		}
	}
	m := got[1].Event.Metadata
	if m.Message.Type != "Added" || m.Message.AggregateID != "b" || m.Message.AggregateType != "Sum" || m.Context.SequenceNumber != 1 ||
		m.Context.UserID != "Ada" || !m.Context.Timestamp.Equal(begin.Add(time.Hour)) || m.Context.PartitionID != "EventStores" {
		t.Errorf("%+v", m)
	}
}

func TestProjectionsThatHold(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t testing.TB){
		"documents": func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", added{1}, added{2}), eventtest.On("Sum", "b", added{5}), eventtest.On("Sum", "a", added{3})).
				Then(map[string]sum{"a": {N: 6}, "b": {N: 5}, "all": {N: 11}})
		},
		"the end of a stream": func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", added{1}, feed.Closed), eventtest.On("Sum", "b", added{2}, feed.Closed, feed.Deleted)).
				Then(map[string]sum{"a": {N: 1, Last: "closed"}, "all": {N: 3}})
		},
		"no documents": func(t testing.TB) { eventtest.Projecting(t, summing).Then(nil) },
		"one order": func(t testing.TB) {
			eventtest.Projecting(t, lasting, eventtest.On("Sum", "a", added{1}), eventtest.On("Sum", "b", added{1})).InOrder().Then(map[string]sum{"all": {Last: "b"}})
		},
		"options of cmp": func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "all", added{1})).Comparing(cmpopts.IgnoreFields(sum{}, "N")).Then(map[string]sum{"all": {}})
		},
		"an error": func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", added{1}, added{-1})).ThenError(fs.ErrExist)
		},
	} {
		if r := record(test); r.Failed() {
			t.Errorf("%s: %s", name, r.failures)
		}
	}
}

func TestProjectionsThatDoNotHoldSayWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		says string
		test func(t testing.TB)
	}{
		"another document": {`the documents differ (-want +got): map[string]eventtest_test.sum{ "a": { - N: 2, + N: 1, Last: "", },`, func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", added{1})).Then(map[string]sum{"a": {N: 2}, "all": {N: 1}})
		}},
		"one too many": {`+ "all": {N: 1},`, func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", added{1})).Then(map[string]sum{"a": {N: 1}})
		}},
		"a document that JSON does not carry": {"the documents differ (-want +got): map[string]eventtest_test.shy{ \"x\": { - n: 1, + n: 0, N: 1, }, }", func(t testing.TB) {
			eventtest.Projecting(t, shyly, eventtest.On("Sum", "a", added{1})).Then(map[string]shy{"x": {1, 1}})
		}},
		"a field that is lost when the document is written": {"the documents differ if they are written after each item: Update may depend on nothing but the document and the item (-before +after): map[string]eventtest_test.shy{ \"x\": { n: 0, - N: 2, + N: 1, }, }", func(t testing.TB) {
			eventtest.Projecting(t, shyly, eventtest.On("Sum", "a", added{1}, added{2})).Then(map[string]shy{"x": {0, 2}})
		}},
		"the order of streams": {`the documents differ if the streams come in another order, which may happen: see InOrder (-before +after): map[string]eventtest_test.sum{ "all": { N: 0, - Last: "b", + Last: "a", }, }`, func(t testing.TB) {
			eventtest.Projecting(t, lasting, eventtest.On("Sum", "a", added{1}), eventtest.On("Sum", "b", added{1})).Then(map[string]sum{"all": {Last: "b"}})
		}},
		"an error for documents": {"the item EventStores:Sum:a/2, eventtest_test.added {N:-1} can't be handled: no: file already exists", func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", added{1}, added{-1})).Then(nil)
		}},
		"documents for an error": {"got 2 documents and no error, want the error file already exists (*errors.errorString): map[a:{N:1 Last:} all:{N:1 Last:}]", func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", added{1})).ThenError(fs.ErrExist)
		}},
		"an event of a closed stream": {`Sum "a" can't have this event: the stream was closed before eventtest_test.added {N:1}`, func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", feed.Closed, added{1})).Then(nil)
		}},
		"what cannot happen to a stream": {"only Closed and Deleted can happen to a stream, not progress", func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", feed.Progress)).Then(nil)
		}},
		"nil": {`Sum "a" can't have this event: it is nil`, func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", nil)).Then(nil)
		}},
		"another version": {"its version is 3, but it is event number 1 of its stream", func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", eventstore.Event{Version: 3, Data: added{1}})).Then(nil)
		}},
		"an event that can't be stored": {"it can't be stored", func(t testing.TB) {
			eventtest.Projecting(t, summing, eventtest.On("Sum", "a", hidden{1})).Then(nil)
		}},
		"no handler":  {"Projecting needs a handler", func(t testing.TB) { eventtest.Projecting[sum](t, nil).Then(nil) }},
		"no registry": {"Using needs a registry", func(t testing.TB) { eventtest.Projecting(t, summing).Using(nil).Then(nil) }},
		"no Then":     {"the projection tests nothing", func(t testing.TB) { eventtest.Projecting(t, summing) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record(c.test).wantFailures(t, c.says)
		})
	}
	t.Run("a handler that remembers", func(t *testing.T) {
		t.Parallel()
		record(func(t testing.TB) {
			eventtest.Projecting(t, remembering(), eventtest.On("Sum", "a", added{1})).Then(map[string]sum{"calls": {N: 1}})
		}).wantFailures(t, "the documents differ if they are written after each item", "if the streams come in another order")
	})
}
