package telemetry_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/aggregate"
)

// confidential occurs only in payloads.
const confidential = 86753094210

// walk calls every operation, each with success and some without. The spans of each call are
// children of a span of its own.
func walk(l *lab, at func(name string, operation func(ctx context.Context))) {
	t := l.t
	ok := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	fails := func(_ any, err error) {
		t.Helper()
		if err == nil {
			t.Error("there is no error")
		}
	}
	var s *eventstore.Session
	stream := l.provider.Stream("account", "4711")
	reader := l.provider.Reader(l.provider.Stream("account", "4711"))
	read := func(ctx context.Context) {
		for _, err := range reader.Read(ctx) {
			ok(nil, err)
		}
	}
	at("open and append", func(ctx context.Context) {
		s = l.open(ctx)
		version, err := s.Append(ctx, eventstore.ExpectVersion(0), deposited{confidential}, deposited{confidential}, deposited{confidential})
		ok(version, err)
	})
	at("read", read)
	at("read until the second", func(ctx context.Context) {
		for event := range reader.Read(ctx) {
			if event.Version == 2 {
				break
			}
		}
	})
	at("slice, event, version, closed", func(ctx context.Context) {
		ok(s.Slice(ctx, 2, 9))
		ok(s.Event(ctx, 1))
		ok(reader.Version(ctx))
		ok(reader.Closed(ctx))
	})
	at("what is not there", func(ctx context.Context) {
		fails(reader.Event(ctx, 9))
		fails(reader.VersionOf(ctx, "never"))
		fails(reader.Snapshot(ctx, 2))
		fails(reader.LastSnapshot(ctx))
	})
	at("what the session knows", func(ctx context.Context) {
		ok(s.VersionsOf(ctx, "never"))
		ok(s.Refresh(ctx))
	})
	at("snapshots", func(ctx context.Context) {
		ok(nil, s.SaveSnapshot(ctx, 2, deposited{confidential}))
		ok(reader.Snapshots(ctx))
		ok(reader.Snapshot(ctx, 2))
		ok(reader.LastSnapshot(ctx))
		_, events, err := reader.Load(ctx)
		ok(nil, err)
		for _, err := range events {
			ok(nil, err)
		}
		ok(nil, s.ClearSnapshot(ctx, 2))
		ok(eventstore.BuildSnapshots(ctx, s, 3, deposited{}, func(d deposited, _ eventstore.Event) (deposited, error) { return d, nil }))
		ok(nil, s.ClearSnapshots(ctx))
	})
	at("conflict", func(ctx context.Context) { fails(s.Append(ctx, eventstore.ExpectVersion(2), deposited{confidential})) })
	at("an aggregate", func(ctx context.Context) {
		sums, err := aggregate.NewRepository(l.provider, "sum", func(n int, e eventstore.Event) (int, error) {
			return n + e.Data.(deposited).Amount, nil
		})
		ok(nil, err)
		ok(sums.Update(ctx, "1", func(int) ([]any, error) { return []any{deposited{confidential}}, nil }))
		fails(sums.Update(ctx, "1", func(int) ([]any, error) { return nil, fmt.Errorf("no more than %d", confidential) }))
		ok(sums.Load(ctx, "1"))
	})
	at("a commit that is lost", func(ctx context.Context) {
		times := 0
		l.state.on(func(operation string) error {
			if times++; operation == "commit" && times == 1 {
				return errDown
			}
			return nil
		})
		ok(s.Append(ctx, eventstore.ExpectAny(), deposited{confidential}))
	})
	var unknown *eventstore.OutcomeUnknownError
	at("an outcome that is unknown, and brought to its end", func(ctx context.Context) {
		cut := false
		l.state.on(func(operation string) error {
			if cut = cut || operation == "commit"; cut {
				return status.Error(codes.Unavailable, "down at 4711")
			}
			return nil
		})
		_, err := s.Append(ctx, eventstore.ExpectVersion(4), deposited{confidential})
		unknown = err.(*eventstore.OutcomeUnknownError)
		l.state.on(nil)
		ok(reader.Outcome(ctx, unknown.Base, unknown.CommitID))
		ok(s.Retry(ctx, unknown))
	})
	at("a store that is down", func(ctx context.Context) {
		l.state.on(always("get", errDown))
		fails(reader.Version(ctx))
		l.state.on(nil)
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		fails(reader.Version(ctx))
	})
	at("verify and rebuild", func(ctx context.Context) {
		ok(reader.Verify(ctx, nil))
		ok(l.provider.RebuildHead(ctx, stream, nil))
		fails(l.provider.RebuildHead(ctx, eventstore.Stream{}, nil))
	})
	at("the end", func(ctx context.Context) {
		ok(nil, s.CloseStream(ctx, eventstore.ExpectVersion(5)))
		ok(nil, s.DeleteStream(ctx, eventstore.ExpectAny()))
		fails(s.Append(ctx, eventstore.ExpectAny(), deposited{confidential}))
	})
	ok(nil, s.Close()) // under the span of "open and append"
}

var write = flag.Bool("write", false, "write testdata again")

// golden compares a text with the golden file of that name.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *write {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	same(t, path, got, string(want))
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// walked runs a test in fake time after walk.
func walked(t *testing.T, test func(t *testing.T, l *lab, spans, metrics string), options ...telemetry.Option) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, options...)
		walk(l, func(name string, operation func(context.Context)) {
			ctx, span := l.tracer.Start(t.Context(), name)
			defer span.End()
			operation(ctx)
		})
		test(t, l, uuids.ReplaceAllString(l.take(), "…"), l.measured())
	})
}

func TestOperationsAndRequestsAreSpansAndMetrics(t *testing.T) {
	walked(t, func(t *testing.T, _ *lab, spans, metrics string) {
		golden(t, "spans.txt", spans)
		golden(t, "metrics.txt", metrics)
	})
}

func TestNoPayloadAndNoStreamIsWhereItShouldNotBe(t *testing.T) {
	walked(t, func(t *testing.T, l *lab, spans, metrics string) {
		for what, text := range map[string]string{"spans": spans, "metrics": metrics, "log": l.log.String()} {
			if strings.Contains(text, fmt.Sprint(confidential)) {
				t.Errorf("a payload is in the %s:\n%s", what, text)
			}
		}
		for _, name := range []string{"4711", "session"} {
			if strings.Contains(metrics, name) {
				t.Errorf("%q is in metrics:\n%s", name, metrics)
			}
		}
		if !strings.Contains(spans, "4711") {
			t.Errorf("no span says which aggregate it is of")
		}
	})
}

func TestSpansCanBeWithoutTheIdsOfAggregates(t *testing.T) {
	walked(t, func(t *testing.T, _ *lab, spans, _ string) {
		for line := range strings.Lines(spans) {
			if strings.Contains(line, "4711") || strings.Contains(line, "aggregate.id") {
				t.Errorf("an id is in %s", line)
			}
		}
	}, telemetry.WithoutAggregateIDs())
}

func TestEachLogRecordSaysOfWhichTraceAndOperationItIs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		walk(l, func(name string, operation func(context.Context)) {
			ctx, span := l.tracer.Start(t.Context(), name)
			defer span.End()
			operation(ctx)
		})
		operations := map[string]string{}
		traces := map[string]string{}
		for _, span := range l.spans.Ended() {
			id := span.SpanContext().SpanID().String()
			operations[id], traces[id] = span.Name(), span.SpanContext().TraceID().String()
		}
		of := map[string]string{}
		for line := range strings.Lines(l.log.String()) {
			var record struct {
				Msg     string
				TraceID string `json:"trace_id"`
				SpanID  string `json:"span_id"`
			}
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatal(err)
			}
			if record.TraceID == "" || record.TraceID != traces[record.SpanID] {
				t.Errorf("it has no trace: %s", line)
			}
			of[record.Msg] = operations[record.SpanID]
		}
		for message, operation := range map[string]string{
			"appended": "append account", "closed": "close account", "saved a snapshot": "build_snapshots account",
			"outcome of an append is unknown": "append account", "deleted the stream": "delete_stream account",
		} {
			if of[message] != operation {
				t.Errorf("%q was logged by %q, want %q", message, of[message], operation)
			}
		}
	})
}

func TestTheDocumentationNamesEveryMetricAndAttribute(t *testing.T) {
	walked(t, func(t *testing.T, l *lab, spans, metrics string) {
		metrics += " eventstore.open.wait.duration eventstore.aggregate.update.retries eventstore.waited=1" // which walk does not contain
		documented(t, spans+metrics)
	})
}

// documented checks that doc.go names all metrics and attributes in a text.
func documented(t *testing.T, text string) {
	t.Helper()
	documentation, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`(eventstore|db|error)\.[a-z._]+[a-z]`).FindAllString(text, -1) {
		if !strings.Contains(string(documentation), name) {
			t.Errorf("doc.go does not say what %s is", name)
		}
	}
}
