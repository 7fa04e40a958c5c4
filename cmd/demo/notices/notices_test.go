package notices_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
	"github.com/hexalith/eventstores-go/cmd/demo/notices"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/publishing"
)

// open returns the notices in a store.
func open(t *testing.T, state driver.State, log *bytes.Buffer) *notices.Notices {
	t.Helper()
	registry, err := eventstore.NewRegistry(notices.Types()...)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return notices.New(provider, slog.New(slog.NewTextHandler(log, nil)))
}

// message returns a message as the bank publishes it.
func message(t *testing.T, announced bank.Announced) publishing.Message {
	t.Helper()
	data, err := json.Marshal(announced)
	if err != nil {
		t.Fatal(err)
	}
	return publishing.Message{ID: "EventStores:Transfer:" + announced.ID + "/2", Source: "bank", Type: notices.MessageType, Data: data}
}

func newest(t *testing.T, n *notices.Notices, most int) []notices.Notice {
	t.Helper()
	all, err := n.Newest(t.Context(), most)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A broker may deliver a message at any instance, at the same time, and long after.
func TestAMessageThatIsDeliveredTwiceIsOneNotice(t *testing.T) {
	t.Parallel()
	state, log := banktest.NewMemory(t), new(bytes.Buffer)
	instances := []*notices.Notices{open(t, state, log), open(t, state, log)}
	var all sync.WaitGroup
	for n := range 20 {
		m := message(t, bank.Announced{ID: fmt.Sprint("t", n), From: "A", To: "B", Amount: bank.Money(1 + n)})
		for _, instance := range instances {
			all.Go(func() {
				if err := instance.Handle(context.Background(), m); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	later := open(t, state, log)
	for n := range 20 {
		if err := later.Handle(t.Context(), message(t, bank.Announced{ID: fmt.Sprint("t", n), From: "A", To: "B", Amount: bank.Money(1 + n)})); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]bank.Money{}
	list := newest(t, later, 99)
	for _, notice := range list {
		got[notice.Transfer] = notice.Amount
	}
	if len(list) != 20 || len(got) != 20 || got["t7"] != 8 {
		t.Errorf("%d notices of %d transfers: %v", len(list), len(got), got)
	}
	if log.Len() > 0 {
		t.Error(log)
	}
}

// Two services may publish messages with the same id.
func TestTheSourceOfAMessageIsAPartOfItsIdentity(t *testing.T) {
	t.Parallel()
	n := open(t, banktest.NewMemory(t), new(bytes.Buffer))
	for _, source := range []string{"bank", "other", "bank"} {
		m := message(t, bank.Announced{ID: strings.Repeat("t", 190), From: "A", To: "B", Amount: 1})
		m.Source = source
		if err := n.Handle(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if got := newest(t, n, 9); len(got) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestTheNewestComeFirst(t *testing.T) {
	t.Parallel()
	n := open(t, banktest.NewMemory(t), new(bytes.Buffer))
	for i := range 5 {
		if err := n.Handle(t.Context(), message(t, bank.Announced{ID: fmt.Sprint(i), From: "A", To: "B", Amount: 1})); err != nil {
			t.Fatal(err)
		}
	}
	got := newest(t, n, 2)
	if len(got) != 2 || got[0].Transfer != "4" || got[1].Transfer != "3" || got[0].At.IsZero() {
		t.Errorf("got %+v", got)
	}
}

// A message that fails for ever would hold up all others.
func TestAMessageThatIsNoNoticeHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	log := new(bytes.Buffer)
	n := open(t, banktest.NewMemory(t), log)
	good := message(t, bank.Announced{ID: "t", From: "A", To: "B", Amount: 1})
	other := good
	other.Type = "AccountOpened"
	if err := n.Handle(t.Context(), other); err != nil || log.Len() > 0 {
		t.Errorf("%v, %s", err, log)
	}
	for i, data := range []string{``, `[]`, `{`, `{"id":"t","from":"A","to":"B","amount":"1"}`, `{"id":"","from":"A","to":"B","amount":1}`,
		`{"id":"t","from":"A","amount":1}`, `{"id":"t","from":"A","to":"B","amount":0}`, `{"id":"t","from":"A","to":"B","amount":-1}`,
		`{"id":"` + strings.Repeat("t", 1<<20) + `","from":"A","to":"B","amount":1}`, `{"id":"t","from":"A","to":"B","amount":99999999999999999999}`} {
		bad := good
		bad.Data = []byte(data)
		log.Reset()
		if err := n.Handle(t.Context(), bad); err != nil || !strings.Contains(log.String(), "was dropped") || log.Len() > 4096 {
			t.Errorf("%d: %v, %.300s", i, err, log)
		}
	}
	if err := n.Handle(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if got := newest(t, n, 9); len(got) != 1 {
		t.Errorf("got %+v", got)
	}
}

// away is a store that does not answer.
type away struct{ driver.State }

var errAway = errors.New("the store is away")

func (away) Get(context.Context, string, string) (driver.Item, error) {
	return driver.Item{}, errAway
}
func (away) BulkGet(context.Context, string, []string) ([]driver.Item, error) {
	return nil, errAway
}

func TestAMessageThatCanNotBeKeptIsToBeDeliveredAgain(t *testing.T) {
	t.Parallel()
	log := new(bytes.Buffer)
	n := open(t, away{banktest.NewMemory(t)}, log)
	m := message(t, bank.Announced{ID: "t", From: "A", To: "B", Amount: 1})
	for range 2 {
		if err := n.Handle(t.Context(), m); !errors.Is(err, errAway) {
			t.Errorf("got %v", err)
		}
	}
	if got := strings.Count(log.String(), "cannot keep a notice"); got != 1 {
		t.Errorf("it is logged %d times: %s", got, log)
	}
	w := httptest.NewRecorder()
	notices.Site(n, slog.New(slog.NewTextHandler(log, nil))).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "cannot be read") || strings.Contains(w.Body.String(), errAway.Error()) {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), errAway.Error()) {
		t.Errorf("the log does not say why: %s", log)
	}
}

func TestThePageShowsTheNewestNoticesWithoutScriptAndEscapesThem(t *testing.T) {
	t.Parallel()
	n := open(t, banktest.NewMemory(t), new(bytes.Buffer))
	site := notices.Site(n, slog.New(slog.DiscardHandler))
	get := func(path string) (*httptest.ResponseRecorder, string) {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w, w.Body.String()
	}
	if w, body := get("/"); w.Code != http.StatusOK || !strings.Contains(body, "No notices yet") {
		t.Errorf("status %d: %s", w.Code, body)
	}
	const evil = `<script>alert("1")</script>`
	for i := range notices.Shown + 1 {
		announced := bank.Announced{ID: fmt.Sprintf("transfer %d.", i), From: evil, To: "B", Amount: 1_234_56}
		if err := n.Handle(t.Context(), message(t, announced)); err != nil {
			t.Fatal(err)
		}
	}
	w, body := get("/")
	if w.Code != http.StatusOK || strings.Contains(body, "<script") || !strings.Contains(html.UnescapeString(body), evil) || !strings.Contains(body, "1,234.56") {
		t.Errorf("status %d: %s", w.Code, body)
	}
	if strings.Contains(body, "transfer 0.") || !strings.Contains(body, "transfer 1.") || strings.Index(body, "transfer 50.") > strings.Index(body, "transfer 49.") {
		t.Error("these are not the newest 50")
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "form-action 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy %q lacks %q", policy, part)
		}
	}
	if strings.Contains(policy, "script-src") || strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("the headers are %v", w.Header())
	}
	for path, status := range map[string]int{"/assets/page.css": 200, "/assets/none.css": 404, "/accounts": 404, "/%FF": 400, "/?a=%zz": 400, "/notices": 303} {
		if w, _ := get(path); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}
