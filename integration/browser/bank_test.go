package browser

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
	"github.com/hexalith/eventstores-go/cmd/demo/page"
	"github.com/hexalith/eventstores-go/eventstore"
)

// served is a bank on its own SQLite file, and the URL of its pages.
type served struct {
	*bank.Accounts
	url string
}

func serve(t *testing.T) served {
	t.Helper()
	state, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "bank.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	accounts := banktest.In(t, banktest.NewProvider(t, state))
	banktest.Index(t, accounts)
	server := httptest.NewServer(page.New(accounts, slog.New(slog.DiscardHandler)))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return served{accounts, server.URL}
}

// livedIn opens an account and books some months of a life on it, such as salary and rent. The
// account ends at version 36.
func (s served) livedIn(t *testing.T, number, owner string) {
	t.Helper()
	when := time.Date(2026, time.January, 5, 8, 12, 40, 0, time.UTC)
	add := func(do func(c bank.Command) (bank.Status, error), user string) {
		t.Helper()
		id := strings.ToLower(number) + when.Format("-0102-150405")
		_, err := do(bank.Command{ID: "command-" + id, ExpectedVersion: -1, Context: eventstore.ContextMetadata{
			CorrelationID: "request-" + id, CausationID: "command-" + id, UserID: user, Timestamp: when,
		}})
		if err != nil {
			t.Fatal(err)
		}
		when = when.Add(67*time.Hour + 41*time.Minute + 13*time.Second)
	}
	add(func(c bank.Command) (bank.Status, error) { return s.Open(t.Context(), number, owner, 850_00, c) }, "branch")
	for _, amount := range []bank.Money{
		-42_80, -118_35, 2_640_00, -980_00, -64_10, -231_99, -57_25, 120_00, -89_90,
		-310_00, 2_640_00, -980_00, -71_45, -146_20, -38_60, 75_50, -499_00, -93_15, -27_40,
		2_640_00, -980_00, -1_250_00, -66_05, -182_75, 340_00, -54_30, -119_00, -33_85,
		2_790_00, -980_00, -77_70, -205_15, -48_90, 60_00, -149_99,
	} {
		switch {
		case amount > 0:
			add(func(c bank.Command) (bank.Status, error) { return s.Deposit(t.Context(), number, amount, c) }, "payroll")
		default:
			add(func(c bank.Command) (bank.Status, error) { return s.Withdraw(t.Context(), number, -amount, c) }, "ada")
		}
	}
}
