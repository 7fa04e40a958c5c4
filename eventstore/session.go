package eventstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// Session is access to one stream for a limited time, exclusive unless it was opened with [Shared].
// It appends, and it has the methods of [Reader] to read. It is safe for concurrent use. Appends
// and snapshots wait for each other.
//
// A session that has ended refuses every operation. It returns a [NotOpenError] after Close, a
// [SessionExpiredError] when its time is over, and a [SessionLostError] if it lost its stream to
// another session. If the store lost what the session knows as committed, it returns a
// [LostWritesError]. Nothing that the session has appended is affected by its end. A session keeps
// order, while the commit itself makes an append safe.
type Session struct {
	*Reader

	id        string
	expiresAt time.Time
	locker    driver.Locker
	writer    *writer
	turn      chan struct{} // holds a token while writer is in use
	gathering gathering     // of the appends that take any version

	openContext context.Context // the context of Open without its end, for Close, which has no context parameter

	// listed is the list of snapshots as it was found when opening, until the session changes it.
	// It lacks what others have added since, which only costs time.
	listed atomic.Pointer[driver.Item]

	mu     sync.Mutex
	closed bool
	lost   error // a SessionLostError or LostWritesError: the session is over
}

// openSession takes the lock, and then reads the stream's head.
func openSession(ctx context.Context, h *streamHandle, locker driver.Locker, config openConfig, id string, o *observation) (*Session, error) {
	if ctx.Err() != nil {
		return nil, h.notBegun(ctx, "open")
	}
	began := time.Now()
	locked, err := lockStream(ctx, h, locker, id, o)
	if err != nil {
		return nil, err
	}
	s := &Session{
		id:        id,
		expiresAt: locked.Add(h.settings.SessionTimeout),
		locker:    locker,
		turn:      make(chan struct{}, 1),
	}
	opened, err := h.open(ctx, "open", config.withSnapshots)
	if err != nil {
		s.unlock(ctx, h)
		return nil, err
	}
	s.writer = newWriter(h, opened)
	_, s.writer.shared = locker.(noLock)
	s.listed.Store(opened.snapshots)
	s.Reader = &Reader{handle: h, session: id, guard: s.check, view: s.view}
	o.result.Version = opened.head.version
	h.log.DebugContext(ctx, "opened", "session", id, "version", opened.head.version, "duration", time.Since(began))
	return s, nil
}

// ID returns the session's unique id. The session's events carry it.
func (s *Session) ID() string { return s.id }

// ExpiresAt returns when the session ends by itself.
func (s *Session) ExpiresAt() time.Time { return s.expiresAt }

// Close releases the stream. Closing again does nothing. Close does not wait for an operation in
// another goroutine, which ends as it would have. If the session had expired or lost its lock
// before, Close returns a [SessionExpiredError] or a [SessionLostError]. What was appended in it
// remains. After a [StorageError] the lock expires by itself.
//
// Close can tell that a lock was lost only if it is a lease in the state store. A lock component
// may have received the unlock twice, and its second answer is the same as for a lost lock. Then
// Close logs a warning and returns nil.
func (s *Session) Close() (err error) {
	if s == nil || s.Reader == nil {
		return &NotOpenError{}
	}
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	lost := s.lost
	s.mu.Unlock()
	if closed {
		return nil
	}
	ctx, o := s.observe(s.openContext, OpClose)
	defer o.end(&err)
	h := s.handle
	settled := s.settleAtEnd(ctx, lost)
	status, err := s.unlock(ctx, h)
	<-settled
	h.log.DebugContext(ctx, "closed", "session", s.id)
	switch {
	case lost != nil:
		return lost
	case !time.Now().Before(s.expiresAt):
		return s.expired()
	case isA[*DamagedError](err):
		return err
	case err != nil:
		return h.failed("unlock", err)
	case status != driver.Unlocked:
		return s.lockGone(ctx)
	}
	return nil
}

// settleAtEnd stores what the session's appends left in the head, unless an operation of another
// goroutine is running. It closes the channel when it is done.
func (s *Session) settleAtEnd(ctx context.Context, lost error) <-chan struct{} {
	done := make(chan struct{})
	select {
	case s.turn <- struct{}{}:
	default:
		close(done)
		return done
	}
	go func() {
		defer close(done)
		defer func() { <-s.turn }()
		if lost != nil || !time.Now().Before(s.expiresAt) {
			return
		}
		ctx, cancel := releasing(ctx, unlockTimeout)
		defer cancel()
		s.writer.settleAtEnd(ctx)
	}()
	return done
}

// check returns why the session can no longer be used, or nil.
func (s *Session) check() error {
	if s == nil || s.Reader == nil {
		return &NotOpenError{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return &NotOpenError{Stream: s.handle.Stream, Session: s.id}
	case !time.Now().Before(s.expiresAt):
		return s.expired()
	case s.lost != nil:
		return s.lost
	}
	return nil
}

func (s *Session) expired() error {
	return &SessionExpiredError{Stream: s.handle.Stream, Session: s.id, ExpiredAt: s.expiresAt}
}

// exclusively runs an operation while no other operation uses the writer. The context of the
// operation ends with the session.
func (s *Session) exclusively(ctx context.Context, operation string, run func(context.Context) error) error {
	if ctx.Err() != nil {
		return s.handle.notBegun(ctx, operation)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, s.expiresAt, s.expired())
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		if err := s.check(); err != nil {
			return err
		}
		return s.handle.failed(operation, fmt.Errorf("%w: another operation of the session did not end: %w", driver.ErrRefused, contextErr(ctx)))
	}
	if err := s.check(); err != nil {
		return err
	}
	return s.ended(ctx, run(ctx))
}

// ended looks at the error of an operation, and returns the error to report. If another session has
// taken the stream, or the store has lost what this session knows, ended marks the session as over.
// If the session's time ran out in the middle, it adds that to the error.
func (s *Session) ended(ctx context.Context, err error) error {
	var (
		mismatch   *VersionMismatchError
		lostWrites *LostWritesError
		storage    *StorageError
		unknown    *OutcomeUnknownError
	)
	expired := !time.Now().Before(s.expiresAt) && !isA[*SessionExpiredError](err)
	w := s.writer
	switch {
	case errors.As(err, &lostWrites):
		lostWrites.Session = s.id
		if lostWrites.CommitID == w.head.commit { // otherwise it is the base of an append of another session
			s.lose(lostWrites)
		}
		s.handle.log.WarnContext(ctx, "the store has lost acknowledged writes", "session", s.id, "version", lostWrites.Version, "actual", lostWrites.Actual)
	case w.shared && errors.As(err, &mismatch) && mismatch.Actual > w.head.version:
		// The next operation starts from the head as it is then.
		s.handle.log.DebugContext(ctx, "another writer appended before the shared session", "session", s.id, "version", w.head.version)
	case errors.Is(err, errMoved), errors.As(err, &mismatch) && mismatch.Actual > w.head.version:
		lost := &SessionLostError{Stream: s.handle.Stream, Session: s.id}
		s.lose(lost)
		s.handle.log.WarnContext(ctx, "the session lost its stream to another session", "session", s.id, "version", w.head.version)
		if mismatch != nil {
			return &SessionLostError{Stream: s.handle.Stream, Session: s.id, Cause: mismatch}
		}
		return lost
	case expired && errors.As(err, &unknown):
		unknown.Cause = fmt.Errorf("%w; %w", s.expired(), unknown.Cause)
	case expired && errors.As(err, &storage):
		storage.Cause = fmt.Errorf("%w; %w", s.expired(), storage.Cause)
	}
	return err
}

// lose ends the session. Every further operation returns why.
func (s *Session) lose(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = why
}

// Refresh reads the stream's head and returns its version. A shared session then knows what other
// writers have appended so far. Refresh takes one request, and one more if they have.
//
// So a program can make sure that what it has read in a session is still current. If the version is
// the same as before, the events are the same too. If the store holds other events instead, Refresh
// returns a [LostWritesError]. Refresh also returns a [StorageError], a [StreamDeletedError] and
// the errors of a session that has ended.
func (s *Session) Refresh(ctx context.Context) (version int64, err error) {
	ctx, o := s.observe(ctx, OpRefresh)
	defer o.end(&err)
	if err := s.check(); err != nil {
		return 0, err
	}
	err = s.exclusively(ctx, "read", func(ctx context.Context) error {
		s.writer.fresh = false
		if _, err := s.writer.refresh(ctx, "read"); err != nil {
			return err
		}
		version = s.writer.head.version
		return s.handle.deletedError(s.writer.head)
	})
	if err != nil {
		return 0, err
	}
	o.result.Version = version
	return version, nil
}

// view returns the stream as the session knows it.
func (s *Session) view(ctx context.Context, _ bool) (v view, err error) {
	err = s.exclusively(ctx, "read", func(ctx context.Context) error {
		w := s.writer
		if err := w.catchUp(ctx, "read"); err != nil {
			return err
		}
		v.head, v.snapshots = w.head, s.listed.Load()
		v.head.tail = w.unsettled // the other events are read from their keys
		return nil
	})
	return v, err
}
