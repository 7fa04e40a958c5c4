package bench

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// feedName is the name of all feeds.
const feedName = "all"

// part returns a lab on an empty part of the store, with a feed or without. A store has one feed
// only, and cases must not see each other's.
func (l *lab) part(withFeed bool) *lab {
	l.t.Helper()
	return l.partAt(newName()[:8]+".", withFeed)
}

// partAt returns a lab on the part of the store whose keys begin with a prefix.
func (l *lab) partAt(prefix string, withFeed bool) *lab {
	l.t.Helper()
	s := *l.store
	s.realm, s.feed = newRealm(l.state, prefix), withFeed
	s.state = s.realm
	if s.locker != nil {
		s.locker = realmLocker{l.locker, prefix}
	}
	p := newLab(l.t, &s, l.sizes)
	l.t.Cleanup(func() { p.check(p.events.Close(context.WithoutCancel(p.t.Context()))) })
	return p
}

// openFeed returns the feed of the lab's provider.
func (l *lab) openFeed() *feed.Feed {
	l.t.Helper()
	return must(feed.Open(l.events))(l.t)
}

// indexing runs an indexer. Call stop to end it, and to wait until it has ended.
func indexing(ctx context.Context, f *feed.Feed) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.Index(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

const (
	lookEvery  = 20 * time.Millisecond
	quietLooks = 15 // after so many looks without anything new an indexer has done its work
)

// index runs an indexer until the feed has so many entries, and the indexer finds no more.
func index(ctx context.Context, f *feed.Feed, entries int) error {
	stop := indexing(ctx, f)
	var last feed.Position
	var err error
	for quiet := 0; err == nil && (quiet < quietLooks || int(last) < entries); quiet++ {
		time.Sleep(lookEvery)
		var end feed.Position
		if end, err = f.End(ctx); end != last {
			last, quiet = end, 0
		}
	}
	return errors.Join(err, stop())
}

// togetherInRun is how many appends one run of an append with a feed makes. What the event store
// does after an append, for itself, then falls into the time of the next ones.
const togetherInRun = 32

// settled is how long what goes on after the last append of a run may take. It is not timed, and no
// other side pays for it.
const settled = 25 * time.Millisecond

// repeated returns the side that runs another one n times. Its time is the total time divided by n.
func (l *lab) repeated(s side, n int) side {
	run := s.run
	s.run = func(ctx context.Context) (time.Duration, int, error) {
		var total time.Duration
		events := 0
		for range n {
			took, did, err := run(ctx)
			if err != nil {
				return 0, 0, err
			}
			total += took
			events += did
		}
		if l.feed && !l.state.Capabilities().Atomic {
			time.Sleep(settled)
		}
		return total / time.Duration(n), events, nil
	}
	return s
}

// withAndWithout compares a side of the event store with a feed and without.
func withAndWithout(of func(*lab) side) func(*lab) []side {
	return func(l *lab) []side {
		var sides []side
		for _, name := range []string{"ours", "floor"} {
			p := l.part(name == "ours")
			s := p.repeated(of(p), togetherInRun)
			s.name = name
			sides = append(sides, s)
			l.sent = append(l.sent, p.realm.traffic)
		}
		return sides
	}
}

var (
	feedAppend1    = withAndWithout(func(l *lab) side { return append1(l)[0] })
	feedAppendLoop = withAndWithout(func(l *lab) side { return appendLoop(l)[0] })
	feedCommand    = withAndWithout(func(l *lab) side { return command(l)[0] })
)

// whileIndexed is how many appends one run of feedindexed makes.
const whileIndexed = 100

func feedIndexed(l *lab) []side {
	ours, floor := l.part(true), l.part(false)
	f := ours.openFeed()
	s := ours.repeated(appendLoop(ours)[0], whileIndexed)
	run := s.run
	s.run = func(ctx context.Context) (time.Duration, int, error) {
		if err := ours.appendOne(ctx); err != nil {
			return 0, 0, err
		}
		ours.realm.isNew()
		stop := indexing(ctx, f)
		if err := ours.realm.hasGrown(ctx); err != nil {
			return 0, 0, err
		}
		took, n, err := run(ctx)
		return took, n, errors.Join(err, stop())
	}
	without := floor.repeated(appendLoop(floor)[0], whileIndexed)
	without.name = "floor"
	return []side{s, without}
}

// appendOne appends an event to a stream of its own.
func (l *lab) appendOne(ctx context.Context) error {
	_, err := l.events.Append(ctx, l.events.Stream(aggregate, "one"), eventstore.ExpectAny(), event())
	return err
}

const patience = time.Minute

// isNew forgets that the log has grown.
func (r *realm) isNew() {
	select {
	case <-r.grown:
	default:
	}
}

// hasGrown waits until the log has got another batch.
func (r *realm) hasGrown(ctx context.Context) error {
	select {
	case <-r.grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return errors.New("the log of the feed did not grow")
	}
}

// Streams whose feed is read have two commits of perCommit events.
const (
	perCommit = 5
	perStream = 2 * perCommit
)

// eachAtOnce calls do for 0 to n-1, 16 at a time.
func eachAtOnce(n int, do func(i int) error) error {
	const atOnce = 16
	errs := make([]error, atOnce)
	var running sync.WaitGroup
	for w := range atOnce {
		running.Go(func() {
			for i := w; i < n && errs[w] == nil; i += atOnce {
				errs[w] = do(i)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// followed makes a feed of l.many events.
func (l *lab) followed() (*lab, *feed.Feed) {
	l.t.Helper()
	p := l.part(true)
	ctx := l.t.Context()
	streams := l.many / perStream
	l.check(eachAtOnce(streams, func(int) error {
		s, err := p.events.Open(ctx, p.events.Stream(aggregate, newName()))
		if err != nil {
			return err
		}
		for range perStream / perCommit {
			if _, err := s.Append(ctx, eventstore.ExpectAny(), events(perCommit)...); err != nil {
				return err
			}
		}
		return s.Close()
	}))
	f := p.openFeed()
	l.check(index(ctx, f, streams*perStream/perCommit))
	return p, f
}

// drainFeed reads items, counts them, and checks that each has a decoded event.
func drainFeed(all iter.Seq2[feed.Item, error]) (n int, err error) {
	for item, err := range all {
		if err = errors.Join(err, item.Err); err != nil {
			return n, err
		}
		if _, ok := item.Event.Data.(deposited); !ok {
			return n, fmt.Errorf("%s is a %T", item.ID(), item.Event.Data)
		}
		n++
	}
	return n, nil
}

// catchingUp returns the side that reads a feed from its beginning to its end.
func (l *lab) catchingUp(f *feed.Feed) side {
	return side{"ours", func(ctx context.Context) (time.Duration, int, error) {
		var n int
		took, err := timed(ctx, func() (err error) {
			n, err = drainFeed(f.Read(ctx))
			return err
		})
		return took, n, err
	}, nil}
}

func catchUp(l *lab) []side {
	p, f := l.followed()
	ours := p.catchingUp(f)
	reads := must(p.realm.record(func() error { _, _, err := ours.run(l.t.Context()); return err }))(l.t)
	isEvent := func(key string) bool { return !strings.Contains(key, "{:feed:") }
	l.sent = []func() traffic{p.realm.traffic}
	return []side{ours, {"floor", l.sameReads(reads, isEvent), nil}}
}

// sameReads returns a function that sends recorded bulk reads again, of the keys that wants
// chooses.
func (l *lab) sameReads(reads [][]string, wants func(key string) bool) func(context.Context) (time.Duration, int, error) {
	l.t.Helper()
	var chunks [][]string
	for _, keys := range reads {
		if chunk := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return !wants(key) }); len(chunk) > 0 {
			chunks = append(chunks, chunk)
			if l.apart {
				l.check(l.copyKeys(chunk))
			}
		}
	}
	return l.bulkReads(keys{partition: ":feed:" + feedName}, chunks)
}

// copyKeys copies records from the event store's store to the floor's.
func (l *lab) copyKeys(keys []string) error {
	const partition = "copied"
	ctx := l.t.Context()
	items, err := l.state.GetMany(ctx, partition, keys)
	if err != nil {
		return err
	}
	var writes []driver.Write
	for _, item := range items {
		if item.Found() {
			writes = append(writes, driver.Write{Key: item.Key, Value: item.Value})
		}
	}
	if len(writes) == 0 {
		return nil
	}
	return l.raw.transaction(partition, nil, writes)(ctx, "")
}

// A feed is made by so many providers, because an indexer takes over at most 64 entries of each
// journal at once.
const makers = 16

func isFeeds(key string) bool { return strings.HasPrefix(key, "{:feed") }
func isHead(key string) bool {
	return strings.HasSuffix(key, "}:head") && !isFeeds(key)
}

// makeFeed makes a feed of commits of one event, which go to n streams in turn. It makes it on a
// scratch store that keeps no events, and returns that.
func (l *lab) makeFeed(ctx context.Context, caps driver.Capabilities, commits, n int) (*scratch, error) {
	made := newScratch(caps, func(key string) bool { return isFeeds(key) || isHead(key) || strings.HasPrefix(key, "{:journal:") })
	s := *l.store
	s.locker, s.feed = nil, true
	providers := make([]*eventstore.Provider, makers)
	for i := range providers {
		var err error
		if providers[i], err = s.provider(made); err != nil {
			return nil, err
		}
	}
	note := eventstore.Raw{Type: "noted", ContentType: "application/json", Payload: []byte(`{"Amount":5}`)}
	err := eachAtOnce(min(n, commits), func(i int) error {
		p := providers[i%makers]
		session, err := p.Open(ctx, p.Stream(aggregate, fmt.Sprintf("%036d", i)), eventstore.Shared())
		for c := i; c < commits && err == nil; c += n {
			_, err = session.Append(ctx, eventstore.ExpectAny(), note)
		}
		return err
	})
	for _, p := range providers {
		err = errors.Join(err, p.Close(ctx))
	}
	if err != nil {
		return nil, err
	}
	f, err := feed.Open(providers[0])
	if err != nil {
		return nil, err
	}
	return made, index(ctx, f, commits)
}

// copyRecords writes records to the lab's store.
func (l *lab) copyRecords(all []driver.Write) error {
	const atOnce = 500
	parts := slices.Collect(slices.Chunk(all, atOnce))
	return eachAtOnce(len(parts), func(i int) error {
		return l.state.Write(l.t.Context(), ":feed:"+feedName, parts[i])
	})
}

// catalogued returns the part of the store with a catalogue of l.listed streams. All comparisons on
// one store share it.
func (l *lab) catalogued() *lab {
	l.t.Helper()
	if l.store.listed == "" {
		prefix := newName()[:8] + "."
		made := must(l.makeFeed(l.t.Context(), l.state.Capabilities(), l.sizes.listed, l.sizes.listed))(l.t)
		l.check(l.partAt(prefix, false).copyRecords(made.records(func(key string) bool {
			return strings.HasPrefix(key, "{:feed:"+feedName+"}:names:") || isHead(key)
		})))
		l.store.listed = prefix
	}
	return l.partAt(l.store.listed, true)
}

var (
	list        = listing(func(z sizes) int { return z.listed })
	listDetails = listing(func(z sizes) int { return z.detailed }, feed.WithDetails())
)

// listing compares listing the last n of many streams with raw bulk reads of the same keys.
func listing(n func(sizes) int, options ...feed.ReadOption) func(*lab) []side {
	return func(l *lab) []side {
		p, want := l.catalogued(), n(l.sizes)
		details := len(options) > 0
		f := p.openFeed()
		if left := l.sizes.listed - want; left > 0 {
			var all []feed.Position
			l.check(eachStream(f.Streams(l.t.Context()), func(s feed.StreamInfo) error {
				all = append(all, s.Position)
				return nil
			}))
			options = append(slices.Clone(options), feed.After(all[left-1]))
		}
		ours := side{"ours", func(ctx context.Context) (time.Duration, int, error) {
			n := 0
			took, err := timed(ctx, func() error {
				return eachStream(f.Streams(ctx, options...), func(s feed.StreamInfo) error {
					if details && s.Version != 1 {
						return fmt.Errorf("%s is at version %d, want 1", s.Stream, s.Version)
					}
					n++
					return nil
				})
			})
			return took, n, err
		}, nil}
		reads := must(p.realm.record(func() error {
			_, n, err := ours.run(l.t.Context())
			if err == nil && n != want {
				err = fmt.Errorf("listed %d streams, want %d", n, want)
			}
			return err
		}))(l.t)
		l.sent = []func() traffic{p.realm.traffic}
		floor := l.sameReads(reads, func(string) bool { return true })
		return []side{ours, {"floor", func(ctx context.Context) (time.Duration, int, error) {
			took, _, err := floor(ctx)
			return took, want, err
		}, nil}}
	}
}

// eachStream calls do for each stream of a list.
func eachStream(list iter.Seq2[feed.StreamInfo, error], do func(feed.StreamInfo) error) error {
	for s, err := range list {
		if err = errors.Join(err, s.Err); err == nil {
			err = do(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// follows selects the stores on which delays and large feeds are measured.
func follows(s *store) bool {
	return slices.Contains([]string{"sidecar/redis", "sidecar/postgresql", "embedded/sqlite"}, s.name)
}

// ages selects the stores on which feeds of different ages are compared.
func ages(s *store) bool {
	return slices.Contains([]string{"sidecar/redis", "embedded/sqlite"}, s.name)
}

// agedFeeds are the prefixes of the parts of a store that have an old feed and a young one.
type agedFeeds struct{ old, young string }

// agedStreams is how many streams feeds of any age have, which is a page of names. The search for
// the last page of names takes longer the more streams there are, whatever the age.
const agedStreams = 500

// agedFeeds returns the parts of the store with an old feed and a young one. All comparisons on one
// store share them.
func (l *lab) agedFeeds() (old, young *lab) {
	l.t.Helper()
	if l.store.aged == nil {
		aged := agedFeeds{newName()[:8] + ".", newName()[:8] + "."}
		for prefix, entries := range map[string]int{aged.old: l.entries, aged.young: l.fewer} {
			l.check(l.partAt(prefix, false).copyRecords(must(l.agedRecords(entries))(l.t)))
		}
		l.store.aged = &aged
		for _, prefix := range []string{aged.old, aged.young} {
			p := l.partAt(prefix, true)
			l.check(errors.Join(p.untilSnapshot(), p.fillPage()))
		}
	}
	return l.partAt(l.store.aged.old, true), l.partAt(l.store.aged.young, true)
}

// untilSnapshot lets an indexer take over one commit after the other until the log has a new
// snapshot. Whoever begins to index begins there, so feeds can be compared that are equally far
// from it.
func (l *lab) untilSnapshot() error {
	ctx := l.t.Context()
	stop := indexing(ctx, l.openFeed())
	var err error
	for before := l.realm.snapshots.Load(); err == nil && l.realm.snapshots.Load() == before; {
		l.realm.isNew()
		if err = l.appendOne(ctx); err == nil {
			err = l.realm.hasGrown(ctx)
		}
	}
	time.Sleep(settled)
	return errors.Join(err, stop())
}

// pageEntries is how many entries of the log a page has.
const pageEntries = 500

// fillPage makes a feed end with one commit after a page. Readers begin at pages.
func (l *lab) fillPage() error {
	ctx, f := l.t.Context(), l.openFeed()
	end, err := f.End(ctx)
	if err != nil {
		return err
	}
	missing := (pageEntries - int(end)%pageEntries) % pageEntries
	for range missing {
		if err := l.appendOne(ctx); err != nil {
			return err
		}
	}
	if err := index(ctx, f, int(end)+missing); err != nil {
		return err
	}
	if err := l.appendOne(ctx); err != nil {
		return err
	}
	return index(ctx, f, int(end)+missing+1)
}

// madeFeeds has the files with the records of feeds by their numbers of entries.
var madeFeeds = map[int]string{}

// agedRecords returns the records of a feed of so many entries. It makes them once.
func (l *lab) agedRecords(entries int) (records []driver.Write, err error) {
	if file, err := os.Open(madeFeeds[entries]); err == nil {
		defer file.Close()
		return records, gob.NewDecoder(file).Decode(&records)
	}
	all, err := l.makeFeed(l.t.Context(), driver.Capabilities{Atomic: true, UniqueETags: true, AnyPartition: true}, entries, agedStreams)
	if err != nil {
		return nil, err
	}
	records = all.records(func(key string) bool { return isFeeds(key) || isHead(key) })
	path := filepath.Join(l.t.TempDir(), fmt.Sprint(entries))
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	madeFeeds[entries] = path
	return records, gob.NewEncoder(file).Encode(records)
}

// aged compares what one does with an old feed and with a young one.
func aged(of func(*lab, *feed.Feed) func(context.Context) (time.Duration, int, error)) func(*lab) []side {
	return func(l *lab) []side {
		old, young := l.agedFeeds()
		for p, entries := range map[*lab]int{old: l.entries, young: l.fewer} {
			if end := must(p.openFeed().End(l.t.Context()))(l.t); int(end) < entries {
				l.t.Fatalf("the feed has %d entries, want %d", end, entries)
			}
		}
		l.sent = []func() traffic{old.realm.traffic, young.realm.traffic}
		return []side{{"ours", of(old, old.openFeed()), nil}, {"floor", of(young, young.openFeed()), nil}}
	}
}

var (
	// oldStart starts a reader at the end of a feed.
	oldStart = aged(func(l *lab, f *feed.Feed) func(context.Context) (time.Duration, int, error) {
		return func(ctx context.Context) (time.Duration, int, error) {
			return reachEnd(ctx, f.Read(ctx, feed.FromNow(), feed.Live(), feed.WithProgress()))
		}
	})

	// oldResume starts a reader at its position, which is the end of the feed.
	oldResume = aged(func(l *lab, f *feed.Feed) func(context.Context) (time.Duration, int, error) {
		end := must(f.End(l.t.Context()))(l.t)
		return func(ctx context.Context) (time.Duration, int, error) {
			return reachEnd(ctx, f.Read(ctx, feed.After(end), feed.Live(), feed.WithProgress()))
		}
	})

	// oldIndex starts an indexer, which takes over one commit.
	oldIndex = aged(func(l *lab, f *feed.Feed) func(context.Context) (time.Duration, int, error) {
		return func(ctx context.Context) (time.Duration, int, error) {
			if err := l.appendOne(ctx); err != nil {
				return 0, 0, err
			}
			if !l.state.Capabilities().Atomic {
				time.Sleep(settled)
			}
			l.realm.isNew()
			var stop func() error
			took, err := timed(ctx, func() error {
				stop = indexing(ctx, f)
				return l.realm.hasGrown(ctx)
			})
			time.Sleep(settled) // for what it does after the commit
			return took, 1, errors.Join(err, stop())
		}
	})

	oldAppend = aged(func(l *lab, _ *feed.Feed) func(context.Context) (time.Duration, int, error) {
		return l.repeated(appendLoop(l)[0], togetherInRun).run
	})
)

// reachEnd reads a feed to its end.
func reachEnd(ctx context.Context, all iter.Seq2[feed.Item, error]) (time.Duration, int, error) {
	took, err := timed(ctx, func() error {
		for item, err := range all {
			if err == nil && item.What != feed.Progress {
				err = fmt.Errorf("item %s is beyond the end", item.ID())
			}
			return err
		}
		return errors.New("the reader returned nothing")
	})
	return took, 1, err
}

// counting says for what the requests of a case are counted.
type counting int

const (
	notCounted counting = iota
	perAppend
	perRun
)

// countedRuns is how many runs are counted.
const countedRuns = 3

// counted runs a side and returns what it sends.
func (c counting) counted(ctx context.Context, s side, sent func() traffic) (*traffic, error) {
	before, events := sent(), 0
	for range countedRuns {
		_, n, err := s.run(ctx)
		if err != nil {
			return nil, err
		}
		events += n
	}
	each := sent().minus(before).over(countedRuns)
	if c == perAppend {
		each = sent().minus(before).over(float64(events))
	}
	return &each, nil
}
