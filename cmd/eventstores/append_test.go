package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

func TestAnEventIsAppendedByHand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 3, "Ada Lovelace")
	store := "sqlite:" + file
	data := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(data, []byte(`{"amount":5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	base := []string{"append", "--store", store, "account:Ada Lovelace", "--type", "deposited", "--data", "@" + data}
	with := func(more ...string) []string { return append(base[:len(base):len(base)], more...) }

	code, out, errs := runs(t, "y\n", with("--expect", "3", "--user", "bob\x1b[2J", "--correlation", "c1", "--causation", "m1")...)
	wants(t, code, exitWell, errs, "stream   EventStores:account:Ada%20Lovelace, now at version 3; expected: version 3\n", "event    deposited, application/json, 12 bytes\n", `user     bob\x1b[2J`, "Append this event? [y/N] ")
	wants(t, code, exitWell, out, "appended EventStores:account:Ada%20Lovelace version=4 id=")

	for _, c := range []struct {
		stdin string
		says  string
		args  []string
	}{
		{"n\n", "not confirmed: nothing was done", with("--expect", "4")},
		{"", "not confirmed: nothing was done; give --yes", with("--expect", "4")},
		{"y\n", "version", with("--expect", "3")},
		{"", "version", with("--expect", "3", "--yes")},
	} {
		code, out, errs := runs(t, c.stdin, c.args...)
		if wants(t, code, exitNot, errs, c.says); out != "" {
			t.Errorf("it says %s", out)
		}
	}
	code, out, errs = runs(t, "a\x1b[2Jb", "append", "--store", store, "account:new", "--type", "note", "--schema-version", "2", "--content-type", "text/plain", "--data", "@-", "--expect", "any", "--yes", "-o", "json")
	var line eventLine
	if err := json.Unmarshal([]byte(out), &line); code != exitWell || err != nil || line.Version != 1 || line.Metadata.Message.ID == "" || line.Metadata.Context.UserID == "" {
		t.Errorf("exit code %d, %v: %s%s", code, err, out, errs)
	}
	_, out, _ = runs(t, "", "show", "--store", store, "account:Ada Lovelace", "--from", "4")
	wants(t, 0, 0, out, "  deposited\n", `    user         bob\x1b[2J`, "    correlation  c1\n    causation    m1\n", "    custom       appendedBy = eventstores append\n", `"amount": 5`)
	_, out, _ = runs(t, "", "show", "--store", store, "account:new", "--raw")
	wants(t, 0, 0, out, "a\x1b[2Jb\n")

	for _, c := range []struct {
		says string
		args []string
	}{
		{"name one stream", []string{"append", "--store", store, "--type", "t", "--data", "1", "--expect", "1"}},
		{"--type is missing", []string{"append", "--store", store, "account:1", "--data", "1", "--expect", "1"}},
		{"--data is missing", []string{"append", "--store", store, "account:1", "--type", "t", "--content-type", "text/plain", "--expect", "1", "--yes"}},
		{"--expect is missing", with()},
		{"--expect must be a version", with("--expect", "-1")},
		{"--schema-version must be positive", with("--expect", "4", "--schema-version", "0")},
		{"not JSON", with("--expect", "4", "--data", "hello")},
		{"--data @- needs --yes", with("--expect", "4", "--data", "@-")},
		{"no such file", with("--expect", "4", "--data", "@"+data+"!")},
	} {
		code, _, errs := runs(t, "", c.args...)
		wants(t, code, exitUsage, errs, c.says)
	}
}

func TestAnAppendThatWaitsForAnAnswerCanBeStopped(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 1, "1")
	ctx, cancel := context.WithCancel(t.Context())
	stdin, never := io.Pipe()
	defer never.Close()
	out, errs := &bytes.Buffer{}, &stopper{at: "user     ", stop: cancel}
	code := run(ctx, []string{"append", "--store", "sqlite:" + file, "account:1", "--type", "t", "--data", "1", "--expect", "1"}, stdin, out, errs)
	wants(t, code, exitNot, errs.String(), "eventstores append: stopped")
	_, said, _ := runs(t, "", "verify", "--store", "sqlite:"+file, "account:1")
	wants(t, 0, 0, said, "version=1 ")
}

// silent is an input from which nothing comes. It calls asked when it is read.
type silent struct {
	ctx   context.Context
	asked func()
}

func (s silent) Read([]byte) (int, error) {
	s.asked()
	<-s.ctx.Done()
	return 0, io.EOF
}

func TestACommandThatWaitsForItsInputCanBeStopped(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 1, "1")
	for _, args := range [][]string{
		{"append", "account:1", "--type", "t", "--data", "@-", "--expect", "1", "--yes"},
		{"verify", "--streams", "-"},
		{"feed", "import", "--feed", "all", "--streams", "-"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		out, errs := &bytes.Buffer{}, &bytes.Buffer{}
		code := run(ctx, append(args, "--store", "sqlite:"+file), silent{t.Context(), cancel}, out, errs)
		if wants(t, code, exitNot, errs.String(), "topped"); strings.Contains(out.String(), "failed ") {
			t.Errorf("%q: it says %s", args, out)
		}
	}
}

// uncertain is a store that commits, and then calls stop and does not answer.
type uncertain struct {
	*memory.State
	stop func()
}

func (u uncertain) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	if err := u.State.Commit(ctx, partition, swap, writes); err != nil {
		return err
	}
	u.stop()
	return context.Canceled
}

func TestAnAppendThatIsStoppedSaysThatItMayHaveTakenEffect(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &bytes.Buffer{}, &bytes.Buffer{}
	store := lend(t, uncertain{memory.New(), cancel})
	code := run(ctx, []string{"append", "--store", store, "account:1", "--type", "t", "--data", "1", "--expect", "0", "--yes"}, nil, out, errs)
	wants(t, code, exitNot, errs.String(), "the event may or may not have been appended (", "; see whether eventstores show prints one with id ")
	_, said, _ := runs(t, "", "show", "--store", store, "account:1")
	_, id, _ := strings.Cut(strings.TrimSpace(errs.String()), "with id ")
	wants(t, 0, 0, said, "    id           "+id+"\n")
}

func TestAnEventThatIsAppendedByHandEntersTheFeed(t *testing.T) {
	t.Parallel()
	file, store := withFeed(t)
	code, out, errs := runs(t, "", "append", "--store", store, "account:1", "--type", "byhand", "--data", "{}", "--expect", "3", "--yes")
	wants(t, code, exitWell, out+errs, "version=4")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		ids, err := upTo(ctx, f, 14)
		if !strings.Contains(strings.Join(ids, " "), "EventStores:account:1/4") {
			t.Errorf("the feed has %q", ids)
		}
		return err
	})
}
