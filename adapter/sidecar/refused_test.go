package sidecar_test

import (
	"context"
	"errors"
	"testing"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// A sidecar passes on only the server's message. It decides how an append continues.
func TestTheWordsOfTheServerSayWhatBecameOfAWrite(t *testing.T) {
	t.Parallel()
	const saving, inTx = "failed saving state in state store statestore: ", "error while executing state transaction: "
	for _, test := range []struct {
		name             string
		code             codes.Code
		message          string
		denied, answered bool
		readDenied       bool
	}{
		{"a Redis that is full", codes.Internal, saving + "failed to set key bank||head: OOM command not allowed when used memory > 'maxmemory'.", true, false, false},
		{"the same of a key that has an ETag", codes.Aborted, saving + "possible etag mismatch. error from state store: OOM command not allowed when used memory > 'maxmemory'.", true, false, false},
		{"a Redis that is read-only", codes.Internal, saving + "failed to set key bank||head: READONLY You can't write against a read only replica.", true, false, false},
		{"a Redis that lets nobody in", codes.Internal, saving + "failed to set key bank||head: NOAUTH Authentication required.", true, false, true},
		{"a PostgreSQL that is read-only", codes.Internal, inTx + "ERROR: cannot execute INSERT in a read-only transaction (SQLSTATE 25006)", true, false, false},
		{"a packet that is too large", codes.Internal, saving + "Error 1153 (08S01): Got a packet bigger than 'max_allowed_packet' bytes", true, false, false},
		{"a full disk", codes.Internal, saving + "database or disk is full (13)", true, false, false},
		{"a condition that did not hold", codes.Aborted, saving + "possible etag mismatch", false, true, false},
		{"a server that is not understood", codes.Internal, saving + "invalid connection", false, true, false},
		{"a serialization failure", codes.Internal, inTx + "ERROR: could not serialize access (SQLSTATE 40001)", false, false, false},
		{"a connection of the sidecar that broke", codes.Internal, saving + "failed to set key bank||head: EOF", false, false, false},
		{"a sidecar that is away, whatever it said", codes.Unavailable, "READONLY You can't write", false, false, false},
		{"a name that looks like an answer", codes.Internal, saving + "failed to set key bank||{READONLY:OOM:1}:idem:NOAUTH: EOF", false, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s := startState(t, "state.sqlite")
			f.answer = func(context.Context, proto.Message) (proto.Message, error) {
				return nil, status.Error(test.code, test.message)
			}
			for name, err := range map[string]error{
				"swap":   swap(t.Context(), s),
				"commit": s.Commit(t.Context(), "stream", driver.Swap{Key: "head", Value: []byte("v")}, []driver.Write{{Key: "1", Value: []byte("v")}}),
			} {
				if errors.Is(err, driver.ErrDenied) != test.denied || errors.Is(err, driver.ErrAnswered) != test.answered || errors.Is(err, driver.ErrRefused) {
					t.Errorf("%s: denied %t, answered %t, refused %t: %v", name, errors.Is(err, driver.ErrDenied), errors.Is(err, driver.ErrAnswered), errors.Is(err, driver.ErrRefused), err)
				}
			}
			_, one := s.Get(t.Context(), "stream", "head")
			_, many := s.GetMany(t.Context(), "stream", []string{"head", "1"})
			for name, err := range map[string]error{"get": one, "get many": many} {
				if err == nil || errors.Is(err, driver.ErrDenied) != test.readDenied {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func TestAReadThatGotInTheWayOfAnotherTransactionIsRepeated(t *testing.T) {
	t.Parallel()
	const text = "fail to get head from state store statestore: ERROR: could not serialize access due to read/write dependencies among transactions (SQLSTATE 40001)"
	const attempts = 6
	for _, test := range []struct {
		name  string
		fails int
		item  bool // a bulk read fails key by key
		want  int
	}{
		{"once", 1, false, 2},
		{"a few times", attempts - 1, false, attempts},
		{"for ever", 1000, false, attempts},
		{"of one key among others", 2, true, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, s := startState(t, "state.postgresql")
			fails := test.fails
			f.answer = func(_ context.Context, r proto.Message) (proto.Message, error) {
				fails--
				if test.item {
					if _, single := r.(*pb.GetStateRequest); single || fails < 0 {
						return nil, nil
					}
					return &pb.GetBulkStateResponse{Items: []*pb.BulkStateItem{{Key: "head"}, {Key: "1", Error: text}}}, nil
				}
				if fails < 0 {
					return nil, nil
				}
				return nil, status.Error(codes.Internal, text)
			}
			if !test.item {
				if _, err := s.Get(t.Context(), "stream", "head"); (err != nil) != (test.fails > attempts) {
					t.Errorf("get: %v", err)
				}
				if n := len(f.noted()); n != test.want {
					t.Errorf("get was sent %d times, want %d", n, test.want)
				}
				fails = test.fails
			}
			before := len(f.noted())
			if _, err := s.GetMany(t.Context(), "stream", []string{"head", "1"}); (err != nil) != (test.fails > attempts) {
				t.Errorf("get many: %v", err)
			}
			if n := len(f.noted()) - before; n != test.want {
				t.Errorf("get many was sent %d times, want %d", n, test.want)
			}
		})
	}
}

// A write that met a serialization failure is not repeated here, because an append first looks what
// happened.
func TestAWriteThatGotInTheWayOfAnotherTransactionIsSentOnce(t *testing.T) {
	t.Parallel()
	f, s := startState(t, "state.postgresql")
	f.answer = func(context.Context, proto.Message) (proto.Message, error) {
		return nil, status.Error(codes.Internal, "ERROR: could not serialize access (SQLSTATE 40001)")
	}
	if err := swap(t.Context(), s); err == nil || len(f.noted()) != 1 {
		t.Errorf("%d requests, %v", len(f.noted()), err)
	}
}
