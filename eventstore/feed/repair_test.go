package feed_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// damage changes one byte of a record.
func (l *lab) damage(key string) {
	l.Helper()
	value, _ := l.store.Value(key)
	if len(value) == 0 {
		l.Fatalf("there is no %s", key)
	}
	value = slices.Clone(value)
	value[len(value)-len(value)/5-1] ^= 1
	l.store.Set(key, value)
}

// keys returns the keys with a prefix, sorted by length and name, so that numbers are in order.
func (l *lab) keys(prefix string) (keys []string) {
	for key := range l.store.Values() {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return keys
}

// batches returns the keys of the log's own events.
func (l *lab) batches() []string {
	return slices.DeleteFunc(l.keys("{:feed:all}:"), func(key string) bool {
		return strings.Trim(strings.TrimPrefix(key, "{:feed:all}:"), "0123456789") != ""
	})
}

func (l *lab) verify(options ...feed.VerifyOption) feed.Verification {
	l.Helper()
	v, err := l.f.Verify(l.Context(), options...)
	if err != nil {
		l.Fatal("verifying: ", err)
	}
	return v
}

func (l *lab) repair(options ...feed.VerifyOption) feed.Verification {
	l.Helper()
	v, err := l.f.Repair(l.Context(), options...)
	if err != nil {
		l.Fatal("repairing: ", err)
	}
	for _, f := range v.Findings {
		if f.Kind == feed.RecordDamaged && f.Repaired == "" {
			l.Errorf("not repaired: %s", f)
		}
	}
	return v
}

// sound checks that nothing is wrong.
func (l *lab) sound() {
	l.Helper()
	v := l.verify(feed.WithStreams(stored(l.store)))
	if !v.Sound() || v.Behind > 0 {
		l.Errorf("%d streams are behind; %d findings:", v.Behind, v.Unrepaired)
		for _, f := range v.Findings {
			l.Error(f)
		}
	}
}

// stored returns the streams that a store holds.
func stored(store *memstate.Store) func(yield func(eventstore.Stream, error) bool) {
	return func(yield func(eventstore.Stream, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(store.Values())) {
			name, ok := strings.CutSuffix(strings.TrimPrefix(key, "{"), "}:head")
			if s, err := eventstore.ParseStream(name); ok && err == nil && s.Database != "" && !yield(s, nil) {
				return
			}
		}
	}
}

// follower has read a part of the feed.
type follower struct {
	position feed.Position
	version  map[string]int64
	ended    map[string]bool
	gaps     map[string]string // by stream
}

func newFollower() *follower {
	return &follower{version: map[string]int64{}, ended: map[string]bool{}, gaps: map[string]string{}}
}

// readOn reads on, at most so many items. No version may be left out.
func (l *lab) readOn(f *follower, items int) {
	l.Helper()
	for item, err := range l.f.Read(l.Context(), feed.AsRaw(), feed.After(f.position)) {
		if err != nil {
			l.Fatal("reading: ", err)
		}
		if items--; items < 0 {
			return
		}
		id := item.Stream.ID
		f.position = item.Position
		switch {
		case item.What == feed.Closed || item.What == feed.Deleted:
			f.ended[id] = true
		case item.Err != nil || item.What != feed.Appended:
			l.Errorf("%s/%d: %s %v", id, item.Version, item.What, item.Err)
		case item.Version > f.version[id]+1:
			f.gaps[id] = fmt.Sprintf("%s/%d came after %d", id, item.Version, f.version[id])
			fallthrough
		default:
			f.version[id] = max(f.version[id], item.Version)
		}
	}
}

// goBack follows the advice of a repair.
func (f *follower) goBack(v feed.Verification) {
	for _, m := range v.Moved {
		if f.position >= m.From && f.position < m.To {
			f.position = m.From - 1
		}
	}
}

// has checks that a follower has all that streams have.
func (l *lab) has(f *follower) {
	l.Helper()
	n := 0
	for s := range stored(l.store) {
		n++
		version, err := l.p.Reader(s).Version(l.Context())
		if errors.As(err, new(*eventstore.StreamDeletedError)) {
			if !f.ended[s.ID] {
				l.Errorf("the feed does not tell that %s was deleted", s.ID)
			}
			continue // its events are gone, so what was lost of them cannot be derived
		}
		if err != nil {
			l.Fatal(err)
		}
		if gap := f.gaps[s.ID]; gap != "" {
			l.Error(gap)
		}
		if closed, err := l.p.Reader(s).Closed(l.Context()); err != nil || closed != f.ended[s.ID] {
			l.Errorf("that %s was closed is %t, and the feed tells %t (%v)", s.ID, closed, f.ended[s.ID], err)
		}
		if f.version[s.ID] != version {
			l.Errorf("stream %s is at version %d, and in the feed at %d", s.ID, version, f.version[s.ID])
		}
	}
	if n == 0 {
		l.Error("there are no streams")
	}
}

// followed checks that the feed has all, from the beginning.
func (l *lab) followed() {
	l.Helper()
	f := newFollower()
	l.readOn(f, 1<<30)
	l.has(f)
}

// live appends, closes and deletes with and without the feed.
func (l *lab) live(random *rand.Rand, old *eventstore.Provider, n int) {
	l.Helper()
	for range n {
		s := l.p.Stream("account", fmt.Sprint(random.IntN(40)))
		do := random.IntN(200)
		p, events := l.p, []any{deposited{1}, deposited{2}}
		if do > 175 {
			p, events = old, events[:1]
		}
		_, err := p.Append(l.Context(), s, eventstore.ExpectAny(), events...)
		if errors.As(err, new(*eventstore.StreamClosedError)) || errors.As(err, new(*eventstore.StreamDeletedError)) {
			continue
		}
		if err == nil && do < 2 {
			l.end(l.p, s.ID, func(s *eventstore.Session) error {
				if do == 0 {
					return s.CloseStream(l.Context(), eventstore.ExpectAny())
				}
				return s.DeleteStream(l.Context(), eventstore.ExpectAny())
			})
		}
		if err != nil {
			l.Fatal(err)
		}
		if random.IntN(3) == 0 {
			pass(time.Duration(random.IntN(200)) * time.Millisecond)
		}
	}
}

func TestNothingIsWrongWithASoundFeed(t *testing.T) {
	inLab(t, func(l *lab) {
		l.live(rand.New(rand.NewPCG(1, 1)), l.before(), 300)
		pass(time.Minute)
		l.sound()
		before := len(l.store.Values())
		if v := l.repair(); len(v.Findings) > 0 || v.Entries == 0 || v.Streams == 0 || v.End == 0 {
			l.Errorf("%+v", v)
		}
		l.sound()
		if after := len(l.store.Values()); after != before && !l.store.Caps.Atomic && after > before+1 {
			l.Errorf("there were %d keys, and there are %d", before, after)
		}
		l.followed()
	})
}

// smallPages makes the catalogue have many pages.
func smallPages(t *testing.T) {
	size := journal.PageNames
	journal.PageNames = 7
	t.Cleanup(func() { journal.PageNames = size })
}

// A case of damage damages a key, and says how it is found out.
func TestDamageIsNamedAndRepaired(t *testing.T) {
	smallPages(t)
	for name, c := range map[string]struct {
		key    func(l *lab, standing []string) string // to be damaged
		gone   bool                                   // instead of damaged
		stops  string                                 // what ends with an error: "index", "read", "streams" or nothing
		before bool                                   // it is damaged before the log has the last appends
	}{
		"the root":              {func(*lab, []string) string { return "{:feed}:journals" }, false, "index", false},
		"the log's head":        {func(*lab, []string) string { return "{:feed:all}:head" }, false, "index", false},
		"the log's lost head":   {func(*lab, []string) string { return "{:feed:all}:head" }, true, "", false},
		"the first batch":       {func(l *lab, _ []string) string { return l.batches()[0] }, false, "", false},
		"a batch on a page":     {func(l *lab, _ []string) string { return l.batches()[50] }, false, "", false},
		"a lost batch":          {func(l *lab, _ []string) string { return l.batches()[50] }, true, "", false},
		"a batch on no page":    {func(l *lab, _ []string) string { b := l.batches(); return b[len(b)-10] }, false, "", false},
		"the last batch":        {func(l *lab, _ []string) string { b := l.batches(); return b[len(b)-1] }, false, "", false},
		"a snapshot of the log": {func(l *lab, _ []string) string { s := l.keys("{:feed:all}:snapshot:"); return s[len(s)-1] }, false, "", false},
		"the list of snapshots": {func(*lab, []string) string { return "{:feed:all}:snapshots" }, false, "", false},
		"a page of the log":     {func(*lab, []string) string { return "{:feed:all}:page:0" }, false, "read", false},
		"a lost page":           {func(*lab, []string) string { return "{:feed:all}:page:0" }, true, "", false},
		"a page of names":       {func(*lab, []string) string { return "{:feed:all}:names:0" }, false, "streams", false},
		"a lost page of names":  {func(*lab, []string) string { return "{:feed:all}:names:0" }, true, "", false},
		"a mark":                {func(*lab, []string) string { return "{:feed:all}:name:EventStores:account:1" }, false, "", false},
		"a lost mark":           {func(*lab, []string) string { return "{:feed:all}:name:EventStores:account:1" }, true, "", false},
		"an entry of a journal": {func(_ *lab, standing []string) string { return standing[0] }, false, "index", true},
		"the last entry":        {func(_ *lab, standing []string) string { return standing[len(standing)-1] }, false, "index", true},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				random := rand.New(rand.NewPCG(7, 7))
				old := l.before()
				rounds := 8
				switch name {
				case "a batch on no page":
					rounds = 3
				case "a page of the log", "a lost page", "a batch on a page", "a lost batch":
					rounds = 24
				}
				for range rounds {
					l.live(random, old, 60)
				}
				pass(10 * time.Second)
				follower := newFollower()
				l.readOn(follower, 700)
				l.stop()
				stood := l.keys("{:journal:") // entries that the log has had
				if c.before {
					l.write(l.p, "new", 3)
					l.write(l.p, "1 more", 2)
					l.settle()
				}
				key := c.key(l, slices.DeleteFunc(l.keys("{:journal:"), func(key string) bool { return slices.Contains(stood, key) }))
				if c.gone {
					l.store.Set(key, nil)
				} else {
					l.damage(key)
				}
				l.stopped(c.stops, key)
				v := l.verify()
				named := slices.ContainsFunc(v.Findings, func(f feed.Finding) bool { return f.Kind == feed.RecordDamaged && f.Key == key })
				carried := !l.store.Caps.Atomic && name == "the last batch"
				lost := name == "the log's lost head"
				if !named && !carried && !lost {
					l.Errorf("verifying does not name %s but %v", key, v.Findings)
				}
				v = l.repair()
				if named = slices.ContainsFunc(v.Findings, func(f feed.Finding) bool { return f.Key == key && f.Repaired != "" }); !named && !carried {
					l.Errorf("it was not repaired: %v", v.Findings)
				}
				if name == "a batch on no page" && len(v.Moved) == 0 {
					l.Error("it was not derived")
				}
				l.index()
				pass(time.Minute)
				l.sound()
				l.followed()
				follower.goBack(v)
				l.write(l.p, "after", 2)
				l.settle()
				l.readOn(follower, 1<<30)
				l.has(follower)
				if n := len(l.streams()); n < 12 {
					l.Errorf("%d streams are listed", n)
				}
			})
		})
	}
}

// stopped checks that something ends with an error that names a key.
func (l *lab) stopped(what, key string) {
	l.Helper()
	var err error
	switch what {
	case "index":
		ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
		defer cancel()
		err = l.f.Index(ctx)
	case "read":
		_, err = l.tryRead(feed.AsRaw())
	case "streams":
		for _, err = range l.f.Streams(l.Context()) {
		}
	default:
		return
	}
	var damaged *eventstore.DamagedError
	if !errors.As(err, &damaged) || damaged.Key != key {
		l.Errorf("to %s ended with %v, not with damage of %s", what, err, key)
	}
}

var repairs = flag.Int("repairs", 6, "random histories with damage that TestRandomDamageIsRepaired repairs, for each kind of store")

func TestRandomDamageIsRepaired(t *testing.T) {
	smallPages(t)
	for kind, store := range memstate.Kinds {
		t.Run(kind, func(t *testing.T) {
			for seed := range *repairs {
				t.Run(fmt.Sprint(seed), func(t *testing.T) { inLabOn(t, store(), func(l *lab) { l.randomDamage(uint64(seed)) }) })
			}
		})
	}
}

func (l *lab) randomDamage(seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	old := l.before()
	for range 1 + random.IntN(12) {
		l.live(random, old, 30+random.IntN(60))
		if random.IntN(5) == 0 {
			if err := l.p.Close(l.Context()); err != nil { // another journal
				l.Fatal(err)
			}
		}
	}
	pass(time.Duration(random.IntN(3)) * time.Second)
	follower := newFollower()
	l.readOn(follower, random.IntN(1500))
	l.stop()
	l.live(random, old, random.IntN(40))
	l.settle()
	all := l.keys("{:feed")
	for _, key := range l.keys("{:journal:") {
		all = append(all, key, key) // more often
	}
	var keys []string
	head, batches := "{:feed:all}:head", l.batches()
	for range 1 + random.IntN(3) {
		key := all[random.IntN(len(all))]
		// The head is rebuilt from the batches.
		together := key == head && slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(batches, k) }) ||
			slices.Contains(keys, head) && slices.Contains(batches, key)
		if strings.HasSuffix(key, "}:lease") || slices.Contains(keys, key) || together {
			continue
		}
		keys = append(keys, key)
		l.damage(key)
	}
	v := l.repair(feed.WithStreams(stored(l.store)))
	if slices.Contains(keys, journal.RootKey) { // it may have named a journal that nothing else tells of
		l.write(l.p, "after", 1)
		again := l.repair(feed.WithStreams(stored(l.store)))
		v.Findings, v.Moved = append(v.Findings, again.Findings...), append(v.Moved, again.Moved...)
	}
	l.index()
	pass(time.Minute)
	l.sound()
	l.followed()
	follower.goBack(v)
	l.live(random, old, 20)
	l.imports(stored(l.store)) // new streams without the feed
	pass(time.Minute)
	l.readOn(follower, 1<<30)
	l.has(follower)
	if l.Failed() {
		l.Logf("damaged: %q", keys)
		for _, f := range v.Findings {
			l.Log("repair: ", f)
		}
	}
}

// TestARepairThatDoesNotKnowAJournal damages the root where it names a journal that the log does
// not know, and an entry in it.
func TestARepairThatDoesNotKnowAJournal(t *testing.T) {
	inLab(t, func(l *lab) {
		l.write(l.p, "a", 2)
		l.settle()
		l.stop()
		if err := l.p.Close(l.Context()); err != nil { // another journal
			l.Fatal(err)
		}
		stood := l.keys("{:journal:")
		l.write(l.p, "new", 2)
		l.settle()
		entries := slices.DeleteFunc(l.keys("{:journal:"), func(key string) bool { return slices.Contains(stood, key) })
		key := entries[len(entries)-2]
		l.damage(key)
		l.damage(journal.RootKey)
		repaired := func(key string) bool {
			v := l.repair(feed.WithStreams(stored(l.store)))
			return slices.ContainsFunc(v.Findings, func(f feed.Finding) bool { return f.Key == key && f.Repaired != "" })
		}
		if !repaired(journal.RootKey) {
			l.Error("the root was not repaired")
		}
		l.write(l.p, "new", 1) // so the root names the journal again
		l.stopped("index", key)
		if !repaired(key) {
			l.Error("the entry was not repaired")
		}
		l.index()
		pass(time.Minute)
		l.sound()
		l.followed()
	})
}

func TestAnEntryThatNothingTellsOfComesWithTheNextAppend(t *testing.T) {
	for _, names := range []bool{true, false} {
		t.Run(fmt.Sprint(names), func(t *testing.T) {
			inLabOn(t, memstate.Transactional(), func(l *lab) {
				l.write(l.p, "a", 2)
				l.settle()
				l.stop()
				stood := l.keys("{:journal:")
				l.write(l.p, "new", 1)
				for _, key := range l.keys("{:journal:") {
					if !slices.Contains(stood, key) {
						l.store.Set(key, []byte("nonsense"))
					}
				}
				var options []feed.VerifyOption
				want := "removed, because nothing tells what it was"
				if names {
					options, want = append(options, feed.WithStreams(stored(l.store))), "derived from stream EventStores:account:new"
				}
				v := l.repair(options...)
				if len(v.Findings) == 0 || v.Findings[0].Repaired != want {
					l.Errorf("%v", v.Findings)
				}
				l.index()
				pass(time.Minute)
				if !names {
					l.expect("a/1, a/2")
					l.write(l.p, "new", 1)
					pass(time.Minute)
					l.expect("a/1, a/2, new/1, new/2")
					return
				}
				l.expect("a/1, a/2, new/1")
				l.sound()
			})
		})
	}
}

func TestVerifyTellsWhatTheStoreHasLost(t *testing.T) {
	inLab(t, func(l *lab) {
		old := l.before()
		l.write(l.p, "a", 12)
		l.write(l.p, "b", 12)
		head, _ := l.store.Value("{EventStores:account:a}:head")
		l.write(l.p, "a", 1)
		l.write(old, "unknown", 1)
		l.settle()
		l.stop()
		l.store.Set("{EventStores:account:a}:head", head) // the store has lost its last writes
		l.store.Set("{EventStores:account:a}:13", nil)
		l.damage("{EventStores:account:b}:3")
		var told []string
		v := l.verify(feed.WithStreams(stored(l.store)), feed.WithFindings(func(f feed.Finding) { told = append(told, f.Kind.String()+" "+f.Stream.ID) }))
		want := []string{"unreadable b", "lost a", "unlisted unknown"}
		slices.Sort(told)
		slices.Sort(want)
		if !slices.Equal(told, want) || v.Unrepaired != 3 || v.Sound() || v.Found[feed.EventLost] != 1 {
			l.Errorf("it tells %q, %+v", told, v)
		}
	})
}

func TestARepairWaitsForTheIndexerAndGivesUp(t *testing.T) {
	inLabOn(t, memstate.Redis(), func(l *lab) {
		l.write(l.p, "a", 1)
		l.settle()
		l.repair() // while the indexer works
		l.write(l.p, "a", 1)
		l.settle()
		l.followed()
		l.stop()
		ctx, cancel := context.WithCancel(l.Context())
		cancel()
		if _, err := l.f.Repair(ctx); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
		if _, err := l.f.Verify(ctx); !errors.Is(err, context.Canceled) {
			l.Error(err)
		}
		for _, option := range []feed.VerifyOption{nil, feed.WithFindings(nil), feed.WithStreams(nil), feed.WithChecked(nil)} {
			if _, err := l.f.Verify(l.Context(), option); !isA[*eventstore.ArgumentError](err) {
				l.Error(err)
			}
			if _, err := l.f.Repair(l.Context(), option); !isA[*eventstore.ArgumentError](err) {
				l.Error(err)
			}
		}
	})
}
