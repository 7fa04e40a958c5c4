package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/integration/servers"
)

// These are the ways in which the store under the service can misbehave.
const (
	well    = iota
	away    // every request fails
	garbled // values are garbage
	silent  // the first write fails, and every request after it
)

// moodyState is a store that misbehaves as a test tells it.
type moodyState struct {
	driver.State
	mood atomic.Int32
}

var errAway = errors.New("the store is away")

func (s *moodyState) read(items []driver.Item, err error) ([]driver.Item, error) {
	if s.mood.Load() == away {
		return nil, errAway
	}
	for i := range items {
		if s.mood.Load() == garbled && items[i].Found() {
			items[i].Value = []byte("garbage")
		}
	}
	return items, err
}

func (s *moodyState) write(do func() error) error {
	s.mood.CompareAndSwap(silent, away)
	if s.mood.Load() == away {
		return errAway
	}
	return do()
}

func (s *moodyState) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := s.State.Get(ctx, partition, key)
	items, err := s.read([]driver.Item{item}, err)
	if err != nil {
		return driver.Item{}, err
	}
	return items[0], nil
}

func (s *moodyState) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	return s.read(s.State.GetMany(ctx, partition, keys))
}

func (s *moodyState) Swap(ctx context.Context, partition string, swap driver.Swap) error {
	return s.write(func() error { return s.State.Swap(ctx, partition, swap) })
}

func (s *moodyState) Write(ctx context.Context, partition string, writes []driver.Write) error {
	return s.write(func() error { return s.State.Write(ctx, partition, writes) })
}

func (s *moodyState) Commit(ctx context.Context, partition string, swap driver.Swap, writes []driver.Write) error {
	return s.write(func() error { return s.State.Commit(ctx, partition, swap, writes) })
}

// described is a service. It compares every request and answer with the service's OpenAPI
// description.
type described struct {
	handler  http.Handler
	router   routers.Router
	provider *eventstore.Provider
	state    *moodyState
	seen     map[string]bool // "operation status"
}

// These are the API keys of the described service.
const (
	readKey  = "key-of-who-reads-0001"
	adminKey = "key-of-who-may-all-01"
)

// newDescribed returns a service in this process with a store that works.
func newDescribed(t *testing.T) (*service.Service, *described) {
	t.Helper()
	inMemory := banktest.NewMemory(t)
	other := banktest.In(t, banktest.NewProvider(t, inMemory)) // another instance, whose store works
	banktest.Index(t, other)
	banktest.Transfers(t, other)
	d := &described{state: &moodyState{State: inMemory}, seen: map[string]bool{}}
	settings := eventstore.DefaultSettings()
	settings.OpenTimeout, settings.CommitTimeout = 0, 100*time.Millisecond
	d.provider = banktest.NewProvider(t, d.state, eventstore.WithSettings(settings))
	keys, err := service.ParseKeys("reader read " + readKey + "\nboss admin " + adminKey)
	if err != nil {
		t.Fatal(err)
	}
	s := service.New(slog.New(slog.DiscardHandler), "state store", service.WithHosts(), service.WithKeys(keys))
	d.handler = s.Handler(nil)
	return s, d
}

// describe reads the description that the service serves.
func (d *described) describe(t *testing.T) *openapi3.T {
	t.Helper()
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/openapi.yaml", nil))
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the description is not valid OpenAPI: %v", err)
	}
	if d.router, err = gorillamux.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// newRequest returns a request to the service with the key of an administrator.
func newRequest(t *testing.T, methodAndPath, body string, headers ...string) *http.Request {
	method, path, _ := strings.Cut(methodAndPath, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Host = "localhost"
	r.Header.Set("Authorization", "Bearer "+adminKey)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	return r
}

// ask sends "METHOD /path" with headers like "Name: value". It checks the status, and that the
// request and the answer match the description.
func (d *described) ask(t *testing.T, status int, methodAndPath, body string, headers ...string) []byte {
	t.Helper()
	request := func() *http.Request { return newRequest(t, methodAndPath, body, headers...) }
	r := request()
	route, params, err := d.router.FindRoute(r)
	if err != nil {
		t.Errorf("%s is not described: %v", methodAndPath, err)
		return nil
	}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	switch err := openapi3filter.ValidateRequest(t.Context(), input); {
	case status == 400 || status == 413 || status == 415: // these requests need not match the description
	case err != nil:
		t.Errorf("the request %s %s is not as described: %v", methodAndPath, body, err)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, request())
	if w.Code != status {
		t.Errorf("%s %s: status %d, want %d: %s", methodAndPath, body, w.Code, status, w.Body)
		return nil
	}
	d.seen[fmt.Sprintf("%s %d", route.Operation.OperationID, status)] = true
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: w.Code, Header: w.Header(), Options: input.Options}
	answer.SetBodyBytes(w.Body.Bytes())
	if err := openapi3filter.ValidateResponse(t.Context(), answer); err != nil {
		t.Errorf("the answer %d to %s is not as described: %v\n%s", w.Code, methodAndPath, err, w.Body)
	}
	return w.Body.Bytes()
}

func TestTheServiceIsAsItsDescriptionSays(t *testing.T) {
	t.Parallel()
	s, d := newDescribed(t)
	doc := d.describe(t)

	// Every route is described, and everything described has a route.
	described := map[string]map[string]bool{} // statuses by operation
	var routes []string
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			routes = append(routes, method+" "+path)
			described[operation.OperationID] = map[string]bool{}
			for status := range operation.Responses.Map() {
				described[operation.OperationID][status] = true
			}
		}
	}
	slices.Sort(routes)
	if there := s.Routes(); !slices.Equal(routes, there) {
		t.Errorf("routes:\n described %q\n actual %q", routes, there)
	}

	const (
		accounts = "/api/v1/accounts"
		a1       = accounts + "/A1"
		gone     = accounts + "/GONE"
		opening  = `{"number":"A1","owner":"Ada","amount":150000}`
		moving   = `{"amount":50000}`
		sending  = `{"to":"B1","amount":100}`
		transfer = "/api/v1/transfers/" // and an id
	)
	// The service has no store yet.
	all := map[string]string{ // operations of the API on A1, with a body where they need one
		"GET " + accounts: "", "POST " + accounts: opening, "GET " + a1: "", "DELETE " + a1: "",
		"POST " + a1 + "/deposits": moving, "POST " + a1 + "/withdrawals": moving, "POST " + a1 + "/close": "", "GET " + a1 + "/events": "",
		"POST " + a1 + "/transfers": sending, "GET " + transfer + "t": "",
	}
	for operation, body := range all {
		d.ask(t, 503, operation, body)
	}
	d.ask(t, 200, "GET /livez", "")
	d.ask(t, 503, "GET /readyz", "")
	d.ask(t, 200, "GET /openapi.yaml", "")

	kept := banktest.In(t, d.provider)
	s.Connect(t.Context(), func(context.Context) (service.Bank, error) {
		return service.Bank{Accounts: kept, Reach: func(ctx context.Context) error {
			if _, err := d.state.Get(ctx, "ready", "ready"); err != nil {
				return &service.AwayError{Part: "state store", Cause: err}
			}
			return nil
		}}, nil
	})
	d.ask(t, 200, "GET /readyz", "")

	// All operations work.
	d.ask(t, 200, "GET "+accounts, "")
	d.ask(t, 201, "POST "+accounts, opening, "Idempotency-Key: k1", "X-Request-Id: r-1", "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	d.ask(t, 200, "POST "+accounts, opening, "Idempotency-Key: k1")
	d.ask(t, 409, "POST "+accounts, opening)
	d.ask(t, 200, "POST "+a1+"/deposits", `{"amount":50000,"expectedVersion":1}`, "Idempotency-Key: k2")
	d.ask(t, 200, "POST "+a1+"/deposits", `{"amount":50000,"expectedVersion":1}`, "Idempotency-Key: k2")
	d.ask(t, 409, "POST "+a1+"/deposits", `{"amount":50000,"expectedVersion":1}`)
	d.ask(t, 200, "POST "+a1+"/withdrawals", moving)
	d.ask(t, 409, "POST "+a1+"/withdrawals", `{"amount":50000,"expectedVersion":1}`)
	d.ask(t, 200, "GET "+a1, "")
	d.ask(t, 200, "GET "+a1+"?version=2", "")
	d.ask(t, 200, "GET "+accounts, "")
	d.ask(t, 201, "POST "+accounts, `{"number":"B1","owner":"Bob","amount":0}`)
	var sent struct{ ID string }
	if err := json.Unmarshal(d.ask(t, 202, "POST "+a1+"/transfers", sending, "Idempotency-Key: k3"), &sent); err != nil {
		t.Fatal(err)
	}
	d.ask(t, 202, "POST "+a1+"/transfers", sending, "Idempotency-Key: k3")
	d.ask(t, 422, "POST "+a1+"/transfers", `{"to":"B1","amount":101}`, "Idempotency-Key: k3")
	d.ask(t, 409, "POST "+a1+"/transfers", `{"to":"B1","amount":1,"expectedVersion":1}`)
	d.ask(t, 404, "GET "+transfer+"t", "")
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		w := httptest.NewRecorder()
		d.handler.ServeHTTP(w, newRequest(t, "GET "+transfer+sent.ID, ""))
		if strings.Contains(w.Body.String(), `"completed"`) {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("the transfer does not complete: %s", w.Body)
		}
	}
	d.ask(t, 200, "GET "+transfer+sent.ID, "")
	delete(all, "GET "+transfer+"t")
	all["GET "+transfer+sent.ID] = ""
	d.ask(t, 200, "GET "+a1+"/events?from=2&to=3", "")
	for range 100 {
		d.ask(t, 200, "POST "+a1+"/deposits", `{"amount":1}`)
	}
	var page struct{ Next string }
	if err := json.Unmarshal(d.ask(t, 200, "GET "+a1+"/events", ""), &page); err != nil || page.Next == "" {
		t.Errorf("the second page of a history is wrong: %v", err)
	}
	d.ask(t, 200, "GET "+page.Next, "")

	// The service refuses these requests.
	d.ask(t, 404, "GET "+a1+"?version=9999", "")
	for operation, body := range map[string]string{
		"GET": "", "DELETE": "", "POST /deposits": moving, "POST /withdrawals": moving, "POST /transfers": sending, "POST /close": "", "GET /events": "",
	} {
		method, rest, _ := strings.Cut(operation, " ")
		d.ask(t, 404, method+" "+accounts+"/NONE"+rest, body)
	}
	d.ask(t, 201, "POST "+accounts, `{"number":"GONE","owner":"Ada","amount":0}`)
	d.ask(t, 204, "POST "+gone+"/close?expectedVersion=1", "")
	d.ask(t, 409, "POST "+gone+"/deposits", moving)
	d.ask(t, 204, "POST "+gone+"/close?expectedVersion=1", "")
	d.ask(t, 409, "POST "+a1+"/close?expectedVersion=1", "")
	d.ask(t, 409, "DELETE "+gone+"?expectedVersion=9", "")
	d.ask(t, 204, "DELETE "+gone+"?expectedVersion=1", "")
	d.ask(t, 410, "POST "+accounts, `{"number":"GONE","owner":"Ada","amount":0}`)
	d.ask(t, 410, "GET "+gone, "")
	d.ask(t, 204, "DELETE "+gone, "")
	d.ask(t, 410, "POST "+gone+"/deposits", moving)
	d.ask(t, 410, "POST "+gone+"/withdrawals", moving)
	d.ask(t, 410, "POST "+gone+"/transfers", sending)
	d.ask(t, 410, "POST "+gone+"/close", "")
	d.ask(t, 410, "GET "+gone+"/events", "")
	d.ask(t, 422, "POST "+a1+"/withdrawals", `{"amount":999999999}`)
	d.ask(t, 422, "POST "+a1+"/deposits", moving, "Idempotency-Key: k1")
	d.ask(t, 422, "POST "+accounts, `{"number":"A1","owner":"Eve","amount":1}`, "Idempotency-Key: k1")
	for operation, body := range all {
		d.ask(t, 400, operation+"?nosuch=1", body)
		d.ask(t, 401, operation, body, "Authorization: Bearer unknown")
		d.ask(t, 421, operation, body, "Host: evil.example")
		if !strings.HasPrefix(operation, "GET") {
			d.ask(t, 403, operation, body, "Sec-Fetch-Site: cross-site")
			d.ask(t, 403, operation, body, "Authorization: Bearer "+readKey)
		}
		if body != "" {
			d.ask(t, 413, operation, strings.Repeat(" ", 1<<20)+body)
			d.ask(t, 415, operation, body, "Content-Type: text/plain")
		}
	}

	for _, operation := range []string{"GET /livez", "GET /readyz", "GET /openapi.yaml"} {
		d.ask(t, 200, operation, "", "Authorization: ")
		d.ask(t, 421, operation, "", "Host: evil.example")
	}

	// Another session has the account.
	session, err := d.provider.Open(t.Context(), d.provider.Stream(bank.AccountType, "A1"))
	if err != nil {
		t.Fatal(err)
	}
	d.ask(t, 423, "POST "+a1+"/close", "")
	d.ask(t, 423, "DELETE "+a1, "")
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}

	// The store misbehaves.
	for operation, body := range all {
		d.state.mood.Store(away)
		// An update of an account in memory is sent at once, and its outcome may be unknown. After
		// that the account is no longer in memory, so the next update reads it first.
		d.handler.ServeHTTP(httptest.NewRecorder(), newRequest(t, operation, body))
		d.ask(t, 503, operation, body)
		d.state.mood.Store(garbled)
		d.ask(t, 500, operation, body)
		if body != "" {
			d.state.mood.Store(silent)
			d.ask(t, 504, operation, strings.Replace(body, "A1", "NEW", 1), "Idempotency-Key: lost "+operation)
		}
	}
	d.state.mood.Store(away)
	d.ask(t, 503, "GET /readyz", "")
	d.state.mood.Store(well)
	d.ask(t, 200, "GET /readyz", "")
	d.ask(t, 200, "GET "+a1, "")

	for operation, statuses := range described {
		for status := range statuses {
			if !d.seen[operation+" "+status] {
				t.Errorf("%s is described with status %s, which was not seen", operation, status)
			}
		}
	}
}

// demoService is the built service in its own process.
type demoService struct {
	cmd   *exec.Cmd
	url   string
	ended chan struct{} // closed when it has ended
	log   output
}

// output is what a command has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// startDemoService starts the service with a sidecar, as the Dapr CLI does, and waits until it
// serves. Variables in env override those that the CLI sets.
func startDemoService(t *testing.T, demo string, sidecar *servers.Daprd, env ...string) *demoService {
	t.Helper()
	port := servers.FreePorts(t, 1)[0]
	d := &demoService{cmd: exec.Command(demo, "serve"), url: "http://127.0.0.1:" + strconv.Itoa(port), ended: make(chan struct{})}
	d.cmd.Dir = t.TempDir()
	d.cmd.Env = append(d.cmd.Environ(), "APP_PORT="+strconv.Itoa(port),
		fmt.Sprintf("DAPR_GRPC_PORT=%d", sidecar.GRPCPort), fmt.Sprintf("DAPR_HTTP_PORT=%d", sidecar.HTTPPort))
	d.cmd.Env = append(d.cmd.Env, env...)
	d.cmd.Stderr = &d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if t.Failed() {
			t.Logf("log of the service:\n%s", d.log.String())
		}
	})
	d.until(t, "GET /livez", 200, "alive")
	return d
}

// do sends a request. It returns status 0 if there is no answer.
func (d *demoService) do(ctx context.Context, methodAndPath, body string) (status int, answer string) {
	method, path, _ := strings.Cut(methodAndPath, " ")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, d.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer w.Body.Close()
	all, err := io.ReadAll(w.Body)
	if err != nil {
		return 0, err.Error()
	}
	return w.StatusCode, string(all)
}

// ask sends a request, and checks the status and a text of the answer.
func (d *demoService) ask(t *testing.T, status int, says, methodAndPath, body string) {
	t.Helper()
	if got, answer := d.do(t.Context(), methodAndPath, body); got != status || !strings.Contains(answer, says) {
		t.Errorf("%s %s: %d %s, want %d and %q", methodAndPath, body, got, answer, status, says)
	}
}

// until repeats a request until the answer has that status and text.
func (d *demoService) until(t *testing.T, methodAndPath string, status int, says string) {
	t.Helper()
	eventually(t, func() error {
		select {
		case <-d.ended:
			t.Fatalf("the service has ended: %v\n%s", d.cmd.ProcessState, d.log.String())
		default:
		}
		if got, answer := d.do(t.Context(), methodAndPath, ""); got != status || !strings.Contains(answer, says) {
			return fmt.Errorf("%s: %d %s, want %d and %q", methodAndPath, got, answer, status, says)
		}
		return nil
	})
}

// eventually repeats try until it succeeds, for at most a minute.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-tick.C:
		}
	}
}

// watch returns a function that waits for the next event of a page's live updates, and checks it.
func (d *demoService) watch(t *testing.T, path string) (told func(want string)) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Body.Close() })
	lines := bufio.NewScanner(w.Body)
	return func(want string) {
		t.Helper()
		event := ""
		for lines.Scan() {
			if name, is := strings.CutPrefix(lines.Text(), "event: "); is {
				event = name
			}
			if data, is := strings.CutPrefix(lines.Text(), "data: "); is {
				if got := event + " " + data; got != want {
					t.Errorf("told %q, want %q", got, want)
				}
				return
			}
		}
		t.Errorf("the live updates end with %v, want %q", lines.Err(), want)
	}
}

// ends tells the service to end, and checks that it ends without an error.
func (d *demoService) ends(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.hasEnded(t)
}

func (d *demoService) hasEnded(t *testing.T) {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		t.Fatal("the service does not end")
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 || strings.Contains(d.log.String(), "cutting off") {
		t.Errorf("exit code %d", code)
	}
}

// redisComponents returns the project's own component files for Redis.
func redisComponents(t *testing.T, r *servers.Redis) []string {
	t.Helper()
	return componentFiles(t, filepath.Join(root(t), "components", "redis"), r)
}

func TestTheServiceRunsBesideASidecarAndSaysWhenTheStoreIsAway(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "")
	demo := buildDemo(t)
	r := servers.StartRedis(t, servers.Durable())
	sidecar := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: redisComponents(t, r)})
	one := startDemoService(t, demo, sidecar)
	two := startDemoService(t, demo, sidecar, "DAPR_GRPC_PORT=", "DAPR_GRPC_ENDPOINT="+sidecar.GRPCAddr()) // as if the sidecar were in another container
	one.until(t, "GET /readyz", 200, "ready")
	two.until(t, "GET /readyz", 200, "ready")

	// Two instances share one store.
	one.ask(t, 201, `"version":1`, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":150000}`)
	two.ask(t, 200, `"balance":200000`, "POST /api/v1/accounts/A1/deposits", `{"amount":50000,"expectedVersion":1}`)
	one.ask(t, 409, `"actualVersion":2`, "POST /api/v1/accounts/A1/withdrawals", `{"amount":50000,"expectedVersion":1}`)
	one.ask(t, 422, "insufficient-funds", "POST /api/v1/accounts/A1/withdrawals", `{"amount":200001}`)
	two.ask(t, 200, `"balance":150000`, "GET /api/v1/accounts/A1?version=1", "")
	for _, instance := range []*demoService{one, two} { // whichever of them indexes
		instance.ask(t, 200, `"numbers":["A1"]`, "GET /api/v1/accounts", "")
	}
	one.ask(t, 200, `"type":"FundsDeposited"`, "GET /api/v1/accounts/A1/events?from=2", "")

	r.Kill(t)
	one.until(t, "GET /readyz", 503, `"away":"state store"`)
	one.ask(t, 200, "alive", "GET /livez", "")
	one.ask(t, 503, "store-away", "POST /api/v1/accounts/A1/deposits", `{"amount":1}`)
	r.Restart(t)
	one.until(t, "GET /readyz", 200, "ready")
	one.ask(t, 200, `"version":3`, "POST /api/v1/accounts/A1/deposits", `{"amount":1}`)
	one.ask(t, 204, "", "POST /api/v1/accounts/A1/close", "")
	two.ask(t, 409, "account-closed", "POST /api/v1/accounts/A1/deposits", `{"amount":1}`)
	one.ends(t)
	two.ends(t)
}

func TestTheServiceWaitsForASidecarThatComesLaterAndForOneThatComesBack(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "")
	demo := buildDemo(t)
	r := servers.StartRedis(t)
	sidecar := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: redisComponents(t, r)})
	sidecar.Kill(t)
	s := startDemoService(t, demo, sidecar)
	s.ask(t, 503, `"away":"sidecar"`, "GET /readyz", "")
	s.ask(t, 503, "not-connected", "GET /api/v1/accounts", "")
	sidecar.Restart(t)
	s.until(t, "GET /readyz", 200, "ready")
	s.ask(t, 201, `"version":1`, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":150000}`)
	told := s.watch(t, "/accounts/A1/live")
	told("version 1")
	sidecar.Kill(t)
	s.until(t, "GET /readyz", 503, `"away":"sidecar"`)
	told("away ")
	sidecar.Restart(t)
	s.until(t, "GET /readyz", 200, "ready")
	told("version 1")
	s.ask(t, 200, `"version":2`, "POST /api/v1/accounts/A1/deposits", `{"amount":1}`)
	told("version 2")
	s.ends(t)
}

func TestTheServiceEndsWhenTheRequestsUnderWayAreDone(t *testing.T) {
	t.Setenv("REDIS_PASSWORD", "")
	demo := buildDemo(t)
	r := servers.StartRedis(t)
	sidecar := servers.StartDaprd(t, servers.DaprdConfig{AppID: "bank", Components: redisComponents(t, r)})
	s := startDemoService(t, demo, sidecar)
	s.until(t, "GET /readyz", 200, "ready")
	s.ask(t, 201, `"version":1`, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":150000}`)

	r.Pause(t)
	type answer struct {
		status int
		text   string
	}
	slow := make(chan answer, 1)
	reached := make(chan struct{}) // closed when the handler has begun to read the body
	go func() {
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reached) }})
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/accounts/A1/deposits", strings.NewReader(`{"amount":1}`))
		if err != nil {
			slow <- answer{0, err.Error()}
			return
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Expect", "100-continue")
		client := http.Client{Timeout: time.Minute, Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
		w, err := client.Do(request)
		if err != nil {
			slow <- answer{0, err.Error()}
			return
		}
		defer w.Body.Close()
		all, _ := io.ReadAll(w.Body)
		slow <- answer{w.StatusCode, string(all)}
	}()
	select {
	case <-reached:
	case a := <-slow:
		t.Fatalf("the request did not reach its handler: %d %s", a.status, a.text)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { // the service accepts no new requests
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			return nil
		}
		_ = c.Close()
		return errors.New("the service still accepts connections")
	})
	select {
	case a := <-slow:
		t.Fatalf("the request was answered while Redis was silent: %d %s", a.status, a.text)
	case <-s.ended:
		t.Fatal("the service ended before the request")
	default:
	}
	r.Resume(t)
	if a := <-slow; a.status != 200 || !strings.Contains(a.text, `"version":2`) {
		t.Errorf("the answer to the running request is %d %s", a.status, a.text)
	}
	s.hasEnded(t)
}
