package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
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
func startService(t *testing.T, file string, args ...string) served {
	t.Helper()
	return start(t, append([]string{"serve", "-addr", "127.0.0.1:0", "-file", file}, args...)...)
}

// start runs a service of this program.
func start(t *testing.T, args ...string) served {
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
		code := run(ctx, args, io.Discard, stderr)
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

// ask sends a request, with headers as "Name: value", and returns the status and the body.
func (s served) ask(t *testing.T, method, path, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
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
		if !strings.Contains(s.log.String(), `"msg":"ended"`) || strings.Contains(s.log.String(), "the feed") {
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

func TestTheServiceAnswersKnownHostsAndWhoeverHasAKey(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	t.Setenv("BANK_HOSTS", "bank.example.com, shop.example.com:443")
	keys := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(keys, []byte("viewer read viewer-0123456789\nteller write teller-0123456789\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startService(t, filepath.Join(t.TempDir(), "bank.db"), "-keys", keys, "-host", "other.example.com")
	s.untilReady(t)
	const viewer, teller = "Authorization: Bearer viewer-0123456789", "Authorization: Bearer teller-0123456789"
	const accounts = "/api/v1/accounts"
	for _, c := range []struct {
		method, path, body string
		headers            []string
		status             int
	}{
		{"GET", "/livez", "", nil, 200},
		{"GET", "/livez", "", []string{"Host: evil.example"}, 421},
		{"GET", "/metrics", "", nil, 401},
		{"GET", "/metrics", "", []string{viewer}, 200},
		{"GET", "/metrics", "", []string{viewer, "Host: evil.example"}, 421},
		{"GET", "/", "", nil, 401},
		{"GET", "/", "", []string{viewer}, 200},
		{"POST", accounts, `{"number":"A1","owner":"Ada","amount":1}`, []string{viewer}, 403},
		{"POST", accounts, `{"number":"A1","owner":"Ada","amount":1}`, []string{teller}, 201},
		{"POST", accounts + "/A1/withdrawals", `{"amount":1}`, []string{teller, "Host: evil.example", "Origin: http://evil.example", "Sec-Fetch-Site: same-origin"}, 421},
		{"DELETE", accounts + "/A1", "", []string{teller}, 403},
		{"GET", accounts + "/A1", "", []string{viewer, "Host: bank.example.com"}, 200},
		{"GET", accounts + "/A1", "", []string{viewer, "Host: shop.example.com"}, 200},
		{"GET", accounts + "/A1", "", []string{viewer, "Host: other.example.com:8080"}, 200},
		{"GET", accounts + "/A1", "", []string{viewer, "Host: localhost:1"}, 200},
		{"GET", "/assets/page.css", "", nil, 200},
	} {
		if status, answer := s.ask(t, c.method, c.path, c.body, c.headers...); status != c.status {
			t.Errorf("%s %s %q: status %d, want %d: %s", c.method, c.path, c.headers, status, c.status, answer)
		}
	}
	s.end()
	if code := <-s.ended; code != 0 || strings.Contains(s.log.String(), "0123456789") {
		t.Errorf("exit code %d: %s", code, s.log)
	}
}

func TestEventStreamsAreCountedAndOtherRequestsAreMeasuredWhateverTheyAccept(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	s := startService(t, filepath.Join(t.TempDir(), "bank.db"), "-client-watchers", "2")
	s.untilReady(t)
	if status, answer := s.ask(t, "POST", "/api/v1/accounts", `{"number":"A1","owner":"Ada","amount":1}`); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	const stream = "Accept: text/event-stream"
	if status, answer := s.ask(t, "GET", "/api/v1/accounts/A1", "", stream); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/accounts/A1/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		watched, err := http.DefaultClient.Do(r) // has an answer once the account was asked for
		if err != nil {
			t.Fatal(err)
		}
		defer watched.Body.Close()
		if watched.StatusCode != 200 {
			t.Errorf("watching: %d", watched.StatusCode)
		}
	}
	if status, answer := s.ask(t, "GET", "/accounts/A1/live", "", stream); status != 429 {
		t.Errorf("one more watches: %d %s", status, answer)
	}
	_, metrics := s.ask(t, "GET", "/metrics", "")
	for _, line := range []string{`(?m)^bank_event_streams\{.*\} 2$`, `(?m)^bank_event_streams_refused_total\{.*\} 1$`, `http_server_request_duration_seconds_count\{.*http_route="/api/v1/accounts/\{number\}"`} {
		if !regexp.MustCompile(line).MatchString(metrics) {
			t.Errorf("the metrics do not say %s:\n%s", line, metrics)
		}
	}
	s.end()
	if code := <-s.ended; code != 0 || strings.Contains(s.log.String(), "cutting off") {
		t.Errorf("exit code %d: %s", code, s.log)
	}
}

func TestTheServiceServesBeforeItHasAStoreAndEndsWithoutOne(t *testing.T) {
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	t.Setenv("DAPR_GRPC_PORT", "1") // no one listens there
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
	empty, wrong := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "wrong")
	for file, content := range map[string]string{empty: "# none yet\n", wrong: "ada admin short"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a flag that is not there":   {[]string{"-nosuch"}, 2, "-nosuch"},
		"an argument":                {[]string{"surprise"}, 2, `"surprise"`},
		"asking for help":            {[]string{"-h"}, 0, "127.0.0.1:4711"},
		"an address that is taken":   {[]string{"-addr", taken.Addr().String()}, 1, "choose another address with -addr"},
		"a network without keys":     {[]string{"-addr", "0.0.0.0:0"}, 1, "BANK_KEYS_FILE"},
		"all networks without keys":  {[]string{"-addr", ":0"}, 1, "without API keys the service bank is not started"},
		"IPv6 without keys":          {[]string{"-addr", "[::]:0"}, 1, "-addr 127.0.0.1:8080"},
		"a file of keys not there":   {[]string{"-keys", filepath.Join(t.TempDir(), "nosuch")}, 1, "nosuch"},
		"a file without a key":       {[]string{"-keys", empty}, 1, "contains no key"},
		"a file that is no list":     {[]string{"-keys", wrong}, 1, "16 bytes"},
		"an address that can not be": {[]string{"-addr", "nowhere"}, 1, "choose another address with -addr"},
	} {
		code, out, errs := runDemo(t, append([]string{"serve"}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) || c.code != 1 && !strings.Contains(errs, "Usage: demo serve") {
			t.Errorf("%s: exit code %d, want %d, and to be told %q:\n%s%s", name, code, c.code, c.says, out, errs)
		}
	}
}

func TestAKeyInTheEnvironmentIsEnoughForANetwork(t *testing.T) {
	t.Setenv("BANK_KEYS", "ada read ada-0123456789abc; eve admin eve-0123456789abc")
	keys, err := readKeys("")
	if err != nil || keys.None() {
		t.Errorf("%v, %v", keys, err)
	}
	if _, err := readKeys("a-file"); err == nil || !strings.Contains(err.Error(), "use only one") {
		t.Errorf("two lists: %v", err)
	}
	t.Setenv("BANK_KEYS", "ada read short")
	if _, err := readKeys(""); err == nil || !strings.Contains(err.Error(), "BANK_KEYS: key 1") || strings.Contains(err.Error(), "short ") {
		t.Errorf("a key that is too short: %v", err)
	}
}
