package page

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/memory"
	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// measured is a store that counts what is read from it.
type measured struct {
	driver.State
	requests, keys, bytes int
}

func (m *measured) Get(ctx context.Context, partition, key string) (driver.Item, error) {
	item, err := m.State.Get(ctx, partition, key)
	m.count(item)
	return item, err
}

func (m *measured) GetMany(ctx context.Context, partition string, keys []string) ([]driver.Item, error) {
	items, err := m.State.GetMany(ctx, partition, keys)
	m.count(items...)
	return items, err
}

func (m *measured) count(items ...driver.Item) {
	m.requests++
	m.keys += len(items)
	for _, item := range items {
		m.bytes += len(item.Value)
	}
}

// long opens an account at a version, with snapshots where the tests read from.
func long(t *testing.T, last int64) (site, *measured) {
	t.Helper()
	inMemory := memory.New()
	t.Cleanup(func() { _ = inMemory.Close() })
	registry, err := eventstore.NewRegistry(bank.Types()...)
	if err != nil {
		t.Fatal(err)
	}
	m := &measured{State: inMemory}
	provider, err := eventstore.NewProvider(m, eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	s := siteOf(t, provider)
	s.open("Ada", 1)
	session, err := provider.Open(t.Context(), provider.Stream(bank.AccountType, "A1"))
	if err != nil {
		t.Fatal(err)
	}
	for version := int64(1); version < last; {
		batch := make([]any, min(500, last-version))
		for i := range batch {
			batch[i] = bank.FundsDeposited{Amount: 1}
		}
		if version, err = session.Append(t.Context(), eventstore.ExpectVersion(version), batch...); err != nil {
			t.Fatal(err)
		}
	}
	for version := int64(50); version <= last; version += 50 {
		if version <= 1500 || version > last-1500 {
			if err := session.SaveSnapshot(t.Context(), version, bank.Account{Owner: "Ada", Balance: 1_00 + bank.Money(version-1)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
	return s, m
}

func TestThePageOfAnAccountReadsNoMoreOfALongHistoryThanOfAShortOne(t *testing.T) {
	t.Parallel()
	type cost struct{ requests, keys, bytes int }
	costs := map[int64]map[string]cost{}
	lengths := []int64{3_001, 15_001}
	for _, last := range lengths {
		s, m := long(t, last)
		costs[last] = map[string]cost{}
		for name, target := range map[string]string{
			"the newest":      "/accounts/A1",
			"an old version":  "/accounts/A1?version=1003",
			"older events":    "/accounts/A1?before=900",
			"the first":       "/accounts/A1?version=1",
			"the last but 99": fmt.Sprintf("/accounts/A1?version=%d", last-99),
		} {
			m.requests, m.keys, m.bytes = 0, 0, 0
			w := s.get(target)
			s.wants(w, http.StatusOK, fmt.Sprintf(`data-version="%d"`, last), `id="chart-title"`)
			if w.Body.Len() > 1<<20 {
				t.Errorf("%s: a page of %d bytes", name, w.Body.Len())
			}
			costs[last][name] = cost{m.requests, m.keys, m.bytes}
		}
	}
	for name, short := range costs[lengths[0]] {
		far := costs[lengths[1]][name]
		if far.requests > short.requests+2 || far.keys > short.keys+100 || far.bytes > short.bytes+short.bytes/4 {
			t.Errorf("%s: of %d events %+v is read, of %d %+v", name, lengths[0], short, lengths[1], far)
		}
		if short.keys > 2*(eventsInChart+entriesPerPage) {
			t.Errorf("%s: %+v is read", name, short)
		}
	}
}

func TestOpeningAnAccountAndListingSomeTakesNoMoreWhereThereAreMany(t *testing.T) {
	t.Parallel()
	bytes := map[int]int{}
	for _, accounts := range []int{120, 420} {
		inMemory := memory.New()
		t.Cleanup(func() { _ = inMemory.Close() })
		registry, err := eventstore.NewRegistry(bank.Types()...)
		if err != nil {
			t.Fatal(err)
		}
		m := &measured{State: inMemory}
		provider, err := eventstore.NewProvider(m, eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		s := siteOf(t, provider)
		for i := range accounts + 50 { // both end as many events after a snapshot
			if _, err := s.Open(t.Context(), fmt.Sprintf("N%033d", i), "Ada", 0, bank.Command{ExpectedVersion: -1}); err != nil {
				t.Fatal(err)
			}
		}
		m.bytes = 0
		s.wants(s.post("/accounts", "id", "form-1", "number", "ONEMORE", "owner", "Ada", "amount", "1"), http.StatusSeeOther)
		s.wants(s.get("/"), http.StatusOK)
		bytes[accounts] = m.bytes
	}
	if bytes[420] > bytes[120]+4096 {
		t.Errorf("among 120 accounts it takes %d bytes, among 420 %d", bytes[120], bytes[420])
	}
}

func TestAPageOfTheListReadsNoMoreOfALongListThanOfAShortOne(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 2*accountsPerPage + 1 {
		if _, err := s.Open(t.Context(), fmt.Sprintf("N%03d", i), "Ada", 0, bank.Command{ExpectedVersion: -1}); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range map[int64]string{1: "N000 N001", 50: "N049 N050", 100: "N099 N100", 101: "N100", 102: "", 1 << 62: ""} {
		numbers, total, err := s.List(t.Context(), from, 2)
		if err != nil || total != 2*accountsPerPage+1 || strings.Join(numbers, " ") != want {
			t.Errorf("from %d: %v of %d, %v, want %s", from, numbers, total, err, want)
		}
	}
	s.wants(s.get("/?page=3"), http.StatusOK, "Page 3 of 3, 101 accounts", ">N100<")
	for _, none := range []string{"4", "0", "-1", "x", "9223372036854775807", "99999999999999999999"} {
		s.wants(s.get("/?page="+none), http.StatusNotFound)
	}
}
