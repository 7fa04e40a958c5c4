package main

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
)

func TestAllStreamsAreVerifiedAndCopied(t *testing.T) {
	t.Parallel()
	without := filepath.Join(t.TempDir(), "events.db")
	fill(t, without, 3, "1", "a b", "3")
	_, with := withFeed(t)
	for store, n := range map[string]string{"sqlite:" + without: "3", with: "4"} {
		code, out, errs := runs(t, "", "verify", "--store", store, "--all")
		wants(t, code, exitWell, out+errs, "sound    EventStores:account:1 version=3", n+" of "+n+" streams sound")
		to := "sqlite:" + filepath.Join(t.TempDir(), "to.db")
		code, out, errs = runs(t, "", "copy", "--from", store, "--to", to, "--all")
		wants(t, code, exitWell, out+errs, "copied   EventStores:account:1 version=3", n+" of "+n+" streams copied")
		code, out, errs = runs(t, "", "verify", "--store", to, "--all")
		wants(t, code, exitWell, out+errs, n+" of "+n+" streams sound")
		code, _, errs = runs(t, "", "verify", "--store", store, "--all", "account:1")
		wants(t, code, exitUsage, errs, "give --all or the names of streams, not both")
		code, _, errs = runs(t, "", "verify", "--store", store, "--all", "--parallel", "0")
		wants(t, code, exitUsage, errs, "--parallel must be positive")
	}
}

func TestAllStreamsThatAreNotAllSaySo(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "from.db"), filepath.Join(t.TempDir(), "to.db")
	fill(t, from, 5, "1", "2", "3")
	ctx, cancel := context.WithCancel(t.Context())
	out, errs := &stopper{at: "copied ", stop: cancel}, &bytes.Buffer{}
	args := []string{"copy", "--from", "sqlite:" + from, "--to", "sqlite:" + to, "--parallel", "1", "--all"}
	code := run(ctx, args, nil, out, errs)
	wants(t, code, exitNot, out.String()+errs.String(), "1 of ", " streams copied\nStopped early. Run the same command again")
	code, said, _ := runs(t, "", args...)
	wants(t, code, exitWell, said, "before=5 copied=0", "3 of 3 streams copied")

	// The list ends with an error after all that was begun has succeeded.
	var said2 bytes.Buffer
	c := &call{stdout: &said2, stderr: &said2}
	m := newMeter(c, 0)
	broken := errors.New("the catalogue is damaged")
	r := reporter{c, m, asText}.each(t.Context(), iter.Seq2[eventstore.Stream, error](func(yield func(eventstore.Stream, error) bool) {
		if yield(eventstore.Stream{Database: "d", Type: "t", ID: "1"}, nil) {
			yield(eventstore.Stream{}, broken)
		}
	}), 4, func(context.Context, eventstore.Stream) outcome { return outcome{word: "sound"} })
	if err := c.conclude(t.Context(), asText, "sound", r.begun, r, "Again."); !errors.Is(err, broken) || !strings.Contains(said2.String(), "1 of 1 streams sound") {
		t.Errorf("it ends with %v:\n%s", err, &said2)
	}
}
