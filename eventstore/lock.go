package eventstore

import (
	"context"
	"slices"
	"sync"
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
func lockStream(ctx context.Context, h *history, locker driver.Locker, id string, o *observed) (time.Time, error) {
	if _, shared := locker.(noLock); shared {
		o.result.Attempts++
		return time.Now(), nil
	}
	began := time.Now()
	q := &claim{history: h, locker: locker, owner: id}
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
	*history
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
func (s *Session) unlock(ctx context.Context, h *history) (driver.UnlockStatus, error) {
	if _, shared := s.locker.(noLock); shared {
		return driver.Unlocked, nil
	}
	return unlockStream(ctx, h, s.locker, s.id)
}

// unlockStream gives a lock back. Where the answer is an error it asks once more. That the lock is gone then is no loss, since
// the first request may have given it back.
func unlockStream(ctx context.Context, h *history, locker driver.Locker, owner string) (driver.UnlockStatus, error) {
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

// gone is what Close says of a lock that was not there any more, within the session's time. The lease tells that
// it was lost. A lock component does not: the first of two deliveries of the unlock may have given it back, and
// another may have taken it since. What became of the session, if anything, its appends have told.
func (s *Session) gone(ctx context.Context) error {
	tells := tellsOfLoss(s.locker)
	about := []any{"session", s.id}
	if !tells {
		about = append(about, "unless", "the request that gave it back was delivered twice, then all is well")
	}
	s.history.log.WarnContext(ctx, "the session's lock was gone before its time", about...)
	if !tells {
		return nil
	}
	return &SessionLostError{Stream: s.history.Stream, Session: s.id}
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

// queues are the queues of a provider before the locks of its streams. The zero value is empty.
type queues struct {
	mu    sync.Mutex
	of    map[string]*queue // by partition; what is empty is not there
	swept time.Time         // when of was last looked through
}

// queue is who waits for the lock of one stream. Only the first asks the store.
type queue struct {
	places    []*place
	handed    int         // how often in a row a session was told that the one before it has closed
	abandoned []abandoned // owners that may have the lock, or get it yet, and whose sessions have given up
}

// place is that of one session in the queue of a stream.
type place struct {
	partition string
	first     chan struct{} // closed when it is its turn
	freed     chan bool     // is told when a session of this provider has given the lock back, and whether to let others go first
}

type abandoned struct {
	owner string
	until time.Time
}

const (
	// handOvers bounds how many sessions of one process follow each other without a pause, so that
	// those of other processes get in between. The pause is as long as the shortest wait.
	handOvers = 16

	// maxAbandoned bounds what is remembered, and asked about, of each stream.
	maxAbandoned = 4
)

// queue returns the queue of a stream. The caller holds qs.mu.
func (qs *queues) queue(partition string) *queue {
	q := qs.of[partition]
	if q == nil {
		if qs.of == nil {
			qs.of = map[string]*queue{}
		}
		q = &queue{}
		qs.of[partition] = q
	}
	return q
}

// enter takes the last place in the queue of a stream.
func (qs *queues) enter(partition string) *place {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.queue(partition)
	p := &place{partition: partition, first: make(chan struct{}), freed: make(chan bool, 1)}
	if q.places = append(q.places, p); len(q.places) == 1 {
		close(p.first)
	}
	return p
}

// leave ends the wait of one, and makes the next the first.
func (qs *queues) leave(p *place) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.of[p.partition]
	i := slices.Index(q.places, p)
	q.places = slices.Delete(q.places, i, i+1)
	if i == 0 && len(q.places) > 0 {
		close(q.places[0].first)
	}
	qs.tidy(p.partition)
}

// tidy forgets what has no use any more. The caller holds qs.mu.
func (qs *queues) tidy(partition string) {
	q, now := qs.of[partition], time.Now()
	q.abandoned = slices.DeleteFunc(q.abandoned, func(a abandoned) bool { return !now.Before(a.until) })
	if len(q.places) == 0 && len(q.abandoned) == 0 {
		delete(qs.of, partition)
	}
}

// released tells the first in the queue that the lock was given back.
func (qs *queues) released(partition string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.of[partition]
	if q == nil || len(q.places) == 0 {
		return
	}
	pause := q.handed == handOvers
	select {
	case q.places[0].freed <- pause:
		if q.handed++; pause {
			q.handed = 0
		}
	default: // it has been told
	}
}

// abandon notes that an owner may have the lock although its session has ended. The lock may be taken as long after
// that as the request is under way; what comes later than the time of a session is not looked for.
func (qs *queues) abandon(partition, owner string, sessionTimeout time.Duration) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	now := time.Now()
	if now.Sub(qs.swept) > sessionTimeout { // those of streams that nobody comes back to would stay for ever
		qs.swept = now
		for other := range qs.of {
			qs.tidy(other)
		}
	}
	q := qs.queue(partition)
	q.abandoned = append(q.abandoned, abandoned{owner, now.Add(2 * sessionTimeout)})
	if n := len(q.abandoned) - maxAbandoned; n > 0 {
		q.abandoned = slices.Delete(q.abandoned, 0, n)
	}
}

// abandonedBy returns the owners that may have the lock of a stream although their sessions have ended.
func (qs *queues) abandonedBy(partition string) (owners []string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.of[partition]; q != nil {
		for _, a := range q.abandoned {
			owners = append(owners, a.owner)
		}
	}
	return owners
}

// recovered forgets an owner whose lock was given back.
func (qs *queues) recovered(partition, owner string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if q := qs.of[partition]; q != nil {
		q.abandoned = slices.DeleteFunc(q.abandoned, func(a abandoned) bool { return a.owner == owner })
	}
}

func (p *place) isFirst() bool {
	select {
	case <-p.first:
		return true
	default:
		return false
	}
}

// await waits until told, or for so long, and returns what it was told. It returns an error if the context ends before.
func await[T any](ctx context.Context, told <-chan T, atMost time.Duration) (what T, err error) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case what = <-told:
	case <-timer.C:
	case <-ctx.Done():
		err = over(ctx)
	}
	return what, err
}
