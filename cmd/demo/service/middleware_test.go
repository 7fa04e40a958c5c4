package service

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

func TestARequestIDIsKeptIfItIsSane(t *testing.T) {
	t.Parallel()
	h := New(quiet(), "sidecar").Handler(nil)
	for id, kept := range map[string]bool{
		"r-1": true, "Root=1-67891233-abcdef012345678912345678": true, "a/b+c==": true, strings.Repeat("a", 128): true,
		"": false, "two words": false, "a\"b": false, "ä": false, strings.Repeat("a", 129): false, "a\x00": false,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/livez", nil)
		r.Header[requestIDHeader] = []string{id}
		h.ServeHTTP(w, r)
		got := w.Header().Get(requestIDHeader)
		if (got == id) != kept {
			t.Errorf("%q became %q", id, got)
		}
		if !kept && uuid.Validate(got) != nil {
			t.Errorf("in place of %q: %q", id, got)
		}
	}
}

func TestTheCallersSpanIsReadFromAValidTraceparent(t *testing.T) {
	t.Parallel()
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	const want = trace + "/" + span
	for name, c := range map[string]struct {
		headers []string
		want    string
	}{
		"one":                    {[]string{"00-" + trace + "-" + span + "-01"}, want},
		"one that is not traced": {[]string{"00-" + trace + "-" + span + "-00"}, want},
		"a later version":        {[]string{"01-" + trace + "-" + span + "-01-more"}, want},
		"none":                   {nil, ""},
		"two":                    {[]string{"00-" + trace + "-" + span + "-01", "00-" + trace + "-" + span + "-01"}, ""},
		"more in version 0":      {[]string{"00-" + trace + "-" + span + "-01-more"}, ""},
		"no version":             {[]string{"ff-" + trace + "-" + span + "-01"}, ""},
		"capitals":               {[]string{"00-" + strings.ToUpper(trace) + "-" + span + "-01"}, ""},
		"no trace":               {[]string{"00-" + strings.Repeat("0", 32) + "-" + span + "-01"}, ""},
		"no span":                {[]string{"00-" + trace + "-" + strings.Repeat("0", 16) + "-01"}, ""},
		"a short trace":          {[]string{"00-" + trace[1:] + "-" + span + "-01"}, ""},
		"no flags":               {[]string{"00-" + trace + "-" + span}, ""},
		"rubbish":                {[]string{"---"}, ""},
	} {
		if got := callersSpan(c.headers); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// records are the log records of one message.
func records(t *testing.T, log *bytes.Buffer, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(log.String()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		if record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

func TestTheLogHasEachRequestAndNoPayload(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := newService(t, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))).Handler(nil)
	const secret = "86753094210"
	call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"`+secret+`","amount":`+secret+`}`, "X-Request-Id: r-1", "Idempotency-Key: "+secret)
	call(t, h, "POST /api/v1/accounts/A1/deposits", `{"amount":"`+secret+`"}`)
	call(t, h, "GET /api/v1/accounts/A1?version="+secret, "")
	call(t, h, "GET /nosuch", "")
	requests := records(t, &log, "request")
	if len(requests) != 4 {
		t.Fatalf("%d requests: %s", len(requests), &log)
	}
	first := requests[0]
	if first["request"] != "r-1" || first["method"] != "POST" || first["path"] != "/api/v1/accounts" || first["route"] != "POST /api/v1/accounts" || first["status"] != 201.0 || first["bytes"] == 0.0 {
		t.Errorf("%v", first)
	}
	for i, status := range []float64{201, 400, 404, 404} {
		if requests[i]["status"] != status {
			t.Errorf("%v, want status %v", requests[i], status)
		}
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("in the log: %s", &log)
	}
}

func TestAHandlerThatPanicsIsAnsweredFor(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newService(t, slog.New(slog.NewJSONHandler(&log, nil)))
	server := httptest.NewServer(s.Handler(func(*bank.Accounts) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/late" {
				_, _ = io.WriteString(w, "the beginning of")
				_ = http.NewResponseController(w).Flush()
			}
			panic("boom")
		})
	}))
	defer server.Close()
	get := func(path string) (*http.Response, []byte, error) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return answer, body, err
	}
	answer, body, err := get("/early")
	if err != nil || answer.StatusCode != 500 || answer.Header.Get("Content-Type") != "application/problem+json" || bytes.Contains(body, []byte("boom")) {
		t.Errorf("%v %v %s", err, answer, body)
	}
	if _, body, err := get("/late"); err == nil {
		t.Errorf("what broke off looks whole: %s", body)
	}
	server.Close() // has waited for the handlers, and what they log
	if panics := records(t, &log, "handler panicked"); len(panics) != 2 || panics[0]["panic"] != "boom" || panics[0]["stack"] == "" {
		t.Errorf("%v", panics)
	}
	if requests := records(t, &log, "request"); len(requests) != 2 || requests[0]["status"] != 500.0 || requests[1]["cut"] != true {
		t.Errorf("%v", requests)
	}
}
