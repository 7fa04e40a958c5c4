package page

import (
	"html"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
)

func TestMoneyIsSentToAnotherAccount(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	banktest.Transfers(t, s.Accounts)
	s.open("Ada", 1)
	if _, err := s.Open(t.Context(), "B1", "Bob", 0, bank.Command{ExpectedVersion: -1}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a form that is sent twice
		w := s.post("/accounts/A1/send", "id", "form 1", "to", " b1 ", "amount", "0.30")
		if w.Code != http.StatusSeeOther {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
	if w := s.post("/accounts/A1/send", "id", "form 1", "to", "B1", "amount", "0.31"); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "another form") {
		t.Errorf("another form with the same id: status %d", w.Code)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if strings.Contains(s.get("/accounts/B1").Body.String(), "Received from A1") {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("the money does not arrive")
		}
	}
	if body := s.get("/accounts/A1").Body.String(); !strings.Contains(body, "Sent to B1") || !strings.Contains(body, "0.70") {
		t.Errorf("the page of the account is %s", body)
	}
}

func TestATransferIsShownToCompleteAfterACrash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	banktest.Transfers(t, s.Accounts)
	s.open("Ada", 1)
	if _, err := s.Open(t.Context(), "B1", "Bob", 0, bank.Command{ExpectedVersion: -1}); err != nil {
		t.Fatal(err)
	}
	w := s.post("/accounts/A1/send", "id", "form 1", "to", "B1", "amount", "0.30", "crash", "yes")
	at := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(at, "/transfers/") {
		t.Fatalf("status %d, to %q", w.Code, at)
	}
	underWay := false
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		w := s.get(at)
		if w.Code != http.StatusOK {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "Completed") {
			break
		}
		underWay = underWay || strings.Contains(w.Body.String(), "Under way") && w.Header().Get("Refresh") == "1"
		if time.Since(began) > 20*time.Second {
			t.Fatal("the transfer does not complete")
		}
	}
	if !underWay {
		t.Error("the page does not show that the transfer was under way")
	}
	if w := s.get("/transfers/none"); w.Code != http.StatusNotFound {
		t.Errorf("a transfer that does not exist: status %d", w.Code)
	}
}

func TestWhatCannotBeSentIsSaidNextToTheForm(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.open("Ada", 1)
	for _, c := range []struct{ to, amount, want string }{
		{"A1", "0.30", bank.ErrSameAccount.Error()}, {"NONE", "0.30", bank.ErrNoAccount.Error()}, {"b-1", "0.30", bank.ErrBadNumber.Error()},
		{"B1", "x", "amount"}, {"", "0.30", bank.ErrBadNumber.Error()},
	} {
		w := s.post("/accounts/A1/send", "id", "form", "to", c.to, "amount", c.amount)
		if body := w.Body.String(); w.Code != http.StatusUnprocessableEntity || !strings.Contains(body, `id="send-error"`) || !strings.Contains(body, c.want) {
			t.Errorf("%s to %q: status %d", c.amount, c.to, w.Code)
		}
	}
}

func TestTheOverviewShowsTheRichestFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if body := s.get("/overview").Body.String(); !strings.Contains(body, "No accounts yet") {
		t.Error("an empty bank has accounts")
	}
	banktest.Overview(t, s.Accounts)
	s.open("<Ada>", 3)
	if _, err := s.Open(t.Context(), "B1", "Bob", 10_00, bank.Command{ExpectedVersion: -1}); err != nil {
		t.Fatal(err)
	}
	for number, version := range map[string]int64{"A1": 3, "B1": 1} {
		if err := s.WaitForOverview(t.Context(), number, version); err != nil {
			t.Fatal(err)
		}
	}
	body := html.UnescapeString(s.get("/overview").Body.String())
	bob, ada := strings.Index(body, "Bob"), strings.Index(body, "<Ada>")
	if bob < 0 || ada < bob || !strings.Contains(body, "2 accounts with 13.00 together") || !strings.Contains(body, "+10.00") {
		t.Errorf("the overview is %s", body)
	}
}
