package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// TestLocker checks that a lock does what [driver.Locker] says.
func TestLocker(t *testing.T, l driver.Locker) {
	try := func(t *testing.T, resource, owner string, expiry time.Duration) bool {
		t.Helper()
		lock, err := l.TryLock(contextOf(t), resource, owner, expiry)
		if err != nil {
			t.Fatalf("TryLock: %v", err)
		}
		return lock.Acquired
	}
	unlock := func(t *testing.T, resource, owner string, want driver.UnlockStatus) {
		t.Helper()
		status, err := l.Unlock(contextOf(t), resource, owner)
		if err != nil || status != want {
			t.Errorf("Unlock: %v, %v, want %v", status, err, want)
		}
	}
	run(t, []test{
		{"a lock has one owner at a time, and goes on when it is given back",
			"at most one session holds a stream",
			func(t *testing.T) {
				resource := "db:type:" + unique()
				if !try(t, resource, "a", time.Minute) {
					t.Fatal("a free lock was refused")
				}
				if try(t, resource, "b", time.Minute) {
					t.Error("a lock that is held was given to another")
				}
				if !try(t, resource+"0", "b", time.Minute) {
					t.Error("the lock of another resource was refused")
				}
				unlock(t, resource, "a", driver.Unlocked)
				if !try(t, resource, "b", time.Minute) {
					t.Error("a lock that was given back was refused")
				}
			}},
		{"of many that want a lock at once one gets it",
			"sessions are opened by many processes at the same moment",
			func(t *testing.T) {
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
			}},
		{"unlocking says whether the lock was still there",
			"a session that lost its lock says so when it closes",
			func(t *testing.T) {
				resource := "db:type:" + unique()
				unlock(t, resource, "a", driver.LockAbsent)
				try(t, resource, "a", time.Minute)
				unlock(t, resource, "b", driver.LockHeldByOther)
				unlock(t, resource, "a", driver.Unlocked)
				unlock(t, resource, "a", driver.LockAbsent)
			}},
		{"a lock runs out by itself",
			"the session of a process that died must free its stream within 5 seconds of its time",
			func(t *testing.T) {
				resource := "db:type:" + unique()
				try(t, resource, "a", time.Second)
				began := time.Now()
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for !try(t, resource, "b", time.Minute) {
					if time.Since(began) > 6*time.Second {
						t.Fatal("a lock of 1 s was still held after 6 s")
					}
					<-tick.C
				}
			}},
	})
}
