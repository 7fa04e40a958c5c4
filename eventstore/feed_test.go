package eventstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// feeding returns a provider with a feed. At the end of the test it waits until nothing is to be
// written any more.
func (l *lab) feeding(options ...Option) *Provider {
	l.t.Helper()
	p := l.provider(append([]Option{WithFeed("all")}, options...)...)
	l.t.Cleanup(func() {
		l.heal()
		waitForFlusher(p)
	})
	return p
}

// session opens a session on the stream of the lab.
func (l *lab) session(p *Provider, options ...OpenOption) *Session {
	l.t.Helper()
	s, err := p.Open(l.t.Context(), labStream, options...)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// waitForFlusher waits, in fake time, until the provider's flusher has nothing to do or gave up,
// and until nothing is to be rung.
func waitForFlusher(p *Provider) {
	defer p.journals.ringer.wait(context.Background())
	for running := true; running; {
		p.journals.mu.Lock()
		running = p.journals.flusher.running
		p.journals.mu.Unlock()
		if running {
			pass(time.Second)
		}
	}
}

// flushed waits until the provider's entries stand.
func (l *lab) flushed(p *Provider) {
	l.t.Helper()
	pass(2 * flushDelay)
	p.journals.mu.Lock()
	defer p.journals.mu.Unlock()
	if n := p.journals.waiting(); n > 0 {
		l.t.Errorf("%d entries do not stand", n)
	}
}

// standing returns the entries that stand, by journal and number.
func (l *lab) standing() (entries []journal.Entry) {
	l.t.Helper()
	for key, data := range l.Values() {
		if strings.HasPrefix(key, "{:journal:") {
			entries = append(entries, entryAt(l.t, key, data))
		}
	}
	slices.SortFunc(entries, func(a, b journal.Entry) int {
		return cmp.Or(cmp.Compare(a.Journal, b.Journal), cmp.Compare(a.Number, b.Number))
	})
	return entries
}

// told returns what an entry tells: what, the versions, the number of the entry before, and types.
func told(e journal.Entry) string {
	s := fmt.Sprintf("%d: %s", e.Number, e.What)
	if e.What != journal.Named && e.What != journal.Ended {
		s += fmt.Sprintf(" %d-%d after %d", e.From, e.To, e.After.Number)
	}
	for _, t := range e.Types {
		s += " " + t
	}
	for _, n := range e.Void {
		s += fmt.Sprintf(" void %d", n)
	}
	return s
}

// journalled checks the entries that stand. A name counts only where it stands before a commit, and
// is left out elsewhere.
func (l *lab) journalled(want ...string) {
	l.t.Helper()
	var got []string
	for _, e := range l.standing() {
		got = append(got, told(e))
	}
	if !slices.Equal(got, want) {
		l.t.Errorf("the journals hold\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// toJournals selects the requests that write entries after their commits.
func toJournals(r *memstate.Request) bool {
	return r.Op == "write" && strings.HasPrefix(r.Partition, ":journal:")
}

func toRoot(r *memstate.Request) bool { return r.Op == "swap" && r.Partition == journal.RootPartition }

// named returns a list of entries of a stream's first journal. Where entries do not go with their
// commits, the name takes the second number, after that of the first commit.
func (l *lab) named(entries ...string) []string {
	if l.carriesEntries() {
		return entries
	}
	var moved []string
	for i, e := range entries {
		if i > 0 {
			number, rest, _ := strings.Cut(e, ":")
			e = next(number) + ":" + rest
			if before, after, ok := strings.Cut(rest, " after "); ok {
				number, types, _ := strings.Cut(after, " ")
				if number != "0" && number != "1" {
					number = next(number)
				}
				e = strings.TrimSuffix(fmt.Sprintf("%d:%s after %s %s", i+2, before, number, types), " ")
			}
		}
		moved = append(moved, e)
	}
	return slices.Insert(moved, 1, "2: named")
}

func next(number string) string {
	n, _ := strconv.Atoi(number)
	return strconv.Itoa(n + 1)
}

func TestAnEntryStandsForEachCommit(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p)
		l.add(s, "a")
		l.add(s, "b", "c")
		if _, err := s.Append(t.Context(), ExpectAny(), noted{"d"}, Raw{Type: "x", Payload: []byte("x")}, noted{"e"}, Raw{Type: "y", Payload: []byte("y")}); err != nil {
			t.Fatal(err)
		}
		if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		l.flushed(p)
		l.journalled(l.named("1: appended 1-1 after 0 noted", "2: appended 2-3 after 1 noted", "3: appended 4-7 after 2 noted x y", "4: closed 8-7 after 3")...)
		if ticket := l.head().ticket; ticket.Alone != journal.Closed {
			t.Errorf("the head has the ticket %s", ticket)
		}
		for _, e := range l.standing() {
			if e.What == journal.Appended && (e.Commit == "" || time.Since(e.Time) > time.Minute) {
				t.Errorf("the entry %s is of commit %q at %s", e.Slot, e.Commit, e.Time)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if last := l.standing(); last[len(last)-1].What != journal.Ended {
			t.Errorf("the journal ends with %s", told(last[len(last)-1]))
		}
	})
}

func TestTheRootNamesAJournalBeforeAnythingStandsInIt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.on(toRoot, -1, lost)
		p := l.feeding()
		s := l.session(p)
		_, err := tryAdd(s, "a")
		if want[*StorageError](t, err); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("the error does not say that nothing was changed: %v", err)
		}
		if l.journalled(); len(l.Values()) > 0 {
			t.Errorf("the store holds %q", slices.Collect(maps.Keys(l.Values())))
		}
		l.heal()
		l.on(toRoot, 1, unanswered)
		l.add(s, "a")
		root, _, err := p.journals.root(t.Context())
		if err != nil || len(root) != 1 || root[0].Wake != 0 {
			t.Errorf("the root is %v, %v", root, err)
		}
		l.flushed(p)
		l.journalled(l.named("1: appended 1-1 after 0 noted")...)
	})
}

func TestTwoProcessesRegisterAtOnce(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		const processes = 20
		arrived := sync.WaitGroup{}
		arrived.Add(processes)
		l.on(func(r *memstate.Request) bool { return r.Op == "get" && r.Partition == journal.RootPartition }, processes, func(_ *memstate.Request, next func() error) error {
			err := next()
			arrived.Done()
			arrived.Wait() // so that all know the same root
			return err
		})
		var all sync.WaitGroup
		var providers []*Provider
		for n := range processes {
			p := l.feeding()
			providers = append(providers, p)
			all.Go(func() {
				if _, err := p.journals.give(t.Context()); err != nil {
					t.Errorf("process %d: %v", n, err)
				}
			})
		}
		all.Wait()
		root, _, err := providers[0].journals.root(t.Context())
		if err != nil || len(root) != processes {
			t.Fatalf("the root names %d journals, %v", len(root), err)
		}
		for _, p := range providers {
			if !root.Names(p.journals.open[0].id) {
				t.Errorf("the root does not name %s", p.journals.open[0].id)
			}
		}
	})
}

func TestTheNameStandsBeforeTheFirstCommit(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		l.on(toJournals, -1, lost)
		s := l.session(p)
		l.Trace()
		_, err := tryAdd(s, "a")
		if want[*StorageError](t, err); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("the error does not say that nothing was changed: %v", err)
		}
		if trace := l.Trace(); slices.ContainsFunc(trace, func(r string) bool { return strings.HasPrefix(r, "swap head") }) {
			t.Errorf("requests were %q", trace)
		}
		l.heal()
		l.add(s, "a")
		waitForFlusher(p)
		l.journalled("1: appended 1-1 after 0 noted", "2: named", "3: named") // the first name is written later
	}, carefully...)
}

func TestANameThatTookLongIsFollowedByAFreshHead(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p)
		l.on(toJournals, 1, func(_ *memstate.Request, next func() error) error {
			pass(2 * etagTrust)
			return next()
		})
		l.Trace()
		l.add(s, "a")
		trace := l.Trace()
		named, swapped := slices.Index(trace, "write 2"), slices.Index(trace, "swap head")
		if read := slices.Index(trace, "get head"); read < named || read > swapped {
			t.Errorf("requests were %q", trace)
		}
	}, "with counted ETags")
}

// In the tests below a process crashes: nothing that it has not written yet is ever written.
func (l *lab) crash(p *Provider) {
	p.journals.mu.Lock()
	defer p.journals.mu.Unlock()
	for _, own := range p.journals.open {
		clear(own.unwritten)
	}
}

func derived(t *testing.T, p *Provider, covers func(journal.Slot) bool) []journal.Entry {
	t.Helper()
	in := p.Inside(permit.Permit{})
	heads, errs, err := in.Heads(t.Context(), "test", []string{labStream.String()})
	if err != nil || errs != nil {
		t.Fatal(err, errs)
	}
	entries, err := in.Derive(t.Context(), "test", labStream.String(), heads[0], covers)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func nothing(s journal.Slot) bool { return s.IsZero() }

func TestWhatDoesNotStandIsDerivedWithTheSameBytes(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p, Shared())
		l.add(s, "a")
		if _, err := s.Append(t.Context(), ExpectAny(), Raw{Type: "b", Payload: []byte("b")}, noted{"c"}, Raw{Type: "b", Payload: []byte("d")}); err != nil {
			t.Fatal(err)
		}
		l.add(l.session(l.provider()), "without a feed")
		l.add(s, "e", "f")
		for range 40 {
			l.add(s, "g")
		}
		if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		l.flushed(p)
		bySlot := map[journal.Slot]journal.Entry{}
		for _, e := range derived(t, p, nothing) {
			bySlot[e.Slot] = e
		}
		standing := 0
		for _, e := range l.standing() {
			if e.What == journal.Named {
				continue
			}
			standing++
			if got := bySlot[e.Slot]; !bytes.Equal(got.Encode("all"), e.Encode("all")) {
				t.Errorf("derived was\n%s\nthere stands\n%s", got.Encode("all"), e.Encode("all"))
			}
		}
		if standing != 44 || len(bySlot) != standing {
			t.Errorf("%d entries stand, %d were derived", standing, len(bySlot))
		}

		// Whatever part is covered, the rest is derived.
		all := derived(t, p, nothing)
		for n := range all {
			covered := func(s journal.Slot) bool {
				return s.IsZero() || slices.ContainsFunc(all[:n], func(e journal.Entry) bool { return e.Slot == s })
			}
			if got := derived(t, p, covered); len(got) != len(all)-n {
				t.Errorf("with %d covered, %d were derived", n, len(got))
			}
		}
	})
}

func TestAProcessCrashesBetweenItsCommitAndTheEntry(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p)
		l.add(s, "a")
		l.crash(p)
		l.add(s, "b")
		l.crash(p)
		l.flushed(p)
		l.journalled("2: named")
		other := l.feeding()
		l.add(l.session(other), "c")
		l.flushed(other)
		own := p.journals.open[0].id
		if got := l.head().ticket.After; got.Journal != own || got.Number != 3 {
			t.Errorf("the ticket says that %s came before", got)
		}
		entries := derived(t, other, nothing)
		var got []string
		for _, e := range entries {
			got = append(got, e.Journal[:3]+told(e))
		}
		if want := []string{own[:3] + "1: appended 1-1 after 0 noted", own[:3] + "3: appended 2-2 after 1 noted", own[:3] + "1: appended 3-3 after 3 noted"}; !slices.Equal(got, want) {
			t.Errorf("derived were %q, want %q", got, want)
		}
	}, carefully...)
}

func TestAProcessCrashesBetweenTheNameAndTheCommit(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		l.on(commits, -1, lost)
		_, err := tryAdd(l.session(p), "a")
		unknown := want[*OutcomeUnknownError](t, err)
		l.heal()
		l.journalled("2: named")
		heads, _, err := p.Inside(permit.Permit{}).Heads(t.Context(), "test", []string{labStream.String()})
		if err != nil || heads[0].Version != 0 {
			t.Errorf("the head is %+v, %v", heads[0], err)
		}
		// Another process that knows nothing of it begins the stream.
		other := l.feeding()
		l.add(l.session(other), "b")
		if _, err := l.session(p).Retry(t.Context(), unknown); !isA[*VersionMismatchError](err) {
			t.Errorf("retried: %v", err)
		}
	}, carefully...)
}

// numbers returns the number that was never given, and those that are free and undecided.
func numbers(p *Provider) string {
	p.journals.mu.Lock()
	defer p.journals.mu.Unlock()
	s := ""
	for _, own := range p.journals.open {
		s += fmt.Sprintf("next %d free %v undecided %v;", own.next, own.free, slices.Sorted(maps.Keys(own.undecided)))
	}
	return s
}

func TestANumberIsGivenAgainOnlyIfItsCommitNeverTakesEffect(t *testing.T) {
	for name, c := range map[string]struct {
		fault around
		times int
		free  bool
	}{
		"refused": {func(*memstate.Request, func() error) error { return driver.ErrRefused }, 1, true},
		"denied":  {func(*memstate.Request, func() error) error { return driver.ErrDenied }, -1, true},
		"lost":    {lost, -1, false},
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				p := l.feeding()
				s := l.session(p)
				l.add(s, "a")
				l.flushed(p)
				l.on(commits, c.times, c.fault)
				_, err := tryAdd(s, "b")
				l.heal()
				next := 3 // after a and b
				if !l.carriesEntries() {
					next++ // and the name
				}
				want := fmt.Sprintf("next %d free [] undecided [%d];", next, next-1)
				if c.free {
					want = fmt.Sprintf("next %d free [%d] undecided [];", next, next-1)
				}
				if got := numbers(p); err == nil || got != want {
					t.Errorf("after %v the numbers are %s, want %s", err, got, want)
				}
				var unknown *OutcomeUnknownError
				if c.free {
					l.add(s, "b")
				} else if errors.As(err, &unknown) {
					if _, err := l.session(p).Retry(t.Context(), unknown); err != nil { // in a later session
						t.Fatal(err)
					}
				}
				l.flushed(p)
				l.journalled(l.named("1: appended 1-1 after 0 noted", "2: appended 2-2 after 1 noted")...)
				l.holds("a", "b")
			})
		})
	}
}

func (l *lab) carriesEntries() bool { return l.Caps.Atomic && l.Caps.AnyPartition }

func TestAnAppendThatComesSecondGivesItsNumberBack(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		first, second := l.session(p, Shared()), l.session(p, Shared())
		l.add(first, "a")
		if _, err := second.Append(t.Context(), ExpectVersion(0), noted{"b"}); !isA[*VersionMismatchError](err) {
			t.Fatal(err)
		}
		l.add(second, "b") // tries again by itself
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			l.add(l.session(l.provider()), "c")
			return next()
		})
		l.add(first, "d")
		if err := first.CloseStream(t.Context(), ExpectVersion(2)); !isA[*VersionMismatchError](err) {
			t.Fatal(err)
		}
		l.flushed(p)
		if got := numbers(p); !strings.HasSuffix(got, "undecided [];") {
			t.Errorf("the numbers are %s", got)
		}
		l.holds("a", "b", "c", "d")
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestALateCommitKeepsItsNumber(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p, Shared())
		l.add(s, "a")
		unknown, arrive := l.unknown(s, "b")
		if err := p.journals.name(t.Context(), "EventStores:account:2"); err != nil { // the next number
			t.Fatal(err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(l.standing(), func(e journal.Entry) bool { return e.What == journal.Ended }) {
			t.Error("the journal has ended although a commit is undecided")
		}
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		if version, err := l.session(p).Retry(t.Context(), unknown); err != nil || version != 2 {
			t.Fatal(version, err)
		}
		waitForFlusher(p)
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		entries := l.standing()
		if last := entries[len(entries)-1]; last.What != journal.Ended || len(last.Void) > 0 {
			t.Errorf("the journal ends with %s", told(last))
		}
	})
}

func TestManyAppendsAtOnceOpenSeveralJournals(t *testing.T) {
	for kind, store := range labKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, store())
				l.Intervene(nil) // it knows one stream only
				p := l.feeding()
				const streams = 300
				held := make(chan struct{})
				l.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
					if commits(r) {
						<-held
					}
					return next()
				})
				appendAll := func() {
					var all sync.WaitGroup
					for n := range streams {
						all.Go(func() {
							if _, err := p.Append(t.Context(), p.Stream("account", fmt.Sprint(n)), ExpectAny(), noted{"x"}); err != nil {
								t.Error(err)
							}
						})
					}
					all.Wait()
				}
				go func() {
					synctest.Wait()
					close(held)
				}()
				appendAll()
				root, _, err := p.journals.root(t.Context())
				// Each append has a number at a time, and perhaps one more for a name.
				if least := streams/(journal.Window-1) + 1; err != nil || len(root) < least || len(root) > 2*least {
					t.Errorf("the root names %d journals, %v", len(root), err)
				}
				waitForFlusher(p)
				appendAll()
				waitForFlusher(p)
				l.flushed(p)
				again, _, _ := p.journals.root(t.Context())
				if len(again) != len(root) {
					t.Errorf("%d journals became %d", len(root), len(again))
				}
				if err := p.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				slots, ends := map[journal.Slot]bool{}, 0
				for _, e := range l.standing() {
					slots[e.Slot] = true
					if e.What == journal.Ended {
						ends++
						for n := int64(1); n < e.Number; n++ {
							if s := (journal.Slot{Journal: e.Journal, Number: n}); !slots[s] && !slices.Contains(e.Void, n) {
								t.Errorf("the slot %s neither stands nor is void", s)
							}
						}
					}
				}
				if ends != len(root) || len(p.journals.open) > 0 {
					t.Errorf("%d of %d journals ended, %d are open", ends, len(root), len(p.journals.open))
				}
			})
		})
	}
}

func TestAStoreThatTakesNoEntriesForLong(t *testing.T) {
	for _, kind := range carefully {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, labKinds[kind]())
				var down atomic.Bool
				l.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
					if toJournals(r) && down.Load() {
						return errLost
					}
					return next()
				})
				var log bytes.Buffer
				p := l.feeding(WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				// The names stand already.
				for n := range 2 * maxWaiting {
					if _, err := p.Append(t.Context(), p.Stream("account", fmt.Sprint(n)), ExpectAny(), noted{"x"}); err != nil {
						t.Fatal(err)
					}
				}
				l.flushed(p)
				down.Store(true)
				taken := 0
				var failed error
				for n := range 2 * maxWaiting {
					if _, failed = p.Append(t.Context(), p.Stream("account", fmt.Sprint(n)), ExpectAny(), noted{"y"}); failed != nil {
						break
					}
					taken++
				}
				if want[*StorageError](t, failed); !errors.Is(failed, driver.ErrRefused) || taken < maxWaiting {
					t.Errorf("after %d appends: %v", taken, failed)
				}
				pass(time.Minute)
				synctest.Wait()
				if !strings.Contains(log.String(), "entries of the feed wait until the next append") {
					t.Errorf("the log says %s", log.String())
				}
				down.Store(false)
				if _, err := p.Append(t.Context(), p.Stream("account", "1"), ExpectAny(), noted{"z"}); err != nil {
					t.Fatal(err)
				}
				l.flushed(p)
				appended := 0
				for _, e := range l.standing() {
					if e.What == journal.Appended {
						appended++
					}
				}
				if want := 2*maxWaiting + taken + 1; appended != want {
					t.Errorf("%d entries of commits stand, want %d", appended, want)
				}
			})
		})
	}
}

func TestAFlusherSendsAtMostOneRequestInTenMilliseconds(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p)
		l.add(s, "first")
		l.flushed(p)
		var at []time.Time
		l.on(toJournals, -1, func(_ *memstate.Request, next func() error) error {
			at = append(at, time.Now())
			return next()
		})
		for range 200 {
			l.add(s, "x")
			pass(time.Millisecond)
		}
		l.flushed(p)
		for i := 1; i < len(at); i++ {
			if between := at[i].Sub(at[i-1]); between < flushDelay {
				t.Errorf("there were %s between two requests", between)
			}
		}
		if len(at) < 10 || len(at) > 21 {
			t.Errorf("the flusher sent %d requests in 200 ms", len(at))
		}
		pass(time.Second)
		at = nil
		l.add(s, "alone")
		if synctest.Wait(); len(at) != 1 {
			t.Errorf("the flusher sent %d requests at once for an entry alone, want 1", len(at))
		}
		at = nil
		for range journal.Window / 2 {
			l.add(s, "x") // at once
		}
		synctest.Wait()
		if len(at) == 0 {
			t.Error("many entries wait although they could be written at once")
		}
	}, carefully...)
}

// Many entries that came during a slow request are written as soon as it ends. One that comes
// afterwards waits for its time again.
func TestAFlusherRemembersOnlyWhatStillWaits(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p)
		waiting := func() int {
			p.journals.mu.Lock()
			defer p.journals.mu.Unlock()
			return p.journals.waiting()
		}
		for range 8 { // what was wrong once depended on which of two things came first
			pass(time.Second)
			l.on(toJournals, 1, func(_ *memstate.Request, next func() error) error {
				pass(2 * flushDelay)
				return next()
			})
			l.add(s, "slow")
			synctest.Wait()
			for range journal.Window / 2 {
				l.add(s, "many")
			}
			for waiting() > 0 {
				pass(time.Millisecond)
			}
			l.add(s, "alone")
			pass(flushDelay / 2)
			if waiting() != 1 {
				t.Fatal("the flusher wrote an entry that is alone before its time")
			}
			l.heal()
		}
	}, carefully...)
}

func TestWhatWritersWithoutAFeedWroteIsCoveredByTheNextThatHasOne(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		var log bytes.Buffer
		without := l.provider(WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		l.add(l.session(without), "a", "b")
		p := l.feeding()
		l.add(l.session(p), "c")
		if log.Len() > 0 {
			t.Errorf("the log says %s", log.String())
		}
		l.add(l.session(without), "d")
		l.add(l.session(without), "e")
		if n := strings.Count(log.String(), "in a feed that this provider does not write to"); n != 1 {
			t.Errorf("it was warned %d times: %s", n, log.String())
		}
		if to := l.head().ticket.To; to != 3 {
			t.Errorf("the head's ticket covers up to version %d", to)
		}
		l.add(l.session(p), "f", "g")
		l.flushed(p)
		l.journalled(l.named("1: appended 1-3 after 0", "2: appended 4-7 after 1")...)
	})
}

func TestAHeadThatLostItsTicketIsCoveredFromTheBeginning(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		l.add(l.session(p), "a")
		l.add(l.session(p), "b")
		hd := l.head()
		hd.ticket = journal.Ticket{} // an older version of the library wrote the head again
		l.Set(l.keys.head(), hd.encode(l.keys.partition))
		l.add(l.session(p), "c")
		l.flushed(p)
		if !slices.ContainsFunc(l.standing(), func(e journal.Entry) bool { return strings.HasSuffix(told(e), "appended 1-3 after 0") }) {
			t.Errorf("the entries are %v", l.standing())
		}
		if got := derived(t, p, nothing); len(got) != 1 {
			t.Errorf("%d entries were derived", len(got))
		}
	})
}

func TestAdoptingTellsWhatWritersWithoutAFeedDid(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		adopt := func() {
			t.Helper()
			if err := p.Inside(permit.Permit{}).Adopt(t.Context(), "test", labStream.String()); err != nil {
				t.Fatal(err)
			}
		}
		without := l.session(l.provider(), Shared())
		l.add(without, "a", "b")
		adopt()
		adopt() // has nothing to do
		l.add(without, "c")
		s := l.session(p, Shared())
		l.add(s, "d")
		l.add(without, "e")
		adopt()
		if err := without.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		adopt()
		adopt()
		l.flushed(p)
		want := []string{"1: named", "2: adopted 1-2 after 0", "3: appended 3-4 after 2", "4: adopted 5-5 after 3", "5: closed 6-5 after 4"}
		l.journalled(want...)
		l.holds("a", "b", "c", "d", "e")
		if got := derived(t, p, nothing); len(got) != 4 {
			t.Errorf("%d entries were derived", len(got))
		}
		if err := without.DeleteStream(t.Context(), ExpectAny()); !isA[*ArgumentError](err) {
			t.Errorf("deleting without the feed: %v", err)
		}
		if err := s.DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		l.flushed(p)
		l.journalled(append(want, "6: deleted 6-6 after 5")...)
	})
}

func TestAStreamIsAdoptedInTheMiddleOfAnAppend(t *testing.T) {
	for _, answer := range []string{"before the head is looked at", "before the commit", "after a lost commit"} {
		t.Run(answer, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				p, indexing := l.feeding(), l.feeding()
				l.add(l.session(l.provider()), "a")
				s := l.session(p, Shared())
				adopt := func(*memstate.Request, func() error) error {
					if err := indexing.Inside(permit.Permit{}).Adopt(t.Context(), "test", labStream.String()); err != nil {
						t.Error(err)
					}
					return errLost
				}
				switch answer {
				case "before the commit":
					l.on(commits, 1, func(r *memstate.Request, next func() error) error {
						_ = adopt(r, next)
						return next()
					})
				case "after a lost commit":
					l.on(commits, 1, adopt)
				default:
					l.on(toRoot, 1, func(r *memstate.Request, next func() error) error {
						l.on(func(r *memstate.Request) bool { return r.Op == "get" && r.Has("account:1}:head") }, 1, func(r *memstate.Request, next func() error) error {
							_ = adopt(r, next)
							return next()
						})
						pass(time.Second)
						return next()
					})
				}
				l.add(s, "b")
				l.flushed(p)
				l.flushed(indexing)
				l.holds("a", "b")
				var got []string
				for _, e := range l.standing() {
					if e.What != journal.Named {
						got = append(got, fmt.Sprintf("%s %d-%d", e.What, e.From, e.To))
					}
				}
				slices.Sort(got)
				want := []string{"adopted 1-1", "appended 2-2"}
				if l.Caps.UniqueETags && answer == "before the head is looked at" {
					want = []string{"appended 1-2"} // the head is not looked at
				}
				if !slices.Equal(got, want) {
					t.Errorf("the journals tell %q, want %q", got, want)
				}
				if got := numbers(p); !strings.HasSuffix(got, "undecided [];") {
					t.Errorf("the numbers are %s", got)
				}
			})
		})
	}
}

func TestAnAdoptionWithoutAnAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		fault around
		after int    // how many appends of another process come before the head is looked at
		want  string // numbers
	}{
		"that took effect":       {unanswered, 0, "free [] undecided []"},
		"that is followed":       {unanswered, 1, "free [] undecided []"},
		"that is followed twice": {unanswered, 2, "free [] undecided [2]"},
		"that came second":       {lost, 2, "free [] undecided [2]"},
	} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				l.add(l.session(l.provider()), "a")
				p, other := l.feeding(), l.feeding()
				l.on(commits, 1, func(r *memstate.Request, next func() error) error {
					err := c.fault(r, next)
					for range c.after {
						l.add(l.session(other), "b")
					}
					return err
				})
				_ = p.Inside(permit.Permit{}).Adopt(t.Context(), "test", labStream.String())
				if got := numbers(p); !strings.Contains(got, c.want) {
					t.Errorf("the numbers are %s, want %s", got, c.want)
				}
				// The next number must not be one that has a commit already: l checks that.
				for n := range 3 {
					l.add(l.session(p, Shared()), fmt.Sprint(n))
				}
				l.flushed(p)
				l.flushed(other)
				seen := map[journal.Slot]bool{}
				for _, e := range derived(t, p, nothing) {
					if seen[e.Slot] {
						t.Errorf("the slot %s has two commits", e.Slot)
					}
					seen[e.Slot] = true
				}
			})
		})
	}
}

// takeOver makes the log take over entries, and removes them from their journals.
func (l *lab) takeOver(p *Provider, entries ...journal.Entry) {
	l.t.Helper()
	in := p.Inside(permit.Permit{})
	s, err := in.OpenLog(l.t.Context(), time.Minute, time.Minute)
	if err != nil {
		l.t.Fatal(err)
	}
	state, err := in.LogState(l.t.Context(), s.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	batch := journal.Batch{First: state.Position + 1, Entries: entries}
	if _, err := s.Append(l.t.Context(), ExpectAny(), Raw{Type: "batch", Payload: batch.Encode()}); err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		l.Set(in.Feed().Key(e.Slot), nil)
	}
}

func TestEntriesStandBeforeADeletedStreamIsSwept(t *testing.T) {
	for _, covered := range []int{0, 1, 3, 5, 6} { // commits that the log has taken over before
		t.Run(fmt.Sprint(covered), func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				p := l.feeding()
				s := l.session(p, Shared())
				l.add(s, "a")
				l.add(s, "b", "c")
				l.add(l.session(l.provider()), "d")
				if err := p.Inside(permit.Permit{}).Adopt(t.Context(), "test", labStream.String()); err != nil {
					t.Fatal(err)
				}
				l.add(s, "e")
				l.add(s, "f")
				if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
					t.Fatal(err)
				}
				l.crash(p)
				chain := derived(t, p, nothing)
				if len(chain) != 6 {
					t.Fatalf("%d entries were derived", len(chain))
				}
				if covered > 0 {
					l.takeOver(p, chain[:covered]...)
				}
				l.on(func(r *memstate.Request) bool {
					return r.Op == "write" && r.Partition == labStream.String() && r.Writes[0].Value == nil
				}, 1, func(r *memstate.Request, next func() error) error {
					r.Writes = r.Writes[:2] // a crash in the middle of the sweep
					_ = next()
					l.on(everything, 1, lost)
					return errLost
				})
				if err := s.DeleteStream(t.Context(), ExpectAny()); err == nil {
					t.Fatal("the crash had no effect")
				}
				l.heal()
				check := func() {
					t.Helper()
					for _, e := range chain[covered:] {
						if data, _ := l.Value(p.journals.feed.Key(e.Slot)); !bytes.Equal(data, e.Encode("all")) {
							t.Errorf("instead of\n%s\nthere stands\n%s", e.Encode("all"), data)
						}
					}
				}
				check()
				other := l.feeding()
				if err := l.session(other, Shared()).DeleteStream(t.Context(), ExpectAny()); err != nil {
					t.Fatal(err)
				}
				check()
				for key := range l.Values() {
					if suffix, ok := strings.CutPrefix(key, l.keys.prefix); ok && suffix != "head" && suffix != "lease" {
						t.Errorf("the store still holds %s", key)
					}
				}
				if ticket := l.head().ticket; ticket.Alone != journal.Deleted || ticket.After != chain[5].Slot {
					t.Errorf("the head has the ticket %s", ticket)
				}
			})
		})
	}
}

func TestWhatWasAppendedDuringADeletionHasAnEntryToo(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		settings := DefaultSettings()
		p, other := l.feeding(WithSettings(settings)), l.feeding(WithSettings(settings))
		s := l.session(p, Shared())
		l.add(s, "a")
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			if _, err := l.session(other, Shared()).Append(t.Context(), ExpectAny(), once("id", "b")); err != nil {
				t.Error(err)
			}
			l.crash(other)
			return next()
		})
		if err := s.DeleteStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		after := l.head().ticket.After
		if data, _ := l.Value(p.journals.feed.Key(after)); data == nil {
			t.Errorf("the entry %s before the deletion does not stand", after)
		}
		if data, _ := l.Value(l.keys.idempotency("id")); data != nil {
			t.Error("an idempotency key is left")
		}
	})
}

func TestAnEndOfUnknownOutcomeKeepsItsNumber(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p, Shared())
		l.add(s, "a")
		if err := s.CloseStream(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		waitForFlusher(p)
		var arrive func() error
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			arrive = next
			l.on(commits, -1, lost)
			return errLost
		})
		want[*StorageError](t, s.DeleteStream(t.Context(), ExpectAny()))
		l.heal()
		if got := numbers(p); strings.HasSuffix(got, "undecided [];") {
			t.Errorf("the numbers are %s", got)
		}
		if err := p.journals.name(t.Context(), "EventStores:account:2"); err != nil {
			t.Fatal(err)
		}
		if err := arrive(); err != nil {
			t.Fatal(err)
		}
		slots := map[journal.Slot]bool{l.head().ticket.Slot: true}
		for _, e := range l.standing() {
			if slots[e.Slot] && e.What != journal.Deleted {
				t.Errorf("the slot %s has two commits", e.Slot)
			}
		}
	})
}

func TestAClosedStreamThatIsDeletedBeforeTheAnswerComes(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p, other := l.feeding(), l.feeding()
		s := l.session(p, Shared())
		l.add(s, "a")
		waitForFlusher(p)
		l.on(commits, 1, func(_ *memstate.Request, next func() error) error {
			if err := next(); err != nil {
				t.Error(err)
			}
			if err := l.session(other, Shared()).DeleteStream(t.Context(), ExpectAny()); err != nil {
				t.Error(err)
			}
			return errLost
		})
		_ = s.CloseStream(t.Context(), ExpectAny())
		waitForFlusher(p)
		if got := numbers(p); !strings.Contains(got, "free []") {
			t.Errorf("the number of a closing that took effect is free: %s", got)
		}
		if err := p.journals.name(t.Context(), "EventStores:account:2"); err != nil { // l checks that no entry changes
			t.Fatal(err)
		}
	})
}

func TestRebuildingAHeadKeepsItsTicket(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p)
		l.add(s, "a")
		l.add(s, "b", "c")
		l.flushed(p)
		ticket := l.head().ticket
		l.Set(l.keys.head(), nil)
		l.Intervene(nil) // without a head, l would miss the events
		if _, err := p.RebuildHead(t.Context(), labStream, nil); err != nil {
			t.Fatal(err)
		}
		if got := l.head().ticket; got != ticket {
			t.Errorf("the head has the ticket %s, want %s", got, ticket)
		}
	})
}

func TestRecordedEventsGetTicketsOfTheirNewStore(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p)
		events := []Event{recorded(1, "1"), recorded(2, "2")}
		if _, err := s.AppendRecorded(t.Context(), ExpectVersion(0), events...); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteRecorded(t.Context(), ExpectAny()); err != nil {
			t.Fatal(err)
		}
		l.flushed(p)
		entries := l.standing()
		what := func(i int) string { _, s, _ := strings.Cut(told(entries[i]), ": "); return s }
		if first, last := what(0), what(len(entries)-1); !strings.HasPrefix(first, "appended 1-2 after 0") || last != "deleted 3-3 after 1" {
			t.Errorf("the entries are %q and %q", first, last)
		}
	})
}

func TestAProviderWithoutTheFeedRetries(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		unknown, _ := l.unknown(l.session(p, Shared()), "a")
		without := l.session(l.provider(), Shared())
		if version, err := without.Retry(t.Context(), unknown); err != nil || version != 1 {
			t.Fatal(version, err)
		}
		waitForFlusher(p)
		found := false
		for _, e := range l.standing() {
			found = found || strings.HasSuffix(told(e), "appended 1-1 after 0 noted")
		}
		if !found {
			t.Errorf("the entries are %v", l.standing())
		}
	})
}

func TestClosingAProvider(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if trace := l.Trace(); len(trace) > 0 {
			t.Errorf("a provider that did nothing sent %q", trace)
		}
		l.add(l.session(p), "a")
		l.on(everything, -1, lost)
		err := p.Close(t.Context())
		if want[*StorageError](t, err).Operation != "close the provider" {
			t.Errorf("with the store down: %v", err)
		}
		l.heal()
		for range 3 {
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		l.flushed(p)
		l.journalled(append(l.named("1: appended 1-1 after 0 noted"), fmt.Sprintf("%d: ended", len(l.standing())))...)
		l.Trace()
		l.add(l.session(p), "b") // in another journal
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		root, _, err := p.journals.root(t.Context())
		if err != nil || len(root) != 2 {
			t.Errorf("the root is %v, %v", root, err)
		}
		for _, e := range l.standing() {
			if e.What == journal.Ended && len(e.Void) > 0 {
				t.Errorf("%s", told(e))
			}
		}
	})
}

func TestAnEndedJournalGivesNoNumbers(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		l.add(l.session(p), "a")
		l.flushed(p)
		// The end does not stand, and an append comes.
		l.on(toJournals, 1, unanswered)
		if err := p.Close(t.Context()); err == nil {
			t.Fatal("closed without an answer")
		}
		l.add(l.session(p), "b")
		// An append waits for the root while the provider is closed.
		pass(2 * rootCheck)
		l.on(func(r *memstate.Request) bool { return r.Op == "get" && r.Partition == journal.RootPartition }, 1, func(_ *memstate.Request, next func() error) error {
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			return next()
		})
		l.add(l.session(p), "c")
		l.flushed(p)
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := map[string]journal.Entry{}
		for _, e := range l.standing() {
			if before := last[e.Journal]; before.What == journal.Ended {
				t.Errorf("%s comes after the end of the journal", told(e))
			}
			last[e.Journal] = e
		}
		if len(last) != 3 {
			t.Errorf("there were %d journals", len(last))
		}
	})
}

func TestTheRootIsNamedAgainIfTheStoreLostIt(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		l.add(l.session(p, Shared()), "a")
		l.Set(journal.RootKey, nil)
		pass(rootCheck / 2)
		l.add(l.session(p, Shared()), "b") // too early
		if data, _ := l.Value(journal.RootKey); data != nil {
			t.Error("the root was looked at again too early")
		}
		pass(rootCheck / 2)
		l.add(l.session(p, Shared()), "c")
		root, _, err := p.journals.root(t.Context())
		if err != nil || !root.Names(p.journals.open[0].id) || root[0].Wake != 0 {
			t.Errorf("the root is %v, %v", root, err)
		}
		pass(2 * rootCheck)
		l.add(l.session(p, Shared()), "d")
		if root, _, _ := p.journals.root(t.Context()); root[0].Wake != 1 {
			t.Errorf("after the process was idle the root is %v", root)
		}
		l.flushed(p)
	})
}

func TestARecordOfTheFeedThatIsDamagedIsNamed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		l.Set(journal.RootKey, []byte("x"))
		_, err := tryAdd(l.session(p), "a")
		if damaged := want[*DamagedError](t, err); damaged.Key != journal.RootKey {
			t.Errorf("it names %s", damaged.Key)
		}
		if !errors.Is(err, driver.ErrRefused) {
			t.Errorf("it does not say that nothing was changed: %v", err)
		}
		l.Set(journal.RootKey, nil)
		s := l.session(p, Shared())
		l.add(s, "a")
		l.add(l.session(l.provider()), "b")
		if err := p.Inside(permit.Permit{}).Adopt(t.Context(), "test", labStream.String()); err != nil {
			t.Fatal(err)
		}
		l.flushed(p)
		adopted := l.head().ticket.Slot
		l.add(s, "c")
		l.flushed(p)
		l.Intervene(nil)
		key := p.journals.feed.Key(adopted)
		for _, data := range [][]byte{[]byte("x"), nil} {
			l.Set(key, data)
			if damaged := want[*DamagedError](t, s.DeleteStream(t.Context(), ExpectAny())); damaged.Key != key || data == nil && !isA[*notStanding](damaged) {
				t.Errorf("it names %s: %v", damaged.Key, damaged)
			}
		}
		if _, found := l.Values()[l.keys.event(1)]; !found {
			t.Error("events were removed although not all entries stand")
		}
	})
}

func TestAStoreHasOneFeed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.add(l.session(l.feeding()), "a")
		other := l.provider(WithFeed("other"))
		_, err := l.session(other).Append(t.Context(), ExpectAny(), noted{"b"})
		argument, ok := err.(*ArgumentError)
		if !ok || argument.Argument != "WithFeed" || !strings.Contains(err.Error(), `"all"`) || !strings.Contains(err.Error(), `"other"`) {
			t.Errorf("the error is %v", err)
		}
		if _, _, err := other.Inside(permit.Permit{}).Root(t.Context()); !isA[*ArgumentError](err) {
			t.Errorf("reading the root: %v", err)
		}
		l.holds("a")
		for key := range l.Values() {
			if strings.Contains(key, "other") {
				t.Errorf("the store holds %s", key)
			}
		}
	})
}

func TestNamesOfFeedsAndStreamsThatAreNotPossible(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", " ", "\xff", strings.Repeat("x", 201)} {
		if _, err := NewProvider(memstate.Redis(), WithFeed(name)); !isA[*ArgumentError](err) {
			t.Errorf("%q: %v", name, err)
		}
	}
	short := memstate.Redis()
	short.Caps.MaxKeyBytes = 200
	if _, err := NewProvider(short, WithFeed(strings.Repeat("ä", 60))); !isA[*ArgumentError](err) {
		t.Errorf("a long name: %v", err)
	}
	with, err := NewProvider(short, WithFeed("all"))
	if err != nil {
		t.Fatal(err)
	}
	without, err := NewProvider(short)
	if err != nil {
		t.Fatal(err)
	}
	for bytes := 1; bytes <= 200; bytes++ {
		s := Stream{"d", "t", strings.Repeat("x", bytes)}
		_, err := with.handle(s)
		if fits := len(journal.Feed("all").Mark(s.String())) <= 200 && keysOf(s).longest() <= 200; (err == nil) != fits {
			t.Errorf("an id of %d bytes: %v", bytes, err)
		}
		if _, err := without.handle(s); (err == nil) != (keysOf(s).longest() <= 200) {
			t.Errorf("without a feed, an id of %d bytes: %v", bytes, err)
		}
	}
	if _, err := NewProvider(memstate.Redis(), WithFeed("ä :/{}.%")); err != nil {
		t.Error(err)
	}
}

func TestAnEndThatTheStoreTurnsDownGivesItsNumberBack(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for _, turnedDown := range []error{driver.ErrRefused, driver.ErrDenied} {
			p := l.feeding()
			s := l.session(p, Shared())
			l.add(s, "a")
			waitForFlusher(p)
			l.on(commits, 1, func(*memstate.Request, func() error) error { return turnedDown })
			want[*StorageError](t, s.CloseStream(t.Context(), ExpectAny()))
			if got := numbers(p); !strings.HasSuffix(got, "undecided [];") {
				t.Errorf("after %v the numbers are %s", turnedDown, got)
			}
		}
	})
}

func TestAnAppendThatRepeatsAnIDGivesItsNumberBack(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		once := func(id, text string) Event {
			return Event{Data: noted{text}, Metadata: Metadata{Context: ContextMetadata{IdempotencyID: id}}}
		}
		s := l.session(p, Shared())
		if _, err := s.Append(t.Context(), ExpectAny(), once("x", "a")); err != nil {
			t.Fatal(err)
		}
		appends := map[string]func() error{
			"at any version":     func() error { _, err := s.Append(t.Context(), ExpectAny(), once("x", "b")); return err },
			"at its version":     func() error { _, err := s.Append(t.Context(), ExpectVersion(1), once("x", "b")); return err },
			"of several":         func() error { _, err := s.Append(t.Context(), ExpectAny(), once("y", "b"), once("x", "b")); return err },
			"in another session": func() error { _, err := p.Append(t.Context(), labStream, ExpectAny(), once("x", "b")); return err },
			"missed at first": func() error {
				l.on(func(r *memstate.Request) bool { return r.Op == "get many" }, 1, func(r *memstate.Request, next func() error) error {
					err := next()
					for i, key := range r.Keys {
						if strings.Contains(key, ":idem:") {
							r.Items[i].Value, r.Items[i].ETag = nil, ""
						}
					}
					return err
				})
				defer l.heal()
				_, err := l.session(p, Shared()).Append(t.Context(), ExpectAny(), once("y", "b"), once("x", "b"))
				return err
			},
		}
		for _, name := range slices.Sorted(maps.Keys(appends)) {
			if err := appends[name](); !isA[*IdempotencyIDUsedError](err) {
				t.Errorf("%s: %v", name, err)
			}
			l.flushed(p)
			if got := numbers(p); !strings.HasSuffix(got, "undecided [];") {
				t.Errorf("%s: the numbers are %s", name, got)
			}
		}
		l.holds("a")
	})
}

func TestAPanicOfTheDriverLeavesNoEntryOfACommitThatIsNotThere(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		p := l.feeding()
		s := l.session(p, Shared())
		l.add(s, "a")
		l.flushed(p)
		before := len(l.standing())
		l.on(commits, 1, func(*memstate.Request, func() error) error { panic("the driver fails") })
		func() {
			defer func() { _ = recover() }()
			_, err := s.Append(t.Context(), ExpectVersion(1), noted{"b"})
			t.Errorf("it returned %v", err)
		}()
		pass(time.Minute)
		if n := len(l.standing()); n != before {
			t.Errorf("an entry stands for what was not committed: %s", told(l.standing()[n-1]))
		}
	})
}

func TestClosingAProviderDecidesWhatNobodyRetries(t *testing.T) {
	for name, effect := range map[string]bool{"it took effect": true, "another came first": false} {
		t.Run(name, func(t *testing.T) {
			inLabs(t, func(t *testing.T, l *lab) {
				p := l.feeding()
				l.add(l.session(p, Shared()), "a")
				s := l.session(p, Shared())
				l.on(everything, -1, func(r *memstate.Request, next func() error) error {
					if effect && commits(r) {
						_ = next()
					}
					return errLost
				})
				if _, err := tryAdd(s, "b"); !isA[*OutcomeUnknownError](err) {
					t.Fatal(err)
				}
				err := p.Close(t.Context())
				if !isA[*StorageError](err) {
					t.Errorf("closing while the store is down: %v", err)
				}
				l.heal()
				l.add(l.session(l.provider(), Shared()), "c")
				if err := p.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := numbers(p); got != "" {
					t.Errorf("these journals have not ended: %s", got)
				}
				var ended, second []journal.Entry
				for _, e := range l.standing() {
					switch {
					case e.What == journal.Ended:
						ended = append(ended, e)
					case e.What == journal.Appended && e.From == 2:
						second = append(second, e)
					}
				}
				if len(ended) != 1 || effect != (len(ended[0].Void) == 0) || effect != (len(second) == 1) {
					t.Errorf("the end is %v, and of version 2 these entries stand: %v", ended, second)
				}
			})
		})
	}
}
