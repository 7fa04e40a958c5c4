package eventstore

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/bell"
	"github.com/hexalith/eventstores-go/eventstore/internal/journal"
	"github.com/hexalith/eventstores-go/eventstore/internal/permit"
)

// Inside is what the feed of a provider needs of it. Only packages of this module can get one.
type Inside struct{ p *Provider }

// Inside is for the packages of this module. Others cannot call it.
func (p *Provider) Inside(permit.Permit) Inside { return Inside{p} }

// Feed returns the name of the provider's feed, or an empty name if it has none.
func (in Inside) Feed() journal.Feed { return journal.Feed(in.p.feed) }

// State returns the provider's store. Its requests have the provider's time limit.
func (in Inside) State() driver.State { return in.p.state }

// Locker returns what keeps the sessions of the provider apart.
func (in Inside) Locker() driver.Locker { return in.p.locker }

// Log returns the logger of the feed's log.
func (in Inside) Log() *slog.Logger { return in.p.journals.logHandle().log }

// OpenLog opens a session on the feed's log, which lasts as long as lease. It waits for at most
// atMost until other sessions on the log have ended.
func (in Inside) OpenLog(ctx context.Context, lease, atMost time.Duration) (s *Session, err error) {
	h := in.p.journals.logHandle()
	h.settings.SessionTimeout, h.settings.OpenTimeout = lease, atMost
	caller := ctx
	ctx, o := observe(ctx, in.p.observer, in.p.hasher, Operation{Name: OpOpen, Stream: h.Stream, Expected: -1})
	defer o.end(&err)
	if s, err = in.p.openOn(ctx, &o, h, in.p.locker, openConfig{withSnapshots: true}); err != nil {
		return nil, err
	}
	s.openContext = context.WithoutCancel(caller)
	return s, nil
}

// Commit returns the id of the last commit that a session knows. Do not call it while another
// method of the session runs.
func (in Inside) Commit(s *Session) string { return s.writer.head.commit }

// LogReader returns a reader of the feed's log.
func (in Inside) LogReader() *Reader { return newReader(in.p.journals.logHandle()) }

// LogView is the log as it was at one moment.
type LogView struct {
	Version int64 // of the last batch
	reader  *Reader
	view    view
}

// ViewLog returns the log as it is now, in one request.
func (in Inside) ViewLog(ctx context.Context, log *Reader) (LogView, error) {
	v, err := log.look(ctx, false)
	return LogView{v.head.version, log, v}, err
}

// Read reads the batches of a view from one version to another, both included.
func (v LogView) Read(ctx context.Context, from, to int64, backwards bool) iter.Seq2[Event, error] {
	return v.reader.events(ctx, v.view, readRange{from: from, to: to, backwards: backwards, raw: true})
}

// Committed rings when a commit of this provider is known to stand in a journal.
func (in Inside) Committed() *bell.Bell { return &in.p.journals.stood }

// LogKey returns the key of a version of the log.
func (in Inside) LogKey(version int64) string {
	return in.p.journals.logHandle().keys.event(version)
}

// LogState returns how far the log has taken over the journals, as a reader of the log sees it.
func (in Inside) LogState(ctx context.Context, r *Reader) (journal.State, error) {
	return readLog(ctx, r)
}

// Root reads the root of the feed, and its ETag. It returns an [ArgumentError] if the store has a
// feed of another name.
func (in Inside) Root(ctx context.Context) (journal.Root, string, error) {
	return in.p.journals.root(ctx)
}

// GetMany reads keys of any partitions, in as few requests as the store allows. It proves that a
// key is absent, and fails as a whole if one key cannot be read.
func (in Inside) GetMany(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	return in.p.journals.logHandle().getAnywhere(ctx, operation, keys, (*streamHandle).getManyOf)
}

// GetManyUnproven is GetMany for callers that ask again later. The store may have missed a key that
// it calls absent.
func (in Inside) GetManyUnproven(ctx context.Context, operation string, keys []string) ([]driver.Item, error) {
	return in.p.journals.logHandle().getAnywhere(ctx, operation, keys, (*streamHandle).getManyUnprovenOf)
}

// StreamHead is what a stream's head tells about the stream.
type StreamHead struct {
	Version         int64
	First           int64 // the lowest version that still counts
	Closed, Deleted bool
	Time            time.Time // of the last change
	head            head
}

// Ticket returns the ticket of the stream's last commit that is in a journal.
func (h StreamHead) Ticket() journal.Ticket { return h.head.ticket }

// Ticketed reports whether the ticket tells all that happened to the stream.
func (h StreamHead) Ticketed() bool { return h.head.ticketed() }

// Heads reads the heads of streams by their names. A stream without a head has version 0. An error
// of one head is in errs, under its index.
func (in Inside) Heads(ctx context.Context, operation string, names []string) (heads []StreamHead, errs map[int]error, err error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = "{" + name + "}:head"
	}
	items, err := in.GetMany(ctx, operation, keys)
	if err != nil {
		return nil, nil, err
	}
	heads = make([]StreamHead, len(names))
	for i, item := range items {
		h, err := in.named(names[i])
		if err == nil {
			var hd head
			if hd, _, err = h.headOf(item); err == nil {
				heads[i] = StreamHead{Version: hd.version, First: hd.first, Closed: hd.closed, Deleted: hd.deleted, Time: hd.time, head: hd}
			}
		}
		if err != nil {
			if errs == nil {
				errs = map[int]error{}
			}
			errs[i] = err
		}
	}
	return heads, errs, nil
}

// named returns the handle of a stream by the name that Stream.String returns.
func (in Inside) named(name string) (*streamHandle, error) {
	stream, err := ParseStream(name)
	if err != nil {
		return nil, err
	}
	return in.p.newHandle(stream), nil
}

// Derive returns the entries that should stand in journals for a stream and that are not covered,
// the oldest first. (Rule F8)
func (in Inside) Derive(ctx context.Context, operation, name string, hd StreamHead, covers func(journal.Slot) bool) ([]journal.Entry, error) {
	h, err := in.named(name)
	if err != nil {
		return nil, err
	}
	entries, err := h.derive(ctx, operation, hd.head, covers)
	if isA[*notStanding](err) {
		err = nil // what is missing is in the log, or stands by the time it is derived again
	}
	return entries, err
}

// Adopt gives a stream a ticket for what writers without a feed have done to it. It does nothing if
// they have done nothing, see [StreamHead.Ticketed]. (Rule F5)
func (in Inside) Adopt(ctx context.Context, operation, name string) error {
	h, err := in.named(name)
	if err != nil {
		return err
	}
	return h.adopt(ctx, operation)
}
