package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
)

// inFeed does something with the feed "all" of a SQLite file, which is indexed meanwhile.
func inFeed(t *testing.T, file string, do func(ctx context.Context, state driver.State, f *feed.Feed) error, types ...eventstore.TypeDefinition) {
	t.Helper()
	state, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	inFeedOf(t, state, do, types...)
}

// inFeedOf does something with the feed "all" of a store, which is indexed meanwhile.
func inFeedOf(t *testing.T, state driver.State, do func(ctx context.Context, state driver.State, f *feed.Feed) error, types ...eventstore.TypeDefinition) {
	t.Helper()
	registry, err := eventstore.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := eventstore.NewProvider(state, eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	indexed := make(chan error, 1)
	go func() { indexed <- f.Index(ctx) }()
	err = do(ctx, state, f)
	stop()
	if indexErr := <-indexed; err == nil {
		err = indexErr
	}
	if err == nil {
		err = p.Close(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// upTo waits until the feed has so many items, and returns their ids.
func upTo(ctx context.Context, f *feed.Feed, items int) (ids []string, err error) {
	for item, err := range f.Read(ctx, feed.Live()) {
		if err != nil {
			return ids, err
		}
		if ids = append(ids, item.ID()); len(ids) == items {
			break
		}
	}
	return ids, nil
}

func TestStreamsFromBeforeEnterTheFeed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 2, "1", "2", "a:b|\x1b[31m", "gone", "damaged")
	inFile(t, file, func(state driver.State, p *eventstore.Provider) error {
		s, err := p.Open(t.Context(), p.Stream("account", "gone"))
		if err != nil {
			return err
		}
		if err := s.DeleteStream(t.Context(), eventstore.ExpectAny()); err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
		return state.Write(t.Context(), "x", []driver.Write{{Key: "{EventStores:account:damaged}:head", Value: []byte("\x1b[31mnonsense")}})
	})
	store := "sqlite:" + file
	code, out, errs := runs(t, "", "feed", "import", "-store", store, "-all")
	wants(t, code, exitNot, out+errs, "the store has no feed yet; give its name with --feed")
	code, out, errs = runs(t, "", "feed", "import", "-store", store, "-feed", "all", "account:1", "account:nosuch")
	wants(t, code, exitNot, out+errs, "empty    EventStores:account:nosuch the store has no such stream", "1 added, 0 known, 0 deleted, 1 empty, 0 failed")
	code, out, errs = runs(t, "", "feed", "import", "-store", store, "-feed", "other", "-all")
	wants(t, code, exitNot, out+errs, `the feed of the store is called "all"`, "0 added")
	code, out, errs = runs(t, "account:1\naccount:a b\n\xff\n# all\naccount:2\n", "feed", "import", "-store", store, "-streams", "-")
	wants(t, code, exitNot, out+errs, "failed   -:2: ", "failed   -:3: the line is not UTF-8", "1 added, 1 known, 0 deleted, 0 empty, 2 failed")
	code, out, errs = runs(t, "", "feed", "import", "-store", store, "-all")
	wants(t, code, exitNot, out+errs, "failed   EventStores:account:damaged ", "1 added, 2 known, 1 deleted, 0 empty, 1 failed")
	code, out, errs = runs(t, "", "feed", "import", "-store", store, "account:1", "account:a%3Ab%7C%1B[31m")
	wants(t, code, exitUsage, out+errs, "is not escaped")
	code, out, errs = runs(t, "", "feed", "import", "-store", store, "account:1", "account:a%3Ab%7C%1B%5B31m", "account:1", "account:gone")
	wants(t, code, exitWell, out+errs, "0 added, 2 known, 1 deleted, 0 empty, 0 failed")
	if strings.ContainsRune(out+errs, 0x1b) {
		t.Errorf("it prints an escape: %q%q", out, errs)
	}

	code, out, errs = runs(t, "", "feed", "status", "-store", store)
	wants(t, code, exitWell, out+errs, "feed          all end=0 journals=3 open=0 waiting=9")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		ids, err := upTo(ctx, f, 6)
		for _, id := range []string{"EventStores:account:1/2", "EventStores:account:2/2", "EventStores:account:a%3Ab%7C%1B%5B31m/2"} {
			if !strings.Contains(strings.Join(ids, " ")+" ", id+" ") {
				t.Errorf("the feed has %q, not %s", ids, id)
			}
		}
		if err != nil {
			return err
		}
		s, err := subscription.New(f, "mails\x1b", func(context.Context, feed.Item) error { return nil }, subscription.WithPartitions(2))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			for ctx.Err() == nil {
				if p, err := s.Positions(ctx); err == nil && len(p) == 2 {
					cancel()
				}
			}
		}()
		if err := s.Run(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	code, out, errs = runs(t, "", "feed", "status", "-store", store)
	wants(t, code, exitWell, out+errs, "journals=0 open=0 waiting=0", `subscription  mails\x1b position=`, "running=0/2 parked=0")
}

func TestAnImportThatIsStoppedSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "events.db")
	fill(t, file, 1, "1", "2", "3")
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &stopper{at: "empty ", stop: cancel}, &bytes.Buffer{}
	var names strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&names, "account:nosuch%d\n", i)
	}
	code := run(ctx, []string{"feed", "import", "-store", "sqlite:" + file, "-feed", "all", "-streams", "-"}, strings.NewReader(names.String()), out, errs)
	wants(t, code, exitNot, out.String()+errs.String(), "0 added", "Stopped early. Run the same command again to continue.")
	code, said, _ := runs(t, "", "feed", "import", "-store", "sqlite:"+file, "-feed", "all", "-all")
	wants(t, code, exitWell, said, "3 added, 0 known")
}

func TestWrongArgumentsOfAFeedSaySo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "events.db")
	fill(t, file, 1, "1")
	store := "sqlite:" + file
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing":                    {[]string{"feed"}, "Usage: eventstores feed"},
		"no such command":            {[]string{"feed", "export"}, `eventstores feed: unknown command "export"`},
		"a password as the command":  {[]string{"feed", "u:hunter2@h"}, "unknown command"},
		"no store":                   {[]string{"feed", "import", "-all"}, "-store"},
		"no names":                   {[]string{"feed", "import", "-store", store}, "or give --all"},
		"names and all":              {[]string{"feed", "import", "-store", store, "-all", "account:1"}, "not both"},
		"a file and all":             {[]string{"feed", "import", "-store", store, "-all", "-streams", "-"}, "not both"},
		"all through a sidecar":      {[]string{"feed", "import", "-store", "dapr:statestore@localhost:1", "-all"}, "Dapr cannot list keys"},
		"a name of one part":         {[]string{"feed", "import", "-store", store, "1"}, "database:type:id"},
		"a name with a password":     {[]string{"feed", "import", "-store", store, "redis://u:hunter2@localhost"}, "not shown"},
		"a file that is not there":   {[]string{"feed", "import", "-store", store, "-streams", file + "!"}, "no such file"},
		"a flag that is not there":   {[]string{"feed", "import", "-nosuch"}, "-nosuch"},
		"names and all, verify":      {[]string{"feed", "verify", "-store", store, "-all", "account:1"}, "not both"},
		"all of a sidecar, verify":   {[]string{"feed", "verify", "-store", "dapr:statestore@localhost:1", "-all"}, "Dapr cannot list keys"},
		"a name of one part, verify": {[]string{"feed", "verify", "-store", store, "1"}, "database:type:id"},
		"no store, verify":           {[]string{"feed", "verify"}, "-store"},
		"an argument of status":      {[]string{"feed", "status", "-store", store, "hunter2"}, "does not take"},
		"a store that is not there":  {[]string{"feed", "status", "-store", store + "!"}, "no such file"},
		"a store of no kind, import": {[]string{"feed", "import", "-store", "hunter2", "-all"}, "not a store"},
	} {
		code, out, errs := runs(t, "", c.args...)
		if code != exitUsage || !strings.Contains(errs, c.says) || out != "" || strings.Contains(errs, "hunter2") {
			t.Errorf("%s: exit code %d, want 2 and to be told %q:\n%s%s", name, code, c.says, out, errs)
		}
	}
	for _, args := range [][]string{{"feed", "-h"}, {"feed", "help"}, {"feed", "import", "-h"}, {"feed", "verify", "-h"}, {"feed", "status", "-h"}} {
		if code, out, errs := runs(t, "", args...); code != exitWell || errs != "" || !strings.Contains(out, "Usage: eventstores feed") {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out, errs)
		}
	}
}

// A store of a kind that needs a server says that it is not there.
func TestAFeedOfAStoreThatCanNotBeHadIsSaid(t *testing.T) {
	t.Setenv("DAPR_CLIENT_TIMEOUT_SECONDS", "1")
	for spec, says := range map[string]string{
		"dapr:statestore@127.0.0.1:1": "no Dapr sidecar answers at 127.0.0.1:1",
		"redis://127.0.0.1:1":         "127.0.0.1:1",
	} {
		for _, args := range [][]string{{"feed", "import", "-feed", "all", "-store", spec, "account:1"}, {"feed", "status", "-store", spec}, {"feed", "verify", "-store", spec}} {
			code, out, errs := runs(t, "", args...)
			wants(t, code, exitNot, out+errs, says)
		}
	}
}

func TestAFeedOfADamagedRootMustBeNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 1, "1")
	inFile(t, file, func(state driver.State, _ *eventstore.Provider) error {
		return state.Write(t.Context(), "x", []driver.Write{{Key: "{:feed}:journals", Value: []byte("nonsense")}})
	})
	for _, args := range [][]string{{"status"}, {"import", "-all"}, {"verify"}} {
		code, out, errs := runs(t, "", append([]string{"feed", args[0], "-store", "sqlite:" + file}, args[1:]...)...)
		wants(t, code, exitNot, out+errs, "{:feed}:journals", "give the name of the feed with --feed")
	}
}

func TestAFeedIsVerifiedAndRepaired(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 2, "before")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		for i := range 5 {
			p := f.Provider()
			e := eventstore.Raw{Type: "t", ContentType: "application/json", Payload: []byte("{}")}
			if _, err := p.Append(ctx, p.Stream("account", fmt.Sprint(i)), eventstore.ExpectAny(), e, e); err != nil {
				return err
			}
			if _, err := upTo(ctx, f, 2*i+2); err != nil {
				return err
			}
		}
		s, err := subscription.New(f, "mails", func(_ context.Context, i feed.Item) error {
			return nil
		}, subscription.WithPartitions(1), subscription.OfType("none"))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			for ctx.Err() == nil {
				if p, err := s.Positions(ctx); err == nil && len(p) == 1 {
					cancel()
				}
			}
		}()
		if err := s.Run(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	store := "sqlite:" + file
	code, out, errs := runs(t, "", "feed", "verify", "-store", store)
	wants(t, code, exitWell, out+errs, "streams=5 behind=0 wrong=0")
	code, out, errs = runs(t, "account:before\n", "feed", "verify", "-store", store, "-streams", "-")
	wants(t, code, exitNot, out+errs, "unlisted EventStores:account:before", "wrong=1")
	inFile(t, file, func(state driver.State, _ *eventstore.Provider) error {
		return state.Write(t.Context(), "x", []driver.Write{{Key: "{:feed:all}:2", Value: []byte("nonsense")}, {Key: "{:feed:all}:names:0"}})
	})
	code, out, errs = runs(t, "", "feed", "verify", "-store", store, "-all")
	wants(t, code, exitNot, out+errs, "damaged {:feed:all}:2: ")
	code, out, errs = runs(t, "", "feed", "verify", "-store", store, "-all", "-repair")
	wants(t, code, exitWell, out+errs, "damaged {:feed:all}:2: ", "derived from streams", "unlisted EventStores:account:before: imported", "repaired; verifying", "wrong=0", "begins again after")
	code, out, errs = runs(t, "", "feed", "verify", "-store", store, "-all")
	wants(t, code, exitWell, out+errs, "wrong=0")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		ids, err := upTo(ctx, f, 12)
		for i := range 5 {
			if id := fmt.Sprintf("EventStores:account:%d/2", i); !strings.Contains(strings.Join(ids, " ")+" ", id+" ") {
				t.Errorf("the feed has %q, not %s", ids, id)
			}
		}
		return err
	})
}
