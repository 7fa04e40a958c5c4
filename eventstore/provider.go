package eventstore

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
)

// Provider opens streams of one store. It is safe for concurrent use. It holds nothing open itself,
// and is meant to live as long as the process.
type Provider struct {
	config
	state  driver.State
	queues queues // for the locks of streams

	journals   *journals // nil: the provider has no feed
	inline     inlines
	feedless   sync.Once
	gatherings gatherings // of the appends of Append
}

// config is what the options of a provider set.
type config struct {
	locker   driver.Locker
	registry *Registry
	settings Settings
	log      *slog.Logger
	observer Observer  // nil: none
	hasher   *idHasher // nil: ids are not hidden
	feed     string    // empty: none
	bell     driver.Bell
}

// Option configures a [Provider].
type Option func(*config) error

// WithLocker makes sessions use a lock component, such as the one that sidecar.NewLocker returns.
// Without it sessions use a lease that is kept in the state store.
func WithLocker(locker driver.Locker) Option {
	return func(c *config) error {
		if locker == nil {
			return &ArgumentError{Argument: "WithLocker", Reason: "the locker is nil: leave the option out to use a lease in the state store"}
		}
		c.locker = locker
		return nil
	}
}

// WithRegistry sets the Go types of events and snapshots. Without it, only [Raw] events can be
// appended and read.
func WithRegistry(registry *Registry) Option {
	return func(c *config) error {
		if registry == nil {
			return &ArgumentError{Argument: "WithRegistry", Reason: "the registry is nil: make it with NewRegistry"}
		}
		c.registry = registry
		return nil
	}
}

// WithSettings replaces the settings, which default to [DefaultSettings].
func WithSettings(settings Settings) Option {
	return func(c *config) error {
		c.settings = settings
		return settings.validate()
	}
}

// WithLogger sets where logs go, which defaults to [slog.Default]. What succeeds is logged at level
// debug. What an operator may want to look at is a warning. Payloads are never logged.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) error {
		if logger == nil {
			return &ArgumentError{Argument: "WithLogger", Reason: "the logger is nil: use slog.New(slog.DiscardHandler) for none"}
		}
		c.log = logger
		return nil
	}
}

// WithFeed makes the provider tell a feed of every commit, so that package feed can list and follow
// all streams of the store. The default is no feed. The name of the feed is not blank and has at
// most 200 bytes, for example "all". A store has one feed, and all services that share the store
// use its name. With another name, appends return an [ArgumentError].
//
// An append in a stream that is in the feed takes no additional request, but one more key. On
// stores without real transactions, another request writes the keys of many appends, 10 ms after
// the first of them. The first append of a stream takes one more request there. The first append of
// the provider takes two more. Once a minute, an append takes two more, or three if it is the first
// for a minute.
// The store then holds names of streams and types of events in more places, see docs/privacy.md.
//
// A provider without the option can write to the same streams. It logs a warning, once, when it
// writes to a stream that is in the feed. Its events enter the feed with the next append of a
// provider that has the option, or when the indexer of package feed looks at the stream. It cannot
// delete such a stream: [Session.DeleteStream] returns an [ArgumentError].
//
// Call [Provider.Close] when the process ends.
func WithFeed(name string) Option {
	return func(c *config) error {
		if err := validateName("name of the feed", name); err != nil {
			return err
		}
		c.feed = name
		return nil
	}
}

// WithBell makes the provider tell other processes of what it adds to the feed, and hear what they
// tell, so that they need not wait until they look by themselves. It needs [WithFeed].
// [driver.Bell] is such a bell, and sidecar.NewBell makes one of a pub/sub component. The default
// is no bell: then indexers and readers in other processes look within 20 ms to 1 s each.
//
// The provider rings at most every 20 ms for what it has written, and as often for what its indexer
// has logged. It does so in the background, so no append waits for it or fails because of it. If
// the bell does not work, the provider logs one warning, and tries again at intervals that grow to
// 30 s. All processes still look by themselves, so a message that is lost costs time only. Package
// feed listens while it indexes or while a read is live.
func WithBell(bell driver.Bell) Option {
	return func(c *config) error {
		if bell == nil {
			return &ArgumentError{Argument: "WithBell", Reason: "the bell is nil: leave the option out to have none"}
		}
		c.bell = bell
		return nil
	}
}

// NewProvider returns a provider for a state store. It sends nothing. A wrong option is an
// [ArgumentError].
func NewProvider(state driver.State, options ...Option) (*Provider, error) {
	if state == nil {
		return nil, &ArgumentError{Argument: "state", Reason: "it is nil: make one with sidecar.NewState, sqlite.Open or memory.New"}
	}
	registry, err := NewRegistry()
	if err != nil {
		return nil, err
	}
	p := &Provider{config: config{registry: registry, settings: DefaultSettings(), log: slog.Default()}}
	for _, option := range options {
		if option == nil {
			return nil, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&p.config); err != nil {
			return nil, err
		}
	}
	if p.settings.RequestTimeout == 0 {
		p.settings.RequestTimeout = defaultRequestTimeout
	}
	if p.settings.TailEvents == 0 {
		p.settings.TailEvents = defaultTailEvents
	}
	if p.hasher != nil {
		p.log = slog.New(&hashingHandler{Handler: p.log.Handler(), hasher: p.hasher})
	}
	p.state = boundedState{State: state, limit: p.settings.RequestTimeout}
	if p.feed != "" {
		feed, limit := journal.Feed(p.feed), state.Capabilities().MaxKeyBytes
		if limit > 0 && feed.LongestKey() > limit {
			return nil, &ArgumentError{Argument: "name of the feed",
				Reason: fmt.Sprintf("with %q keys would have up to %d bytes, but the store takes at most %d", p.feed, feed.LongestKey(), limit)}
		}
		p.journals = newJournals(p.feed, p.state, p.settings.CommitTimeout)
		p.journals.handle = p.newHandle
		p.journals.observer = p.observer
		p.journals.logHandle = func() *streamHandle {
			h := p.newHandle(p.journals.stream())
			h.journals, h.inline = nil, nil
			return h
		}
		if p.bell != nil {
			p.journals.ringer = newRinger(p.bell, p.feed, p.settings.RequestTimeout, p.journals.logHandle)
		}
	} else if p.bell != nil {
		return nil, &ArgumentError{Argument: "WithBell", Reason: "it is of no use without WithFeed"}
	}
	if p.locker == nil {
		p.locker = lease{state: p.state} // each of its requests is limited by boundedState
	} else {
		p.locker = boundedLocker{of: p.locker, limit: p.settings.RequestTimeout}
	}
	return p, nil
}

// An OpenOption says how [Provider.Open] opens a session.
type OpenOption func(*openConfig) error

type openConfig struct{ shared, withSnapshots bool }

// Exclusive makes the session take the stream's lock, so that no other exclusive session is open at
// the same time. It is the default.
func Exclusive() OpenOption {
	return func(c *openConfig) error { c.shared = false; return nil }
}

// Shared makes the session leave the stream's lock alone, so that others can be open at the same
// time. It is for writers that rely on expected versions alone. Opening never waits, and the
// session takes two requests less.
//
// If another append comes before one that expects a version, the latter returns a
// [VersionMismatchError] and stores nothing. The session stays open, and its next operation starts
// from the stream as it is then. An append with [ExpectAny] tries again by itself.
func Shared() OpenOption {
	return func(c *openConfig) error { c.shared = true; return nil }
}

// WithSnapshots has Open read the list of snapshots in the same request as the head. Use it in
// sessions that begin with [Reader.Load], which then needs no request for the snapshot unless it is
// large.
func WithSnapshots() OpenOption {
	return func(c *openConfig) error { c.withSnapshots = true; return nil }
}

// Open opens a session on a stream. The session has exclusive access for at most
// Settings.SessionTimeout, unless the option [Shared] is given. Close the session when done.
// [Provider.Stream] names a stream of the default database, [Provider.StreamOf] the stream of an
// event.
//
// Open returns an [OpenTimeoutError] if another session holds the stream for longer than
// Settings.OpenTimeout or the context allows. It returns an [ArgumentError] if the name is not
// possible, and otherwise a [StorageError] or a [DamagedError]. It takes at most
// Settings.OpenTimeout and Settings.RequestTimeout together, even if the store does not answer.
func (p *Provider) Open(ctx context.Context, stream Stream, options ...OpenOption) (*Session, error) {
	var config openConfig
	for _, option := range options {
		if option == nil {
			return nil, &ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&config); err != nil {
			return nil, err
		}
	}
	if config.shared {
		return p.open(ctx, OpOpenShared, stream, noLock{}, config)
	}
	return p.open(ctx, OpOpen, stream, p.locker, config)
}

// Append appends events to a stream in a new shared session, see [Shared] and [Session.Append]. It
// takes one request more than an append in an open session. Calls for one stream with [ExpectAny]
// that wait for each other are stored together, as in a session.
//
// Append returns the errors of [Provider.Open] and of [Session.Append]. After an
// [OutcomeUnknownError], pass the error to [Session.Retry] in a new session. If the events have
// idempotency ids, you can also repeat the call.
func (p *Provider) Append(ctx context.Context, stream Stream, expected Expected, events ...any) (version int64, err error) {
	ctx, o := observe(ctx, p.observer, p.hasher, expecting(Operation{Name: OpAppend, Stream: stream, Events: len(events)}, expected))
	defer o.end(&err)
	if err := p.registry.checkEvents(stream, events); err != nil { // before the stream is read
		return 0, err
	}
	if expected.any {
		return p.appendAny(ctx, &o, stream, events)
	}
	s, err := p.openObserved(ctx, &o, stream, noLock{}, openConfig{shared: true})
	if err != nil {
		return 0, err
	}
	return s.appendObserved(ctx, &o, expected, events, false)
}

// appendAny appends events at whatever version the stream has, together with those of other calls
// that wait.
func (p *Provider) appendAny(ctx context.Context, o *observation, stream Stream, events []any) (version int64, err error) {
	h, err := p.handle(stream)
	if err != nil {
		return 0, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return 0, h.failed("open", err)
	}
	drafts, err := (&Session{id: id.String(), Reader: newReader(h)}).drafts(ctx, ExpectAny(), events, false)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	alone := func() (int64, commitCounts, error) {
		s, err := p.openHandle(ctx, o, h, noLock{}, openConfig{shared: true}, id.String())
		if err != nil {
			return 0, commitCounts{}, err
		}
		return s.appendAlone(ctx, ExpectAny(), drafts)
	}
	together := func(ctx context.Context, b *gathered) {
		s, err := p.openHandle(ctx, &observation{}, h, noLock{}, openConfig{shared: true}, id.String())
		if err != nil {
			b.settle(err, commitCounts{})
			return
		}
		s.storeGathered(ctx, b)
	}
	var counts commitCounts
	if numbered(drafts) {
		version, counts, err = alone()
	} else {
		g, done := p.gatherings.use(stream)
		defer done()
		version, counts, err = g.join(ctx, drafts, alone, together)
	}
	counts.tell(o)
	if err = h.leftError(err); err != nil {
		return 0, err
	}
	o.operation.Session = id.String()
	o.result.Version, o.result.Events = version, len(events)
	h.log.DebugContext(ctx, "appended", "session", id, "version", version, "count", len(events), "duration", time.Since(began))
	return version, nil
}

func (p *Provider) open(caller context.Context, operation string, stream Stream, locker driver.Locker, config openConfig) (s *Session, err error) {
	ctx, o := observe(caller, p.observer, p.hasher, Operation{Name: operation, Stream: stream, Expected: -1})
	defer o.end(&err)
	if s, err = p.openObserved(ctx, &o, stream, locker, config); err != nil {
		return nil, err
	}
	s.openContext = context.WithoutCancel(caller)
	return s, nil
}

// openObserved is open within an operation that the caller observes already.
func (p *Provider) openObserved(ctx context.Context, o *observation, stream Stream, locker driver.Locker, config openConfig) (*Session, error) {
	h, err := p.handle(stream)
	if err != nil {
		return nil, err
	}
	return p.openOn(ctx, o, h, locker, config)
}

// openOn is openObserved for a stream that has a handle.
func (p *Provider) openOn(ctx context.Context, o *observation, h *streamHandle, locker driver.Locker, config openConfig) (*Session, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, h.failed("open", err)
	}
	return p.openHandle(ctx, o, h, locker, config, id.String())
}

// openHandle is openOn for a session that has its handle and its id.
func (p *Provider) openHandle(ctx context.Context, o *observation, h *streamHandle, locker driver.Locker, config openConfig, id string) (*Session, error) {
	o.operation.Session = id
	ctx, cancel := context.WithTimeoutCause(ctx, h.settings.openLimit(), errOpenTooLong)
	defer cancel()
	return openSession(ctx, h, locker, config, id, o)
}

// Close sends what the feed was not told yet, and tells it that this provider has ended. Call it
// when the process ends and no append is under way. Without it nothing is lost, but the feed takes
// longer to find the last commits, and goes on looking for more of them. A provider without
// [WithFeed] has nothing to close.
//
// Close takes one request, or one more if it has to send something, and one for each append of
// unknown outcome. It returns a [StorageError] if the store did not take everything, and calling it
// again tries again. Calling it twice does nothing. Close looks up what became of appends of
// unknown outcome. The feed is not told of the end while one of them may still take effect:
// complete it with [Session.Retry] first. The provider can still be used after Close.
func (p *Provider) Close(ctx context.Context) (err error) {
	if p.journals == nil {
		return nil
	}
	const operation = "close the provider"
	h := p.journals.logHandle()
	ctx, o := observe(ctx, p.observer, p.hasher, Operation{Name: OpCloseProvider, Stream: h.Stream, Expected: -1})
	defer o.end(&err)
	if ctx.Err() != nil {
		return h.notBegun(ctx, operation)
	}
	err = p.journals.close(ctx)
	p.journals.ringer.wait(ctx)
	if err != nil {
		return h.failed(operation, err)
	}
	return nil
}

// Registry returns the registry that the provider was created with, or an empty one.
func (p *Provider) Registry() *Registry { return p.registry }

// Logger returns the provider's logger.
func (p *Provider) Logger() *slog.Logger { return p.log }

// Observer returns the provider's observer, or nil if it has none.
func (p *Provider) Observer() Observer { return p.observer }

// Stream returns the name of a stream in the default database.
func (p *Provider) Stream(aggregateType, id string) Stream {
	return Stream{Database: p.settings.DefaultDatabase, Type: aggregateType, ID: id}
}

// StreamOf returns the name of the stream of an event, from the partition id, aggregate type and
// aggregate id in the event's metadata. Without a partition id the stream is in the default
// database.
func (p *Provider) StreamOf(m Metadata) Stream {
	s := p.Stream(m.Message.AggregateType, m.Message.AggregateID)
	if m.Context.PartitionID != "" {
		s.Database = m.Context.PartitionID
	}
	return s
}

// Reader returns a reader of a stream. It sends nothing and checks nothing. The reader needs no
// session, never waits for a writer and never delays one. Its first read returns an [ArgumentError]
// if the name is not possible.
func (p *Provider) Reader(stream Stream) *Reader {
	h, err := p.handle(stream)
	if err != nil {
		return &Reader{handle: &streamHandle{Stream: stream, observer: p.observer, hasher: p.hasher}, guard: func() error { return err }}
	}
	return newReader(h)
}

func (p *Provider) handle(stream Stream) (*streamHandle, error) {
	if p.state == nil {
		return nil, &ArgumentError{Argument: "provider", Reason: "it was not made by NewProvider"}
	}
	if err := stream.validate(); err != nil {
		return nil, err
	}
	h := p.newHandle(stream)
	longest := h.keys.longest()
	if p.journals != nil {
		longest = max(longest, len(p.journals.feed.Mark(h.keys.partition)))
	}
	if limit := h.caps.MaxKeyBytes; limit > 0 && longest > limit {
		return nil, &ArgumentError{Argument: "stream name",
			Reason: fmt.Sprintf("with %s keys would have up to %d bytes, but the store takes at most %d", stream, longest, limit)}
	}
	return h, nil
}

func (p *Provider) newHandle(stream Stream) *streamHandle {
	k := keysOf(stream)
	return &streamHandle{
		Stream:   stream,
		keys:     k,
		state:    p.state,
		caps:     p.state.Capabilities(),
		registry: p.registry,
		settings: p.settings,
		log:      p.log.With("stream", k.partition),
		observer: p.observer,
		hasher:   p.hasher,
		queues:   &p.queues,
		journals: p.journals,
		inline:   &p.inline,
		feedless: &p.feedless,
	}
}
