package main

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

func TestADoctorSaysWhatIsWell(t *testing.T) {
	t.Parallel()
	db, store := withFeed(t)
	inFeed(t, db, func(ctx context.Context, _ driver.State, f *feed.Feed) error { // what the process left when it ended
		for {
			if now, err := f.Status(ctx); err != nil || now.Waiting == 0 {
				return err
			}
		}
	})
	code, out, errs := runs(t, "", "doctor", "--store", store, "--deep", "--strict", "--components", folder(t, file("s", "state.postgresql", "keyPrefix", "name")))
	wants(t, code, exitWell, out+errs, "ok       components  1 component files\n", "ok       store       sqlite:", "ok       feed        all: end=1", "waiting=0\n",
		"ok       catalogue   4 streams\n", "ok       streams     4 of 4 that were chosen at random are sound\n", "ok       log         ", "6 checks: 0 failed, 0 warnings\n")
	code, out, errs = runs(t, "", "doctor", "--store", store, "--sample", "2", "-o", "json")
	wants(t, code, exitWell, out+errs, "2 of 2 that were chosen")
	for text := range strings.Lines(out) {
		var line diagnosis
		if err := json.Unmarshal([]byte(text), &line); err != nil || line.Level != "ok" || line.Check == "" || line.About == "" {
			t.Errorf("%v: %s", err, text)
		}
	}
	code, _, errs = runs(t, "", "doctor", "--store", store, "--sample", "-1")
	wants(t, code, exitUsage, errs, "--sample and --patience must not be negative")
	code, _, errs = runs(t, "", "doctor", "--store", store, "--patience", "-1s")
	wants(t, code, exitUsage, errs, "--sample and --patience must not be negative")
}

func TestADoctorSaysWhatIsNot(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "events.db")
	inFeed(t, db, func(ctx context.Context, state driver.State, f *feed.Feed) error {
		p := f.Provider()
		for _, id := range []string{"1", "\x1b[2J\n::error::", "bad one"} {
			if _, err := p.Append(ctx, p.Stream("account", id), eventstore.ExpectAny(), counted{}, counted{}, counted{}); err != nil {
				return err
			}
		}
		if _, err := upTo(ctx, f, 9); err != nil {
			return err
		}
		counting, err := counts(f, 1, true)
		if err != nil {
			return err
		}
		return whileRunning(ctx, counting, func(ctx context.Context) error {
			for {
				if parked, err := counting.Subscription().Parked(ctx); err == nil && len(parked) == 1 {
					return nil
				} else if ctx.Err() != nil {
					return ctx.Err()
				}
			}
		})
	}, countedType)
	inFile(t, db, func(state driver.State, _ *eventstore.Provider) error {
		return state.Write(t.Context(), "EventStores:account:1", []driver.Write{{Key: "{EventStores:account:1}:head"}})
	})
	code, out, errs := runs(t, "", "doctor", "--store", "sqlite:"+db, "--patience", "50ms", "--deep", "--components", folder(t, file("s", "state.etcd")))
	wants(t, code, exitNot, out+errs, "failed   components  ", "it would lose events", `warning  followers   counts\x1b[2J: 1 streams are parked`,
		"failed   streams     EventStores:account:1: damaged ", "ok       log         ")
	isHarmless(t, out)

	without := filepath.Join(t.TempDir(), "events.db")
	fill(t, without, 1, "1")
	code, out, _ = runs(t, "", "doctor", "--store", "sqlite:"+without)
	wants(t, code, exitWell, out, "warning  feed        the store has no feed", "ok       streams     1 of 1 ")
	code, _, _ = runs(t, "", "doctor", "--store", "sqlite:"+without, "--strict")
	wants(t, code, exitNot, out)

	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere.Close()
	code, out, _ = runs(t, "", "doctor", "--store", "redis://"+nowhere.Addr().String())
	wants(t, code, exitNot, out, "failed   store       store redis://127.0.0.1:", "1 checks: 1 failed")
}

func TestADoctorWarnsOfAFeedThatNothingIndexes(t *testing.T) {
	t.Parallel()
	file, store := withFeed(t)
	code, out, errs := runs(t, "", "append", "--store", store, "account:1", "--type", "t", "--data", "{}", "--expect", "any", "--yes") // without an indexer
	wants(t, code, exitWell, out+errs)
	code, out, errs = runs(t, "", "doctor", "--store", "sqlite:"+file, "--patience", "50ms")
	wants(t, code, exitWell, out+errs, "warning  feed        all: ", " entries wait, and none was taken over for 50ms: does an indexer work?", "0 failed, 1 warnings")
}
