package page

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAFormThatCanNotBeTakenAsItIsIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	post := func(target, contentType, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return s.ask(r)
	}
	const form = "application/x-www-form-urlencoded"
	for name, c := range map[string]struct{ contentType, body string }{
		"no UTF-8 in a field":     {form, "number=A1&owner=A%FFda&amount=1"},
		"the same, not escaped":   {form, "number=A1&owner=A\xffda&amount=1"},
		"Latin-1":                 {form, "number=A1&owner=J%F6rg&amount=1"},
		"half a character":        {form, "number=A1&owner=Ada%C3&amount=1"},
		"no UTF-8 in the form id": {form, "id=%FF&number=A1&owner=Ada&amount=1"},
		"no UTF-8 in a name":      {form, "number=A1&owner=Ada&amount=1&%FF=1"},
		"a field twice":           {form, "number=A1&owner=Ada&owner=Eve&amount=1"},
		"what is not escaped":     {form, "number=A1&owner=%zz&amount=1"},
		"another charset":         {form + "; charset=iso-8859-1", "number=A1&owner=Ada&amount=1"},
	} {
		if w := post("/accounts", c.contentType, c.body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "nothing was changed") {
			t.Errorf("%s: %d\n%s", name, w.Code, w.Body)
		}
	}
	if accounts, _, err := s.List(t.Context(), 0, 1); len(accounts) > 0 || err != nil {
		t.Errorf("there are accounts: %v, %v", accounts, err)
	}
	s.wants(post("/accounts", form+"; charset=UTF-8", "number=A1&owner=J%C3%B6rg&amount=1"), http.StatusSeeOther)
	for _, target := range []string{"/accounts/A1/deposit", "/accounts/A1/withdraw", "/accounts/A1/conflict"} {
		s.wants(post(target, form, "id=%FF&amount=1"), http.StatusBadRequest, "Invalid form")
		s.wants(post(target+"?a=%FF", form, "amount=1"), http.StatusBadRequest, "Invalid address")
	}
	if got := s.version(); got != 1 {
		t.Errorf("version %d, want 1", got)
	}
}

func TestAnAddressThatIsNoUTF8IsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	for _, target := range []string{"/%FF", "/accounts/%FF", "/accounts/A1%C3", "/?page=%FF", "/accounts/A1?version=%zz", "/accounts/A1?%FF=1", "/accounts/A1?version=1;before=2", "/accounts/A1/live?%FF", "/assets/%FF"} {
		s.wants(s.get(target), http.StatusBadRequest, "Invalid address")
	}
}
