package eventstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
)

// component is a lock component that tells as little as Dapr's, and so not who holds a lock.
type component struct {
	// around is called instead of each request, if set. The function next delivers the request,
	// each time it is called.
	around func(ctx context.Context, request string, next func()) error

	mu    sync.Mutex
	owner string
	until time.Time
	asked []asked
}

// asked is one request, "trylock" or "unlock", with its owner and time.
type asked struct {
	request, owner string
	at             time.Time
}

func (c *component) do(ctx context.Context, request, owner string, apply func()) error {
	c.mu.Lock()
	c.asked = append(c.asked, asked{request, owner, time.Now()})
	c.mu.Unlock()
	next := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !time.Now().Before(c.until) {
			c.owner = ""
		}
		apply()
	}
	if c.around != nil {
		return c.around(ctx, request, next)
	}
	next()
	return ctx.Err()
}

func (c *component) TryLock(ctx context.Context, _, owner string, expiry time.Duration) (lock driver.Lock, err error) {
	err = c.do(ctx, "trylock", owner, func() {
		if lock.Acquired = c.owner == ""; lock.Acquired {
			c.owner, c.until = owner, time.Now().Add(expiry)
		}
	})
	return lock, err
}

func (c *component) Unlock(ctx context.Context, _, owner string) (status driver.UnlockStatus, err error) {
	err = c.do(ctx, "unlock", owner, func() {
		switch c.owner {
		case owner:
			c.owner, status = "", driver.Unlocked
		case "":
			status = driver.LockAbsent
		default:
			status = driver.LockHeldByOther
		}
	})
	return status, err
}

// requests returns the requests since the last call.
func (c *component) requests() (requests []string) {
	for _, a := range c.since() {
		requests = append(requests, a.request)
	}
	return requests
}

func (c *component) since() []asked {
	c.mu.Lock()
	defer c.mu.Unlock()
	since := c.asked
	c.asked = nil
	return since
}

// repeat delivers the next requests of that name twice.
func (c *component) repeat(request string, times int) {
	c.around = func(_ context.Context, r string, next func()) error {
		next()
		if r == request && times != 0 {
			times--
			next()
		}
		return nil
	}
}

// locked runs a test with a lock component, in fake time.
func locked(t *testing.T, test func(t *testing.T, l *lab, c *component)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newLab(t, memstate.Redis()), &component{}) })
}

func openOn(ctx context.Context, p *Provider) (*Session, error) {
	return p.Open(ctx, labStream)
}

func TestALockThatARepeatedRequestTookIsTheSessions(t *testing.T) {
	for name, test := range map[string]struct {
		repeated []string // requests; the first is delivered twice
		want     []string
	}{
		"the lock":                         {[]string{"trylock"}, []string{"trylock", "unlock", "trylock"}},
		"the lock and how it is found out": {[]string{"trylock", "unlock"}, []string{"trylock", "unlock", "trylock"}},
		"nothing":                          {nil, []string{"trylock"}},
	} {
		t.Run(name, func(t *testing.T) {
			locked(t, func(t *testing.T, l *lab, c *component) {
				repeated := slices.Clone(test.repeated)
				c.around = func(_ context.Context, request string, next func()) error {
					next()
					if i := slices.Index(repeated, request); i >= 0 {
						repeated = slices.Delete(repeated, i, i+1)
						next()
					}
					return nil
				}
				s := l.open(WithLocker(c), timeouts(0, time.Minute))
				if got := c.requests(); !slices.Equal(got, test.want) {
					t.Errorf("requests: %q, want %q", got, test.want)
				}
				if c.owner != s.ID() {
					t.Errorf("the lock is held by %q", c.owner)
				}
				l.add(s, "a")
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The pause in which the lock is requested twice may be longer than Settings.OpenTimeout.
func TestALockThatWasTakenInAPauseIsFoundAfterIt(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		paused := false
		c.around = func(_ context.Context, _ string, next func()) error {
			if !paused {
				paused = true
				pass(9 * time.Second)
				next()
				next()
			}
			next()
			return nil
		}
		l.add(l.open(WithLocker(c)), "a")
	})
}

func TestALockThatNamesItsOwnSessionIsNotAnothers(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		c.repeat("trylock", 1)
		l.add(l.open(WithLocker(named{c}), timeouts(0, time.Minute)), "a")
		if got := c.requests(); !slices.Equal(got, []string{"trylock", "unlock", "trylock"}) {
			t.Errorf("requests: %q", got)
		}
	})
}

// named is a locker that tells who holds the lock.
type named struct{ *component }

func (n named) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	lock, err := n.component.TryLock(ctx, resource, owner, expiry)
	if !lock.Acquired {
		lock.Holder = n.owner
	}
	return lock, err
}

func TestALeaseThatARepeatedSwapTookOrGaveBackIsTheSessions(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for range 2 { // first it is created, then it is taken
			l.on(swapsLease, 2, func(_ *memstate.Request, next func() error) error { _ = next(); return next() })
			s := l.mustLease(timeouts(0, time.Minute))
			l.add(s, "x")
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestALeaseIsNotTakenByWhoHasGivenUp(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		for _, before := range []string{"never taken", "free", "expired"} {
			switch before {
			case "free":
				if err := l.mustLease(timeouts(0, time.Minute)).Close(); err != nil {
					t.Error(err)
				}
			case "expired":
				l.mustLease(timeouts(0, time.Minute))
				pass(time.Minute)
			}
			arrive := l.hold(swapsLease)
			_, err := l.leased(timeouts(0, time.Minute))
			if want[*StorageError](t, err); !errors.Is(err, errLost) {
				t.Errorf("%s: %v", before, err)
			}
			if arrive() == nil {
				t.Errorf("%s: a swap that comes after its session has given up takes the lease", before)
			}
			if err := l.mustLease(timeouts(0, time.Minute)).Close(); err != nil {
				t.Errorf("%s: %v", before, err)
			}
		}
	})
}

func TestALeaseThatIsTakenWhileItIsGivenUpIsGivenBack(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		arrive := l.hold(swapsLease)
		if _, err := l.try("a"); !errors.Is(err, errLost) {
			t.Fatal(err)
		}
		l.on(swapsLease, 1, func(_ *memstate.Request, next func() error) error {
			if err := arrive(); err != nil {
				t.Error(err)
			}
			return next()
		})
		if status, err := l.release("a"); status != driver.Unlocked || err != nil {
			t.Errorf("Unlock: %v, %v", status, err)
		}
		if lock, err := l.try("b"); !lock.Acquired || err != nil {
			t.Errorf("TryLock: %+v, %v", lock, err)
		}
	})
}

func TestClosingReportsNoLossWhereItsOwnUnlockWasRepeated(t *testing.T) {
	for name, between := range map[string]func(c *component){
		"nobody has come since": func(*component) {},
		"another has come since": func(c *component) {
			if lock, err := c.TryLock(context.Background(), "", "other", time.Minute); err != nil || !lock.Acquired {
				panic("the lock was not free")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			locked(t, func(t *testing.T, l *lab, c *component) {
				var log bytes.Buffer
				s := l.open(WithLocker(c), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				l.add(s, "a")
				c.around = func(_ context.Context, request string, next func()) error {
					next()
					if request == "unlock" {
						between(c)
						next()
					}
					return nil
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if !strings.Contains(log.String(), "the session's lock was already gone") || !strings.Contains(log.String(), "delivered twice") {
					t.Errorf("logged: %s", log.String())
				}
			})
		})
	}
}

func TestClosingAsksOnceMoreWhereItsUnlockWasNotAnswered(t *testing.T) {
	for name, arrives := range map[string]bool{"it had arrived": true, "it had not arrived": false} {
		t.Run(name, func(t *testing.T) {
			locked(t, func(t *testing.T, l *lab, c *component) {
				s := l.open(WithLocker(c))
				first := true
				c.around = func(_ context.Context, _ string, next func()) error {
					if !first || arrives {
						next()
					}
					if first {
						first = false
						return errLost
					}
					return nil
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
				if got := c.requests(); !slices.Equal(got, []string{"trylock", "unlock", "unlock"}) || c.owner != "" {
					t.Errorf("requests: %q, the lock is held by %q", got, c.owner)
				}
			})
		})
	}
	inLabs(t, func(t *testing.T, l *lab) {
		s := l.mustLease(timeouts(0, time.Minute))
		l.on(swapsLease, 1, func(_ *memstate.Request, next func() error) error {
			l.on(exactly("get lease"), 1, lost) // so its result is unknown
			_ = next()
			return errLost
		})
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// The result of an append stays known.
func TestClosingReportsALossThatAnAppendHasFound(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		s := l.open(WithLocker(c))
		l.add(l.open(), "other")
		_, err := tryAdd(s, "x")
		want[*SessionLostError](t, err)
		want[*SessionLostError](t, s.Close())
	})
}

func TestALockThatIsTakenCostsOneRequestMoreToBeSure(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		l.open(WithLocker(c))
		c.requests()
		_, err := openOn(t.Context(), l.provider(WithLocker(c), timeouts(0, time.Minute)))
		if e := want[*OpenTimeoutError](t, err); e.Cause != nil || !strings.Contains(err.Error(), "another session holds it") {
			t.Errorf("%v", err)
		}
		if got := c.requests(); !slices.Equal(got, []string{"trylock", "unlock"}) {
			t.Errorf("requests: %q", got)
		}
	})
}

func TestAWaitAsksWithOneRequestAtATime(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		first := l.open(WithLocker(c))
		var wg sync.WaitGroup
		wg.Go(func() { l.add(l.open(WithLocker(c), timeouts(time.Minute, time.Minute)), "b") })
		pass(10 * time.Second)
		asked := c.since()
		tries := 0
		for i, a := range asked {
			if a.request == "trylock" {
				tries++
			}
			if i < 3 {
				continue // the previous session, and the first lookup
			}
			if gap := a.at.Sub(asked[i-1].at); gap > longestWait || gap < shortestWait/2 {
				t.Errorf("request %d, %s, came %s after the one before", i, a.request, gap)
			}
		}
		if tries != 2 || len(asked) < 400 || len(asked) > 900 {
			t.Errorf("%d requests for the lock, %d of them to take it, in 10 s", len(asked), tries)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

// If each request is delivered twice, the lock cannot be taken. The error blames no other session,
// and nothing is left behind.
func TestALockWhoseRequestsAreAllRepeatedIsNotBlamedOnAnother(t *testing.T) {
	for _, request := range []string{"trylock", "both"} {
		t.Run(request, func(t *testing.T) {
			locked(t, func(t *testing.T, l *lab, c *component) {
				c.repeat("trylock", -1)
				if request == "both" {
					c.around = func(_ context.Context, _ string, next func()) error { next(); next(); return nil }
				}
				for _, timeout := range []time.Duration{0, time.Second} {
					_, err := openOn(t.Context(), l.provider(WithLocker(c), timeouts(timeout, time.Minute)))
					e := want[*OpenTimeoutError](t, err)
					if e.Waited != timeout || e.Holder != "" || strings.Contains(err.Error(), "holds it") || !strings.Contains(err.Error(), "repeats the requests") {
						t.Errorf("%v", err)
					}
					if c.owner != "" {
						t.Errorf("the lock is held by %s", c.owner)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
				defer cancel()
				_, err := openOn(ctx, l.provider(WithLocker(c)))
				want[*OpenTimeoutError](t, err)
				if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "holds it") || strings.Count(err.Error(), "deadline") != 1 {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// gaveUp opens a session whose request for the lock gets no answer, and returns a function that
// delivers the request.
func gaveUp(t *testing.T, c *component, p *Provider) (arrive func()) {
	t.Helper()
	c.around = func(ctx context.Context, request string, next func()) error {
		if request == "trylock" {
			arrive = next
		}
		<-ctx.Done() // the component does not answer
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := openOn(ctx, p)
	if want[*StorageError](t, err); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	c.around = nil
	return arrive
}

func TestALockThatComesAfterItsSessionHasGivenUpIsGivenBackByTheNext(t *testing.T) {
	for name, with := range map[string]func(*component) driver.Locker{
		"its holder is unknown": func(c *component) driver.Locker { return c },
		"its holder is known":   func(c *component) driver.Locker { return named{c} },
	} {
		t.Run(name, func(t *testing.T) {
			locked(t, func(t *testing.T, l *lab, c *component) {
				p := l.provider(WithLocker(with(c)), timeouts(0, time.Minute))
				gaveUp(t, c, p)()
				s, err := openOn(t.Context(), p)
				if err != nil {
					t.Fatal(err)
				}
				l.add(s, "a")
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if n := len(p.queues.of); n != 0 {
					t.Errorf("%d queues are left", n)
				}
			})
		})
	}
}

func TestALockThatCouldNotBeGivenBackIsGivenBackByTheNext(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		p := l.provider(WithLocker(c), timeouts(0, time.Minute))
		s, err := openOn(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		c.around = func(context.Context, string, func()) error { return errLost }
		want[*StorageError](t, s.Close())
		c.around = nil
		if _, err := openOn(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
}

func TestALockThatComesAfterItsSessionHasGivenUpRunsOutForOthers(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		gaveUp(t, c, l.provider(WithLocker(c), timeouts(0, time.Minute)))()
		began := time.Now()
		l.open(WithLocker(c), timeouts(time.Hour, time.Minute))
		if waited := time.Since(began); waited < time.Minute || waited > time.Minute+longestWait {
			t.Errorf("another process waited %s for it", waited)
		}
	})
}

func TestSessionsThatHaveGivenUpAreForgotten(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		p := l.provider(WithLocker(c), timeouts(0, time.Minute))
		for range 3 * maxAbandoned {
			gaveUp(t, c, p)
		}
		if got := p.queues.abandonedBy(l.keys.partition); len(got) != maxAbandoned {
			t.Errorf("%d sessions are remembered", len(got))
		}
		pass(2 * time.Minute)
		p.queues.abandon("another stream", "owner", time.Minute)
		if n := len(p.queues.of); n != 1 {
			t.Errorf("%d queues are left", n)
		}
	})
}

// run does what each of many processes does: open, append one event, close.
func run(p *Provider, expected string) error {
	s, err := openOn(context.Background(), p)
	if err != nil {
		return err
	}
	if _, err := tryAdd(s, expected); err != nil {
		return err
	}
	return s.Close()
}

func TestManyAtOnceAreAllServedInTheOrderInWhichTheyCame(t *testing.T) {
	for name, locker := range map[string]func(*lab, *component) driver.Locker{
		"lock component": func(_ *lab, c *component) driver.Locker { return c },
		"lease":          func(l *lab, _ *component) driver.Locker { return lease{l.Store} },
	} {
		t.Run(name, func(t *testing.T) {
			locked(t, func(t *testing.T, l *lab, c *component) {
				const many = 64
				delay := func(next func()) { pass(500 * time.Microsecond); next(); pass(500 * time.Microsecond) }
				c.around = func(_ context.Context, _ string, next func()) error { delay(next); return nil }
				l.Around = func(_ context.Context, r *memstate.Request, next func() error) (err error) {
					delay(func() { err = next() })
					return err
				}
				tries := &tryCounter{Locker: locker(l, c)}
				p := l.provider(WithLocker(tries))
				var wg sync.WaitGroup
				var want []string
				for i := range many {
					text := fmt.Sprint(i)
					want = append(want, text)
					wg.Go(func() {
						if err := run(p, text); err != nil {
							t.Errorf("%s: %v", text, err)
						}
					})
					synctest.Wait() // until it waits in the queue
				}
				wg.Wait()
				l.Around = nil
				l.holds(want...)
				if tries.n > 3*many {
					t.Errorf("the lock was tried %d times for %d sessions", tries.n, many)
				}
				if n := len(p.queues.of); n != 0 {
					t.Errorf("%d queues are left", n)
				}
			})
		})
	}
}

// tryCounter counts the attempts of a locker. It is for a queue, where only one session tries at a
// time.
type tryCounter struct {
	driver.Locker
	n int
}

func (c *tryCounter) TryLock(ctx context.Context, resource, owner string, expiry time.Duration) (driver.Lock, error) {
	c.n++
	return c.Locker.TryLock(ctx, resource, owner, expiry)
}

func TestProcessesDoNotAskInLockstep(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		first := l.open(WithLocker(c))
		c.since()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := run(l.provider(WithLocker(c)), "x"); err != nil {
					t.Error(err)
				}
			})
		}
		pass(2 * time.Second)
		times := map[string][]time.Time{}
		for _, a := range c.since() {
			times[a.owner] = append(times[a.owner], a.at)
		}
		if len(times) != 2 {
			t.Fatalf("%d sessions have asked", len(times))
		}
		together, of := 0, 0
		for owner, all := range times {
			for other, theirs := range times {
				if owner == other {
					continue
				}
				for _, at := range all[2:] {
					if of++; slices.ContainsFunc(theirs[2:], at.Equal) {
						together++
					}
				}
			}
		}
		if of < 100 || together > of/10 {
			t.Errorf("%d of %d requests came at the moment of the other's", together, of)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}

// A process that opens one session after another without a pause lets other processes in between.
func TestABusyProcessLetsAnotherIn(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		l.Around = func(_ context.Context, _ *memstate.Request, next func() error) error {
			pass(time.Millisecond)
			return next()
		}
		busy := l.provider(WithLocker(c), timeouts(time.Hour, time.Minute))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := run(busy, "busy"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		pass(time.Second)
		other := l.provider(WithLocker(c))
		for range 20 {
			if err := run(other, "other"); err != nil {
				t.Error(err)
			}
		}
		cancel()
		wg.Wait()
	})
}

func TestTheNextInTheQueueOpensAsSoonAsTheOneBeforeCloses(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		p := l.provider(WithLocker(c))
		var closed time.Time
		for range handOvers {
			s, err := openOn(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				next, err := openOn(t.Context(), p)
				if err != nil {
					t.Error(err)
					return
				}
				if now := time.Now(); !now.Equal(closed) {
					t.Errorf("it opened %s after the one before was closed", now.Sub(closed))
				}
				if err := next.Close(); err != nil {
					t.Error(err)
				}
			})
			pass(time.Second + time.Nanosecond)
			closed = time.Now()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
		}
	})
}

// A session whose time is over while it waits in the queue asks the store once itself.
func TestWhoIsStillInTheQueueWhenItsTimeIsOverIsNotRefusedUnasked(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		p := l.provider(WithLocker(c))
		first, err := openOn(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				_, err := openOn(t.Context(), p)
				if e := want[*OpenTimeoutError](t, err); e.Waited != 5*time.Second || e.Cause != nil {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		owners := map[string]bool{}
		for _, a := range c.since() {
			if a.request == "trylock" {
				owners[a.owner] = true
			}
		}
		if len(owners) != 4 {
			t.Errorf("%d of 4 sessions have asked for the lock", len(owners))
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWhoLeavesTheQueueUnaskedBlamesNobody(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		p := l.provider(WithLocker(c))
		c.around = func(ctx context.Context, _ string, _ func()) error { <-ctx.Done(); return ctx.Err() }
		stuck, end := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := openOn(stuck, p)
			want[*StorageError](t, err)
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := openOn(ctx, p)
		want[*OpenTimeoutError](t, err)
		if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "holds it") || !strings.Contains(err.Error(), "of this process are waiting for it too") {
			t.Errorf("%v", err)
		}
		end()
		wg.Wait()
	})
}

func TestSharedSessionsDoNotQueue(t *testing.T) {
	locked(t, func(t *testing.T, l *lab, c *component) {
		p := l.provider(WithLocker(c))
		if _, err := openOn(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		c.requests()
		began := time.Now()
		s, err := p.Open(t.Context(), labStream, Shared())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got := c.requests(); len(got) != 0 || !time.Now().Equal(began) {
			t.Errorf("a shared session sent %q in %s", got, time.Since(began))
		}
	})
}
