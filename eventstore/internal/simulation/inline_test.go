package simulation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
)

// TestInlineDocumentsHoldWhatIsStored runs histories of processes that append to streams with an
// inline projection, until one fails.
func TestInlineDocumentsHoldWhatIsStored(t *testing.T) {
	if *one >= 0 {
		if err := newInlining(uint64(*one)).history(t); err != nil {
			t.Error(err)
		}
		return
	}
	failed, ok := lowest(*seeds, func(seed uint64) error { return newInlining(seed).history(t) })
	if ok {
		t.Logf("seed %d fails; run it alone with -run %s -seed %d", failed, t.Name(), failed)
		t.Error(newInlining(failed).history(t))
	}
}

const inlineStreams = 3

// named is an event. No name may be in two streams.
type named struct{ Name, Token int }

// taking is the document of one stream.
type taking struct {
	Names  []int
	Tokens []int // of all events, in the order of their versions
}

var errNameTaken = errors.New("the name is taken")

// inlining is one history.
type inlining struct {
	seed     uint64
	store    *memstate.Store
	registry *eventstore.Registry
	late     sync.WaitGroup // requests that are still under way

	mu      sync.Mutex
	token   int
	stored  map[int]bool // tokens of appends that were acknowledged
	refused map[int]bool // tokens of appends that certainly did not take effect
}

func newInlining(seed uint64) *inlining {
	registry, err := eventstore.NewRegistry(eventstore.Type[named]("named"))
	if err != nil {
		panic(err)
	}
	s := &inlining{seed: seed, store: memstate.Transactional(), registry: registry, stored: map[int]bool{}, refused: map[int]bool{}}
	s.store.Caps.UniqueETags = seed%2 == 0
	s.store.Caps.BulkMisses = seed%3 == 0
	return s
}

func (s *inlining) history(t *testing.T) (failure error) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		var all sync.WaitGroup
		for n := range 3 {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(s.seed, uint64(n)))
				for range 3 { // a process, and those that take its place
					s.live(jitter.WithSource(ctx, rng), rng)
				}
			})
		}
		all.Wait()
		s.late.Wait()
		failure = s.verdict(ctx)
	})
	if failure != nil {
		failure = fmt.Errorf("seed %d: %w", s.seed, failure)
	}
	return failure
}

// provider returns a provider whose requests are lost, late and repeated as rng says.
func (s *inlining) provider(state driver.State) (*eventstore.Provider, *projection.Inline[taking]) {
	settings := eventstore.DefaultSettings()
	settings.CommitTimeout = 400 * time.Millisecond
	p, err := eventstore.NewProvider(state, eventstore.WithRegistry(s.registry), eventstore.WithSettings(settings), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		panic(err)
	}
	inline, err := projection.NewInline(p, "names", s.apply)
	if err != nil {
		panic(err)
	}
	return p, inline
}

// apply refuses a name that a document has, and looks at all of them for that.
func (s *inlining) apply(_ context.Context, docs *projection.Documents[taking], item feed.Item) error {
	e := item.Event.Data.(named)
	for i := range inlineStreams {
		doc, _, err := docs.Get(fmt.Sprint(i))
		if err != nil {
			return err
		}
		if slices.Contains(doc.Names, e.Name) {
			return errNameTaken
		}
	}
	return docs.Update(item.Stream.ID, func(doc *taking) error {
		doc.Names, doc.Tokens = append(doc.Names, e.Name), append(doc.Tokens, e.Token)
		return nil
	})
}

// live is the life of a process. It ends with a crash, after which requests may still arrive.
func (s *inlining) live(ctx context.Context, rng *rand.Rand) {
	p, _ := s.provider(&lossy{State: s.store, of: s, rng: rand.New(rand.NewPCG(rng.Uint64(), 0))})
	for range 1 + rng.IntN(3) {
		s.mu.Lock()
		s.token++
		e := named{rng.IntN(12), s.token}
		s.mu.Unlock()
		stream := p.Stream("account", fmt.Sprint(rng.IntN(inlineStreams)))
		calling, stop := context.WithCancel(ctx)
		if rng.IntN(8) == 0 {
			time.AfterFunc(time.Duration(rng.IntN(100))*time.Millisecond, stop)
		}
		_, err := p.Append(calling, stream, eventstore.ExpectAny(), e)
		stop()
		if unknown, ok := errors.AsType[*eventstore.OutcomeUnknownError](err); ok && rng.IntN(2) == 0 {
			err = s.retry(ctx, p, stream, unknown)
		}
		s.mu.Lock()
		switch {
		case err == nil:
			s.stored[e.Token] = true
		case !errors.As(err, new(*eventstore.OutcomeUnknownError)):
			s.refused[e.Token] = true
		}
		s.mu.Unlock()
	}
}

func (s *inlining) retry(ctx context.Context, p *eventstore.Provider, stream eventstore.Stream, unknown *eventstore.OutcomeUnknownError) error {
	session, err := p.Open(ctx, stream, eventstore.Shared())
	if err != nil {
		return unknown
	}
	if _, err = session.Retry(ctx, unknown); err != nil && !errors.As(err, new(*eventstore.VersionMismatchError)) {
		return unknown // what a Retry says of the append before is not judged here
	}
	return err
}

// verdict compares the documents with the streams.
func (s *inlining) verdict(ctx context.Context) error {
	p, inline := s.provider(s.store)
	in := map[int]int{}
	taken := map[int]bool{}
	for i := range inlineStreams {
		id := fmt.Sprint(i)
		var want []int
		for event, err := range p.Reader(p.Stream("account", id)).Read(ctx) {
			if err != nil {
				return err
			}
			e := event.Data.(named)
			if taken[e.Name] {
				return fmt.Errorf("name %d is stored twice", e.Name)
			}
			taken[e.Name] = true
			in[e.Token]++
			want = append(want, e.Token)
		}
		if doc, _, err := inline.Get(ctx, id); err != nil || !slices.Equal(doc.Tokens, want) {
			return fmt.Errorf("stream %s has the events %v, and its document %v %w", id, want, doc.Tokens, err)
		}
	}
	for token := range s.token + 1 {
		switch {
		case s.stored[token] && in[token] != 1:
			return fmt.Errorf("event %d was acknowledged, and is stored %d times", token, in[token])
		case s.refused[token] && in[token] != 0, in[token] > 1:
			return fmt.Errorf("event %d was refused, and is stored %d times", token, in[token])
		}
	}
	return nil
}

// lossy loses, delays and repeats requests.
type lossy struct {
	driver.State
	of *inlining

	mu  sync.Mutex // several requests may be on their way
	rng *rand.Rand
}

func (l *lossy) chance(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(n)
}

var errGone = errors.New("no answer")

// around sends a request. Each takes some time.
func (l *lossy) around(ctx context.Context, send func(context.Context) error) error {
	<-time.After(time.Duration(1+l.chance(6_000_000)) * time.Nanosecond)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx = context.WithoutCancel(ctx)
	fate, delay := l.chance(12), time.Duration(1+l.chance(150_000_000))
	switch fate {
	case 0:
		return errGone
	case 1:
		_ = send(ctx)
		return errGone
	case 2:
		_ = send(ctx)
	case 3, 4:
		l.of.late.Go(func() {
			<-time.After(delay)
			_ = send(ctx)
		})
		if fate == 3 {
			return errGone
		}
	}
	return send(ctx)
}

func (l *lossy) Get(ctx context.Context, partition, key string) (item driver.Item, err error) {
	<-time.After(time.Duration(1 + l.chance(3_000_000)))
	if l.chance(20) == 0 {
		return driver.Item{}, errGone
	}
	return l.State.Get(ctx, partition, key)
}

func (l *lossy) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return l.around(ctx, func(ctx context.Context) error { return l.State.Swap(ctx, partition, swap) })
}

func (l *lossy) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return l.around(ctx, func(ctx context.Context) error { return l.State.Commit(ctx, partition, swap, writes) })
}

// inlineFaults leave out one rule of inline projections each.
var inlineFaults = []planted{
	{"inline", "a document is written without a condition",
		"Value: value, ETag: item.ETag, IfAbsent: !item.Found()}", "Value: value, IfAbsent: !item.Found()}"},
	{"inline", "a document is made without a condition",
		"Value: value, ETag: item.ETag, IfAbsent: !item.Found()}", "Value: value, ETag: item.ETag}"},
	{"inline", "a document that was only read is no part of the transaction",
		"for id, doc := range d.known {\n", "for id, doc := range d.known {\n\t\tif len(doc.changes) == 0 {\n\t\t\tcontinue\n\t\t}\n"},
	{"inline", "an attempt leaves out the documents",
		"\t\twrites = append(writes, c.beside...)\n", ""},
	{"inline", "an append is refused because of its own documents",
		"if last = inline.next(w, c.beside, docs, err, &so); last == nil {",
		"if last = inline.next(w, c.beside, docs, err, &so); inline.refusal != nil {\n\t\t\t\t\treturn last\n\t\t\t\t}\n\t\t\t\tif last == nil {"},
}

// TestEveryRuleOfInlineIsNeeded plants one fault after another into the code.
func TestEveryRuleOfInlineIsNeeded(t *testing.T) {
	for _, p := range inlineFaults {
		t.Run(p.fault, func(t *testing.T) {
			t.Parallel()
			out, err := p.run(t, []string{"../..", "../../projection"}, "-test.run=TestInlineDocumentsHoldWhatIsStored", "-seeds=20000")
			caught := failing.FindStringSubmatch(out)
			if err == nil || caught == nil {
				t.Errorf("no history fails without it:\n%s", out)
				return
			}
			fmt.Printf("planted rule=%s fault=%q caught_at_seed=%s\n", p.rule, p.fault, caught[1])
		})
	}
}
