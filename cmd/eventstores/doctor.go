package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/internal/followers"
)

const doctorUsage = `Usage: eventstores doctor --store <store> [--components folder] [--sample N] [--deep] [--strict]

Checks what an operator would check, and prints a line for each thing, which begins with ok, warning or
failed. It changes no stream. It tries a Redis or a sidecar out with keys that no stream can have.

  store        it can be opened, and a Redis neither evicts keys nor forgets to persist
  components   the Dapr component files of a folder, as eventstores check does; needs --components
  feed         the store has one, and an indexer works
  followers    each projection and subscription: it runs, keeps up, and has parked nothing
  catalogue    how many streams there are
  streams      eventstores verify of a few streams, which are chosen at random: --sample says how many;
               it leaves out those that would make it read more than 100,000 events in all
  log          eventstores feed verify, which reads all events; needs --deep

` + aboutFeeds + `
` + aboutStores + `
` + aboutOutput + `
The exit code is 0 if nothing has failed and, with --strict, there is no warning. Otherwise it is 1. It
is 2 for wrong arguments.
`

// doctor is what the command doctor is asked to do, and what it has found.
type doctor struct {
	feedFlags
	format
	folders      []string
	sample       int
	patience     time.Duration
	deep, strict bool
	most         int64 // events of the sample

	c                *call
	m                *meter
	failed, warnings int
	checks           int
}

// maxSample is how many events the command verifies in all, unless all of the feed is asked for.
const maxSample = 100_000

func doctorCommand(c *call) *cobra.Command {
	what := doctor{c: c, most: maxSample}
	cmd := newCommand("doctor", "check all of a store on one page", doctorUsage, func(cmd *cobra.Command, _ []string) error {
		return what.run(cmd.Context())
	})
	flags := cmd.Flags()
	what.flags(flags)
	what.outputFlag(cmd)
	flags.StringArrayVar(&what.folders, "components", nil, "a `folder` with Dapr component files; can be repeated")
	flags.IntVar(&what.sample, "sample", 20, "the `number` of streams to verify")
	flags.DurationVar(&what.patience, "patience", 5*time.Second, "how `long` an indexer may take over nothing while something waits")
	flags.BoolVar(&what.deep, "deep", false, "verify the feed, which reads all events")
	flags.BoolVar(&what.strict, "strict", false, "exit with 1 for warnings, too")
	cmd.Args = noArguments
	return cmd
}

// diagnosis is the result of a check in JSON.
type diagnosis struct {
	Level string `json:"level"`
	Check string `json:"check"`
	About string `json:"about"`
}

// say prints the result of a check.
func (d *doctor) say(level, check, format string, args ...any) {
	d.checks++
	switch level {
	case "failed":
		d.failed++
	case "warning":
		d.warnings++
	}
	result := diagnosis{level, check, fmt.Sprintf(format, args...)}
	_ = d.m.around(func() error {
		if d.format == asJSON {
			result.About = d.c.hidden(result.About)
			return d.c.json(result)
		}
		fmt.Fprintf(d.c.stdout, "%-8s %-11s %s\n", result.Level, result.Check, result.About)
		return nil
	})
}

// fail prints that a check has failed, unless it was interrupted.
func (d *doctor) fail(ctx context.Context, check, format string, args ...any) {
	if ctx.Err() == nil {
		d.say("failed", check, format, args...)
	}
}

func (d *doctor) run(ctx context.Context) error {
	if d.sample < 0 || d.patience < 0 {
		return wrong(errors.New("--sample and --patience must not be negative"))
	}
	s, err := d.named(d.c, examining)
	if err != nil {
		return err
	}
	d.m = newMeter(d.c, 0)
	defer d.m.end()
	if err := d.components(); err != nil {
		return wrong(err)
	}
	d.store(ctx, s)
	d.m.end()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if d.format == asText {
		fmt.Fprintf(d.c.stdout, "%d checks: %d failed, %d warnings\n", d.checks, d.failed, d.warnings)
	}
	if d.failed > 0 || d.strict && d.warnings > 0 {
		return errSaid
	}
	return nil
}

// components checks component files.
func (d *doctor) components() error {
	var all []component
	for _, folder := range d.folders {
		some, err := readComponents(folder)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	if len(all) == 0 {
		return nil
	}
	sound := true
	for _, f := range check(all) {
		switch f.level {
		case refused:
			d.say("failed", "components", "%s:%d: %s", f.file, f.line, f.text)
		case warning:
			d.say("warning", "components", "%s:%d: %s", f.file, f.line, f.text)
		default:
			continue
		}
		sound = false
	}
	if sound {
		d.say("ok", "components", "%d component files", len(all))
	}
	return nil
}

// store checks a store and what is in it.
func (d *doctor) store(ctx context.Context, s store) {
	log := logger(d.m)
	o, err := s.openWith(ctx, log)
	if err != nil {
		d.fail(ctx, "store", "%v", err)
		return
	}
	defer o.close()
	d.settings(ctx, s)
	provider, err := o.provider(log)
	if err != nil {
		d.fail(ctx, "store", "%v", err)
		return
	}
	f, err := d.openOn(ctx, o, log)
	switch {
	case errors.Is(err, errNoFeed):
		d.say("warning", "feed", "the store has no feed, so that its streams can be neither listed nor followed")
	case err != nil:
		d.fail(ctx, "feed", "%v", err)
	default:
		defer closeProvider(ctx, f.Provider(), log)
		d.feed(ctx, f)
	}
	d.streams(ctx, o, provider, log)
	if f != nil && d.deep && ctx.Err() == nil {
		d.log(ctx, f)
	}
}

// settings checks the server of a store.
func (d *doctor) settings(ctx context.Context, s store) {
	if s.flaws == nil {
		d.say("ok", "store", "%s can be opened", s.name)
		return
	}
	flaws, err := s.flaws(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		d.say("warning", "store", "%s can be opened, but its settings cannot be read: %v", s.name, err)
	case len(flaws) == 0:
		d.say("ok", "store", "%s can be opened, evicts no keys, and persists", s.name)
	}
	for _, flaw := range flaws {
		d.say("warning", "store", "%s: %s", s.name, flaw)
	}
}

// feed checks the feed and who follows it.
func (d *doctor) feed(ctx context.Context, f *feed.Feed) {
	status, stands, err := d.indexing(ctx, f)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		d.fail(ctx, "feed", "%s: %v", f.Name(), err)
		return
	case stands:
		d.say("warning", "feed", "%s: %d entries wait, and none was taken over for %v: does an indexer work?", f.Name(), status.Waiting, d.patience)
	default:
		d.say("ok", "feed", "%s: end=%d journals=%d open=%d waiting=%d", f.Name(), status.End, status.Journals, status.Open, status.Waiting)
	}
	d.followers(ctx, f)
}

// indexing returns how a feed is, and whether it stands still although entries wait.
func (d *doctor) indexing(ctx context.Context, f *feed.Feed) (now feed.Status, stands bool, err error) {
	first, err := f.Status(ctx)
	now = first
	for began := time.Now(); err == nil && now.Waiting > 0 && now.End == first.End; now, err = f.Status(ctx) {
		if time.Since(began) >= d.patience {
			return now, true, nil
		}
		select {
		case <-ctx.Done():
			return now, false, ctx.Err()
		case <-time.After(d.patience / 10):
		}
	}
	return now, false, err
}

// followers checks projections and subscriptions.
func (d *doctor) followers(ctx context.Context, f *feed.Feed) {
	all, err := followers.All(ctx, f, nil)
	if err != nil {
		d.fail(ctx, "followers", "%v", err)
		return
	}
	for _, p := range all {
		name := p.Subscription()
		switch {
		case p.Parked > 0:
			d.say("warning", "followers", "%s: %d streams are parked; see eventstores projections parked", name, p.Parked)
		case p.Running < p.Partitions && p.Lag > 0:
			d.say("warning", "followers", "%s: %d positions behind, and only %d of %d partitions run", name, p.Lag, p.Running, p.Partitions)
		default:
			d.say("ok", "followers", "%s: position=%d lag=%d running=%d/%d", name, p.Position, p.Lag, p.Running, p.Partitions)
		}
	}
}

// streams counts the streams and verifies some of them.
func (d *doctor) streams(ctx context.Context, o opened, provider *eventstore.Provider, log *slog.Logger) {
	infos, done, err := d.catalogue(ctx, o, log, filter{})
	if err != nil {
		if !errors.Is(err, errNoFeed) { // which was said
			d.fail(ctx, "catalogue", "%v", err)
		}
		return
	}
	defer done()
	var chosen []eventstore.Stream
	n := 0
	for info, err := range infos {
		if err != nil {
			d.fail(ctx, "catalogue", "%v", err)
			return
		}
		// Each stream has the same chance to be among those that are chosen.
		if n++; len(chosen) < d.sample {
			chosen = append(chosen, info.Stream)
		} else if i := rand.N(n); i < d.sample {
			chosen[i] = info.Stream
		}
		d.m.reach(int64(n), 0, "streams listed")
	}
	if n == 0 {
		if advice := o.elsewhere(ctx, anyHead); advice != "" {
			d.fail(ctx, "catalogue", "no stream is found: %s", advice)
			return
		}
	}
	d.say("ok", "catalogue", "%d streams", n)
	sound, long := 0, 0
	left := d.most
	for _, stream := range chosen {
		reader := provider.Reader(stream)
		if version, err := reader.Version(ctx); err == nil && version > left {
			long++
			continue
		} else if err == nil { // otherwise Verify finds what is wrong
			left -= version
		}
		found, err := reader.Verify(ctx, nil)
		if ctx.Err() != nil {
			return
		}
		if o := verified(found, err); o.bad {
			d.fail(ctx, "streams", "%s: %s %s", stream, o.word, o.about)
			continue
		}
		sound++
		d.m.reach(int64(sound), int64(len(chosen)), "streams verified")
	}
	if ctx.Err() != nil {
		return
	}
	if sound > 0 || len(chosen) == 0 {
		d.say("ok", "streams", "%d of %d that were chosen at random are sound", sound, len(chosen))
	}
	if long > 0 {
		d.say("ok", "streams", "%d of %d were left out, because they have too many events; see eventstores verify", long, len(chosen))
	}
}

// log verifies the feed.
func (d *doctor) log(ctx context.Context, f *feed.Feed) {
	found, err := f.Verify(ctx, feed.WithChecked(func(checked, of int64) { d.m.reach(checked, of, "batches of the log") }))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		d.fail(ctx, "log", "%v", err)
	case !found.Sound():
		d.fail(ctx, "log", "%d findings; run eventstores feed verify", found.Unrepaired)
	default:
		d.say("ok", "log", "%d entries of %d streams", found.Entries, found.Streams)
	}
}
