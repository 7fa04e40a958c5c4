package service

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
	"github.com/hexalith/eventstores-go/eventstore"
)

// quiet is a log that no one reads.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// newService is a service that is connected to a bank of its own.
func newService(t *testing.T, log *slog.Logger) *Service {
	t.Helper()
	accounts := banktest.New(t)
	s := New(log, "sidecar")
	if !s.Connect(t.Context(), func(context.Context) (Bank, error) {
		return Bank{Accounts: accounts, Reach: func(context.Context) error { return nil }}, nil
	}) {
		t.Fatal("not connected")
	}
	return s
}

// call is one request: a method and path, headers as "Name: value" and a body.
func call(t *testing.T, h http.Handler, methodAndPath, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	method, path, _ := strings.Cut(methodAndPath, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answers checks a status and reads what was answered.
func answers[T any](t *testing.T, w *httptest.ResponseRecorder, status int) T {
	t.Helper()
	var value T
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if w.Body.Len() == 0 {
		return value
	}
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return value
}

// refuses checks that the answer is a problem of that kind.
func refuses(t *testing.T, w *httptest.ResponseRecorder, status int, kind string) Problem {
	t.Helper()
	p := answers[Problem](t, w, status)
	if kind != "about:blank" {
		kind = problemType(kind)
	}
	if p.Type != kind || p.Status != status || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %+v, want the type %s", w.Header().Get("Content-Type"), p, kind)
	}
	if p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("the problem has request id %q, the answer %q", p.RequestID, w.Header().Get("X-Request-Id"))
	}
	return p
}

func TestAnAccountIsKeptOverHTTP(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)

	w := call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":150000}`)
	if got, want := answers[account](t, w, 201), (account{Number: "A1", Owner: "Ada", Balance: 150000, Version: 1}); got != want {
		t.Errorf("opened: %+v, want %+v", got, want)
	}
	if got := w.Header().Get("Location"); got != "/api/v1/accounts/A1" {
		t.Errorf("the account is at %q", got)
	}
	refuses(t, call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Eve","amount":1}`), 409, "account-exists")

	after := answers[account](t, call(t, h, "POST /api/v1/accounts/A1/deposits", `{"amount":50000,"expectedVersion":1}`), 200)
	if after.Version != 2 || after.Balance != 200000 {
		t.Errorf("deposited: %+v", after)
	}
	p := refuses(t, call(t, h, "POST /api/v1/accounts/A1/withdrawals", `{"amount":1,"expectedVersion":1}`), 409, "version-mismatch")
	if p.ExpectedVersion == nil || *p.ExpectedVersion != 1 || p.ActualVersion == nil || *p.ActualVersion != 2 {
		t.Errorf("the conflict does not say which versions: %+v", p)
	}
	refuses(t, call(t, h, "POST /api/v1/accounts/A1/withdrawals", `{"amount":200001}`), 422, "insufficient-funds")
	after = answers[account](t, call(t, h, "POST /api/v1/accounts/A1/withdrawals", `{"amount":200000}`), 200)
	if after.Version != 3 || after.Balance != 0 {
		t.Errorf("withdrawn: %+v", after)
	}

	if was := answers[account](t, call(t, h, "GET /api/v1/accounts/A1?version=2", ""), 200); was.Balance != 200000 || was.Version != 2 {
		t.Errorf("as of version 2: %+v", was)
	}
	if is := answers[account](t, call(t, h, "GET /api/v1/accounts/A1", ""), 200); is != after {
		t.Errorf("as it is: %+v", is)
	}
	refuses(t, call(t, h, "GET /api/v1/accounts/A1?version=4", ""), 404, "no-such-version")
	refuses(t, call(t, h, "GET /api/v1/accounts/B1", ""), 404, "no-account")
	refuses(t, call(t, h, "GET /api/v1/accounts/a%2Fb", ""), 400, "bad-number")
	if all := answers[map[string][]string](t, call(t, h, "GET /api/v1/accounts", ""), 200); len(all["numbers"]) != 1 || all["numbers"][0] != "A1" {
		t.Errorf("accounts: %v", all)
	}

	refuses(t, call(t, h, "POST /api/v1/accounts/A1/close?expectedVersion=2", ""), 409, "version-mismatch")
	answers[struct{}](t, call(t, h, "POST /api/v1/accounts/A1/close?expectedVersion=3", ""), 204)
	refuses(t, call(t, h, "POST /api/v1/accounts/A1/deposits", `{"amount":1}`), 409, "account-closed")
	refuses(t, call(t, h, "DELETE /api/v1/accounts/A1?expectedVersion=0", ""), 409, "version-mismatch")
	answers[struct{}](t, call(t, h, "DELETE /api/v1/accounts/A1", ""), 204)
	refuses(t, call(t, h, "GET /api/v1/accounts/A1", ""), 410, "account-deleted")
}

func TestABankWithoutAccountsListsNone(t *testing.T) {
	t.Parallel()
	if w := call(t, newService(t, quiet()).Handler(nil), "GET /api/v1/accounts", ""); w.Body.String() != `{"numbers":[]}`+"\n" {
		t.Errorf("%s", w.Body)
	}
}

func TestACommandThatIsSentAgainIsStoredOnce(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	opening := func(owner string) *httptest.ResponseRecorder {
		return call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"`+owner+`","amount":10}`, "Idempotency-Key: k1")
	}
	moving := func(what, amount, key string) *httptest.ResponseRecorder {
		return call(t, h, "POST /api/v1/accounts/A1/"+what, `{"amount":`+amount+`}`, "Idempotency-Key: "+key)
	}
	answers[account](t, opening("Ada"), 201)
	answers[account](t, moving("deposits", "5", "k2"), 200)
	if again := answers[account](t, opening("Ada"), 200); again.RepeatOf != 1 || again.Balance != 15 {
		t.Errorf("opened again: %+v", again)
	}
	if again := answers[account](t, moving("deposits", "5", "k2"), 200); again.RepeatOf != 2 || again.Version != 2 {
		t.Errorf("deposited again: %+v", again)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"another owner":                 opening("Eve"),
		"another amount":                moving("deposits", "6", "k2"),
		"a withdrawal":                  moving("withdrawals", "5", "k2"),
		"a deposit by an opening's key": moving("deposits", "10", "k1"),
	} {
		if w.Code != 422 {
			t.Errorf("%s: status %d, want 422: %s", name, w.Code, w.Body)
			continue
		}
		refuses(t, w, 422, "idempotency-key-reused")
	}
}

func TestAHistoryIsReadPageByPage(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	const deposits = 2 * pageSize
	answers[account](t, call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":0}`), 201)
	for range deposits {
		answers[account](t, call(t, h, "POST /api/v1/accounts/A1/deposits", `{"amount":1}`), 200)
	}
	for path, want := range map[string]struct {
		pages       []int // events on each
		first, last int64 // versions
	}{
		"":                {[]int{100, 100, 1}, 1, deposits + 1},
		"?from=2":         {[]int{100, 100}, 2, deposits + 1},
		"?from=3&to=5":    {[]int{3}, 3, 5},
		"?from=1&to=100":  {[]int{100}, 1, 100},
		"?from=1&to=101":  {[]int{100, 1}, 1, 101},
		"?from=200":       {[]int{2}, 200, 201},
		"?from=202":       {[]int{0}, 0, 0},
		"?to=9999":        {[]int{100, 100, 1}, 1, deposits + 1},
		"?from=500&to=50": {nil, 0, 0},
	} {
		next := "/api/v1/accounts/A1/events" + path
		if want.pages == nil {
			refuses(t, call(t, h, "GET "+next, ""), 400, "bad-request")
			continue
		}
		version := want.first
		for _, size := range want.pages {
			page := answers[events](t, call(t, h, "GET "+next, ""), 200)
			if len(page.Events) != size || page.Number != "A1" {
				t.Fatalf("%s: %d events of %s, want %d", next, len(page.Events), page.Number, size)
			}
			for _, e := range page.Events {
				if e.Version != version || e.Balance != bank.Money(version-1) {
					t.Fatalf("%s: %+v, want version %d", next, e, version)
				}
				version++
			}
			next = page.Next
		}
		if next != "" || want.last > 0 && version != want.last+1 {
			t.Errorf("%s ended before version %d and goes on at %q", path, version, next)
		}
	}
}

func TestAnEventSaysHowItCameAbout(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	answers[account](t, call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":150000}`,
		"X-Request-Id: r-1", "traceparent: 00-"+trace+"-"+span+"-01", "Idempotency-Key: k1"), 201)
	answers[account](t, call(t, h, "POST /api/v1/accounts/A1/withdrawals", `{"amount":1}`, "X-Request-Id: r-2"), 200)
	page := answers[events](t, call(t, h, "GET /api/v1/accounts/A1/events", ""), 200)
	first, second := page.Events[0], page.Events[1]
	if first.Type != "AccountOpened" || first.Change != 150000 || second.Change != -1 || second.Balance != 149999 {
		t.Errorf("%+v", page)
	}
	if m := first.Metadata; m.CorrelationID != "r-1" || m.CausationID != trace+"/"+span || m.IdempotencyKey != "k1" || m.ID == "" || m.SessionID == "" || m.Created.IsZero() {
		t.Errorf("%+v", m)
	}
	if m := second.Metadata; m.CorrelationID != "r-2" || m.CausationID != "r-2" || m.IdempotencyKey != "" {
		t.Errorf("%+v", m)
	}
}

// Another service may store custom metadata with the events of an account.
func TestAnEventShowsItsCustomMetadata(t *testing.T) {
	t.Parallel()
	provider := banktest.NewProvider(t, banktest.NewMemory(t))
	accounts := banktest.In(t, provider)
	s := New(quiet(), "sidecar")
	s.Connect(t.Context(), func(context.Context) (Bank, error) { return Bank{Accounts: accounts}, nil })
	opened := eventstore.Event{Data: bank.AccountOpened{Owner: "Ada"}}
	opened.Metadata.Custom = map[string]string{"terminal=\n": "ATM 17"}
	if _, err := provider.Append(t.Context(), provider.Stream(bank.AccountType, "A1"), eventstore.ExpectVersion(0), opened); err != nil {
		t.Fatal(err)
	}
	page := answers[events](t, call(t, s.Handler(nil), "GET /api/v1/accounts/A1/events", ""), 200)
	if got := page.Events[0].Metadata.Custom; !maps.Equal(got, opened.Metadata.Custom) {
		t.Errorf("it shows %q", got)
	}
}

func TestARequestThatIsNotQuiteRightIsRefused(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	answers[account](t, call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":10}`), 201)
	const opening, deposits = "POST /api/v1/accounts", "POST /api/v1/accounts/A1/deposits"
	for name, c := range map[string]struct {
		request, body string
		headers       []string
		status        int
		kind          string
	}{
		"a field that is not known":        {deposits, `{"amount":1,"amout":2}`, nil, 400, "bad-request"},
		"more after the object":            {deposits, `{"amount":1}{"amount":1}`, nil, 400, "bad-request"},
		"rubbish after the object":         {deposits, `{"amount":1}}`, nil, 400, "bad-request"},
		"no JSON":                          {deposits, `amount=1`, nil, 400, "bad-request"},
		"a body that breaks off":           {deposits, `{"amount":`, nil, 400, "bad-request"},
		"no body":                          {deposits, ``, []string{"Content-Type: application/json"}, 400, "bad-request"},
		"an amount with a fraction":        {deposits, `{"amount":1.5}`, nil, 400, "bad-request"},
		"an amount as text":                {deposits, `{"amount":"1"}`, nil, 400, "bad-request"},
		"no amount":                        {deposits, `{}`, nil, 400, "bad-request"},
		"a null amount":                    {deposits, `{"amount":null}`, nil, 400, "bad-request"},
		"an amount that is no int64":       {deposits, `{"amount":9223372036854775808}`, nil, 400, "bad-request"},
		"an amount of nothing":             {deposits, `{"amount":0}`, nil, 422, "bad-amount"},
		"an amount past the end":           {deposits, `{"amount":9223372036854775807}`, nil, 422, "bad-amount"},
		"a version below 0":                {deposits, `{"amount":1,"expectedVersion":-1}`, nil, 400, "bad-request"},
		"a blank key":                      {deposits, `{"amount":1}`, []string{"Idempotency-Key:  "}, 400, "bad-request"},
		"a key of 201 bytes":               {deposits, `{"amount":1}`, []string{"Idempotency-Key: " + strings.Repeat("k", 201)}, 400, "bad-request"},
		"a key that is no text":            {deposits, `{"amount":1}`, []string{"Idempotency-Key: \xff"}, 400, "bad-argument"},
		"a form":                           {deposits, `amount=1`, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "about:blank"},
		"a body of no type":                {deposits, `{"amount":1}`, []string{"Content-Type: "}, 415, "about:blank"},
		"a large body":                     {deposits, `{"amount":1` + strings.Repeat(" ", maxBody) + `}`, nil, 413, "too-large"},
		"a large rest":                     {deposits, `{"amount":1}` + strings.Repeat(" ", maxBody), nil, 413, "too-large"},
		"an account without owner":         {opening, `{"number":"B1","owner":" ","amount":1}`, nil, 400, "no-owner"},
		"an account without a number":      {opening, `{"owner":"Ada","amount":1}`, nil, 400, "bad-request"},
		"a number in small letters":        {opening, `{"number":"b1","owner":"Ada","amount":1}`, nil, 400, "bad-number"},
		"a debt":                           {opening, `{"number":"B1","owner":"Ada","amount":-1}`, nil, 422, "bad-amount"},
		"a mistyped parameter":             {"GET /api/v1/accounts/A1?vesion=1", "", nil, 400, "bad-request"},
		"a parameter given twice":          {"GET /api/v1/accounts/A1?version=1&version=2", "", nil, 400, "bad-request"},
		"a version 0":                      {"GET /api/v1/accounts/A1?version=0", "", nil, 400, "bad-request"},
		"a version that is empty":          {"GET /api/v1/accounts/A1?version=", "", nil, 400, "bad-request"},
		"a page from 0":                    {"GET /api/v1/accounts/A1/events?from=0", "", nil, 400, "bad-request"},
		"a parameter of a list":            {"GET /api/v1/accounts?limit=1", "", nil, 400, "bad-request"},
		"a parameter of an opening":        {opening + "?number=B1", `{"number":"B1","owner":"Ada","amount":1}`, nil, 400, "bad-request"},
		"a parameter of a deposit":         {deposits + "?expectedVersion=3", `{"amount":1}`, nil, 400, "bad-request"},
		"a deletion as of a word":          {"DELETE /api/v1/accounts/A1?expectedVersion=x", "", nil, 400, "bad-request"},
		"a deletion as of something else":  {"DELETE /api/v1/accounts/A1?version=1", "", nil, 400, "bad-request"},
		"a path that is not there":         {"GET /api/v1/nosuch", "", nil, 404, "about:blank"},
		"a path outside the API":           {"GET /nosuch", "", nil, 404, "about:blank"},
		"a deposit on no account":          {"POST /api/v1/accounts/NONE/deposits", `{"amount":1}`, nil, 404, "no-account"},
		"the history of no account":        {"GET /api/v1/accounts/NONE/events", "", nil, 404, "no-account"},
		"the closing of no account":        {"POST /api/v1/accounts/NONE/close", "", nil, 404, "no-account"},
		"a method that is not there":       {"PUT /api/v1/accounts/A1", `{}`, nil, 405, "about:blank"},
		"a health check that writes":       {"POST /livez", "", nil, 405, "about:blank"},
		"a write on behalf of another":     {deposits, `{"amount":1}`, []string{"Sec-Fetch-Site: cross-site"}, 403, "cross-origin"},
		"a write by an old browser's form": {deposits, `{"amount":1}`, []string{"Origin: http://evil.example"}, 403, "cross-origin"},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(t, h, c.request, c.body, c.headers...)
			if p := refuses(t, w, c.status, c.kind); p.Title == "" || p.Detail == "" {
				t.Errorf("it does not say what is wrong: %+v", p)
			}
			if c.status == 405 && w.Header().Get("Allow") == "" {
				t.Error("it does not say which methods are allowed")
			}
		})
	}
	if is := answers[account](t, call(t, h, "GET /api/v1/accounts/A1", ""), 200); is.Version != 1 {
		t.Errorf("something was stored: %+v", is)
	}
}

func TestWithoutAPageTheDescriptionIsShown(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	if w := call(t, h, "GET /", ""); w.Code != 303 || w.Header().Get("Location") != "/openapi.yaml" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
	}
	if w := call(t, h, "GET /openapi.yaml", ""); w.Code != 200 || !strings.HasPrefix(w.Body.String(), "openapi: 3.") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestThePageIsMadeOnceThereAreAccountsAndGetsAllOtherPaths(t *testing.T) {
	t.Parallel()
	s, made := New(quiet(), "sidecar"), 0
	h := s.Handler(func(accounts *bank.Accounts) http.Handler {
		made++
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _, err := accounts.List(r.Context(), 0, 1)
			_, _ = io.WriteString(w, "page "+r.Method+" "+r.URL.Path+" "+strconv.FormatBool(err == nil))
		})
	})
	if w := call(t, h, "GET /", ""); w.Code != 503 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" || w.Header().Get("Retry-After") == "" {
		t.Errorf("before there is a store: %d %v %s", w.Code, w.Header(), w.Body)
	}
	accounts := banktest.New(t)
	s.Connect(t.Context(), func(context.Context) (Bank, error) { return Bank{Accounts: accounts}, nil })
	for _, request := range []string{"GET /", "GET /accounts/A1", "POST /accounts/A1/deposit"} {
		if w := call(t, h, request, ""); w.Body.String() != "page "+request+" true" {
			t.Errorf("%s: %s", request, w.Body)
		}
	}
	refuses(t, call(t, h, "GET /api/v1/nosuch", ""), 404, "about:blank")
	if made != 1 {
		t.Errorf("it was made %d times", made)
	}
}
