package console_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/console"
)

const token = "a token of enough bytes"

func TestATokenIsNeededWhereOneIsSet(t *testing.T) {
	l := inMemory(t)
	l.append(numbered("order", 1), note("secret"))
	h := l.console(console.WithToken(token), console.WithPrefix("/console"))
	page := "/console" + pathOf(numbered("order", 1))

	says(t, get(t, h, page, http.StatusUnauthorized), "Sign in", "!secret", "!>Streams<", `value="`+page+`"`)
	says(t, get(t, h, "/console/assets/console.css", http.StatusOK), "--paper")
	for header, status := range map[string]int{
		"Bearer " + token: http.StatusOK, "bearer " + token: http.StatusOK, token: http.StatusUnauthorized,
		"Bearer " + token + "x": http.StatusUnauthorized, "Bearer ": http.StatusUnauthorized, "Basic " + token: http.StatusUnauthorized,
	} {
		r := httptest.NewRequest(http.MethodGet, page, nil)
		r.Header.Set("Authorization", header)
		send(t, h, r, status)
	}

	enter := func(with, to string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/console/sign-in", strings.NewReader(url.Values{"token": {with}, "to": {to}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := enter("wrong", page); w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "not the token") || !strings.Contains(w.Body.String(), page) || len(w.Result().Cookies()) > 0 {
		t.Errorf("a wrong token: %d\n%s", w.Code, w.Body)
	}
	for _, to := range []string{"//evil.example/console/", "https://evil.example", "/elsewhere", "/console/\\evil"} {
		if at := enter(token, to).Header().Get("Location"); at != "/console/" {
			t.Errorf("signing in leads from %q to %q", to, at)
		}
	}
	w := enter(token, page)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != page || len(cookies) != 1 {
		t.Fatalf("signing in: %d, %v", w.Code, w.Header())
	}
	if c := cookies[0]; !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/console/" || strings.Contains(c.Value, token) {
		t.Errorf("the cookie is %v", c)
	}
	r := httptest.NewRequest(http.MethodGet, page, nil)
	r.AddCookie(cookies[0])
	says(t, send(t, h, r, http.StatusOK), "secret", "Sign out")
	r = httptest.NewRequest(http.MethodGet, page, nil)
	r.AddCookie(&http.Cookie{Name: cookies[0].Name, Value: token})
	send(t, h, r, http.StatusUnauthorized)
}

func TestOnlyKnownHostsAreAnswered(t *testing.T) {
	h := inMemory(t).console(console.WithHosts("localhost", "127.0.0.1", "::1"), console.WithTitle("a secret place"))
	for host, status := range map[string]int{
		"localhost": 200, "LOCALHOST:8099": 200, "127.0.0.1:80": 200, "[::1]:8099": 200, "localhost.": 200,
		"evil.example": 421, "evil.example:8099": 421, "localhost.evil.example": 421, "": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		if page := send(t, h, r, status); status != http.StatusOK {
			says(t, page, "!a secret place", "!>Streams<")
		}
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	h := inMemory(t).console(console.WithToken(token))
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		r := httptest.NewRequest(http.MethodPost, "/sign-out", nil)
		r.Header.Set(name, value)
		says(t, send(t, h, r, http.StatusForbidden), "another site")
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	l := inMemory(t)
	for name, option := range map[string]console.Option{
		"nil": nil, "short token": console.WithToken("short"), "prefix without slash": console.WithPrefix("console"),
		"prefix with slash at the end": console.WithPrefix("/console/"), "pattern": console.WithPrefix("/{x}"),
	} {
		if _, err := console.New(l.feed, option); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := console.New(nil); err == nil {
		t.Error("no feed: no error")
	}
}
