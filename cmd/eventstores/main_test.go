package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// runs runs the program.
func runs(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// wants checks what the program said.
func wants(t *testing.T, code, wantCode int, said string, says ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("exit code %d, want %d:\n%s", code, wantCode, said)
	}
	for _, part := range says {
		if !strings.Contains(said, part) {
			t.Errorf("it does not say %q:\n%s", part, said)
		}
	}
}

// inFile does something with an event store on a SQLite file.
func inFile(t *testing.T, file string, do func(state driver.State, p *eventstore.Provider) error) {
	t.Helper()
	state, err := sqlite.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	p, err := eventstore.NewProvider(state)
	if err == nil {
		err = do(state, p)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes streams of the type account with n events each.
func fill(t *testing.T, file string, n int, ids ...string) {
	t.Helper()
	inFile(t, file, func(_ driver.State, p *eventstore.Provider) error {
		for _, id := range ids {
			s, err := p.Open(t.Context(), p.Stream("account", id))
			if err != nil {
				return err
			}
			events := make([]any, n)
			for i := range events {
				events[i] = eventstore.Event{
					Data:     eventstore.Raw{Type: "t", ContentType: "application/json", Payload: fmt.Appendf(nil, `{"n":%d}`, i)},
					Metadata: eventstore.Metadata{Context: eventstore.ContextMetadata{IdempotencyID: fmt.Sprint("request ", i)}},
				}
			}
			if _, err = s.Append(t.Context(), eventstore.ExpectAny(), events...); err == nil {
				err = s.SaveSnapshot(t.Context(), 1, eventstore.Raw{Type: "state"})
			}
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestStreamsAreCopiedAndVerified(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	fill(t, from, 30, "1", "2", "a b")
	names := filepath.Join(dir, "names")
	if err := os.WriteFile(names, []byte("# all of them\n\naccount:1\n  EventStores:account:2\nEventStores:account:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runs(t, "", "copy", "-from", "sqlite:"+from, "-to", "sqlite:"+to, "-streams", names, "account:a%20b")
	wants(t, code, 0, out+errs, "copied   EventStores:account:1 version=30 before=0 copied=30 ", "EventStores:account:a%20b version=30", "snapshots=1", "3 of 3 streams copied")
	if lines := regexp.MustCompile(`(?m)^copied `).FindAllString(out, -1); len(lines) != 3 || errs != "" {
		t.Errorf("%d lines:\n%s%s", len(lines), out, errs)
	}

	fill(t, from, 10, "3")
	code, out, errs = runs(t, "account:3\n", "copy", "-from", "sqlite:"+from, "-to", "sqlite:"+to, "-streams", "-", "account:1")
	wants(t, code, 0, out+errs, "account:1 version=30 before=30 copied=0 ", "account:3 version=10 before=0 copied=10")

	code, out, errs = runs(t, "", "verify", "-store", "sqlite:"+to, "-streams", names, "account:3")
	wants(t, code, 0, out+errs, "sound    EventStores:account:1 version=30 events=30 snapshots=1", "3 of 3 streams sound")
}

func TestWhatIsNotCopiedIsSaidAndTheOthersAre(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	fill(t, from, 5, "1", "damaged", "differs", "deleted", "closed")
	fill(t, to, 2, "differs")
	inFile(t, from, func(state driver.State, p *eventstore.Provider) error {
		partition := "EventStores:account:damaged"
		if err := state.Write(t.Context(), partition, []driver.Write{{Key: "{" + partition + "}:3"}}); err != nil {
			return err
		}
		for id, end := range map[string]func(*eventstore.Session) error{
			"deleted": func(s *eventstore.Session) error { return s.DeleteStream(t.Context(), eventstore.ExpectAny()) },
			"closed":  func(s *eventstore.Session) error { return s.CloseStream(t.Context(), eventstore.ExpectAny()) },
		} {
			s, err := p.Open(t.Context(), p.Stream("account", id))
			if err == nil {
				err = end(s)
			}
			if err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	all := []string{"account:1", "account:damaged", "account:differs", "account:deleted", "account:closed", "account:nosuch"}
	code, out, errs := runs(t, "", append([]string{"copy", "-from", "sqlite:" + from, "-to", "sqlite:" + to}, all...)...)
	wants(t, code, 1, out+errs,
		"copied   EventStores:account:1 ", "failed   EventStores:account:damaged ", "is damaged at version 3",
		"failed   EventStores:account:differs ", "differs from the source at version 1", "deleted  EventStores:account:deleted",
		"copied   EventStores:account:closed ", " closed\n", "empty    EventStores:account:nosuch ", "3 of 6 streams copied, 3 failed")
	code, out, errs = runs(t, "", append([]string{"verify", "-store", "sqlite:" + from}, all...)...)
	wants(t, code, 1, out+errs, "sound    EventStores:account:1 ", "damaged  EventStores:account:damaged ", "at version 3", "deleted  ", "empty  ", "4 of 6 streams sound, 2 failed")
}

func TestALostHeadIsMadeAnew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events.db")
	fill(t, file, 5, "1", "2")
	inFile(t, file, func(state driver.State, _ *eventstore.Provider) error {
		return state.Write(t.Context(), "EventStores:account:1", []driver.Write{{Key: "{EventStores:account:1}:head"}})
	})
	code, out, errs := runs(t, "", "verify", "-store", "sqlite:"+file, "account:1", "account:2")
	wants(t, code, 1, out+errs, "damaged  EventStores:account:1 ", "the head is missing")
	code, out, errs = runs(t, "", "rebuild-head", "-store", "sqlite:"+file, "account:1", "account:2", "account:nosuch")
	wants(t, code, 1, out+errs, "rebuilt  EventStores:account:1 version=5 events=5", "sound    EventStores:account:2 version=5, not changed",
		"empty    EventStores:account:nosuch the store has no such stream and no events of it", "2 of 3 streams have a sound head, 1 failed")
	code, out, errs = runs(t, "", "verify", "-store", "sqlite:"+file, "account:1", "account:2")
	wants(t, code, 0, out+errs, "2 of 2 streams sound")
}

// stopper ends a context when the program has said something.
type stopper struct {
	bytes.Buffer
	at   string
	stop func()
}

func (s *stopper) Write(p []byte) (int, error) {
	if strings.Contains(string(p), s.at) {
		s.stop()
	}
	return s.Buffer.Write(p)
}

func TestACopyThatIsStoppedSaysHowToGoOn(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.db"), filepath.Join(dir, "to.db")
	fill(t, from, 5, "1", "2", "3")
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &stopper{at: "copied ", stop: cancel}, &bytes.Buffer{}
	args := []string{"copy", "-from", "sqlite:" + from, "-to", "sqlite:" + to, "-parallel", "1", "account:1", "account:2", "account:3"}
	code := run(ctx, args, nil, out, errs)
	wants(t, code, 1, out.String()+errs.String(), "account:1 version=5", "1 of 3 streams copied\nStopped early. Run the same command again")
	if strings.Contains(out.String(), "failed") {
		t.Errorf("what was stopped counts as failed:\n%s", out)
	}
	code, said, _ := runs(t, "", args...)
	wants(t, code, 0, said, "account:1 version=5 before=5 copied=0", "3 of 3 streams copied")
}

func TestWrongArgumentsSaySo(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "events.db")
	fill(t, file, 1, "1")
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("account:1\naccount:a b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DAPR_GRPC_PORT", "")
	to := func(spec string) []string {
		return []string{"copy", "-from", "sqlite:" + file, "-to", spec, "account:1"}
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing":                     {nil, "Usage: eventstores"},
		"no such command":             {[]string{"move"}, `unknown command "move"`},
		"a flag that is not there":    {[]string{"copy", "-nosuch"}, "-nosuch"},
		"no stores":                   {[]string{"copy", "account:1"}, "-from"},
		"no names":                    {[]string{"verify", "-store", "sqlite:" + file}, "no streams given"},
		"a name of one part":          {[]string{"verify", "-store", "sqlite:" + file, "1"}, `"1" is not the name of a stream; write type:id or database:type:id`},
		"a name that is not escaped":  {[]string{"verify", "-store", "sqlite:" + file, "-streams", bad}, "bad:2: "},
		"a file that is not there":    {[]string{"verify", "-store", "sqlite:" + file, "-streams", bad + "!"}, "no such file"},
		"a source that is not there":  {[]string{"verify", "-store", "sqlite:" + file + "!", "account:1"}, "no such file: " + file + "!\n"},
		"a name with a password":      {[]string{"verify", "-store", "sqlite:" + file, "redis://u:hunter2@localhost"}, "not shown"},
		"the same store":              {to("sqlite:" + file), "the same store"},
		"the same by another name":    {to("sqlite:" + link), "the same store"},
		"a store of no kind":          {to("events.db"), "not a store"},
		"a store of another kind":     {to("mysql:x"), "not a store; want one that begins with"},
		"a password in the arguments": {to("redis://u:hunter2@localhost:6379"), "REDIS_PASSWORD"},
		"a Redis without a host":      {to("redis:///0"), "no host"},
		"a Redis database of letters": {to("redis://localhost/x"), "is not a number"},
		"a parameter of another kind": {to("redis://localhost/0?lock=x"), "parameter ?lock is unknown"},
		"a variable that is not set":  {to("redis://localhost/0?password-env=NOSUCH_VARIABLE"), "NOSUCH_VARIABLE"},
		"a sidecar without address":   {to("dapr:statestore"), "DAPR_GRPC_PORT"},
		"a sidecar without component": {to("dapr:@localhost:1"), "no component"},
		"none at a time":              {[]string{"verify", "-store", "sqlite:" + file, "-parallel", "0", "account:1"}, "-parallel must be positive"},
		"no folder":                   {[]string{"check"}, "no folder"},
		"a folder that is not there":  {[]string{"check", filepath.Join(dir, "nosuch")}, "no such file"},
		"a folder without components": {[]string{"check", dir}, "no Dapr component files"},
	} {
		code, out, errs := runs(t, "", c.args...)
		if code != 2 || !strings.Contains(errs, c.says) || out != "" || strings.Contains(errs, "hunter2") {
			t.Errorf("%s: exit code %d, want 2 and to be told %q:\n%s%s", name, code, c.says, out, errs)
		}
	}
	for _, args := range [][]string{{"-h"}, {"help"}, {"copy", "-h"}, {"verify", "-h"}, {"rebuild-head", "-h"}, {"check", "-h"}, {"version", "-h"}} {
		if code, out, errs := runs(t, "", args...); code != 0 || errs != "" || !strings.Contains(out, "Usage: eventstores") {
			t.Errorf("%q: exit code %d\n%s%s", args, code, out, errs)
		}
	}
}

func TestAStoreThatCanNotBeHadIsSaid(t *testing.T) {
	t.Setenv("DAPR_CLIENT_TIMEOUT_SECONDS", "1")
	dir := t.TempDir()
	file := filepath.Join(dir, "events.db")
	fill(t, file, 1, "1")
	for spec, says := range map[string]string{
		"dapr:statestore@127.0.0.1:1":         "no Dapr sidecar answers at 127.0.0.1:1",
		"redis://127.0.0.1:1":                 "127.0.0.1:1",
		"sqlite:" + dir + "/nosuch/events.db": "does its folder exist",
	} {
		code, out, errs := runs(t, "", "copy", "-from", "sqlite:"+file, "-to", spec, "account:1")
		wants(t, code, 1, out+errs, says)
	}
}

func TestTheMeterShowsHowFarItIs(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	a, b := eventstore.Stream{ID: "a"}, eventstore.Stream{ID: "b"}
	m := newMeter(&call{stdout: &out, stderr: &errs}, 4)
	m.bar = newBars(&errs)
	m.tell(a, "copied", progress{stage: 2, stages: 4, done: 100, of: 200})
	m.tell(a, "copied", progress{stage: 2, stages: 4, done: 200, of: 200})
	m.tell(a, "verified", progress{stage: 3, stages: 4, done: 150, of: 200})
	m.tell(b, "copied", progress{stage: 2, stages: 4, done: 50, of: 100})
	m.finish(a, true, func() { fmt.Fprintln(&out, "copied a") })
	m.end()
	if got := out.String(); got != "copied a\n" {
		t.Errorf("standard output is %q", got)
	}
	for _, says := range []string{"[########............]", " 40% ", "1 of 4 streams, 1 in progress", "250 events copied", "150 events verified"} {
		if !strings.Contains(errs.String(), says) {
			t.Errorf("it does not say %q: %q", says, &errs)
		}
	}
	if !strings.HasSuffix(errs.String(), "\x1b[2K\r") {
		t.Errorf("the bar stays: %q", &errs)
	}
}

func TestTheMeterShowsWhatHasNoTotalAndWhatIsNoStream(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	m := newMeter(&call{stdout: &out, stderr: &errs}, 0)
	m.bar = newBars(&errs)
	m.count()
	m.count()
	m.mu.Lock()
	m.draw()
	m.mu.Unlock()
	m.reach(50, 200, "batches of the log")
	m.mu.Lock()
	m.draw()
	m.mu.Unlock()
	m.end()
	for _, says := range []string{"  2 streams, ", "  25% [#####...............]  50 of 200 batches of the log"} {
		if !strings.Contains(errs.String(), says) {
			t.Errorf("it does not say %q: %q", says, &errs)
		}
	}
}
