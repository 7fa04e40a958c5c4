package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"testing/slogtest"

	"go.opentelemetry.io/otel/trace"

	"github.com/hexalith/eventstores-go/adapter/telemetry"
)

// traced returns a context with a trace that is always the same.
func traced(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: 0xa}, SpanID: trace.SpanID{7: 0xb}}))
}

const ids = `"trace_id":"0000000000000000000000000000000a","span_id":"000000000000000b"`

func TestTheTraceStandsAtTheTopOfARecord(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		log  func(context.Context, *slog.Logger)
		want string
	}{
		"alone": {
			func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "a", 1) },
			`{"msg":"m","a":1,` + ids + `}`,
		},
		"with attributes": {
			func(ctx context.Context, l *slog.Logger) { l.With("b", 2).InfoContext(ctx, "m", "a", 1) },
			`{"msg":"m","b":2,"a":1,` + ids + `}`,
		},
		"in groups with attributes": {
			func(ctx context.Context, l *slog.Logger) {
				l.With("b", 2).WithGroup("g").With("c", 3).WithGroup("h").InfoContext(ctx, "m", "a", 1)
			},
			`{"msg":"m","b":2,` + ids + `,"g":{"c":3,"h":{"a":1}}}`,
		},
		"in a group without a name": {
			func(ctx context.Context, l *slog.Logger) { l.WithGroup("").InfoContext(ctx, "m", "a", 1) },
			`{"msg":"m","a":1,` + ids + `}`,
		},
		"without a trace": {
			func(_ context.Context, l *slog.Logger) { l.WithGroup("g").Info("m", "a", 1) },
			`{"msg":"m","g":{"a":1}}`,
		},
		"below the level": {
			func(ctx context.Context, l *slog.Logger) { l.DebugContext(ctx, "m") },
			``,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			plain := slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
					return slog.Attr{}
				}
				return a
			}})
			test.log(traced(t.Context()), slog.New(telemetry.LogHandler(plain)))
			if got := string(bytes.TrimSpace(out.Bytes())); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestTwoLoggersOfOneParentDoNotMix(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	parent := slog.New(telemetry.LogHandler(slog.NewJSONHandler(&out, nil))).WithGroup("g").With("p", 0)
	one, two := parent.With("one", 1), parent.With("two", 2)
	two.InfoContext(traced(t.Context()), "m")
	one.InfoContext(traced(t.Context()), "m")
	for _, want := range []string{`"g":{"p":0,"two":2}`, `"g":{"p":0,"one":1}`} {
		line, err := out.ReadBytes('\n')
		if err != nil || !bytes.Contains(line, []byte(want)) {
			t.Errorf("%s does not hold %s, %v", line, want, err)
		}
	}
}

func TestTheLogHandlerKeepsTheRulesOfSlog(t *testing.T) {
	t.Parallel()
	var out *bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out = &bytes.Buffer{}
		return telemetry.LogHandler(slog.NewJSONHandler(out, nil))
	}, func(t *testing.T) map[string]any {
		record := map[string]any{}
		if err := json.Unmarshal(out.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		return record
	})
}
