package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/connectivity"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
)

// untilSaid asks for a page until it says something.
func (s served) untilSaid(t *testing.T, path, says string) string {
	t.Helper()
	for began := time.Now(); ; {
		status, body := s.ask(t, "GET", path, "")
		if status == 200 && strings.Contains(body, says) {
			return body
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%s does not say %q: %d %s", path, says, status, body)
		}
	}
}

func TestACompletedTransferIsAmongTheNoticesOnce(t *testing.T) {
	t.Setenv("DAPR_GRPC_PORT", "")
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	file := filepath.Join(t.TempDir(), "bank.db")
	s := startService(t, file)
	s.untilReady(t)
	if body := s.untilSaid(t, "/notices", "No notices yet"); !strings.Contains(body, `href="/overview"`) {
		t.Errorf("the page has no links of the bank: %s", body)
	}
	for _, number := range []string{"A1", "B1"} {
		if status, answer := s.ask(t, "POST", "/api/v1/accounts", `{"number":"`+number+`","owner":"Ada","amount":100}`); status != 201 {
			t.Fatalf("%d %s", status, answer)
		}
	}
	for n := range 3 {
		if status, answer := s.ask(t, "POST", "/api/v1/accounts/A1/transfers", fmt.Sprintf(`{"to":"B1","amount":1%d}`, n)); status/100 != 2 {
			t.Fatalf("%d %s", status, answer)
		}
		s.untilSaid(t, "/notices", fmt.Sprintf("0.1%d", n))
	}
	if body := s.untilSaid(t, "/", "A1"); !strings.Contains(body, `href="/notices"`) {
		t.Error("the pages of the bank have no link to the notices")
	}
	for range 2 { // whoever starts later has the same notices
		s.end()
		if code := <-s.ended; code != 0 || strings.Contains(s.log.String(), "stand still") {
			t.Fatalf("exit code %d: %s", code, s.log)
		}
		s = startService(t, file)
		s.untilReady(t)
		if body := s.untilSaid(t, "/notices", "0.12"); strings.Count(body, `<th scope="row">`) != 3 {
			t.Errorf("the notices are %s", body)
		}
	}
	n := start(t, "notify", "-addr", "127.0.0.1:0", "-file", file)
	n.untilReady(t)
	if body := n.untilSaid(t, "/", "0.12"); strings.Count(body, `<th scope="row">`) != 3 || strings.Contains(body, `href="/overview"`) {
		t.Errorf("demo notify shows %s", body)
	}
	for path, want := range map[string]int{"/livez": 200, "/metrics": 200, "/assets/page.css": 200, "/api/v1/accounts": 404, "/openapi.yaml": 404} {
		if status, answer := n.ask(t, "GET", path, ""); status != want {
			t.Errorf("%s of demo notify: %d %.300s", path, status, answer)
		}
	}
	for _, s := range []served{s, n} {
		s.end()
		if code := <-s.ended; code != 0 {
			t.Errorf("exit code %d: %s", code, s.log)
		}
	}
	if !strings.Contains(n.log.String(), "nothing is received, because there is no sidecar") {
		t.Errorf("the log is %s", n.log)
	}
}

func TestNotifyServesBeforeItHasASidecarAndEndsWithoutOne(t *testing.T) {
	t.Setenv("DAPR_GRPC_ENDPOINT", "")
	t.Setenv("DAPR_GRPC_PORT", "1") // no one listens there
	s := start(t, "notify", "-addr", "127.0.0.1:0")
	if status, answer := s.ask(t, "GET", "/readyz", ""); status != 503 || !strings.Contains(answer, `"away":"sidecar"`) {
		t.Errorf("%d %s", status, answer)
	}
	if status, answer := s.ask(t, "GET", "/", ""); status != 503 || !strings.Contains(answer, "Not connected yet") {
		t.Errorf("%d %s", status, answer)
	}
	s.end()
	if code := <-s.ended; code != 0 {
		t.Errorf("exit code %d: %s", code, s.log)
	}
}

func TestNotifyRefusesWrongArgumentsAndSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a flag that is not there": {[]string{"-watchers", "1"}, 2, "-watchers"},
		"an argument":              {[]string{"surprise"}, 2, `"surprise"`},
		"asking for help":          {[]string{"-h"}, 0, "noticestore"},
		"a network without keys":   {[]string{"-addr", "0.0.0.0:0"}, 1, "without API keys the service notify is not started"},
	} {
		code, out, errs := runDemo(t, append([]string{"notify"}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) {
			t.Errorf("%s: exit code %d, want %d, and to be told %q:\n%s%s", name, code, c.code, c.says, out, errs)
		}
	}
}

// besideSidecar is a connection to a sidecar.
type besideSidecar struct{}

func (besideSidecar) GetState() connectivity.State { return connectivity.Ready }

func TestASidecarWithoutPubSubIsSaidOnceAndTheBankGoesOn(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	b, err := openBank(t.Context(), func(context.Context) (store, error) {
		state := memory.New()
		return store{state: state, conn: besideSidecar{}, close: func() { _ = state.Close() }}, nil
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	if b.announcements != nil || b.local != nil || b.notices != nil {
		t.Error("something is published")
	}
	stop := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(stop) })
	b.work(stop, log)
	b.close()
	if got := out.String(); strings.Count(got, "transfers are not published") != 1 || strings.Count(got, "\n") != 1 || !strings.Contains(got, "component=pubsub") {
		t.Errorf("the log is %s", got)
	}
}
