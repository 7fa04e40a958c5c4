package page

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
	"github.com/hexalith/eventstores-go/cmd/demo/bank/banktest"
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
	m := &measured{State: banktest.NewMemory(t)}
	provider := banktest.NewProvider(t, m)
	s := siteOf(t, banktest.In(t, provider))
	session, err := provider.Open(t.Context(), provider.Stream(bank.AccountType, "A1"))
	if err != nil {
		t.Fatal(err)
	}
	version, err := session.Append(t.Context(), eventstore.ExpectVersion(0), bank.AccountOpened{Owner: "Ada", Amount: 1_00})
	if err != nil {
		t.Fatal(err)
	}
	for version < last {
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

func TestAPageOfTheListReadsNoMoreOfALongListThanOfAShortOne(t *testing.T) {
	t.Parallel()
	type cost struct{ requests, keys int }
	costs := map[int]cost{}
	lengths := []int{2*accountsPerPage + 1, 5*accountsPerPage + 1}
	for _, accounts := range lengths {
		m := &measured{State: banktest.NewMemory(t)}
		s := siteOf(t, banktest.In(t, banktest.NewProvider(t, m)))
		other := banktest.In(t, banktest.NewProvider(t, m.State))
		banktest.Index(t, other)
		var all sync.WaitGroup
		for first := range accountsPerPage {
			all.Go(func() {
				for i := first; i < accounts; i += accountsPerPage {
					if _, err := other.Open(t.Context(), fmt.Sprintf("N%03d", i), "Ada", 0, bank.Command{ExpectedVersion: -1}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		m.requests, m.keys = 0, 0
		first := s.get("/")
		s.wants(first, http.StatusOK, "Later accounts")
		s.wants(s.get(regexp.MustCompile(`/\?from=\d+`).FindString(first.Body.String())), http.StatusOK, "Later accounts")
		costs[accounts] = cost{m.requests, m.keys}
	}
	if costs[lengths[0]] != costs[lengths[1]] {
		t.Errorf("two pages of a list of %d take %+v, of %d %+v", lengths[0], costs[lengths[0]], lengths[1], costs[lengths[1]])
	}
}
