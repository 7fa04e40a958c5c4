package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
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

// keysRead is a store that counts the keys that are read in bulk.
type keysRead struct {
	*memory.State
	keys atomic.Int64
}

func (k *keysRead) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	k.keys.Add(int64(len(keys)))
	return k.State.GetMany(ctx, partition, keys)
}

func TestADoctorReadsNoLongStream(t *testing.T) {
	t.Parallel()
	state := &keysRead{State: memory.New()}
	const events = 2000
	inFeedOf(t, state, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for id, n := range map[string]int{"long": events, "1": 3, "2": 3} {
			all := make([]any, n)
			for i := range all {
				all[i] = counted{}
			}
			if _, err := p.Append(ctx, p.Stream("account", id), eventstore.ExpectAny(), all...); err != nil {
				return err
			}
		}
		return untilIndexed(ctx, f)
	}, countedType)
	examine := func(most int64) (out string, keys int64) {
		t.Helper()
		s, err := parseStore(lend(t, state), reading)
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		c := &call{stdout: &said, stderr: io.Discard}
		d := &doctor{format: asText, sample: 20, most: most, c: c, m: newMeter(c, 0)}
		defer d.m.end()
		before := state.keys.Load()
		d.store(t.Context(), s)
		return said.String(), state.keys.Load() - before
	}
	out, keys := examine(events + 6)
	wants(t, exitWell, exitWell, out, "3 of 3 that were chosen at random are sound")
	if keys < events {
		t.Errorf("it reads %d keys", keys)
	}
	out, keys = examine(events - 1)
	wants(t, exitWell, exitWell, out, "2 of 3 that were chosen at random are sound", "1 of 3 were left out, because they have too many events")
	if keys > events/4 {
		t.Errorf("it reads %d keys", keys)
	}
}
