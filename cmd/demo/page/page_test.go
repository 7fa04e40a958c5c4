package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
	"github.com/hexalith/eventstores-go/cmd/demo/service"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// site is the pages over a bank in memory, asked without a network.
type site struct {
	*bank.Accounts
	http.Handler
	t *testing.T
}

func newSite(t *testing.T) site {
	t.Helper()
	return siteOf(t, banktest.New(t))
}

func siteOf(t *testing.T, accounts *bank.Accounts) site {
	t.Helper()
	return site{accounts, New(accounts, slog.New(slog.DiscardHandler)), t}
}

// open opens account A1 with deposits of 1.00 until it is at a version.
func (s site) open(owner string, version int) {
	s.t.Helper()
	ctx, c := s.t.Context(), bank.Command{ExpectedVersion: -1}
	if _, err := s.Open(ctx, "A1", owner, 1_00, c); err != nil {
		s.t.Fatal(err)
	}
	for range version - 1 {
		if _, err := s.Deposit(ctx, "A1", 1_00, c); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s site) version() int64 {
	s.t.Helper()
	version, err := s.Version(s.t.Context(), "A1")
	if err != nil {
		s.t.Fatal(err)
	}
	return version
}

func (s site) get(target string) *httptest.ResponseRecorder {
	return s.ask(httptest.NewRequest(http.MethodGet, target, nil))
}

func (s site) post(target string, fields ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.ask(r)
}

func (s site) ask(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// wants checks an answer's status and that its body has all of texts.
func (s site) wants(w *httptest.ResponseRecorder, status int, texts ...string) {
	s.t.Helper()
	if w.Code != status {
		s.t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	for _, text := range texts {
		if !strings.Contains(w.Body.String(), text) {
			s.t.Errorf("%q is not in:\n%s", text, w.Body)
		}
	}
}

func TestAmountsAreReadExactly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bank.Money{
		"0": 0, "12": 12_00, "12.3": 12_30, "12.34": 12_34, " 0.01 ": 1, "0.07": 7, "007.10": 7_10,
		"92233720368547758.07": 1<<63 - 1,
	} {
		if got, err := parseAmount(text); err != nil || got != want {
			t.Errorf("%q: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", ".", "12.", ".5", "1.234", "1,50", "1,500.00", "-1", "+1", "1e3", "0x10", "1 2", "1.2.3", "1.-1", "٣", "92233720368547758.08", "9999999999999999999999"} {
		if got, err := parseAmount(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

func TestAnAccountIsOpenedAndUsedWithoutScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.wants(s.get("/"), http.StatusOK, "No accounts yet")
	opened := s.post("/accounts", "id", "form-1", "number", " a1 ", "owner", "Ada", "amount", "10.50")
	s.wants(opened, http.StatusSeeOther)
	if to := opened.Header().Get("Location"); to != "/accounts/A1?stored=1" {
		t.Errorf("opening led to %s", to)
	}
	s.wants(s.get("/accounts/A1?stored=1"), http.StatusOK, "Stored as version 1.", "Ada", "10.50", "form-1", "demo page")

	deposited := s.post("/accounts/A1/deposit", "id", "form-2", "amount", "0.07")
	s.wants(deposited, http.StatusSeeOther)
	if to := deposited.Header().Get("Location"); to != "/accounts/A1?stored=2" {
		t.Errorf("the deposit led to %s", to)
	}
	again := s.post("/accounts/A1/deposit", "id", "form-2", "amount", "0.07")
	if to := again.Header().Get("Location"); to != "/accounts/A1?repeat=2" {
		t.Errorf("the same form again led to %s", to)
	}
	s.wants(s.get("/accounts/A1?repeat=2"), http.StatusOK, "Nothing was stored twice", "10.57")
	s.wants(s.post("/accounts/A1/withdraw", "id", "form-3", "amount", "10"), http.StatusSeeOther)
	s.wants(s.get("/accounts/A1"), http.StatusOK, ">0.57<", "−10.00", "Withdrawal")
	s.wants(s.get("/"), http.StatusOK, `<a href="/accounts/A1">A1</a>`, "0.57")
	if got := s.version(); got != 3 {
		t.Errorf("version %d, want 3", got)
	}
}

func TestAFormIDThatComesAgainWithAnotherChangeIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.wants(s.post("/accounts", "id", "form-1", "number", "A1", "owner", "Ada", "amount", "10"), http.StatusSeeOther)
	s.wants(s.post("/accounts/A1/deposit", "id", "form-2", "amount", "5"), http.StatusSeeOther)
	for name, w := range map[string]*httptest.ResponseRecorder{
		"another amount":              s.post("/accounts/A1/deposit", "id", "form-2", "amount", "6"),
		"a withdrawal":                s.post("/accounts/A1/withdraw", "id", "form-2", "amount", "5"),
		"a deposit by an opening's":   s.post("/accounts/A1/deposit", "id", "form-1", "amount", "10"),
		"another owner":               s.post("/accounts", "id", "form-1", "number", "A1", "owner", "Eve", "amount", "10"),
		"another first deposit":       s.post("/accounts", "id", "form-1", "number", "A1", "owner", "Ada", "amount", "11"),
		"an opening by a deposit's":   s.post("/accounts", "id", "form-2", "number", "A1", "owner", "Ada", "amount", "5"),
		"an opening without a number": s.post("/accounts", "id", "form-1", "number", "", "owner", "Ada", "amount", "10"),
	} {
		if w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d, to %q\n%s", name, w.Code, w.Header().Get("Location"), w.Body)
		}
	}
	s.wants(s.post("/accounts/A1/deposit", "id", "form-2", "amount", "6"), http.StatusUnprocessableEntity, "nothing of this form")
	for _, same := range [][]string{{"/accounts", "id", "form-1", "number", "A1", "owner", "Ada", "amount", "10"}, {"/accounts/A1/deposit", "id", "form-2", "amount", "5.0"}} {
		s.wants(s.post(same[0], same[1:]...), http.StatusSeeOther)
	}
	if got := s.version(); got != 2 {
		t.Errorf("version %d, want 2", got)
	}
}

func TestTheStateIsShownAsOfAnyVersion(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 23)
	s.wants(s.get("/accounts/A1"), http.StatusOK, "loaded from the snapshot at version 20 and 3 events after it",
		`class="snapshot" data-version="10"`, `class="snapshot" data-version="20"`, `<li id="e20" class="has-snapshot">`,
		`max="23" value="23"`, "Of 2 snapshots")
	then := s.get("/accounts/A1?version=12")
	s.wants(then, http.StatusOK, `<p class="amount">12.00</p>`, "loaded from the snapshot at version 10 and 2 events after it",
		`<li id="e12" class="is-shown " aria-current="true">`, `class="dot" data-version="12"`, `max="23" value="12"`, "At version 12 it was 12.00",
		`<p class="big">23.00</p>`)
	s.wants(s.get("/accounts/A1?version=9"), http.StatusOK, "loaded from 9 events")
	s.wants(s.get("/accounts/A1?version=20"), http.StatusOK, "loaded from the snapshot at version 20<")
	s.wants(s.get("/accounts/A1?version=24"), http.StatusNotFound, "has no version 24")
	for _, none := range []string{"0", "-1", "x", "99999999999999999999"} {
		s.wants(s.get("/accounts/A1?version="+none), http.StatusNotFound)
	}
}

func TestAConflictStoresOneOfTwo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	w := s.post("/accounts/A1/conflict")
	s.wants(w, http.StatusOK, "Both expected version 1", "Stored as version 2<", "is at version 2, not 1", "nothing was stored",
		"First withdrawal of 0.01", "Second withdrawal of 0.01", "the stream has one more event, not two", `<p class="big">0.99</p>`)
	if got := s.version(); got != 2 {
		t.Errorf("version %d, want 2", got)
	}
	if _, err := s.Withdraw(t.Context(), "A1", 99, bank.Command{ExpectedVersion: -1}); err != nil {
		t.Fatal(err)
	}
	s.wants(s.post("/accounts/A1/conflict"), http.StatusOK, "First deposit of 0.01", "Stored as version 4<", "is at version 4, not 3")
	if got := s.version(); got != 4 {
		t.Errorf("version %d, want 4", got)
	}
	for _, form := range []string{"conflict", "deposit", "withdraw"} {
		if back := s.get("/accounts/A1/" + form); back.Code != http.StatusSeeOther || back.Header().Get("Location") != "/accounts/A1" {
			t.Errorf("reading the address of %s: %d to %q", form, back.Code, back.Header().Get("Location"))
		}
	}
}

func TestWhatAFormGotWrongIsSaidBesideIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	for name, c := range map[string]struct {
		target string
		fields []string
		status int
		texts  []string
	}{
		"no amount":             {"/accounts/A1/deposit", []string{"amount", "1,5<"}, 422, []string{`value="1,5&lt;"`, `id="deposit-error"`, "12.34", `aria-invalid="true" aria-describedby="deposit-error"`, "<title>Error: "}},
		"nothing":               {"/accounts/A1/deposit", []string{"amount", "0.00"}, 422, []string{`id="deposit-error"`, "must be positive"}},
		"too much":              {"/accounts/A1/withdraw", []string{"id", "mine", "amount", "1.01"}, 422, []string{`id="withdraw-error"`, "insufficient funds", `value="1.01"`, `value="mine"`}},
		"a number that is used": {"/accounts", []string{"number", "A1", "owner", "Eve"}, 409, []string{"an account with this number already exists", `value="Eve"`, `id="open-error"`}},
		"no number":             {"/accounts", []string{"number", "A/1", "owner", "Eve"}, 422, []string{"1 to 34 digits and capital letters", `value="A/1"`}},
		"no owner":              {"/accounts", []string{"number", "A2", "owner", " "}, 400, []string{"needs an owner"}},
		"no first deposit":      {"/accounts", []string{"number", "A2", "owner", "Eve", "amount", "all"}, 422, []string{"write the amount in digits"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := s
			s.t = t
			s.wants(s.post(c.target, c.fields...), c.status, c.texts...)
		})
	}
	if got := s.version(); got != 1 {
		t.Errorf("version %d, want 1", got)
	}
}

func TestAHostileOwnerStaysText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const hostile = `</title><script>alert(1)</script>"' onload=x {{.}} <!-- &amp;`
	s.open(hostile, 2)
	for _, target := range []string{"/", "/accounts/A1"} {
		w := s.get(target)
		s.wants(w, http.StatusOK, "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39; onload=x {{.}} &lt;!-- &amp;amp;")
		if strings.Contains(w.Body.String(), "<script>") || strings.Contains(w.Body.String(), `"' onload`) {
			t.Errorf("%s holds markup of the owner", target)
		}
	}
	s.wants(s.post("/accounts", "number", "A1", "owner", hostile), http.StatusConflict, `value="&lt;/title&gt;&lt;script&gt;`)
}

func TestPagesRunNothingButTheirOwnFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 12)
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script>|https?://|javascript:`)
	for _, target := range []string{"/", "/accounts/A1", "/accounts/NONE"} {
		w := s.get(target)
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", target, policy)
		}
		if found := inline.FindString(w.Body.String()); found != "" {
			t.Errorf("%s holds %q", target, found)
		}
	}
	for _, name := range []string{"page.css", "live.js", "icon.svg"} {
		w := s.get("/assets/" + name)
		s.wants(w, http.StatusOK)
		again := httptest.NewRequest(http.MethodGet, "/assets/"+name, nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		s.wants(s.ask(again), http.StatusNotModified)
	}
	s.wants(s.get("/assets/none"), http.StatusNotFound)
}

func TestWhoServesThePagesFindsTheRoute(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	for target, want := range map[string]string{"/": "GET /{$}", "/accounts/A1": "GET /accounts/{number}", "/accounts/NONE/live": watchRoute, "/assets/page.css": "GET /assets/{file}", "/nosuch": "/"} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		s.ask(r)
		if r.Pattern != want {
			t.Errorf("%s is served by %q, want %q", target, r.Pattern, want)
		}
	}
}

func TestARequestFromAnotherSiteChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	r := httptest.NewRequest(http.MethodPost, "/accounts/A1/conflict", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	s.wants(s.ask(r), http.StatusForbidden, "nothing was changed")
	if got := s.version(); got != 1 {
		t.Errorf("version %d, want 1", got)
	}
}

func TestEveryErrorHasItsStatus(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := &page{log: slog.New(slog.DiscardHandler), views: parseViews()}
	account := eventstore.Stream{Database: "EventStores", Type: bank.AccountType, ID: "A1"}
	for _, c := range []struct {
		err    error
		status int
	}{
		{bank.ErrNoAccount, 404},
		{bank.ErrBadNumber, 400},
		{bank.ErrAccountExists, 409},
		{bank.ErrInsufficientFunds, 422},
		{&eventstore.VersionMismatchError{Stream: account, Expected: 1, Actual: 2}, 409},
		{&eventstore.SessionLostError{Stream: account}, 409},
		{&eventstore.IdempotencyIDUsedError{}, 409},
		{&eventstore.StreamClosedError{}, 409},
		{&eventstore.StreamDeletedError{}, 410},
		{&eventstore.VersionNotFoundError{}, 404},
		{&eventstore.OpenTimeoutError{}, 423},
		{&eventstore.BatchTooLargeError{}, 413},
		{fmt.Errorf("read the form: %w", &http.MaxBytesError{Limit: 1}), 413},
		{&eventstore.StorageError{Operation: "read"}, 503},
		{&eventstore.SessionExpiredError{}, 503},
		{context.DeadlineExceeded, 504},
		{&eventstore.OutcomeUnknownError{Cause: &eventstore.StorageError{}}, 504},
		{&eventstore.DamagedError{}, 500},
		{&eventstore.ArgumentError{}, 400},
		{errors.New("<of no kind>"), 500},
	} {
		w := httptest.NewRecorder()
		p.fail(w, httptest.NewRequest(http.MethodGet, "/accounts/A1", nil), fmt.Errorf("list: %w", c.err))
		if c.status < 500 {
			s.wants(w, c.status, fmt.Sprintf("Status %d", c.status), "list: "+html.EscapeString(c.err.Error()), "<h1>")
			continue
		}
		s.wants(w, c.status, fmt.Sprintf("Status %d", c.status), html.EscapeString(service.ProblemOf(c.err).Detail), "<h1>")
		if body := w.Body.String(); strings.Contains(body, "list: ") || strings.Contains(body, html.EscapeString(c.err.Error())) {
			t.Errorf("%v is shown to everybody:\n%s", c.err, body)
		}
	}
}

func TestAClosedAccountCanBeLookedAtAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 2)
	if w := s.get("/accounts/A1"); strings.Contains(w.Body.String(), `id="closed"`) {
		t.Errorf("it is closed:\n%s", w.Body)
	}
	if err := s.Close(t.Context(), "A1", s.version()); err != nil {
		t.Fatal(err)
	}
	w := s.get("/accounts/A1")
	s.wants(w, http.StatusOK, `id="closed"`, "permanently closed at version 2", `id="e2"`)
	if strings.Contains(w.Body.String(), `method="post"`) {
		t.Errorf("there is a form that can only fail:\n%s", w.Body)
	}
	s.wants(s.post("/accounts/A1/deposit", "amount", "1"), http.StatusConflict, "The account is closed")
}

func TestWhoIsSignedInIsSaidAndSeesTheFormsThatAreForThem(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	keys, err := service.ParseKeys("viewer read key-of-the-viewer-1\nteller write key-of-the-teller-1")
	if err != nil {
		t.Fatal(err)
	}
	served := service.New(slog.New(slog.DiscardHandler), "state store", service.WithKeys(keys))
	served.Connect(t.Context(), func(context.Context) (service.Bank, error) { return service.Bank{Accounts: s.Accounts}, nil })
	h := served.Handler(func(accounts *bank.Accounts) http.Handler { return New(accounts, slog.New(slog.DiscardHandler)) })
	for name, forms := range map[string]bool{"viewer": false, "teller": true} {
		for _, target := range []string{"/", "/accounts/A1"} {
			r := httptest.NewRequest(http.MethodGet, target, nil)
			r.Header.Set("Authorization", "Bearer key-of-the-"+name+"-1")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			s.wants(w, http.StatusOK, "Signed in as "+name, "Ada")
			if strings.Contains(w.Body.String(), `method="post"`) != forms {
				t.Errorf("%s shows %s a form, or none:\n%s", target, name, w.Body)
			}
		}
	}
	r := httptest.NewRequest(http.MethodPost, "/accounts/A1/deposit", strings.NewReader("id=form-1&amount=1"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer key-of-the-teller-1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	s.wants(w, http.StatusSeeOther)
	if body := s.get("/accounts/A1").Body.String(); !strings.Contains(body, "<dt>User</dt><dd>teller</dd>") || strings.Contains(body, "Signed in") {
		t.Errorf("the deposit does not say who made it, or somebody is signed in where nobody can be:\n%s", body)
	}
}

func TestAnAccountThatIsNotThereIsAPageThatSaysSo(t *testing.T) {
	t.Parallel()
	accounts := banktest.In(t, banktest.NewProvider(t, banktest.NewMemory(t)))
	stop := banktest.Index(t, accounts)
	s := siteOf(t, accounts)
	s.wants(s.get("/accounts/NONE"), http.StatusNotFound, "no account has this number")
	s.wants(s.get("/accounts/none"), http.StatusBadRequest, "capital letters")
	s.wants(s.get("/accounts/NONE/live"), http.StatusNotFound, "no account has this number")
	s.wants(s.get("/elsewhere"), http.StatusNotFound, "Page not found")
	s.wants(s.get("/?from=2"), http.StatusNotFound)
	s.wants(s.post("/accounts/NONE/deposit", "amount", "1"), http.StatusNotFound)
	s.wants(s.post("/accounts/NONE/conflict"), http.StatusNotFound)
	s.wants(s.post("/accounts/NONE/deposit", "amount", strings.Repeat("1", maxForm)), http.StatusRequestEntityTooLarge)
	s.wants(s.post("/accounts", "owner", strings.Repeat("x", maxForm)), http.StatusRequestEntityTooLarge)

	s.open("Ada", 2)
	if err := s.Close(t.Context(), "A1", -1); err != nil {
		t.Fatal(err)
	}
	s.wants(s.post("/accounts/A1/deposit", "amount", "1"), http.StatusConflict, "was closed at version 2", `href="/accounts/A1"`)
	if err := s.Delete(t.Context(), "A1", -1); err != nil {
		t.Fatal(err)
	}
	s.wants(s.get("/accounts/A1"), http.StatusGone, "was deleted at")
	s.wants(s.get("/"), http.StatusOK, "deleted")
	stop() // so that the feed does not tell of version 2 only now, and then that the account is gone
	s.wants(s.get("/accounts/A1/live"), http.StatusGone)
}

// away is a store that does not answer.
type away struct{ driver.State }

var errAway = errors.New("connection refused")

func (away) Capabilities() driver.Capabilities { return driver.Capabilities{Store: "away"} }
func (away) Get(context.Context, string, string) (driver.Item, error) {
	return driver.Item{}, errAway
}
func (away) GetMany(context.Context, string, []string) ([]driver.Item, error) { return nil, errAway }
func (away) Write(context.Context, string, []driver.Write) error              { return errAway }
func (away) Swap(context.Context, string, driver.Swap) error                  { return errAway }
func (away) Commit(context.Context, string, driver.Swap, []driver.Write) error {
	return errAway
}

func TestAStoreThatIsAwayIsAPageThatSaysSo(t *testing.T) {
	t.Parallel()
	accounts := banktest.In(t, banktest.NewProvider(t, away{}))
	var log bytes.Buffer
	served := service.New(slog.New(slog.NewJSONHandler(&log, nil)), "state store")
	served.Connect(t.Context(), func(context.Context) (service.Bank, error) { return service.Bank{Accounts: accounts}, nil })
	s := site{accounts, served.Handler(func(accounts *bank.Accounts) http.Handler {
		return New(accounts, slog.New(slog.NewJSONHandler(&log, nil)))
	}), t}
	for _, target := range []string{"/", "/accounts/A1"} {
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("X-Request-Id", "request-of"+target)
		log.Reset()
		w := s.ask(r)
		s.wants(w, http.StatusServiceUnavailable, "The store did not execute the request", "The store does not answer", "Request id request-of"+target)
		if strings.Contains(w.Body.String(), errAway.Error()) {
			t.Errorf("%s shows what went wrong inside:\n%s", target, w.Body)
		}
		if !regexp.MustCompile(`"page failed","request":"request-of` + target + `".*connection refused`).Match(log.Bytes()) {
			t.Errorf("the log does not say what went wrong with the request: %s", &log)
		}
	}
	s.wants(s.post("/accounts/A1/deposit", "id", "form-7", "amount", "1.50"), http.StatusServiceUnavailable,
		`action="/accounts/A1/deposit"`, `name="id" value="form-7"`, `name="amount" value="1.50"`, "Send it again")
}

func TestAccountsComeInPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range accountsPerPage + 1 {
		if _, err := s.Open(t.Context(), fmt.Sprintf("N%03d", i), "Ada", 0, bank.Command{ExpectedVersion: -1}); err != nil {
			t.Fatal(err)
		}
	}
	first := s.get("/")
	s.wants(first, http.StatusOK, ">N000<", ">N049<", "Later accounts")
	next := regexp.MustCompile(`/\?from=\d+`).FindString(first.Body.String())
	second := s.get(next)
	s.wants(second, http.StatusOK, ">N050<", `<a href="/">First accounts</a>`)
	if strings.Contains(first.Body.String(), ">N050<") || strings.Contains(second.Body.String(), ">N049<") {
		t.Error("an account is on two pages")
	}
	if strings.Contains(first.Body.String(), "First accounts") || strings.Contains(second.Body.String(), "Later accounts") {
		t.Error("a page leads to one that is not there")
	}
	for _, none := range []string{"0", "-1", "x", "9999", "9223372036854775807", "99999999999999999999"} {
		s.wants(s.get("/?from="+none), http.StatusNotFound)
	}
}

func TestALongHistoryComesInPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const last = entriesPerPage + 25
	s.open("Ada", last)
	rows := func(target string) (first, end string) {
		body, _ := io.ReadAll(s.get(target).Body)
		all := regexp.MustCompile(`<li id="e(\d+)"`).FindAllStringSubmatch(string(body), -1)
		if len(all) == 0 || len(all) > entriesPerPage {
			t.Fatalf("%s: %d events", target, len(all))
		}
		return all[0][1], all[len(all)-1][1]
	}
	for target, want := range map[string][2]string{
		"":             {"225", "26"},
		"?before=26":   {"25", "1"},
		"?before=226":  {"225", "26"},
		"?before=999":  {"225", "26"},
		"?version=3":   {"102", "1"},
		"?version=200": {"225", "26"},
	} {
		first, end := rows("/accounts/A1" + target)
		if first != want[0] || end != want[1] {
			t.Errorf("%s: versions %s to %s, want %s to %s", target, first, end, want[0], want[1])
		}
	}
	s.wants(s.get("/accounts/A1"), http.StatusOK, "/accounts/A1?before=26&amp;version=225#events")
	s.wants(s.get("/accounts/A1?before=26"), http.StatusOK, "/accounts/A1?before=226&amp;version=225#events", "Newest events")
	s.wants(s.get("/accounts/A1?before=1"), http.StatusOK, "No events before this version")
}
