package feed_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// streams returns the streams that the catalogue lists.
func (l *lab) streams(options ...feed.ReadOption) (all []feed.StreamInfo) {
	l.Helper()
	for s, err := range l.f.Streams(l.Context(), options...) {
		if err != nil {
			l.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func ids(streams []feed.StreamInfo) string {
	words := make([]string, len(streams))
	for i, s := range streams {
		words[i] = s.Stream.ID
	}
	return strings.Join(words, " ")
}

func TestStreamsListsEachStreamOnceInTheOrderOfItsBeginning(t *testing.T) {
	inLab(t, func(l *lab) {
		began := time.Now().Add(-time.Second)
		for _, id := range []string{"b", "a", "b", "c", "a"} {
			l.add(id, deposited{1})
			l.settle()
		}
		if _, err := l.p.Append(l.Context(), eventstore.Stream{Database: "other", Type: "order", ID: "d"}, eventstore.ExpectAny(), raw("x")); err != nil {
			l.Fatal(err)
		}
		l.settle()
		all := l.streams()
		if got := ids(all); got != "b a c d" {
			l.Fatal(got)
		}
		for name, c := range map[string]struct {
			want    string
			options []feed.ReadOption
		}{
			"type":     {"d", []feed.ReadOption{feed.OfType("order")}},
			"database": {"b a c", []feed.ReadOption{feed.InDatabase("EventStores")}},
			"stream":   {"a", []feed.ReadOption{feed.OfStream(l.p.Stream("account", "a"))}},
			"since":    {"c d", []feed.ReadOption{feed.After(all[1].Position)}},
			"details":  {"b a c d", []feed.ReadOption{feed.WithDetails()}},
			"none":     {"", []feed.ReadOption{feed.After(all[3].Position)}},
		} {
			if got := ids(l.streams(c.options...)); got != c.want {
				l.Errorf("%s: %q", name, got)
			}
		}
		for i, s := range all {
			if s.Begun.Before(began) || s.Begun.After(time.Now().Add(time.Second)) || i > 0 && s.Begun.Before(all[i-1].Begun) {
				l.Errorf("%s began at %s", s.Stream.ID, s.Begun)
			}
		}
	})
}

func TestDetailsTellTheStateOfStreams(t *testing.T) {
	inLab(t, func(l *lab) {
		for _, id := range []string{"open", "closed", "deleted"} {
			l.add(id, deposited{1}, deposited{2})
			l.settle()
		}
		l.endBoth()
		l.settle()
		var got []string
		for _, s := range l.streams(feed.WithDetails()) {
			got = append(got, fmt.Sprint(s.Stream.ID, " ", s.Version, " ", s.Closed, " ", s.Deleted))
			if ended := time.Since(s.Changed) < 20*time.Second; ended != s.Closed || s.Err != nil {
				l.Errorf("%+v", s)
			}
		}
		if s := strings.Join(got, ", "); s != "open 2 false false, closed 2 true false, deleted 3 true true" {
			l.Error(s)
		}
	})
}

func TestANameWithoutACommitIsNoStream(t *testing.T) {
	inLabOn(t, memstate.Careful(), func(l *lab) {
		l.add("a", deposited{1})
		l.settle()
		l.stop()
		l.store.Intervene(refusing("swap", "{EventStores:account:b}:head"))
		if _, err := l.p.Append(l.Context(), l.p.Stream("account", "b"), eventstore.ExpectVersion(0), deposited{1}); err == nil {
			l.Fatal("the append was not refused")
		}
		l.store.Intervene(nil)
		l.index()
		l.settle()
		l.add("c", deposited{1})
		l.settle()
		if got := ids(l.streams()); got != "a c" {
			l.Error(got)
		}
		l.add("b", deposited{1})
		l.settle()
		if got := ids(l.streams()); got != "a c b" {
			l.Error(got)
		}
	})
}

func TestADamagedHeadIsInTheDetailsOfItsStream(t *testing.T) {
	inLab(t, func(l *lab) {
		for _, id := range []string{"a", "b", "c"} {
			l.add(id, deposited{1})
		}
		l.settle()
		l.stop()
		l.store.Set("{EventStores:account:b}:head", []byte("nonsense"))
		l.store.Set("{EventStores:account:c}:head", nil)
		for _, s := range l.streams(feed.WithDetails()) {
			if bad := isA[*eventstore.DamagedError](s.Err); bad != (s.Stream.ID != "a") {
				l.Errorf("%s: %v", s.Stream.ID, s.Err)
			}
		}
	})
}

func TestTheCatalogueIsReadInFewRequests(t *testing.T) {
	inLabOn(t, memstate.Transactional(), func(l *lab) {
		l.fill(2600, 2600)
		l.stop()
		l.store.Trace()
		all := l.streams()
		if len(all) != 2600 {
			l.Fatal(len(all))
		}
		if trace := l.store.Trace(); len(trace) != 1 {
			l.Errorf("listing 2,600 streams took %d requests", len(trace))
		}
		if n := len(l.streams(feed.WithDetails())); n != 2600 {
			l.Error(n)
		}
		if trace := l.store.Trace(); len(trace) != 12 {
			l.Errorf("listing their details took %d requests", len(trace))
		}
		if n := len(l.streams(feed.After(all[2000].Position))); n != 599 {
			l.Error(n)
		}
		if trace := l.store.Trace(); len(trace) > 6 {
			l.Errorf("listing the last of them took %d requests", len(trace))
		}
	})
}
