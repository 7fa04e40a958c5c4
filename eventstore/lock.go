package eventstore

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

// The lock keeps sessions in order. What makes an append safe is the swap of the head. (Rule 8)
//
// A layer below may send a request again after it took effect, and return the second answer. The
// sidecar's Redis client does so after its read timeout, and a resiliency policy of Dapr does too.
// So the answer "taken" may be about this session's own lock, and "gone" about its own unlock.
//
// Each session has a unique owner id, and Unlock frees a lock only if the given owner holds it. So
// if a lock does not name its holder, the session asks about it by calling Unlock:
//
//   - The answer "held by another" is certain: this session does not hold the lock.
//   - Any other answer means that the lock is free now. The session tries again.
//
// While a session waits for such a lock, it calls Unlock instead of TryLock. So waiting takes no
// additional requests, and always ends with the certain answer.

// A session that waits for a lock asks again after shortestWait. It doubles the wait each time, up
// to longestWait. The actual wait is a random time between half of that and all of it, so that
// processes do not ask in lockstep.
const (
	shortestWait = 5 * time.Millisecond
	longestWait  = 25 * time.Millisecond
)

// triesAtOnce limits how often a session tries a lock that turns out to be free, before it waits
// again.
const triesAtOnce = 3

// lockStream waits for the lock of the stream, and returns when the time of the lock began.
// Sessions of one provider ask in the order in which they came. When the OpenTimeout of a session
// is over, it asks once more even if it is not its turn. So no session times out without having
// asked.
func lockStream(ctx context.Context, h *streamHandle, locker driver.Locker, id string, o *observation) (time.Time, error) {
	if _, shared := locker.(noLock); shared {
		o.result.Attempts++
		return time.Now(), nil
	}
	began := time.Now()
	q := &claim{streamHandle: h, locker: locker, owner: id}
	timeout := func(cause error) error {
		o.result.Waited = time.Since(began)
		if q.standing != "" {
			cause = &unheldError{q.standing, cause}
		}
		return &OpenTimeoutError{Stream: h.Stream, Waited: o.result.Waited, Holder: q.holder, Cause: cause}
	}
	p := h.queues.enter(h.keys.partition)
	defer h.queues.leave(p)
	waited := false
	if !p.isFirst() {
		waited, q.standing = true, "other sessions of this process are waiting for it too"
		if _, err := await(ctx, p.first, h.settings.OpenTimeout); err != nil {
			return time.Time{}, timeout(err)
		}
	}
	for wait := shortestWait; ; wait = min(2*wait, longestWait) {
		if o.result.Attempts++; waited {
			o.result.Waited = time.Since(began)
		}
		locked, acquired, err := q.ask(ctx)
		switch {
		case isA[*DamagedError](err):
			return time.Time{}, err
		case err != nil:
			return time.Time{}, h.failed("lock", err)
		case acquired:
			return locked, nil
		}
		left := h.settings.OpenTimeout - time.Since(began)
		if left <= 0 {
			return time.Time{}, timeout(nil)
		}
		pause, err := await(ctx, p.freed, min(jitter.Of(ctx, wait), left))
		if err == nil && pause {
			_, err = await[bool](ctx, nil, min(jitter.Of(ctx, shortestWait), left))
		}
		if err != nil {
			return time.Time{}, timeout(err)
		}
		waited = true
	}
}

// unheldError says why a stream could not be opened although no holder is known.
type unheldError struct {
	why   string
	cause error // the context's, or nil
}

func (e *unheldError) Error() string { return withCause(e.why, e.cause) }
func (e *unheldError) Unwrap() error { return e.cause }

// claim is the attempt of one session to get the lock of a stream.
type claim struct {
	*streamHandle
	locker driver.Locker
	owner  string

	unnamed  bool   // another session held the lock when last asked, and the answer did not name it
	holder   string // the session that held the lock when last asked, if known
	standing string // why the stream can't be opened, if not because another session holds it
}

// ask asks once for the lock, and takes it if it is free. It returns the moment before it took it.
func (q *claim) ask(ctx context.Context) (at time.Time, acquired bool, err error) {
	defer func() {
		if err != nil {
			q.giveUp(ctx)
		}
	}()
	q.standing = ""
	if q.unnamed {
		if taken, err := q.taken(ctx, ""); taken || err != nil {
			return at, false, err
		}
	}
	for range triesAtOnce {
		at = time.Now()
		lock, err := q.locker.TryLock(ctx, q.keys.partition, q.owner, q.settings.SessionTimeout)
		if lock.Acquired || err != nil {
			return at, err == nil, err
		}
		if taken, err := q.taken(ctx, lock.Holder); taken || err != nil {
			return at, false, err
		}
	}
	q.standing = "each try found its lock taken and then free at once, as if something repeats the requests"
	return at, false, nil
}

// taken reports whether another session holds the lock. If this session holds it after all, or a
// session of this provider that has given up, taken frees it.
func (q *claim) taken(ctx context.Context, holder string) (bool, error) {
	q.holder, q.unnamed = holder, holder == ""
	for _, owner := range append([]string{q.owner}, q.queues.abandonedBy(q.keys.partition)...) {
		if holder != "" && holder != owner {
			continue
		}
		status, err := q.locker.Unlock(ctx, q.keys.partition, owner)
		if err != nil {
			return true, err
		}
		if status == driver.Unlocked {
			q.queues.recovered(q.keys.partition, owner)
		}
		if status != driver.LockHeldByOther {
			q.holder, q.unnamed = "", false
			return false, nil
		}
	}
	return true, nil
}

// giveUp frees the lock in case this session holds it without having been told. It cannot stop a
// request that is still under way. If that request takes the lock later, the next session of this
// provider frees it. For other processes the lock is then taken until it expires, at most
// Settings.SessionTimeout later.
func (q *claim) giveUp(ctx context.Context) {
	release, cancel := releasing(ctx, time.Second)
	defer cancel()
	if status, err := q.locker.Unlock(release, q.keys.partition, q.owner); err != nil || status != driver.Unlocked {
		q.queues.abandon(q.keys.partition, q.owner, q.settings.SessionTimeout)
	}
}

// unlock gives the session's lock back, if it has one.
func (s *Session) unlock(ctx context.Context, h *streamHandle) (driver.UnlockStatus, error) {
	if _, shared := s.locker.(noLock); shared {
		return driver.Unlocked, nil
	}
	return unlockStream(ctx, h, s.locker, s.id)
}

// unlockStream gives a lock back. After an error it asks once more. If the lock is gone by then,
// that is not a loss, because the first request may have given it back.
func unlockStream(ctx context.Context, h *streamHandle, locker driver.Locker, owner string) (driver.UnlockStatus, error) {
	ctx, cancel := releasing(ctx, unlockTimeout)
	defer cancel()
	status, err := locker.Unlock(ctx, h.keys.partition, owner)
	if err != nil && ctx.Err() == nil && !isA[*DamagedError](err) {
		status = driver.Unlocked
		_, err = locker.Unlock(ctx, h.keys.partition, owner)
	}
	if err != nil {
		h.queues.abandon(h.keys.partition, owner, h.settings.SessionTimeout)
		return status, err
	}
	h.queues.released(h.keys.partition)
	return status, nil
}

// lockGone returns what Close returns if the lock was already gone although the session's time was
// not over. If the lock is a lease, it was lost. A lock component does not tell. The first of two
// deliveries of the unlock may have given the lock back, and another session may have taken it
// since. The appends of the session have already reported whether they succeeded.
func (s *Session) lockGone(ctx context.Context) error {
	tells := tellsOfLoss(s.locker)
	about := []any{"session", s.id}
	if !tells {
		about = append(about, "note", "harmless if the unlock request was delivered twice")
	}
	s.handle.log.WarnContext(ctx, "the session's lock was already gone", about...)
	if !tells {
		return nil
	}
	return &SessionLostError{Stream: s.handle.Stream, Session: s.id}
}

// tellsOfLoss reports whether a locker can tell a lost lock from one that was given back twice.
func tellsOfLoss(l driver.Locker) bool {
	if bounded, ok := l.(boundedLocker); ok {
		l = bounded.of
	}
	_, ok := l.(lease)
	return ok
}

// These limits bound how long giving a lock back takes, because a lock expires by itself.
// unlockTimeout always applies. unlockGrace applies from when the context of a waiting caller has
// ended.
const (
	unlockTimeout = 5 * time.Second
	unlockGrace   = 50 * time.Millisecond
)

// releasing returns a context for unlocking. It ends after timeout, and outlives ctx by at most
// unlockGrace.
func releasing(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(unlockGrace, cancel) })
	return release, func() { stop(); cancel() }
}

// noLock is the locker of sessions that share their stream. It locks nothing.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}
