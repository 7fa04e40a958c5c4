package sidecar_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	pb "github.com/dapr/dapr/pkg/proto/runtime/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hexalith/eventstores-go/adapter/sidecar"
)

func TestAStoreThatLetsHistoryExpireIsWarnedAboutOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		metadata map[string]string
		warnings int
	}{
		"what expires":           {map[string]string{"ttlExpireTime": "2030-01-01T00:00:00Z"}, 1},
		"what stays":             {nil, 0},
		"what says other things": {map[string]string{"region": "x"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			f, s := startState(t, "state.postgresql", sidecar.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			f.answer = func(_ context.Context, m proto.Message) (proto.Message, error) {
				if _, bulk := m.(*pb.GetBulkStateRequest); bulk {
					return &pb.GetBulkStateResponse{Items: []*pb.BulkStateItem{{Key: "k", Data: []byte("a payload"), Etag: "1", Metadata: test.metadata}}}, nil
				}
				return &pb.GetStateResponse{Data: []byte("a payload"), Etag: "1", Metadata: test.metadata}, nil
			}
			for range 2 {
				if _, err := s.GetMany(t.Context(), "p", []string{"k"}); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Get(t.Context(), "p", "k"); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(log.String(), "level=WARN"); n != test.warnings {
				t.Errorf("%d warnings:\n%s", n, &log)
			}
			if strings.Contains(log.String(), "a payload") {
				t.Errorf("a payload is logged:\n%s", &log)
			}
			for _, says := range []string{"component=statestore", "state.postgresql", "ttlInSeconds", "2030"} {
				if test.warnings > 0 && !strings.Contains(log.String(), says) {
					t.Errorf("it does not say %q:\n%s", says, &log)
				}
			}
		})
	}
}
