package service

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestAKeyAllowsWhatItsRoleDoes(t *testing.T) {
	t.Parallel()
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })
	h := newGuarded(t, WithKeys(newKeys(t, keyList)), WithMetrics(metrics))
	const opening = `{"number":"A1","owner":"Ada","amount":10}`
	for _, c := range []struct {
		request, body string
		needs         Role
		status        int
	}{
		{"GET /livez", "", Nobody, 200},
		{"GET /readyz", "", Nobody, 200},
		{"GET /openapi.yaml", "", Nobody, 200},
		{"GET /assets/page.css", "", Nobody, 200},
		{"POST /api/v1/accounts", opening, Write, 201},
		{"GET /api/v1/accounts", "", Read, 200},
		{"GET /api/v1/accounts/A1", "", Read, 200},
		{"HEAD /api/v1/accounts/A1", "", Read, 200},
		{"GET /api/v1/accounts/A1/events", "", Read, 200},
		{"GET /api/v1/nosuch", "", Read, 404},
		{"GET /api", "", Read, 307},
		{"GET /metrics", "", Read, 200},
		{"POST /api/v1/accounts/A1/deposits", `{"amount":1}`, Write, 200},
		{"POST /api/v1/accounts/A1/withdrawals", `{"amount":1}`, Write, 200},
		{"GET /", "", Read, 200},
		{"GET /accounts/A1", "", Read, 200},
		{"GET /accounts/A1/live", "", Read, 200},
		{"POST /accounts/A1/deposit", "", Write, 200},
		{"POST /accounts", "", Write, 200},
		{"PUT /accounts/A1", "", Admin, 200},
		{"POST /api/v1/accounts/A1/close", "", Admin, 204},
		{"DELETE /api/v1/accounts/A1", "", Admin, 204},
	} {
		for role, header := range []string{"", "Authorization: Bearer " + readKey, "Authorization: bearer " + writeKey, "Authorization: Bearer  " + adminKey} {
			w := call(t, h, c.request, c.body, header)
			switch {
			case Role(role) == Nobody && c.needs > Nobody:
				if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
					t.Errorf("%s by nobody: %d %v", c.request, w.Code, w.Header())
				}
			case Role(role) < c.needs:
				if p := refuses(t, w, 403, "not-allowed"); !strings.Contains(p.Detail, c.needs.String()) {
					t.Errorf("%s by %v: %s", c.request, Role(role), p.Detail)
				}
			case role == int(c.needs) && w.Code != c.status:
				t.Errorf("%s by %v: %d %s", c.request, Role(role), w.Code, w.Body)
			case w.Code == 401 || w.Code == 403:
				t.Errorf("%s by %v: %d %s", c.request, Role(role), w.Code, w.Body)
			}
		}
	}
}

func TestWhoHasNoKeyThatIsKnownGetsNothing(t *testing.T) {
	t.Parallel()
	h := newGuarded(t, WithKeys(newKeys(t, keyList)))
	for name, header := range map[string]string{
		"nothing": "", "a wrong key": "Authorization: Bearer " + readKey + "x", "an empty key": "Authorization: Bearer ", "the key alone": "Authorization: " + readKey,
		"another scheme": "Authorization: Basic " + readKey, "a name": "Authorization: Bearer teller", "the key as a cookie": "Cookie: " + sessionCookie + "=" + adminKey,
	} {
		for _, request := range []string{"GET /api/v1/accounts", "DELETE /api/v1/accounts/A1", "POST /api/v1/accounts", "GET /metrics", "POST /accounts/A1/deposit", "GET /accounts/A1/live", "GET /api/v1/nosuch"} {
			w := call(t, h, request, "", header)
			refuses(t, w, 401, "no-key")
			if t.Failed() {
				t.Fatalf("%s with %s", request, name)
			}
		}
		if w := call(t, h, "GET /accounts/A1?version=1", "", header); w.Code != 401 || !strings.Contains(w.Body.String(), `name="to" value="/accounts/A1?version=1"`) || strings.Contains(w.Body.String(), "page for") {
			t.Errorf("a page with %s: %d %s", name, w.Code, w.Body)
		}
	}
	r := httptest.NewRequest("GET", "/api/v1/accounts", nil)
	r.Header["Authorization"] = []string{"Bearer " + readKey, "Bearer " + adminKey}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	refuses(t, w, 401, "no-key")
}

func TestAPathThatIsWrittenOddlyNeedsTheSameKey(t *testing.T) {
	t.Parallel()
	h := newGuarded(t, WithKeys(newKeys(t, keyList)))
	const teller = "Authorization: Bearer " + writeKey
	answers[account](t, call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":10}`, teller), 201)
	for _, path := range []string{
		"/assets/../api/v1/accounts/A1", "/assets/%2e%2e/api/v1/accounts/A1", "/assets%2F..%2Fapi/v1/accounts/A1", "/livez/../api/v1/accounts/A1",
		"/dapr/../api/v1/accounts/A1", "/dapr/%2e%2e/api/v1/accounts/A1", "/%61pi/v1/accounts/A1", "/api/v1/accounts/%41%31", "/api/v1//accounts/A1", "/API/v1/accounts/A1", "/openapi.yaml/../metrics",
	} {
		if w := call(t, h, "GET "+path, ""); strings.Contains(w.Body.String(), "Ada") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/api/v1/accounts/A1/%63lose", "/api/v1/accounts/A1/clos%65", "/%61pi/v1/accounts/A1/close", "/api/v1/accounts/A1/./close", "/api/v1/accounts/A1/close/", "/api/v1/accounts/A1%2Fclose"} {
		if w := call(t, h, "POST "+path, "", teller); w.Code < 300 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	answers[account](t, call(t, h, "POST /api/v1/accounts/A1/deposits", `{"amount":1}`, teller), 200) // it is not closed
}

func TestAnEventSaysWhoseKeyItCameBy(t *testing.T) {
	t.Parallel()
	h := newGuarded(t, WithKeys(newKeys(t, keyList)))
	answers[account](t, call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":10}`, "Authorization: Bearer "+writeKey), 201)
	page := answers[events](t, call(t, h, "GET /api/v1/accounts/A1/events", "", "Authorization: Bearer "+readKey), 200)
	if user := page.Events[0].Metadata.UserID; user != "teller" {
		t.Errorf("it came by %q", user)
	}
}

// post sends a form as a browser does that runs a page of this service.
func post(t *testing.T, h http.Handler, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	return call(t, h, "POST "+path, form.Encode(), append([]string{"Content-Type: application/x-www-form-urlencoded", "Sec-Fetch-Site: same-origin"}, headers...)...)
}

func TestABrowserSignsInAndOut(t *testing.T) {
	t.Parallel()
	h := newGuarded(t, WithKeys(newKeys(t, keyList)))
	if w := call(t, h, "GET /sign-in", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `action="/sign-in"`) {
		t.Errorf("the page to sign in: %d %s", w.Code, w.Body)
	}
	w := post(t, h, "/sign-in", url.Values{"key": {" " + readKey + " "}, "to": {"/accounts/A1?version=1"}})
	if w.Code != 303 || w.Header().Get("Location") != "/accounts/A1?version=1" {
		t.Fatalf("signing in: %d %v", w.Code, w.Header())
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies: %v", cookies)
	}
	c := cookies[0]
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 || strings.Contains(c.Value, readKey) {
		t.Errorf("the cookie is %v", c)
	}
	cookie := "Cookie: " + c.Name + "=" + c.Value
	if w := call(t, h, "GET /accounts/A1", "", cookie); w.Code != 200 || w.Body.String() != "page for viewer" {
		t.Errorf("signed in: %d %s", w.Code, w.Body)
	}
	refuses(t, post(t, h, "/accounts/A1/deposit", nil, cookie), 403, "not-allowed")
	refuses(t, call(t, h, "GET /api/v1/accounts", "", cookie), 401, "no-key") // the API takes keys alone
	if w := call(t, h, "GET /sign-in", "", cookie); !strings.Contains(w.Body.String(), "signed in as viewer") {
		t.Errorf("it does not say who is signed in: %s", w.Body)
	}

	teller := post(t, h, "/sign-in", url.Values{"key": {writeKey}, "to": {"/"}}).Result().Cookies()[0]
	cookie = "Cookie: " + teller.Name + "=" + teller.Value
	if w := post(t, h, "/accounts/A1/deposit", nil, cookie); w.Code != 200 {
		t.Errorf("a teller's form: %d %s", w.Code, w.Body)
	}
	for _, foreign := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"} {
		for _, path := range []string{"/accounts/A1/deposit", "/sign-in", "/sign-out"} {
			refuses(t, post(t, h, path, url.Values{"key": {readKey}}, cookie, foreign), 403, "cross-origin")
		}
	}
	out := post(t, h, "/sign-out", nil, cookie)
	if cookies := out.Result().Cookies(); out.Code != 303 || len(cookies) != 1 || cookies[0].MaxAge >= 0 || cookies[0].Name != c.Name {
		t.Errorf("signing out: %d %v", out.Code, out.Header())
	}
}

func TestSigningInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	h := newGuarded(t, WithKeys(newKeys(t, keyList)))
	for to, want := range map[string]string{
		"/": "/", "/accounts/A1": "/accounts/A1", "": "/", "//evil.example": "/", "/\\evil.example": "/", "http://evil.example/": "/", "evil": "/", "/\t/evil.example": "/", "javascript:alert(1)": "/",
	} {
		if w := post(t, h, "/sign-in", url.Values{"key": {readKey}, "to": {to}}); w.Header().Get("Location") != want {
			t.Errorf("%q leads to %q", to, w.Header().Get("Location"))
		}
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"a wrong key":  post(t, h, "/sign-in", url.Values{"key": {"wrong"}, "to": {`"><script>`}}),
		"no key":       post(t, h, "/sign-in", nil),
		"a large form": post(t, h, "/sign-in", url.Values{"key": {strings.Repeat("k", maxBody)}}),
	} {
		if w.Code < 400 || len(w.Result().Cookies()) > 0 || !strings.Contains(w.Body.String(), `role="alert"`) || strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
	if w := call(t, newGuarded(t), "GET /sign-in", ""); w.Code != 303 {
		t.Errorf("without keys there is nothing to sign in to: %d", w.Code)
	}
}
