package readstream_test

import (
	"database/sql"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/hexalith/eventstores-go/adapter/embedded/sqlite"
	"github.com/hexalith/eventstores-go/eventstore"
)

// TestTheDocumentsQueriesFindRecords runs the queries of docs/format.md for SQLite.
func TestTheDocumentsQueriesFindRecords(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bank.db")
	state, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	provider, err := eventstore.NewProvider(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"Ada/1", "2"} {
		stream := eventstore.Stream{Database: "EventStores", Type: "Account", ID: id}
		if _, err := provider.Append(t.Context(), stream, eventstore.ExpectAny(), eventstore.Raw{Type: "opened", Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	queries := regexp.MustCompile(`sqlite3 bank\.db "(.+)"( \| base64 -d)?\n`).FindAllStringSubmatch(string(document), -1)
	if len(queries) != 3 {
		t.Fatalf("the document has %d queries", len(queries))
	}
	for _, query := range queries {
		var found []string
		rows, err := db.QueryContext(t.Context(), query[1])
		if err != nil {
			t.Fatal(query[1], err)
		}
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				t.Fatal(err)
			}
			found = append(found, text)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		if query[2] == "" {
			if got := strings.Join(found, " "); got != "{EventStores:Account:2}:head {EventStores:Account:Ada%2F1}:head" {
				t.Errorf("%s finds %s", query[1], got)
			}
			continue
		}
		record, err := base64.StdEncoding.DecodeString(strings.Join(found, ""))
		if err != nil || !strings.HasPrefix(string(record), "eventstore/1 head ") {
			t.Errorf("%s finds %q, %v", query[1], record, err)
		}
	}
}
