package main

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/driver"
	"github.com/hexalith/eventstores-go/eventstore/feed"
)

// TestTheGuideListsNoFeed runs the query of docs/moving.md on a file that has a feed.
func TestTheGuideListsNoFeed(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "moving.md"))
	if err != nil {
		t.Fatal(err)
	}
	query := regexp.MustCompile("(?s)```sql\n(.*?)\n```").FindSubmatch(guide)
	if query == nil {
		t.Fatal("the guide has no query")
	}
	file := filepath.Join(t.TempDir(), "events.db")
	inFeed(t, file, func(ctx context.Context, _ driver.State, f *feed.Feed) error {
		p := f.Provider()
		for _, id := range []string{"1", "2"} {
			if _, err := p.Append(ctx, p.Stream("account", id), eventstore.ExpectAny(), eventstore.Raw{Type: "e", ContentType: "text/plain"}); err != nil {
				return err
			}
		}
		_, err := upTo(ctx, f, 2)
		return err
	})
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), string(query[1]))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if slices.Sort(names); rows.Err() != nil || !slices.Equal(names, []string{"EventStores:account:1", "EventStores:account:2"}) {
		t.Errorf("the query lists %q, %v", names, rows.Err())
	}
}
