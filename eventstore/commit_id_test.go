package eventstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// TestTheIDOfACommitTellsTheTimeOfTheClock makes the clock go back, too.
func TestTheIDOfACommitTellsTheTimeOfTheClock(t *testing.T) {
	if _, err := uuid.NewV7(); err != nil { // in real time, which is decades ahead of the fake one
		t.Fatal(err)
	}
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			seen := map[string]bool{}
			for range 5 {
				id, err := newCommitID()
				if err != nil {
					t.Fatal(err)
				}
				if parsed, err := uuid.Parse(id); err != nil || parsed.Version() != 7 || parsed.Variant() != uuid.RFC4122 || seen[id] {
					t.Errorf("the id is %q: %v", id, err)
				}
				if told := timeOf(id); !told.Equal(time.Now()) {
					t.Errorf("the id %s tells %s at %s", id, told, time.Now())
				}
				seen[id] = true
				<-time.After(time.Hour + time.Millisecond)
			}
		})
	}
}
