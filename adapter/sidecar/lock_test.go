package sidecar_test

import (
	"context"
	"math"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func startLocker(t *testing.T) (*fakeSidecar, *sidecar.Locker) {
	t.Helper()
	f, client := start(t, "state.sqlite", "ETAG")
	l, err := sidecar.NewLocker(t.Context(), client, "lockstore")
	if err != nil {
		t.Fatal(err)
	}
	return f, l
}

func TestALockExpiresAfterWholeSeconds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		expiry time.Duration
		want   int32
	}{
		{"none is one second", 0, 1},
		{"a negative one is one second", -time.Minute, 1},
		{"less than a second is one", time.Millisecond, 1},
		{"a second is one", time.Second, 1},
		{"a little more is two", time.Second + 1, 2},
		{"a minute is sixty", time.Minute, 60},
		{"too long is as long as there is", math.MaxInt64, math.MaxInt32},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, l := startLocker(t)
			if _, err := l.TryLock(t.Context(), "stream", "me", test.expiry); err != nil {
				t.Fatal(err)
			}
			want := &pb.TryLockRequest{StoreName: "lockstore", ResourceId: "stream", LockOwner: "me", ExpiryInSeconds: test.want}
			if got := f.noted(); len(got) != 1 || !proto.Equal(got[0], want) {
				t.Errorf("sent %v, want %v", got, want)
			}
		})
	}
}

func TestWhetherTheLockWasTakenIsTheSidecarsAnswer(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{true, false} {
		f, l := startLocker(t)
		f.answer = func(context.Context, proto.Message) (proto.Message, error) {
			return &pb.TryLockResponse{Success: taken}, nil
		}
		if got, err := l.TryLock(t.Context(), "stream", "me", time.Minute); err != nil || got != (driver.Lock{Acquired: taken}) {
			t.Errorf("got %+v, %v, want %v", got, err, taken)
		}
	}
}

func TestUnlockTellsWhatBecameOfTheLock(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status pb.UnlockResponse_Status
		want   driver.UnlockStatus
		fails  bool
	}{
		{"it was held", pb.UnlockResponse_SUCCESS, driver.Unlocked, false},
		{"it was gone", pb.UnlockResponse_LOCK_DOES_NOT_EXIST, driver.LockAbsent, false},
		{"another has it", pb.UnlockResponse_LOCK_BELONGS_TO_OTHERS, driver.LockHeldByOther, false},
		{"the component failed", pb.UnlockResponse_INTERNAL_ERROR, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, l := startLocker(t)
			f.answer = func(context.Context, proto.Message) (proto.Message, error) {
				return &pb.UnlockResponse{Status: test.status}, nil
			}
			got, err := l.Unlock(t.Context(), "stream", "me")
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("got %v, %v", got, err)
			}
			want := &pb.UnlockRequest{StoreName: "lockstore", ResourceId: "stream", LockOwner: "me"}
			if sent := f.noted(); len(sent) != 1 || !proto.Equal(sent[0], want) {
				t.Errorf("sent %v, want %v", sent, want)
			}
		})
	}
}
