package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// TestLocker checks that a lock does what [driver.Locker] says.
func TestLocker(t *testing.T, l driver.Locker) { run(t, l, lockRules) }

// lockRules are the rules of a lock.
var lockRules = []rule[driver.Locker]{
	{"a lock has one owner at a time, and is free again when it is released", "at most one session holds a stream", testLockHasOneOwner},
	{"of many owners that want a lock at once exactly one gets it", "sessions are opened by many processes at the same moment", testConcurrentLocks},
	{"unlocking says whether the owner still held the lock", "a session that lost its lock must say so when it closes", testUnlock},
	{"a lock expires", "the session of a process that died must free its stream within 5 seconds of its time", testLockRunsOut},
}

// testLockHasOneOwner asks for a lock that another owner holds, and again once it is free.
func testLockHasOneOwner(t *testing.T, l driver.Locker) {
	resource := "db:type:" + unique()
	if !tryLock(t, l, resource, "a", time.Minute) {
		t.Fatal("a free lock was refused")
	}
	if tryLock(t, l, resource, "b", time.Minute) {
		t.Error("a lock that is held was given to another")
	}
	if !tryLock(t, l, resource+"0", "b", time.Minute) {
		t.Error("the lock of another resource was refused")
	}
	unlock(t, l, resource, "a", driver.Unlocked)
	if !tryLock(t, l, resource, "b", time.Minute) {
		t.Error("a lock that was released was refused")
	}
}

// testConcurrentLocks lets eight owners ask for one lock.
func testConcurrentLocks(t *testing.T, l driver.Locker) {
	resource := "db:type:" + unique()
	var wins atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			lock, err := l.TryLock(contextOf(t), resource, unique(), time.Minute)
			if err == nil && lock.Acquired {
				wins.Add(1)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d of 8 got the lock, want 1", wins.Load())
	}
}

// testUnlock unlocks as the owner, as another, and twice.
func testUnlock(t *testing.T, l driver.Locker) {
	resource := "db:type:" + unique()
	unlock(t, l, resource, "a", driver.LockAbsent)
	tryLock(t, l, resource, "a", time.Minute)
	unlock(t, l, resource, "b", driver.LockHeldByOther)
	unlock(t, l, resource, "a", driver.Unlocked)
	unlock(t, l, resource, "a", driver.LockAbsent)
}

// testLockRunsOut takes a lock for 1 s and waits for it as another owner.
func testLockRunsOut(t *testing.T, l driver.Locker) {
	resource := "db:type:" + unique()
	tryLock(t, l, resource, "a", time.Second)
	began := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !tryLock(t, l, resource, "b", time.Minute) {
		if time.Since(began) > 6*time.Second {
			t.Fatal("a lock of 1 s was still held after 6 s")
		}
		<-tick.C
	}
}

// tryLock reports whether an owner got the lock.
func tryLock(t *testing.T, l driver.Locker, resource, owner string, expiry time.Duration) bool {
	t.Helper()
	lock, err := l.TryLock(contextOf(t), resource, owner, expiry)
	if err != nil {
		t.Fatalf("TryLock: %v", err)
	}
	return lock.Acquired
}

// unlock releases a lock and expects a status.
func unlock(t *testing.T, l driver.Locker, resource, owner string, want driver.UnlockStatus) {
	t.Helper()
	status, err := l.Unlock(contextOf(t), resource, owner)
	if err != nil || status != want {
		t.Errorf("Unlock: %v, %v, want %v", status, err, want)
	}
}
