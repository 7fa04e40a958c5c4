package service

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/eventstore"
)

// The headers that say where a request comes from.
const (
	requestIDHeader   = "X-Request-Id"
	traceparentHeader = "traceparent"
)

type originKey struct{}

// Origin returns the metadata for the events of a request:
//
//   - CorrelationID is the request id, X-Request-Id: the sender's or, if there is none, a new one.
//     A caller that passes on its own request id links everything that one user action caused, in
//     all services.
//   - CausationID is the caller's span, "trace-id/span-id" of the W3C traceparent. It leads from an
//     event to its trace. Without a traceparent it is the request id.
//   - UserID is the holder of the request's key, if the service asks for keys.
//
// The Idempotency-Key, the id of the command, is in neither. The first event of a command has it as
// its idempotency id.
func Origin(ctx context.Context) eventstore.ContextMetadata {
	origin, _ := ctx.Value(originKey{}).(eventstore.ContextMetadata)
	return origin
}

// identify takes the request id from the request or creates one. The answer repeats it.
func (s *Service) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !saneID(id) {
			id = uuid.NewString()
		}
		origin := eventstore.ContextMetadata{CorrelationID: id, CausationID: id}
		if span := callersSpan(r.Header.Values(traceparentHeader)); span != "" {
			origin.CausationID = span
		}
		w.Header().Set(requestIDHeader, id)
		passOn(next, w, r, context.WithValue(r.Context(), originKey{}, origin))
	})
}

// passOn calls a handler with another context. It copies the matched route to r for outer handlers.
func passOn(next http.Handler, w http.ResponseWriter, r *http.Request, ctx context.Context) {
	inner := r.WithContext(ctx)
	defer func() { r.Pattern = inner.Pattern }()
	next.ServeHTTP(w, inner)
}

// saneID reports whether a request id can be stored: it is short, and cannot be confused with
// anything else in a log.
func saneID(id string) bool {
	return id != "" && len(id) <= 128 && strings.IndexFunc(id, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_.:/+=", c))
	}) < 0
}

// callersSpan returns "trace-id/span-id" of a W3C traceparent, or an empty string if there is no
// valid one.
func callersSpan(headers []string) string {
	if len(headers) != 1 {
		return ""
	}
	parts := strings.Split(headers[0], "-")
	if len(parts) < 4 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 {
		return ""
	}
	for i, size := range []int{2, 32, 16, 2} {
		if len(parts[i]) != size || strings.Trim(parts[i], "0123456789abcdef") != "" {
			return ""
		}
	}
	if strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return ""
	}
	return parts[1] + "/" + parts[2]
}

// logged logs each request when it ends. If the handler panics, logged answers 500. It logs neither
// bodies nor queries.
func (s *Service) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, recorder := time.Now(), &recorder{ResponseWriter: w}
		defer func() {
			failure := recover()
			level, cut := slog.LevelInfo, false
			if failure != nil && failure != http.ErrAbortHandler {
				level = slog.LevelError
				s.log.ErrorContext(r.Context(), "handler panicked", "request", Origin(r.Context()).CorrelationID, "panic", failure, "stack", string(debug.Stack()))
			}
			if cut = failure != nil && (recorder.status != 0 || failure == http.ErrAbortHandler); failure != nil && !cut {
				refuse(recorder, r, internalProblem())
			}
			if recorder.status >= 500 {
				level = max(level, slog.LevelWarn)
			}
			s.log.LogAttrs(r.Context(), level, "request",
				slog.String("request", Origin(r.Context()).CorrelationID),
				slog.String("method", r.Method),
				slog.String("path", r.URL.Path),
				slog.String("route", r.Pattern),
				slog.Int("status", recorder.status),
				slog.Int64("bytes", recorder.bytes),
				slog.Duration("took", time.Since(began)),
				slog.Bool("cut", cut))
			if cut {
				panic(http.ErrAbortHandler) // the client must notice that the answer is incomplete
			}
		}()
		next.ServeHTTP(recorder, r)
		if recorder.status == 0 {
			recorder.status = http.StatusOK
		}
	})
}

// recorder records the status and size of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Flush implements [http.Flusher], for event streams.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Unwrap is for [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// sameOrigin refuses requests that a browser sends on behalf of another site to change something.
func sameOrigin(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse(w, r, &Problem{Type: problemType("cross-origin"), Title: "Request from another site", Status: http.StatusForbidden,
			Detail: "A browser sent this on behalf of another site. Send it from a page of this service, or not from a browser."})
	}))
	return protection.Handler(next)
}
