package projection_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// inlineLab is a store with the balance of each account, and of the bank, in an inline projection.
type inlineLab struct {
	*memstate.Store
	t *testing.T

	mu sync.Mutex
}

func inlineTest(t *testing.T, test func(t *testing.T, l *inlineLab)) {
	t.Helper()
	t.Parallel()
	for _, unique := range []bool{true, false} {
		t.Run(fmt.Sprintf("unique ETags %v", unique), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &inlineLab{Store: memstate.Transactional(), t: t}
				l.Caps.UniqueETags = unique
				test(t, l)
			})
		})
	}
}

var errOverdrawn = errors.New("the bank is overdrawn")

// process returns a provider and the projection, as another process has them.
func (l *inlineLab) process(options ...eventstore.Option) (*eventstore.Provider, *projection.Inline[account]) {
	l.t.Helper()
	registry, err := eventstore.NewRegistry(eventstore.Type[moved]("moved"))
	if err != nil {
		l.t.Fatal(err)
	}
	p, err := eventstore.NewProvider(l.Store, append(options, eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		l.t.Fatal(err)
	}
	return p, l.inline(p)
}

func (l *inlineLab) inline(p *eventstore.Provider) *projection.Inline[account] {
	l.t.Helper()
	inline, err := projection.NewInline(p, "balances", func(_ context.Context, docs *projection.Documents[account], item feed.Item) error {
		e := item.Event.Data.(moved)
		add := func(a *account) error {
			a.Balance, a.Moves = a.Balance+e.Amount, a.Moves+1
			return nil
		}
		if err := docs.Update(item.Stream.ID, add); err != nil {
			return err
		}
		if err := docs.Update("bank", add); err != nil {
			return err
		}
		if bank, _, err := docs.Get("bank"); err != nil || bank.Balance < 0 {
			return errors.Join(errOverdrawn, err)
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return inline
}

// wants compares a document with what it should be.
func (l *inlineLab) wants(p *projection.Inline[account], id string, balance, moves int) {
	l.t.Helper()
	got, _, err := p.Get(l.t.Context(), id)
	if want := (account{balance, moves}); err != nil || got != want {
		l.t.Errorf("%s: %+v %v, want %+v", id, got, err, want)
	}
}

// version compares the version of a stream with what it should be.
func (l *inlineLab) version(p *eventstore.Provider, id string, want int64) {
	l.t.Helper()
	if got, err := p.Reader(p.Stream("account", id)).Version(l.t.Context()); err != nil || got != want {
		l.t.Errorf("%s: version %d %v, want %d", id, got, err, want)
	}
}

func (l *inlineLab) append(p *eventstore.Provider, id string, amounts ...int) error {
	l.t.Helper()
	var events []any
	for _, amount := range amounts {
		events = append(events, moved{amount})
	}
	_, err := p.Append(l.t.Context(), p.Stream("account", id), eventstore.ExpectAny(), events...)
	return err
}

func (l *inlineLab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// commits intervenes in the nth commits from now on, beginning with 0.
func (l *inlineLab) commits(intervene func(n int, r *memstate.Request, next func() error) error) {
	n := 0
	l.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
		<-time.After(20 * time.Millisecond) // longer than an ETag is trusted if it can come back
		if r.Op != "commit" {
			return next()
		}
		l.mu.Lock()
		at := n
		n++
		l.mu.Unlock()
		return intervene(at, r, next)
	})
}

func TestAnInlineDocumentChangesWithEachAppend(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, inline := l.process(eventstore.WithFeed("all"))
		l.commits(func(_ int, _ *memstate.Request, next func() error) error { return next() })
		l.must(l.append(p, "ada", 1, 2, 3))
		l.wants(inline, "ada", 6, 3)

		s, err := p.Open(t.Context(), p.Stream("account", "ada"))
		l.must(err)
		_, err = s.Append(t.Context(), eventstore.ExpectVersion(3), moved{10})
		l.must(err)
		l.must(s.Close())
		l.wants(inline, "ada", 16, 4)

		r, err := aggregate.NewRepository(p, "account", func(sum int, e eventstore.Event) (int, error) { return sum + e.Data.(moved).Amount, nil })
		l.must(err)
		a, err := r.Update(t.Context(), "ada", func(sum int) ([]any, error) { return []any{moved{sum}}, nil })
		l.must(err)
		l.wants(inline, "ada", a.State, int(a.Version))
		l.wants(inline, "bank", 32, 5)
		if _, exists, err := inline.Get(t.Context(), "bob"); exists || err != nil {
			t.Error("a document that was never made: ", exists, err)
		}
		l.must(p.Close(t.Context()))
	})
}

func TestAnInlineDocumentNeedsATransactionThatHoldsItAndItsStream(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*driver.Capabilities){
		"redis":                  func(c *driver.Capabilities) { *c = memstate.Redis().Caps },
		"careful":                func(c *driver.Capabilities) { *c = driver.Capabilities{} },
		"a store of partitions":  func(c *driver.Capabilities) { c.AnyPartition = false },
		"writes unconditionally": func(c *driver.Capabilities) { c.Conditions = false },
	} {
		store := memstate.Transactional()
		change(&store.Caps)
		p, err := eventstore.NewProvider(store)
		if err != nil {
			t.Fatal(err)
		}
		_, err = projection.NewInline(p, "balances", func(context.Context, *projection.Documents[account], feed.Item) error { return nil })
		unsupported, ok := errors.AsType[*projection.UnsupportedError](err)
		if !ok || unsupported.Store != store.Caps.Store || unsupported.Reason == "" || !strings.Contains(err.Error(), "WaitFor") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.Append(t.Context(), p.Stream("account", "ada"), eventstore.ExpectAny(), eventstore.Raw{Type: "moved", Payload: []byte("{}")}); err != nil {
			t.Errorf("%s: an append afterwards: %v", name, err)
		}
	}
}

func TestAnInlineProjectionChecksItsArguments(t *testing.T) {
	t.Parallel()
	p, err := eventstore.NewProvider(memstate.Transactional())
	if err != nil {
		t.Fatal(err)
	}
	handler := func(context.Context, *projection.Documents[account], feed.Item) error { return nil }
	for name, make := range map[string]func() (*projection.Inline[account], error){
		"no provider": func() (*projection.Inline[account], error) { return projection.NewInline(nil, "x", handler) },
		"no name":     func() (*projection.Inline[account], error) { return projection.NewInline(p, " ", handler) },
		"long name": func() (*projection.Inline[account], error) {
			return projection.NewInline(p, strings.Repeat("x", 201), handler)
		},
		"no handler": func() (*projection.Inline[account], error) { return projection.NewInline[account](p, "x", nil) },
		"twice": func() (*projection.Inline[account], error) {
			if inline, err := projection.NewInline(p, "x", handler); err != nil {
				return inline, err
			}
			return projection.NewInline(p, "x", handler)
		},
	} {
		if _, err := make(); !errors.As(err, new(*eventstore.ArgumentError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAHandlerCanRefuseAnAppend(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, inline := l.process()
		l.must(l.append(p, "ada", 5))
		err := l.append(p, "bob", 1, -7)
		if e, ok := errors.AsType[*eventstore.InlineError](err); !ok || !errors.Is(err, errOverdrawn) || e.Projection != "balances" || e.Conflicts != 0 {
			t.Error("an append that the handler refuses: ", err)
		}
		l.version(p, "bob", 0)
		l.wants(inline, "bob", 0, 0)
		l.wants(inline, "bank", 5, 1)
	})
}

func TestAppendsThatAreStoredTogetherAreRefusedOneByOne(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, inline := l.process()
		l.must(l.append(p, "ada", 50))
		l.commits(func(_ int, _ *memstate.Request, next func() error) error { return next() })
		errs := make([]error, 9)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				amount := 1
				if i == 4 {
					amount = -1000
				}
				errs[i] = l.append(p, "ada", amount)
			})
		}
		all.Wait()
		for i, err := range errs {
			if errors.Is(err, errOverdrawn) != (i == 4) || i != 4 && err != nil {
				t.Errorf("append %d: %v", i, err)
			}
		}
		l.wants(inline, "bank", 58, 9)
	})
}

func TestTwoStreamsChangeOneDocument(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, inline := l.process()
		l.commits(func(_ int, _ *memstate.Request, next func() error) error { return next() })
		var all sync.WaitGroup
		for i := range 8 {
			q, _ := l.process()
			all.Go(func() {
				for n := range 3 {
					if err := l.append(q, fmt.Sprint(i), n); err != nil {
						t.Errorf("stream %d: %v", i, err)
					}
				}
			})
		}
		all.Wait()
		for i := range 8 {
			l.wants(inline, fmt.Sprint(i), 3, 3)
			l.version(p, fmt.Sprint(i), 3)
		}
		l.wants(inline, "bank", 24, 24)
	})
}

// A document that is always changed by others must not keep an append for ever.
func TestAnAppendGivesUpOnADocumentThatKeepsChanging(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, inline := l.process()
		l.must(l.append(p, "bank", 1))
		key := "{:inline:balances:bank}:document"
		var late []func() error
		l.commits(func(_ int, r *memstate.Request, next func() error) error {
			value, _ := l.Value(key)
			l.Set(key, value) // another ETag
			late = append(late, next)
			return next()
		})
		err := l.append(p, "ada", 1)
		if e, ok := errors.AsType[*eventstore.InlineError](err); !ok || e.Conflicts == 0 || eventstore.Advise(err) != eventstore.AdviceRetry {
			t.Fatal("an append that never gets its turn: ", err)
		}
		for _, again := range late { // nothing of it comes later
			if again() == nil {
				t.Error("an attempt took effect afterwards")
			}
		}
		l.Intervene(nil)
		l.version(p, "ada", 0)
		l.wants(inline, "bank", 2, 2)
	})
}

func TestLostAnswersApplyAnEventOnce(t *testing.T) {
	for name, lose := range map[string]func(next func() error, later func(func() error)) error{
		"request lost": func(func() error, func(func() error)) error { return memstate.ErrLost },
		"answer lost": func(next func() error, _ func(func() error)) error {
			_ = next()
			return memstate.ErrLost
		},
		"repeated": func(next func() error, _ func(func() error)) error {
			_ = next()
			return next()
		},
		"late": func(next func() error, later func(func() error)) error {
			later(next)
			return memstate.ErrLost
		},
	} {
		t.Run(name, func(t *testing.T) {
			inlineTest(t, func(t *testing.T, l *inlineLab) {
				p, inline := l.process()
				l.must(l.append(p, "bob", 1))
				for delay := range 30 { // between all of the requests that follow
					id := fmt.Sprint(delay)
					var late sync.WaitGroup
					l.commits(func(n int, r *memstate.Request, next func() error) error {
						if n > 0 {
							return next()
						}
						return lose(next, func(send func() error) {
							late.Go(func() {
								<-time.After(time.Duration(delay) * 9 * time.Millisecond)
								_ = send()
							})
						})
					})
					l.must(l.append(p, id, 1))
					late.Wait()
					l.Intervene(nil)
					l.wants(inline, id, 1, 1)
					l.version(p, id, 1)
				}
				l.wants(inline, "bank", 31, 31)
			})
		})
	}
}

// When the answer of an attempt comes late, its own documents must not make the handler refuse it.
func TestAnAppendThatTookEffectIsNotRefused(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, inline := l.process()
		l.must(l.append(p, "bob", 10))
		for delay := range 40 {
			id := fmt.Sprint(delay)
			l.must(l.append(p, "bob", 10))
			var late sync.WaitGroup
			l.commits(func(n int, r *memstate.Request, next func() error) error {
				if n > 0 {
					return next()
				}
				late.Go(func() {
					<-time.After(time.Duration(delay) * 5 * time.Millisecond)
					_ = next()
				})
				return memstate.ErrLost
			})
			bank, _, _ := inline.Get(t.Context(), "bank")
			err := l.append(p, id, -bank.Balance) // a second time it would be refused
			late.Wait()
			l.Intervene(nil)
			l.must(err)
			l.version(p, id, 1)
			l.wants(inline, id, -bank.Balance, 1)
		}
	})
}

// If another append changed the documents first so that the handler refuses, that is certain.
func TestARefusalAfterAConflictIsCertain(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, inline := l.process()
		q, _ := l.process()
		l.must(l.append(p, "ada", 10))
		var late func() error
		l.commits(func(n int, r *memstate.Request, next func() error) error {
			if n == 0 {
				late = next
				l.must(l.append(q, "bob", -10))
			}
			return next()
		})
		err := l.append(p, "ada", -10)
		if !errors.As(err, new(*eventstore.InlineError)) || !errors.Is(err, errOverdrawn) {
			t.Error("the second withdrawal: ", err)
		}
		if late() == nil {
			t.Error("the first attempt took effect afterwards")
		}
		l.Intervene(nil)
		l.version(p, "ada", 1)
		l.wants(inline, "bank", 0, 2)
	})
}

func TestRetryAppliesAnEventOnce(t *testing.T) {
	for _, took := range []bool{true, false} {
		t.Run(fmt.Sprint("took effect: ", took), func(t *testing.T) {
			inlineTest(t, func(t *testing.T, l *inlineLab) {
				p, inline := l.process()
				l.must(l.append(p, "bob", 1))
				away := false
				l.Intervene(func(_ context.Context, r *memstate.Request, next func() error) error {
					if r.Op == "commit" && !away {
						away = true
						if took {
							_ = next()
						}
						return memstate.ErrLost
					}
					if away {
						return memstate.ErrLost
					}
					return next()
				})
				_, err := p.Append(t.Context(), p.Stream("account", "ada"), eventstore.ExpectVersion(0), moved{5})
				unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err)
				if !ok {
					t.Fatal(err)
				}
				l.Intervene(nil)
				l.must(l.append(p, "bob", 1)) // the document has changed meanwhile
				for range 2 {
					q, _ := l.process() // another process
					s, err := q.Open(t.Context(), q.Stream("account", "ada"))
					l.must(err)
					if version, err := s.Retry(t.Context(), unknown); version != 1 || err != nil {
						t.Error(version, err)
					}
					l.must(s.Close())
				}
				l.version(p, "ada", 1)
				l.wants(inline, "ada", 5, 1)
				l.wants(inline, "bank", 7, 3)
			})
		})
	}
}

func TestEventsAreNotStoredWithoutTheDocuments(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		l.Caps.MaxRequestBytes = 4000
		p, _ := l.process()
		notes, err := projection.NewInline(p, "notes", func(_ context.Context, docs *projection.Documents[string], item feed.Item) error {
			return docs.Update("all", func(s *string) error { *s += strings.Repeat("x", 100); return nil })
		})
		l.must(err)
		stored := 0
		for err = error(nil); err == nil; stored++ {
			err = l.append(p, "ada", 1)
		}
		stored--
		if !errors.As(err, new(*eventstore.InlineError)) {
			t.Error("an append whose documents are too large: ", err)
		}
		l.version(p, "ada", int64(stored))
		if s, _, err := notes.Get(t.Context(), "all"); len(s) != 100*stored || stored == 0 || err != nil {
			t.Errorf("%d events, and %d bytes of the document %v", stored, len(s), err)
		}
	})
}

func TestInlineDocumentsAreDeletedAndMadeAgain(t *testing.T) {
	inlineTest(t, func(t *testing.T, l *inlineLab) {
		p, err := eventstore.NewProvider(l.Store)
		l.must(err)
		inline, err := projection.NewInline(p, "last", func(_ context.Context, docs *projection.Documents[[]int64], item feed.Item) error {
			if item.Err == nil {
				t.Error("an event without a registered type is no error")
			}
			if _, exists, err := docs.Get("other"); exists || err != nil {
				t.Error("a document that was only looked at exists: ", err)
			}
			if item.Version%2 == 0 {
				return docs.Delete("d")
			}
			failed := errors.New("failed")
			if err := docs.Update("d", func(v *[]int64) error { *v = append(*v, item.Version); return nil }); err != nil {
				return err
			}
			if err := docs.Update("d", func(v *[]int64) error { *v = append(*v, 0); return failed }); err != failed {
				t.Error("an update that fails: ", err)
			}
			return nil
		})
		l.must(err)
		for n := int64(1); n < 7; n++ {
			_, err := p.Append(t.Context(), p.Stream("account", "ada"), eventstore.ExpectAny(), eventstore.Raw{Type: "moved", Payload: []byte("{}")})
			l.must(err)
			got, exists, err := inline.Get(t.Context(), "d")
			if want := n%2 == 1; err != nil || exists != want || want && (len(got) != 1 || got[0] != n) {
				t.Errorf("after event %d: %v %v %v", n, got, exists, err)
			}
		}
		if _, exists, err := inline.Get(t.Context(), "other"); exists || err != nil {
			t.Error("a document that was only looked at exists: ", err)
		}
	})
}
