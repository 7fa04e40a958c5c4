package sidecar_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

func swap(ctx context.Context, s *sidecar.State) error {
	return s.Swap(ctx, "stream", driver.Swap{Key: "head", Value: []byte("v"), ETag: "7"})
}

func TestOnlyWhatCertainlyChangedNothingIsARefusal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		code    codes.Code
		message string
		refused bool
		says    string
	}{
		{"a bad argument", codes.InvalidArgument, "input key can't contain '||'", true, "'||'"},
		{"a method that is not there", codes.Unimplemented, "doesn't support transactions", true, ""},
		{"a wrong token", codes.Unauthenticated, "Unauthorized", true, "DAPR_API_TOKEN"},
		{"a missing permission", codes.PermissionDenied, "Forbidden", true, "DAPR_API_TOKEN"},
		{"a sidecar without stores", codes.FailedPrecondition, "state store statestore is not configured", true, "not configured"},
		{"a failed precondition of another kind", codes.FailedPrecondition, "etag mismatch", false, ""},
		{"a request that is too large", codes.ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)", true, "--max-body-size"},
		{"another limit", codes.ResourceExhausted, "etcdserver: too many requests", false, ""},
		{"a condition that did not hold", codes.Aborted, "possible etag mismatch", false, "etag mismatch"},
		{"an internal error", codes.Internal, "failed to set key", false, ""},
		{"an unknown error", codes.Unknown, "who knows", false, ""},
		{"a sidecar that is away", codes.Unavailable, "connection reset", false, "cannot be reached"},
		{"a deadline", codes.DeadlineExceeded, "too late", false, ""},
		{"a cancellation", codes.Canceled, "never mind", false, ""},
		{"a lost write", codes.DataLoss, "gone", false, ""},
		{"something already there", codes.AlreadyExists, "exists", false, ""},
		{"something not there", codes.NotFound, "where", false, ""},
		{"something out of range", codes.OutOfRange, "far", false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s := startState(t, "state.sqlite")
			f.answer = func(context.Context, proto.Message) (proto.Message, error) {
				return nil, status.Error(test.code, test.message)
			}
			for name, err := range map[string]error{
				"swap":   swap(t.Context(), s),
				"commit": s.Commit(t.Context(), "stream", driver.Swap{Key: "head", Value: []byte("v")}, nil),
				"write":  s.Write(t.Context(), "stream", []driver.Write{{Key: "a", Value: []byte("1")}}),
				"delete": s.Write(t.Context(), "stream", []driver.Write{{Key: "a"}}),
			} {
				if errors.Is(err, driver.ErrRefused) != test.refused {
					t.Errorf("%s: refused is %v: %v", name, !test.refused, err)
				}
				if status.Code(err) != test.code {
					t.Errorf("%s: the code %v is lost: %v", name, test.code, err)
				}
				if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.message) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: the error is %v", name, err)
				}
				if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: the error blames the context, which has not ended: %v", name, err)
				}
			}
		})
	}
}

func TestWhatIsNotSentIsRefused(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte{'x'}, bodyLimit-(64<<10))
	for _, test := range []struct {
		name string
		call func(context.Context, *sidecar.State) error
		says string
	}{
		{"a swap over the limit", func(ctx context.Context, s *sidecar.State) error {
			return s.Swap(ctx, "stream", driver.Swap{Key: "head", Value: large})
		}, "exceed the limit of"},
		{"a commit over the limit", func(ctx context.Context, s *sidecar.State) error {
			return s.Commit(ctx, "stream", driver.Swap{Key: "head", Value: large[1<<20:]}, []driver.Write{{Key: "a", Value: large[2<<20:]}, {Key: "b", Value: large[2<<20:]}})
		}, "exceed the limit of"},
		{"a single write over the limit", func(ctx context.Context, s *sidecar.State) error {
			return s.Write(ctx, "stream", []driver.Write{{Key: "a", Value: large}})
		}, "exceed the limit of"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s := startState(t, "state.sqlite")
			err := test.call(t.Context(), s)
			if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v", err)
			}
			if n := len(f.noted()); n != 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
	t.Run("a commit on a store without trusted transactions", func(t *testing.T) {
		t.Parallel()
		f, s := startState(t, "state.redis")
		err := s.Commit(t.Context(), "stream", driver.Swap{Key: "head", Value: []byte("v")}, nil)
		if !errors.Is(err, driver.ErrRefused) || len(f.noted()) != 0 {
			t.Errorf("the error is %v after %d requests", err, len(f.noted()))
		}
	})
	t.Run("anything after the context has ended", func(t *testing.T) {
		t.Parallel()
		f, s := startState(t, "state.sqlite")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("the user left"))
		for name, err := range map[string]error{
			"swap":   swap(ctx, s),
			"commit": s.Commit(ctx, "stream", driver.Swap{Key: "head", Value: []byte("v")}, nil),
			"write":  s.Write(ctx, "stream", []driver.Write{{Key: "a", Value: []byte("1")}}),
		} {
			if !errors.Is(err, driver.ErrRefused) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the user left") {
				t.Errorf("%s: the error is %v", name, err)
			}
		}
		if n := len(f.noted()); n != 0 {
			t.Errorf("%d requests were sent", n)
		}
	})
}

func TestBytesThatAStoreOfTextWouldChangeAreRefused(t *testing.T) {
	t.Parallel()
	f, s := startState(t, "state.mongodb")
	bytes := []byte("a\xff")
	for name, err := range map[string]error{
		"swap":  s.Swap(t.Context(), "stream", driver.Swap{Key: "head", Value: bytes}),
		"write": s.Write(t.Context(), "stream", []driver.Write{{Key: "a", Value: []byte("ä")}, {Key: "b", Value: bytes}}),
	} {
		if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "is not UTF-8, and state.mongodb stores nothing else") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
	if n := len(f.noted()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
	if err := s.Swap(t.Context(), "stream", driver.Swap{Key: "head", Value: []byte("ä")}); err != nil {
		t.Error(err)
	}
	_, s = startState(t, "state.sqlite")
	if err := s.Swap(t.Context(), "stream", driver.Swap{Key: "head", Value: bytes}); err != nil {
		t.Error(err)
	}
}

func TestASidecarWithALowerLimitRefusesTheRequestItself(t *testing.T) {
	t.Parallel()
	f, s := startState(t, "state.sqlite", sidecar.WithMaxRequestBytes(64<<20)) // more than the sidecar accepts
	err := s.Swap(t.Context(), "stream", driver.Swap{Key: "head", Value: make([]byte, 5<<20)})
	if !errors.Is(err, driver.ErrRefused) || !strings.Contains(err.Error(), "--max-body-size") {
		t.Errorf("the error is %v", err)
	}
	if n := len(f.noted()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

func TestARequestCutShortByTheContextIsNoRefusal(t *testing.T) {
	t.Parallel()
	t.Run("cancelled under way", func(t *testing.T) {
		t.Parallel()
		f, s := startState(t, "state.sqlite")
		ctx, cancel := context.WithCancel(t.Context())
		f.answer = func(inner context.Context, _ proto.Message) (proto.Message, error) {
			cancel()
			<-inner.Done()
			return nil, nil
		}
		if err := swap(ctx, s); !errors.Is(err, context.Canceled) || errors.Is(err, driver.ErrRefused) {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("the sidecar sees the deadline before the client does", func(t *testing.T) {
		t.Parallel()
		f, s := startState(t, "state.sqlite")
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f.answer = func(context.Context, proto.Message) (proto.Message, error) {
			return nil, status.Error(codes.DeadlineExceeded, "context deadline exceeded")
		}
		if err := swap(ctx, s); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrRefused) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestAPartOfTheWritesBeforeARefusalIsNoRefusal(t *testing.T) {
	t.Parallel()
	denied := status.Error(codes.PermissionDenied, "not any more")
	t.Run("in several requests for their size", func(t *testing.T) {
		t.Parallel()
		f, s := startState(t, "state.sqlite")
		f.answer = func(context.Context, proto.Message) (proto.Message, error) {
			if len(f.noted()) > 1 {
				return nil, denied
			}
			return nil, nil
		}
		value := make([]byte, 3<<20)
		err := s.Write(t.Context(), "stream", []driver.Write{{Key: "a", Value: value}, {Key: "b", Value: value}})
		if err == nil || errors.Is(err, driver.ErrRefused) || status.Code(err) != codes.PermissionDenied {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("in a save and a deletion", func(t *testing.T) {
		t.Parallel()
		f, s := startState(t, "state.other")
		f.answer = func(_ context.Context, request proto.Message) (proto.Message, error) {
			if _, ok := request.(*pb.DeleteStateRequest); ok {
				return nil, denied
			}
			return nil, nil
		}
		err := s.Write(t.Context(), "stream", []driver.Write{{Key: "a", Value: []byte("1")}, {Key: "b"}})
		if err == nil || errors.Is(err, driver.ErrRefused) || status.Code(err) != codes.PermissionDenied {
			t.Errorf("the error is %v", err)
		}
	})
}
