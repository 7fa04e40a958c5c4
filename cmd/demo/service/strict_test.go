package service

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"
)

// accountsAre checks that the bank has no account but these.
func accountsAre(t *testing.T, h http.Handler, want string) {
	t.Helper()
	if w := call(t, h, "GET /api/v1/accounts", ""); w.Body.String() != `{"numbers":[`+want+"]}\n" {
		t.Errorf("there are %s", w.Body)
	}
}

func TestABodyThatCanNotBeTakenAsItIsIsRefused(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	for name, body := range map[string]string{
		"no UTF-8 in a value":         "{\"number\":\"A1\",\"owner\":\"A\xffda\",\"amount\":1}",
		"no UTF-8 in a name":          "{\"number\":\"A1\",\"owner\":\"Ada\",\"amount\":1,\"\xff\":1}",
		"no UTF-8 after the object":   "{\"number\":\"A1\",\"owner\":\"Ada\",\"amount\":1}\xff",
		"a cut character":             "{\"number\":\"A1\",\"owner\":\"Ada\xc3\",\"amount\":1}",
		"a long form of a character":  "{\"number\":\"A1\",\"owner\":\"A\xc1\xa1da\",\"amount\":1}",
		"a surrogate as UTF-8":        "{\"number\":\"A1\",\"owner\":\"A\xed\xa0\x80da\",\"amount\":1}",
		"Latin-1":                     "{\"number\":\"A1\",\"owner\":\"J\xf6rg\",\"amount\":1}",
		"UTF-16":                      "\xff\xfe{\x00}\x00",
		"half a surrogate pair":       `{"number":"A1","owner":"A\ud800da","amount":1}`,
		"the other half":              `{"number":"A1","owner":"A\udc00da","amount":1}`,
		"both in the wrong order":     `{"number":"A1","owner":"A\udc00\ud800da","amount":1}`,
		"half a pair and an escape":   `{"number":"A1","owner":"A\ud800\nda","amount":1}`,
		"half a pair at the end":      `{"number":"A1","owner":"A\uD800","amount":1}`,
		"half a pair in a name":       `{"number":"A1","owner":"Ada","amount":1,"\ud800":1}`,
		"a field twice":               `{"number":"A1","owner":"Ada","amount":1,"owner":"Eve"}`,
		"a field twice, escaped":      `{"number":"A1","owner":"Ada","amount":1,"own\u0065r":"Eve"}`,
		"a field in other letters":    `{"number":"A1","Owner":"Ada","amount":1}`,
		"the same beside itself":      `{"number":"A1","owner":"Ada","OWNER":"Eve","amount":1}`,
		"a field that is not known":   `{"number":"A1","owner":"Ada","amount":1,"currency":"EUR"}`,
		"a field without a name":      `{"number":"A1","owner":"Ada","amount":1,"":1}`,
		"an object in a field":        `{"number":"A1","owner":{"a":1,"a":2},"amount":1}`,
		"a second object":             `{"number":"A1","owner":"Ada","amount":1}{}`,
		"no object":                   `["number"]`,
		"a string alone":              `"number"`,
		"nothing but blanks":          "  \n",
		"what ends in the middle":     `{"number":"A1","owner":`,
		"what ends in a backslash":    `{"number":"A1","owner":"\`,
		"what ends within a pair":     `{"number":"A1","owner":"\ud800\u`,
		"an object that never closes": `{"number":"A1","owner":"Ada","amount":1`,
	} {
		p := refuses(t, call(t, h, "POST /api/v1/accounts", body), 400, "bad-request")
		if !utf8.ValidString(p.Detail) || !strings.Contains(p.Detail, "Nothing was stored") {
			t.Errorf("%s: %s", name, p.Detail)
		}
	}
	for name, header := range map[string]string{"Latin-1": "application/json; charset=iso-8859-1", "UTF-16": "application/json;charset=UTF-16", "another type": "text/plain"} {
		w := call(t, h, "POST /api/v1/accounts", `{"number":"A1","owner":"Ada","amount":1}`, "Content-Type: "+header)
		if refuses(t, w, 415, "about:blank"); t.Failed() {
			t.Errorf("it was %s", name)
		}
	}
	accountsAre(t, h, "")
}

func TestWhatIsOnlyUnusualIsTaken(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	for name, c := range map[string]struct{ number, owner, want, header string }{
		"a pair of surrogates":      {"A1", `\ud83d\ude00`, "😀", "application/json"},
		"a backslash before a u":    {"A2", `\\ud800`, `\ud800`, "application/json"},
		"the replacement character": {"A3", "\ufffd", "\ufffd", "application/json"},
		"the same, escaped":         {"A4", `\ufffd`, "\ufffd", "application/json"},
		"a charset":                 {"A5", "Jörg", "Jörg", "application/json; charset=UTF-8"},
		"escapes":                   {"A6", `\u00e4\t\"`, "ä\t\"", "application/json"},
	} {
		body := `{"number":"` + c.number + `","owner":"` + c.owner + `","amount":1}`
		if got := answers[account](t, call(t, h, "POST /api/v1/accounts", body, "Content-Type: "+c.header), 201); got.Owner != c.want {
			t.Errorf("%s: the owner is %q", name, got.Owner)
		}
	}
}

func TestAHeaderOrAddressThatIsNoUTF8IsRefused(t *testing.T) {
	t.Parallel()
	h := newService(t, quiet()).Handler(nil)
	body := `{"number":"A1","owner":"Ada","amount":1}`
	for _, key := range []string{"k\xff", "\xc3", "J\xf6rg"} {
		refuses(t, call(t, h, "POST /api/v1/accounts", body, "Idempotency-Key: "+key), 400, "bad-argument")
	}
	accountsAre(t, h, "")
	answers[account](t, call(t, h, "POST /api/v1/accounts", body, "Idempotency-Key: Jörg"), 201)
	for _, methodAndPath := range []string{
		"GET /api/v1/accounts/%FF", "GET /api/v1/accounts/A1%C3", "DELETE /api/v1/accounts/%FF", "POST /api/v1/accounts/A1%FF/close", "GET /api/v1/accounts/%FF/events",
		"GET /api/v1/%FF", "GET /%FF", "GET /livez/%FF", "POST /api/v1/accounts/A1/close?expectedVersion=%FF", "POST /api/v1/accounts/A1/close?%FF=1", "POST /api/v1/accounts/A1/close?expectedVersion=1%zz",
		"GET /api/v1/accounts/A1?version=1;version=2", "GET /api/v1/accounts/A1/events?from=1&%zz", "GET /readyz?%FF",
	} {
		refuses(t, call(t, h, methodAndPath, ""), 400, "bad-request")
	}
	if got := answers[account](t, call(t, h, "GET /api/v1/accounts/A1", ""), 200); got.Version != 1 {
		t.Errorf("the account is at version %d", got.Version)
	}
	r := httptest.NewRequest("POST", "/api/v1/accounts", strings.NewReader(`{"number":"A2","owner":"Ada","amount":1}`))
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["X-Request-Id"], r.Header["Traceparent"] = []string{"id\xff"}, []string{"00-\xff"}
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 201 || !utf8.ValidString(w.Header().Get("X-Request-Id")) {
		t.Errorf("an id that can't be kept is not replaced: %d, %q", w.Code, w.Header())
	}
	if w := call(t, h, "GET /api/v1/accounts/A2/events", ""); strings.Contains(w.Body.String(), "\ufffd") {
		t.Errorf("it was stored: %s", w.Body)
	}
}
