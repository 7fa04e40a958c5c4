package feed_test

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/feed"
	"github.com/hexalith/eventstores-go/eventstore/internal/jitter"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/projection"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

// This file checks docs/format.md. Each of its blocks shows a key, an empty line, and the value
// that the library stores under the key.

const (
	formatDocument = "../../docs/format.md"
	formatStore    = "EVENTSTORES_FORMAT_STORE" // names the file to which a process writes the store
)

var writeDocument = flag.Bool("write", false, "write the blocks of docs/format.md again")

var storedBlock = regexp.MustCompile("(?s)```text\n(\\{\\S+\\}:\\S+)\n\n(.*?)\n*```\n")

func TestTheDocumentOfTheFormatShowsWhatIsStored(t *testing.T) {
	if file := os.Getenv(formatStore); file != "" {
		values, err := json.Marshal(storeOfTheDocument(t))
		if err == nil {
			err = os.WriteFile(file, values, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	// The ids of commits never go back within a process. So only a process of its own makes the
	// same ones each time.
	file := filepath.Join(t.TempDir(), "store.json")
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), formatStore+"="+file)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(file)
	var stored map[string]string
	if err == nil {
		err = json.Unmarshal(data, &stored)
	}
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(formatDocument)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	after := storedBlock.ReplaceAllStringFunc(string(before), func(block string) string {
		key := storedBlock.FindStringSubmatch(block)[1]
		value, ok := stored[key]
		if !ok {
			t.Errorf("the document shows %s, which the store does not have", key)
			return block
		}
		shown++
		return "```text\n" + key + "\n\n" + strings.TrimRight(value, "\n") + "\n```\n"
	})
	if *writeDocument {
		if err := os.WriteFile(formatDocument, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if after != string(before) {
		t.Error("the document does not show what is stored; see what it should be with: go test ./eventstore/feed -run TheDocumentOfTheFormat -write")
	}
	if shown < 10 {
		t.Errorf("the document shows %d keys", shown)
	}
}

// storeOfTheDocument returns the keys and values that the document shows, and others. Of a key that
// changes, it returns the last value.
func storeOfTheDocument(t *testing.T) map[string]string {
	all := map[string]string{}
	cryptotest.SetGlobalRandom(t, 1)
	synctest.Test(t, func(t *testing.T) {
		pass(time.Until(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)))
		store := memstate.Redis()
		keep := func() {
			for key, value := range store.Values() {
				all[key] = string(value)
			}
		}
		provider := writeForTheDocument(t, store)
		keep()
		f, err := feed.Open(provider)
		if err != nil {
			t.Fatal(err)
		}
		type Balance struct{ Amount int }
		balances, err := projection.New(f, "balances", func(_ context.Context, docs *projection.Documents[Balance], item feed.Item) error {
			if deposited, ok := item.Event.Data.(storedMoneyDeposited); ok {
				return docs.Update(item.Stream.ID, func(b *Balance) error { b.Amount += deposited.Amount; return nil })
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stopIndex, stopBalances := memstate.Start(t, f.Index), memstate.Start(t, balances.Run)
		pass(time.Minute)
		stopBalances()
		stopIndex()
		keep()
		if err := provider.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		keep()
	})
	return all
}

type (
	storedAccountOpened  struct{ Owner string }
	storedMoneyDeposited struct{ Amount int }
	storedMoneyWithdrawn struct{ Amount int }
	storedCustomerNamed  struct {
		Name     string `sealed:"data"`
		Language string
	}
	storedAccount struct{ Balance int }
)

// writeForTheDocument writes an account under keys of its own, a customer that is still in the tail
// of the head, and an account that is deleted.
func writeForTheDocument(t *testing.T, store *memstate.Store) *eventstore.Provider {
	t.Helper()
	keys, err := sealed.NewStateKeys(memstate.Redis())
	must(t, err)
	codec, err := sealed.New(keys)
	must(t, err)
	registry, err := eventstore.NewRegistry(
		eventstore.Type[storedAccountOpened]("AccountOpened"), eventstore.Type[storedMoneyDeposited]("MoneyDeposited"), eventstore.Type[storedMoneyWithdrawn]("MoneyWithdrawn"),
		eventstore.Type[storedCustomerNamed]("CustomerNamed", eventstore.WithCodec(codec)), eventstore.Type[storedAccount]("Account"))
	must(t, err)
	provider, err := eventstore.NewProvider(store, eventstore.WithFeed("all"), eventstore.WithRegistry(registry), eventstore.WithLogger(slog.New(slog.DiscardHandler)))
	must(t, err)

	ctx := jitter.WithSource(t.Context(), rand.New(rand.NewPCG(1, 2))) // which makes the id of the journal
	session, err := provider.Open(ctx, eventstore.Stream{Database: "EventStores", Type: "Account", ID: "Ada/1"})
	must(t, err)
	_, err = session.Append(ctx, eventstore.ExpectVersion(0), storedAccountOpened{"Ada"})
	must(t, err)
	pass(time.Second)
	withdrawn := eventstore.Event{Data: storedMoneyWithdrawn{30}}
	withdrawn.Metadata.Context = eventstore.ContextMetadata{
		CorrelationID: "order 4711", CausationID: "100 % paid\n", UserID: "ada@example.com", IdempotencyID: "request 99",
		Timestamp: time.Date(2026, 1, 5, 8, 59, 58, 5e8, time.UTC), Scopes: []string{"retail", "web"},
	}
	withdrawn.Metadata.Custom = map[string]string{"tenant": "north", "a=b": "c=d"}
	_, err = session.Append(ctx, eventstore.ExpectVersion(1), storedMoneyDeposited{100}, withdrawn)
	must(t, err)
	must(t, session.SaveSnapshot(ctx, 3, storedAccount{70}))
	must(t, session.Close())

	_, err = provider.Append(ctx, eventstore.Stream{Database: "EventStores", Type: "Customer", ID: "Ada"}, eventstore.ExpectAny(), storedCustomerNamed{"Ada", "en"})
	must(t, err)

	gone := eventstore.Stream{Database: "EventStores", Type: "Account", ID: "2"}
	_, err = provider.Append(ctx, gone, eventstore.ExpectAny(), storedAccountOpened{"Bob"})
	must(t, err)
	session, err = provider.Open(ctx, gone, eventstore.Shared())
	must(t, err)
	must(t, session.DeleteStream(ctx, eventstore.ExpectAny()))
	must(t, session.Close())
	pass(time.Second)
	return provider
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestTheDocumentOfTheFormatNamesEverything looks for the kinds and fields of all records that any
// version of the library has stored.
func TestTheDocumentOfTheFormatNamesEverything(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(formatDocument)
	must(t, err)
	records, err := filepath.Glob("../testdata/format/*")
	must(t, err)
	more, err := filepath.Glob("../subscription/testdata/format/*")
	must(t, err)
	words := map[string]bool{}
	for _, path := range append(records, more...) {
		data, err := os.ReadFile(path)
		must(t, err)
		header, _, _ := strings.Cut(string(data), "\n\n")
		first, header, _ := strings.Cut(header, "\n")
		if kind := strings.Fields(first); len(kind) == 3 {
			words[kind[1]] = true
		}
		for line := range strings.Lines(header) {
			if name, _, ok := strings.Cut(line, "="); ok {
				name, _, _ = strings.Cut(name, ".")
				words[name] = true
			}
		}
	}
	if len(words) < 50 {
		t.Errorf("only %d kinds and fields were found", len(words))
	}
	for word := range maps.Keys(words) {
		if !regexp.MustCompile("`" + word + `\b`).Match(document) {
			t.Errorf("the document does not name `%s`", word)
		}
	}
}
