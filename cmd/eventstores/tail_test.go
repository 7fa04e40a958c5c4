package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

func TestWhatHappenedIsFollowed(t *testing.T) {
	t.Parallel()
	_, store := withFeed(t)
	for _, c := range []struct {
		args        []string
		says, never string
	}{
		{[]string{"--after", "0", "--count", "13"}, "  EventStores:account:Ada Lövelace  2  t  {\"n\":1}\n", "nothing"},
		{[]string{"--after", "0", "--count", "4", "--type", "order"}, "  EventStores:order:9  3  (closed)\n", "account"},
		{[]string{"--since", "1h", "--count", "3", "account:Ada Lövelace"}, "  EventStores:account:Ada Lövelace  3  t  {\"n\":2}\n", "order"},
		{[]string{"--after", "0", "--count", "12", "--event-type", "t"}, "  EventStores:order:9  3  t  {\"n\":2}\n", "closed"},
	} {
		code, out, errs := runs(t, "", append([]string{"tail", "--store", store}, c.args...)...)
		if wants(t, code, exitWell, out+errs, c.says); strings.Contains(out, c.never) {
			t.Errorf("%q: it says %q:\n%s", c.args, c.never, out)
		}
		isHarmless(t, out)
	}
	_, out, _ := runs(t, "", "tail", "--store", store, "--after", "0", "--count", "1", "-o", "json", "order:9")
	var line eventLine
	if err := json.Unmarshal([]byte(out), &line); err != nil || line.Position == 0 || line.What != "appended" || string(line.Payload) != `{"n":0}` || line.Metadata.Message.ID == "" {
		t.Errorf("%v: %s", err, out)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"--all does not go with", []string{"--all", "account:1"}},
		{"not both", []string{"--after", "1", "--since", "2h"}},
		{"must not be negative", []string{"--after", "-1"}},
		{"invalid value for flag --since", []string{"--since", "-2h"}},
		{"database:type:id", []string{"1"}},
	} {
		code, _, errs := runs(t, "", append([]string{"tail", "--store", store}, c.args...)...)
		wants(t, code, exitUsage, errs, c.says)
	}
}

func TestWhatComesIsFollowedUntilCtrlC(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		add := func() error {
			_, err := p.Append(ctx, p.Stream("account", "1"), eventstore.ExpectAny(), eventstore.Raw{Type: "t\x1b[2J", ContentType: "text/plain", Payload: []byte("a\n\x1b" + strings.Repeat("b", 1<<20))})
			return err
		}
		if err := add(); err != nil { // makes the feed
			return err
		}
		if _, err := upTo(ctx, f, 1); err != nil {
			return err
		}
		tailing, cancel := context.WithCancel(ctx)
		defer cancel()
		out, errs := &stopper{at: "  2  t", stop: cancel}, &bytes.Buffer{}
		code := make(chan int, 1)
		go func() {
			code <- run(tailing, []string{"tail", "--store", "sqlite:" + file, "--after", "0"}, nil, out, errs)
		}()
		if err := add(); err != nil {
			return err
		}
		if got := <-code; got != exitWell || errs.Len() > 0 {
			t.Errorf("exit code %d: %s", got, errs)
		}
		isHarmless(t, out.String())
		if lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n"); len(lines) != 2 || !strings.Contains(lines[1], `  EventStores:account:1  2  t\x1b[2J  a\n\x1bbbb`) || len(lines[1]) > 300 {
			t.Errorf("it prints %.500q", lines)
		}
		return nil
	})
}
