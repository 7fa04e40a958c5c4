package eventstore

import (
	"slices"
	"sync"
	"time"
)

// queues holds the queues of a provider for the locks of its streams. The zero value is empty.
type queues struct {
	mu    sync.Mutex
	of    map[string]*queue // by partition; a queue that is empty is not there
	swept time.Time         // when abandon last tidied all queues
}

// queue holds the sessions that wait for the lock of one stream. Only the first asks the store.
type queue struct {
	waiters   []*waiter
	handed    int         // how many sessions in a row were told that the one before them has closed
	abandoned []abandoned // owners whose sessions have given up, and that may have the lock or still get it
}

// waiter is one session in the queue of a stream.
type waiter struct {
	partition string
	first     chan struct{} // closed when it is the session's turn
	freed     chan bool     // receives a value when a session of this provider has given the lock back; true: let others go first
}

type abandoned struct {
	owner string
	until time.Time
}

const (
	// handOvers limits how many sessions of one process follow each other without a pause, so that
	// those of other processes get in between. The pause is at most shortestWait.
	handOvers = 16

	// maxAbandoned limits how many abandoned owners of a stream are remembered, and asked about.
	maxAbandoned = 4
)

// queueOf returns the queue of a stream. The caller holds qs.mu.
func (qs *queues) queueOf(partition string) *queue {
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

// enter adds a session at the end of the queue of a stream.
func (qs *queues) enter(partition string) *waiter {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.queueOf(partition)
	p := &waiter{partition: partition, first: make(chan struct{}), freed: make(chan bool, 1)}
	if q.waiters = append(q.waiters, p); len(q.waiters) == 1 {
		close(p.first)
	}
	return p
}

// leave takes a session out of its queue. If it was the first, the next one becomes the first.
func (qs *queues) leave(p *waiter) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.of[p.partition]
	i := slices.Index(q.waiters, p)
	q.waiters = slices.Delete(q.waiters, i, i+1)
	if i == 0 && len(q.waiters) > 0 {
		close(q.waiters[0].first)
	}
	qs.tidy(p.partition)
}

// tidy forgets what is no longer of use in the queue of a stream. The caller holds qs.mu.
func (qs *queues) tidy(partition string) {
	q, now := qs.of[partition], time.Now()
	q.abandoned = slices.DeleteFunc(q.abandoned, func(a abandoned) bool { return !now.Before(a.until) })
	if len(q.waiters) == 0 && len(q.abandoned) == 0 {
		delete(qs.of, partition)
	}
}

// released tells the first session in the queue that the lock was given back.
func (qs *queues) released(partition string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q := qs.of[partition]
	if q == nil || len(q.waiters) == 0 {
		return
	}
	pause := q.handed == handOvers
	select {
	case q.waiters[0].freed <- pause:
		if q.handed++; pause {
			q.handed = 0
		}
	default: // it was told already
	}
}

// abandon notes that an owner may have the lock although its session has ended. A request that is
// still under way may take the lock later. If it does so within sessionTimeout, the lock is taken
// for as long again, so the owner is remembered for twice sessionTimeout. Later requests are not
// looked for.
func (qs *queues) abandon(partition, owner string, sessionTimeout time.Duration) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	now := time.Now()
	if now.Sub(qs.swept) > sessionTimeout { // otherwise those of streams that are never opened again would stay forever
		qs.swept = now
		for other := range qs.of {
			qs.tidy(other)
		}
	}
	q := qs.queueOf(partition)
	q.abandoned = append(q.abandoned, abandoned{owner, now.Add(2 * sessionTimeout)})
	if n := len(q.abandoned) - maxAbandoned; n > 0 {
		q.abandoned = slices.Delete(q.abandoned, 0, n)
	}
}

// abandonedBy returns the owners that may have the lock of a stream although their sessions have
// ended.
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

func (p *waiter) isFirst() bool {
	select {
	case <-p.first:
		return true
	default:
		return false
	}
}
