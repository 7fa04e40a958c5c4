package eventstore

import (
	"context"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
)

// The lock keeps sessions in order; what makes an append safe is the swap of the head (rule 8).
//
// A layer below may send a request again after it took effect, and hand back the second answer: the
// sidecar's Redis client does so after its read timeout, and a resiliency policy of Dapr does too. So
// the answer "taken" may be about our own lock, and "gone" about our own unlock. Each session has an
// owner of its own, and Unlock gives back nothing but the lock of the owner that it names. Therefore
// a session asks by Unlock who has a lock that does not name its holder:
//
//   - "held by another" is certain: nothing of ours is there;
//   - anything else says that the lock is free now, whoever had it, and the session tries again.
//
// While a session waits, that same request takes the place of TryLock. So a wait takes no more
// requests than it would anyhow, and it always ends with the certain answer.

// How long a session waits before it asks again for a lock that is taken. Each wait is between half
// of that and the whole, so that processes do not come in lockstep.
const (
	shortestWait = 5 * time.Millisecond
	longestWait  = 25 * time.Millisecond
)

// triesAtOnce bounds how often a lock that turns out to be free is tried before the next wait.
const triesAtOnce = 3

// lockStream waits for the lock of the stream and returns when the time it was given for began.
// Sessions of one provider ask in the order in which they came. One whose time is over asks
// once more, in its turn or not, so that nobody is refused unasked.
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
		waited, q.standing = true, "other sessions of this process wait for it too"
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

// unheldError is why a stream could not be opened although nobody is known to hold it.
type unheldError struct {
	why   string
	cause error // the context's, or nil
}

func (e *unheldError) Error() string { return withCause(e.why, e.cause) }
func (e *unheldError) Unwrap() error { return e.cause }

// claim is what a session does to get the lock of a stream.
type claim struct {
	*streamHandle
	locker driver.Locker
	owner  string

	unnamed  bool   // another had the lock when last asked, and nothing says who
	holder   string // who had it when last asked, where known
	standing string // why the stream can't be opened, if not because another session holds it
}

// ask asks once whether the lock is to be had, and takes it then. It returns the moment before it was taken.
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
	q.standing = "its lock was said to be taken each time and was free right after, as when requests for it are repeated on their way"
	return at, false, nil
}

// taken reports whether another session has the lock. Where it is this session's own after all, or that
// of a session of this provider that has given up, it is free afterwards.
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

// giveUp gives back what may be ours although nothing said so. A request that is still under way is out
// of its reach. If it takes the lock later, the next session of this provider gives the lock back; for
// everybody else it is taken until it runs out, which is at most Settings.SessionTimeout after.
func (q *claim) giveUp(ctx context.Context) {
	release, cancel := releasing(ctx, time.Second)
	defer cancel()
	if status, err := q.locker.Unlock(release, q.keys.partition, q.owner); err != nil || status != driver.Unlocked {
		q.queues.abandon(q.keys.partition, q.owner, q.settings.SessionTimeout)
	}
}

// unlock gives the session's lock back.
func (s *Session) unlock(ctx context.Context, h *streamHandle) (driver.UnlockStatus, error) {
	if _, shared := s.locker.(noLock); shared {
		return driver.Unlocked, nil
	}
	return unlockStream(ctx, h, s.locker, s.id)
}

// unlockStream gives a lock back. Where the answer is an error it asks once more. That the lock is gone then is no loss, since
// the first request may have given it back.
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

// lockGone is what Close says of a lock that was not there any more, within the session's time. The lease tells that
// it was lost. A lock component does not: the first of two deliveries of the unlock may have given it back, and
// another may have taken it since. What became of the session, if anything, its appends have told.
func (s *Session) lockGone(ctx context.Context) error {
	tells := tellsOfLoss(s.locker)
	about := []any{"session", s.id}
	if !tells {
		about = append(about, "unless", "the request that gave it back was delivered twice, then all is well")
	}
	s.handle.log.WarnContext(ctx, "the session's lock was gone before its time", about...)
	if !tells {
		return nil
	}
	return &SessionLostError{Stream: s.handle.Stream, Session: s.id}
}

// tellsOfLoss reports whether a locker can tell a lock that was lost from one that was given back twice.
func tellsOfLoss(l driver.Locker) bool {
	if bounded, ok := l.(boundedLocker); ok {
		l = bounded.of
	}
	_, ok := l.(lease)
	return ok
}

// Giving a lock back is bounded, since it runs out by itself: in any case, and where a context has ended that
// somebody waits on.
const (
	unlockTimeout = 5 * time.Second
	unlockGrace   = 50 * time.Millisecond
)

// releasing is the context in which to give a lock back. It goes on when ctx ends, but not for long.
func releasing(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(unlockGrace, cancel) })
	return release, func() { stop(); cancel() }
}

// noLock is the locker of sessions that share their stream.
type noLock struct{}

func (noLock) TryLock(context.Context, string, string, time.Duration) (driver.Lock, error) {
	return driver.Lock{Acquired: true}, nil
}

func (noLock) Unlock(context.Context, string, string) (driver.UnlockStatus, error) {
	return driver.Unlocked, nil
}
