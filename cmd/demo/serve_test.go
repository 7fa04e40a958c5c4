package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// served is the service while it runs.
type served struct {
	url   string
	end   context.CancelFunc // tells it to end
	ended chan int           // the exit code
	log   *bytes.Buffer      // to be read when it has ended
}

// startService runs the service without a sidecar, at a free port.
func startService(t *testing.T, file string) served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	read, stderr := io.Pipe()
	s := served{end: cancel, ended: make(chan int, 1), log: new(bytes.Buffer)}
	listening := make(chan string, 1)
	logged := make(chan struct{})
	go func() {
		defer close(logged)
		for records := json.NewDecoder(io.TeeReader(read, s.log)); ; {
			var record struct{ Msg, Addr string }
			if records.Decode(&record) != nil {
				_, _ = io.Copy(s.log, read)
				return
			}
			if record.Msg == "listening" {
				listening <- record.Addr
			}
		}
	}()
	go func() {
		code := run(ctx, []string{"serve", "-addr", "127.0.0.1:0", "-file", file}, io.Discard, stderr)
		_ = stderr.Close()
		<-logged
		s.ended <- code
	}()
	select {
	case addr := <-listening:
		s.url = "http://" + addr
	case code := <-s.ended:
		t.Fatalf("exit code %d: %s", code, s.log)
	}
	return s
}

// ask sends a request, and returns the status and the body.
func (s served) ask(t *testing.T, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

// untilReady asks until the service is connected.
func (s served) untilReady(t *testing.T) {
	t.Helper()
	for {
		if status, _ := s.ask(t, "GET", "/readyz", ""); status == http.StatusOK {
			return
		}
	}
}

func TestTheServiceKeepsItsAccountsInAFileAndEndsWhenItIsTold(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	file := filepath.Join(t.TempDir(), "bank.db")
	for n, c := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/api/v1/accounts", `{"number":"A1","owner":"Ada","amount":150000}`, 201, `"balance":150000`},
		{"/api/v1/accounts/A1/withdrawals", `{"amount":50000,"expectedVersion":1}`, 200, `"balance":100000`},
	} {
		s := startService(t, file)
		s.untilReady(t)
		if status, answer := s.ask(t, "POST", c.path, c.body); status != c.status || !strings.Contains(answer, c.says) {
			t.Errorf("run %d: %d %s", n, status, answer)
		}
		s.end()
		if code := <-s.ended; code != 0 {
			t.Errorf("run %d: exit code %d: %s", n, code, s.log)
		}
		if !strings.Contains(s.log.String(), `"msg":"ended"`) || strings.Contains(s.log.String(), "they are cut") {
			t.Errorf("run %d: %s", n, s.log)
		}
	}
}

func TestTheServiceShowsItsPageItsMetricsAndTheTraceOfItsLogRecords(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	s := startService(t, filepath.Join(t.TempDir(), "bank.db"))
	s.untilReady(t)
	if status, answer := s.ask(t, "POST", "/api/v1/accounts", `{"number":"A1","owner":"Ada","amount":150000}`); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	form := url.Values{"id": {"form 1"}, "amount": {"1.00"}}
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/accounts/A1/deposit", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Request-Id", "request-1")
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	posted, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	posted.Body.Close()
	if _, events := s.ask(t, "GET", "/api/v1/accounts/A1/events?from=2", ""); !strings.Contains(events, `"correlationId":"request-1"`) ||
		!strings.Contains(events, `"causationId":"0af7651916cd43dd8448eb211c80319c/b7ad6b7169203331"`) {
		t.Errorf("an event that came of the page does not say of which request: %s", events)
	}
	if status, answer := s.ask(t, "GET", "/accounts/A1", ""); status != 200 || !strings.Contains(answer, "1,501.00") || !strings.Contains(answer, "<html") {
		t.Errorf("the page: %d %s", status, answer)
	}
	status, metrics := s.ask(t, "GET", "/metrics", "")
	for _, says := range []string{
		`http_server_request_duration_seconds_count{`, `http_route="/api/v1/accounts"`,
		`eventstore_operation_duration_seconds_count{`, `eventstore_operation_name="aggregate_update"`,
		`eventstore_events_appended_total{`, `db_client_operation_duration_seconds_count{`, "go_goroutines",
	} {
		if status != 200 || !strings.Contains(metrics, says) {
			t.Errorf("the metrics, status %d, do not say %s", status, says)
		}
	}
	s.end()
	if code := <-s.ended; code != 0 {
		t.Errorf("exit code %d: %s", code, s.log)
	}
	if !regexp.MustCompile(`"route":"POST /api/v1/accounts".*"trace_id":"[0-9a-f]{32}"`).MatchString(s.log.String()) {
		t.Errorf("no record of the request has its trace: %s", s.log)
	}
}

func TestTheServiceServesBeforeItHasAStoreAndEndsWithoutOne(t *testing.T) {
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	t.Setenv("DAPR_GRPC_PORT", "1") // nobody listens there
	s := startService(t, "")
	if status, answer := s.ask(t, "GET", "/livez", ""); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := s.ask(t, "GET", "/readyz", ""); status != 503 || !strings.Contains(answer, `"away":"sidecar"`) {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := s.ask(t, "GET", "/api/v1/accounts", ""); status != 503 || !strings.Contains(answer, "not-connected") {
		t.Errorf("%d %s", status, answer)
	}
	s.end()
	if code := <-s.ended; code != 0 {
		t.Errorf("exit code %d: %s", code, s.log)
	}
}

func TestServeRefusesWrongArgumentsAndSaysWhy(t *testing.T) {
	t.Setenv("APP_PORT", "4711")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a flag that is not there":   {[]string{"-nosuch"}, 2, "-nosuch"},
		"an argument":                {[]string{"surprise"}, 2, `"surprise"`},
		"asking for help":            {[]string{"-h"}, 0, "127.0.0.1:4711"},
		"an address that is taken":   {[]string{"-addr", taken.Addr().String()}, 1, "choose another address with -addr"},
		"an address that can not be": {[]string{"-addr", "nowhere"}, 1, "choose another address with -addr"},
	} {
		code, out, errs := runDemo(t, append([]string{"serve"}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) || c.code != 1 && !strings.Contains(errs, "Usage: demo serve") {
			t.Errorf("%s: exit code %d, want %d, and to be told %q:\n%s%s", name, code, c.code, c.says, out, errs)
		}
	}
}
