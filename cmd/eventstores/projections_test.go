package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/subscription"
	"github.com/hexalith/eventstores-go/internal/followers"
)

// counted is an event.
type counted struct{}

var countedType = eventstore.Type[counted]("counted")

const hostileName = "counts\x1b[2J"

// counts is a projection of the number of events of a stream. It cannot handle those of a stream
// that is called bad.
func counts(f *feed.Feed, version int, broken bool) (*projection.Projection[int], error) {
	return projection.New(f, hostileName, func(_ context.Context, docs *projection.Documents[int], item feed.Item) error {
		if broken && item.Stream.ID == "bad one" {
			return errors.New("no such \x1b[2J\n::error:: account")
		}
		return docs.Update(item.Stream.ID, func(n *int) error { *n++; return nil })
	}, projection.WithVersion(version), projection.With(subscription.WithParking(), subscription.WithPartitions(2), subscription.WithRetries(0)))
}

// whileRunning runs a projection until do returns.
func whileRunning(ctx context.Context, p *projection.Projection[int], do func(ctx context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- p.Run(ctx) }()
	err := do(ctx)
	stop()
	return errors.Join(err, <-ran)
}

func TestProjectionsAreListedRetriedAndRebuilt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	store := "sqlite:" + file
	cli := func(stdin string, code int, args []string, says ...string) string {
		t.Helper()
		got, out, errs := runs(t, stdin, append(args, "--store", store)...)
		wants(t, got, code, out+errs, says...)
		isHarmless(t, out)
		return out
	}
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for _, id := range []string{"1", "bad one", "2"} {
			for range 2 {
				if _, err := p.Append(ctx, p.Stream("account", id), eventstore.ExpectAny(), counted{}); err != nil {
					return err
				}
			}
		}
		if _, err := upTo(ctx, f, 6); err != nil {
			return err
		}
		first, err := counts(f, 1, true)
		if err != nil {
			return err
		}
		untilParked := func(ctx context.Context, n int) error {
			for {
				parked, err := first.Subscription().Parked(ctx)
				if _, no := errors.AsType[*subscription.NotFoundError](err); err != nil && !no {
					return err
				}
				if err == nil && len(parked) == n {
					return first.WaitFor(ctx, p.Stream("account", "2"), 2)
				}
			}
		}
		if err := whileRunning(ctx, first, func(ctx context.Context) error { return untilParked(ctx, 1) }); err != nil {
			return err
		}
		cli("", exitWell, []string{"projections"}, "NAME", "RUNNING", `counts\x1b[2J  1        active  `, "0/2      1\n")
		var line followers.Follower
		if err := json.Unmarshal([]byte(cli("", exitWell, []string{"projections", "-o", "json"})), &line); err != nil || line.Name != hostileName || line.Version != 1 || line.Parked != 1 || !line.Active || line.Partitions != 2 {
			t.Errorf("%v: %+v", err, line)
		}

		// What is parked is listed, retried and skipped.
		parked := []string{"projections", "parked", hostileName}
		cli("", exitWell, parked, "EventStores:account:bad one  1-2       20", `no such \x1b[2J\n::error:: account`)
		var held parkedLine
		if err := json.Unmarshal([]byte(cli("", exitWell, append(parked, "-o", "json"))), &held); err != nil || held.Stream != "EventStores:account:bad%20one" || held.From != 1 || held.To != 2 {
			t.Errorf("%v: %+v", err, held)
		}
		cli("", exitNot, append(parked, "retry", "account:1"), "failed   EventStores:account:1 ")
		cli("", exitWell, append(parked, "retry", "--all"), "asked    EventStores:account:bad%20one\n")
		cli("", exitWell, parked, "(asked for another try) ")
		cli("n\n", exitNot, append(parked, "skip", "account:bad one"), "event    EventStores:account:bad one, version 1: ", "Leave out one event of each of 1 streams for ever?", "nothing was done")
		cli("y\n", exitWell, append(parked, "skip", "account:bad one"), "asked    EventStores:account:bad%20one\n")
		if first, err = counts(f, 1, false); err != nil {
			return err
		}
		if err := whileRunning(ctx, first, func(ctx context.Context) error { return untilParked(ctx, 0) }); err != nil {
			return err
		}
		if n, _, err := first.Get(ctx, "bad one"); n != 1 || err != nil {
			t.Errorf("after one of two events was skipped, the count is %d, %v", n, err)
		}
		for id, args := range map[string][]string{
			"no such subscription": {"projections", "parked", "nosuch"},
			"it is not parked":     append(parked, "retry", "account:bad one"),
			"no such projection":   {"projections", "rebuild", "nosuch"},
			"no such version":      {"projections", "rebuild", hostileName, "--version", "3"},
			"deploy the service":   {"projections", "rebuild", hostileName},
		} {
			if code, out, errs := runs(t, "", append(args, "--store", store)...); code != exitNot || out+errs == "" {
				t.Errorf("%s: exit code %d: %s%s", id, code, out, errs)
			}
		}

		// A second version runs beside the first one, and takes over.
		second, err := counts(f, 2, false)
		if err != nil {
			return err
		}
		view, err := projection.NewView(first, second)
		if err != nil {
			return err
		}
		return whileRunning(ctx, second, func(ctx context.Context) error {
			if err := second.WaitFor(ctx, p.Stream("account", "2"), 2); err != nil {
				return err
			}
			cli("", exitWell, []string{"projections"}, `counts\x1b[2J  1        active  `, `counts\x1b[2J  2        beside  `)
			cli("y\n", exitWell, []string{"projections", "rebuild", "--drop", hostileName}, "delete the versions before it?", `active   counts\x1b[2J version=2`, `dropped  counts\x1b[2J version=1`)
			if out := cli("", exitWell, []string{"projections"}, `counts\x1b[2J  2        active  `); strings.Contains(out, "beside") {
				t.Errorf("the old version is still there:\n%s", out)
			}
			cli("", exitWell, []string{"projections", "rebuild", "--version", "2", "-o", "json", hostileName}, `{"name":"counts\u001b[2J","version":2,"result":"active"}`)
			if n, _, err := view.Get(ctx, "bad one"); n != 2 || err != nil {
				t.Errorf("the view reads %d, %v", n, err)
			}
			return nil
		})
	}, countedType)
}

func TestARebuildThatIsStoppedChangesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.db")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for version := range 2 {
			if _, err := p.Append(ctx, p.Stream("account", "1"), eventstore.ExpectAny(), counted{}); err != nil {
				return err
			}
			if _, err := upTo(ctx, f, version+1); err != nil {
				return err
			}
			c, err := counts(f, 2-version, false)
			if err != nil {
				return err
			}
			if err := whileRunning(ctx, c, func(ctx context.Context) error {
				return c.WaitFor(ctx, p.Stream("account", "1"), int64(version+1))
			}); err != nil {
				return err
			}
		}
		// Version 2 is behind, and no instance runs it.
		stopping, cancel := context.WithCancel(ctx)
		cancel()
		var out, errs bytes.Buffer
		code := run(stopping, []string{"projections", "rebuild", hostileName, "--store", "sqlite:" + file}, nil, &out, &errs)
		if code != exitNot || out.Len() > 0 {
			t.Errorf("exit code %d: %s%s", code, &out, &errs)
		}
		return nil
	}, countedType)
	_, out, _ := runs(t, "", "projections", "--store", "sqlite:"+file)
	wants(t, 0, 0, out, "1        active", "2        beside")
}

func TestWrongArgumentsOfProjectionsSaySo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says string
		args []string
	}{
		{`unknown command "parkt"; did you mean parked?`, []string{"projections", "parkt"}},
		{"name a projection", []string{"projections", "parked"}},
		{"--version must be positive", []string{"projections", "parked", "x", "--version", "0"}},
		{"retry or skip, or nothing", []string{"projections", "parked", "x", "drop"}},
		{"no streams given", []string{"projections", "parked", "x", "retry"}},
		{"skip does not go with --all", []string{"projections", "parked", "x", "skip", "--all"}},
		{"not both", []string{"projections", "parked", "x", "retry", "--all", "account:1"}},
		{"--all goes with retry", []string{"projections", "parked", "x", "--all"}},
		{"name one projection", []string{"projections", "rebuild"}},
		{"--documents: not a store", []string{"projections", "--store", "sqlite:" + t.TempDir(), "--documents", "x"}},
	} {
		code, out, errs := runs(t, "", c.args...)
		if wants(t, code, exitUsage, errs, c.says); out != "" {
			t.Errorf("%q: it prints %s", c.args, out)
		}
	}
}
