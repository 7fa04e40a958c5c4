package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// withCauses makes a file with a request that an order came from, which reserved two goods and was
// then paid. Events of another correlation come in between.
func withCauses(t *testing.T) (store string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "events.db")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for i, e := range []struct{ stream, event, id, causation, correlation, user string }{
			{"order:1", "placed", "m1", "request \x1b[2J 1", "c1", "ada"},
			{"other:1", "noise", "n1", "", "c2", "ada"},
			{"stock:nut", "reserved", "m2", "m1", "c1", ""},
			{"stock:bolt", "reserved", "m3", "EventStores:order:1/1", "c1", ""},
			{"order:1", "paid\x1b[2J", "m4", "m2", "c1", "bob\n::error::"},
			{"other:1", "noise", "n2", "n1", "c2", "ada"},
			{"parcel:1", "sent", "m5", "EventStores:order:1/2", "c1", "bob\n::error::"},
		} {
			stream, err := eventstore.ParseStream("EventStores:" + e.stream)
			if err != nil {
				return err
			}
			event := eventstore.Event{Data: eventstore.Raw{Type: e.event, ContentType: "application/json", Payload: []byte(`{"text":"` + strings.Repeat("x", 1000) + `"}`)},
				Metadata: eventstore.Metadata{Message: eventstore.MessageMetadata{ID: e.id}, Context: eventstore.ContextMetadata{CausationID: e.causation, CorrelationID: e.correlation, UserID: e.user}}}
			if _, err := p.Append(ctx, stream, eventstore.ExpectAny(), event); err != nil {
				return err
			}
			if _, err := upTo(ctx, f, i+1); err != nil { // so that the log has this order
				return err
			}
		}
		return nil
	})
	return "sqlite:" + file
}

func TestEventsAreFoundInAllStreams(t *testing.T) {
	t.Parallel()
	store := withCauses(t)
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"--correlation", "c1"}, 5, "  EventStores:parcel:1  1  sent  {\"text\":\"xxx"},
		{[]string{"--correlation", "c1", "--type", "stock"}, 2, "EventStores:stock:bolt"},
		{[]string{"--correlation", "c1", "--event-type", "placed", "--user", "ada"}, 1, "EventStores:order:1"},
		{[]string{"--user", "bob\n::error::"}, 2, `  paid\x1b[2J  `},
		{[]string{"--event-id", "m4"}, 1, "EventStores:order:1  2"},
		{[]string{"--event-id", "EventStores:order:1/2"}, 1, "EventStores:order:1  2"},
		{[]string{"--event-id", "order:1/2"}, 1, "EventStores:order:1  2"},
		{[]string{"--causation", "m1"}, 1, "EventStores:stock:nut"},
		{[]string{"--between", "1h", "2126-01-01"}, 7, "EventStores:other:1"},
		{[]string{"--between", "1h", "2126-01-01", "--count", "2"}, 2, "EventStores:other:1"},
		{[]string{"--user", "nobody"}, 0, "Nothing was found."},
		{[]string{"--between", "2126-01-01", "2127-01-01"}, 0, "The command reads about 0 commits"},
		{[]string{"--user", "ada", "--after", "1000"}, 0, "The command reads about 0 commits"},
		{[]string{"--between", "2h", "1h"}, 0, "Nothing was found."},
	} {
		code, out, errs := runs(t, "", append([]string{"find", "--store", store}, c.args...)...)
		want := exitWell
		if c.want == 0 {
			want = exitNot
		}
		wants(t, code, want, out+errs, c.says, "The command reads about ", "Ctrl+C stops it.")
		if n := strings.Count(out, "\n"); n != c.want {
			t.Errorf("%q: %d lines, want %d:\n%s", c.args, n, c.want, out)
		}
		isHarmless(t, out)
		isHarmless(t, errs)
	}
	_, out, _ := runs(t, "", "find", "--store", store, "--event-id", "m1", "--output", "json")
	var line eventLine
	if err := json.Unmarshal([]byte(out), &line); err != nil || len(line.Payload) < 1000 || line.Metadata.Context.CorrelationID != "c1" || line.Position == 0 {
		t.Errorf("%v: %s", err, out)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"say what to find", nil},
		{"takes two times", []string{"--between", "2h"}},
		{"must be before", []string{"--between", "1h", "2h"}},
		{"the second time of --between: it must be a time", []string{"--between", "2h", "then"}},
		{"unexpected arguments", []string{"--user", "ada", "bob"}},
		{"must not be negative", []string{"--user", "ada", "--count", "-1"}},
	} {
		code, _, errs := runs(t, "", append([]string{"find", "--store", store}, c.args...)...)
		wants(t, code, exitUsage, errs, c.says)
	}
}

func TestASearchThatIsStoppedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	store := withCauses(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &stopper{at: "stock:nut", stop: cancel}, &bytes.Buffer{}
	code := run(ctx, []string{"find", "--store", store, "--correlation", "c1"}, nil, out, errs)
	wants(t, code, exitNot, errs.String(), "Stopped early. Continue with --after 3.")
	code, said, _ := runs(t, "", "find", "--store", store, "--correlation", "c1", "--after", "3")
	if wants(t, code, exitWell, said, "stock:bolt", "parcel:1"); strings.Contains(said, "stock:nut") {
		t.Errorf("it does not go on:\n%s", said)
	}
}

func TestASearchInOneTypeGoesOnAfterWhatItHasLeftOut(t *testing.T) {
	t.Parallel()
	state := memory.New()
	const commits, looksAt = 10_500, 10_000 // entries that are left out are told of in such steps
	inFeedOf(t, state, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		var writers sync.WaitGroup
		for w := range 10 {
			writers.Go(func() {
				for range commits / 10 {
					if _, err := p.Append(ctx, p.Stream("order", fmt.Sprint(w)), eventstore.ExpectAny(), counted{}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		writers.Wait()
		return untilIndexed(ctx, f)
	}, countedType)
	search := func(at int64) (said string, requests int64) {
		synctest.Test(t, func(t *testing.T) {
			var count atomic.Int64
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stop := func() {
				synctest.Wait() // until the command has done all that it can do without this request
				cancel()
			}
			store := lend(t, &stopping{State: state, requests: &count, at: at, stop: stop})
			var out, errs bytes.Buffer
			run(ctx, []string{"find", "--store", store, "--user", "ada", "--type", "account"}, nil, &out, &errs)
			said, requests = errs.String(), count.Load()
		})
		return said, requests
	}
	said, requests := search(never)
	if !strings.Contains(said, "Nothing was found.") {
		t.Error(said)
	}
	said, _ = search(requests)
	var after int
	if _, err := fmt.Sscanf(said[max(0, strings.Index(said, "Continue")):], "Continue with --after %d.", &after); err != nil || after < looksAt {
		t.Errorf("%v: stopped at the last of %d requests: %s", err, requests, said)
	}
}

func TestCausesAreShownAsATree(t *testing.T) {
	t.Parallel()
	store := withCauses(t)
	shape := func(out string) (lines []string) {
		for line := range strings.Lines(out) {
			before, after, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "20")
			_, id, has := strings.Cut(after, "id=")
			if !has {
				id = after
			}
			lines = append(lines, before+id)
		}
		return lines
	}
	for _, c := range []struct {
		id   string
		want []string
	}{
		{"m4", []string{`request \x1b[2J 1  (no event of the feed)`, "└─ m1", "   └─ m2", "      └─ m4  ◀", "         └─ m5"}},
		{"EventStores:order:1/2", []string{`request \x1b[2J 1  (no event of the feed)`, "└─ m1", "   └─ m2", "      └─ m4  ◀", "         └─ m5"}},
		{"order:1/1", []string{`request \x1b[2J 1  (no event of the feed)`, "└─ m1  ◀", "   ├─ m2", "   │  └─ m4", "   │     └─ m5", "   └─ m3"}},
		{"m1", []string{`request \x1b[2J 1  (no event of the feed)`, "└─ m1  ◀", "   ├─ m2", "   │  └─ m4", "   │     └─ m5", "   └─ m3"}},
		{"n1", []string{"n1  ◀", "└─ n2"}},
		{"n2", []string{"n1", "└─ n2  ◀"}},
	} {
		code, out, errs := runs(t, "", "trace", "--store", store, c.id)
		wants(t, code, exitWell, errs, "The command reads up to 7 commits")
		if got := shape(out); strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s is\n%s\nwant\n%s", c.id, out, strings.Join(c.want, "\n"))
		}
		isHarmless(t, out)
	}
	_, out, _ := runs(t, "", "trace", "--store", store, "-o", "json", "m2")
	var depths []int
	for text := range strings.Lines(out) {
		var line tracedLine
		if err := json.Unmarshal([]byte(text), &line); err != nil || line.Metadata == nil || line.Metadata.Message.ID == "" {
			t.Fatalf("%v: %s", err, text)
		}
		depths = append(depths, line.Depth)
	}
	if len(depths) != 4 || depths[0] != 1 || depths[3] != 4 {
		t.Errorf("the depths are %d:\n%s", depths, out)
	}
	code, _, errs := runs(t, "", "trace", "--store", store, "nosuch")
	wants(t, code, exitNot, errs, "the feed has no event with this id")
	code, _, errs = runs(t, "", "trace", "--store", store)
	wants(t, code, exitUsage, errs, "name one event")
}

func TestALongChainOfCausesStaysReadable(t *testing.T) {
	t.Parallel()
	state := memory.New()
	const events = 400
	inFeedOf(t, state, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		var all []any
		for n := range events {
			all = append(all, eventstore.Event{Data: eventstore.Raw{Type: "t"}, Metadata: eventstore.Metadata{
				Message: eventstore.MessageMetadata{ID: fmt.Sprint("m", n)}, Context: eventstore.ContextMetadata{CausationID: fmt.Sprint("m", n-1)}}})
		}
		p := f.Provider()
		if _, err := p.Append(ctx, p.Stream("t", "long"), eventstore.ExpectAny(), all...); err != nil {
			return err
		}
		if err := untilIndexed(ctx, f); err != nil {
			return err
		}
		for _, id := range []string{"m0", "m200", "m399"} {
			full := newTracer(f, newMeter(&call{stderr: io.Discard}, 0), id)
			full.most = 50
			if err := full.trace(ctx); err != nil || full.size != 50 || len(full.chain)+len(full.byID) > 2*50+1 {
				t.Errorf("%s: %v: the tree has %d events: %d and %d", id, err, full.size, len(full.chain), len(full.byID))
			}
			full.m.end()
		}
		return nil
	})
	code, out, errs := runs(t, "", "trace", "--store", lend(t, state), "m200")
	wants(t, code, exitWell, out+errs, "m-1  (no event of the feed)", "(level 201) ", "(level 400) ", "id=m399\n")
	if lines := strings.Count(out, "\n"); lines != events+1 || len(out) > 250*lines {
		t.Errorf("%d lines of %d bytes:\n%s", lines, len(out), out)
	}
}

// The order of a feed is not that of time: a cause may come after what it caused.
func TestACauseThatComesLaterIsFound(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for i, e := range []struct{ id, causation string }{{"c", "b"}, {"a", ""}, {"d", "c"}, {"b", "a"}, {"x", "y"}, {"y", "x"}} {
			event := eventstore.Event{Data: eventstore.Raw{Type: "t"}, Metadata: eventstore.Metadata{
				Message: eventstore.MessageMetadata{ID: e.id, Created: time.Now()}, Context: eventstore.ContextMetadata{CausationID: e.causation}}}
			if _, err := p.Append(ctx, p.Stream("t", e.id), eventstore.ExpectAny(), event); err != nil {
				return err
			}
			if _, err := upTo(ctx, f, i+1); err != nil {
				return err
			}
		}
		return nil
	})
	for id, want := range map[string]string{"c": "id=a\n└─ , id=b\n   └─ , id=c  ◀\n      └─ , id=d\n", "a": "id=a  ◀\n└─ , id=b\n   └─ , id=c\n      └─ , id=d\n", "x": "id=y\n└─ , id=x  ◀\n"} {
		code, out, errs := runs(t, "", "trace", "--store", "sqlite:"+file, id)
		got := ""
		for line := range strings.Lines(out) {
			before, after, _ := strings.Cut(line, "20")
			_, after, _ = strings.Cut(after, "id=")
			if got != "" {
				before += ", "
			}
			got += before + "id=" + after
		}
		if code != exitWell || got != want {
			t.Errorf("%s: exit code %d\n%s%s", id, code, out, errs)
		}
	}
}

func TestALongChainOfCausesStaysReadableAndCanBeStopped(t *testing.T) {
	t.Parallel()
	const long = 1000
	file := filepath.Join(t.TempDir(), "events.db")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		for from := 0; from < long; from += 100 {
			var events []any
			for i := from; i < from+100; i++ {
				events = append(events, eventstore.Event{Data: eventstore.Raw{Type: "t"}, Metadata: eventstore.Metadata{
					Message: eventstore.MessageMetadata{ID: fmt.Sprint("m", i)}, Context: eventstore.ContextMetadata{CausationID: fmt.Sprint("m", i-1)}}})
			}
			if _, err := f.Provider().Append(ctx, f.Provider().Stream("loop", "1"), eventstore.ExpectAny(), events...); err != nil {
				return err
			}
		}
		_, err := upTo(ctx, f, long)
		return err
	})
	for _, id := range []string{"m0", "m999"} {
		code, out, errs := runs(t, "", "trace", "--store", "sqlite:"+file, id)
		wants(t, code, exitWell, out+errs, "id=m0", "id=m999")
		for line := range strings.Lines(out) {
			if len(line) > 400 {
				t.Fatalf("a line has %d bytes", len(line))
			}
		}
	}
	for _, id := range []string{"m0", "m999"} {
		ctx, cancel := context.WithCancel(t.Context())
		out, errs := &stopper{at: "id=m5", stop: cancel}, &bytes.Buffer{}
		code := run(ctx, []string{"trace", "--store", "sqlite:" + file, id}, nil, out, errs)
		if wants(t, code, exitNot, errs.String(), "eventstores trace: stopped"); strings.Count(out.String(), "\n") > 10 {
			t.Errorf("it prints %d lines", strings.Count(out.String(), "\n"))
		}
	}
}
