package sqlite

import (
	"context"
	"database/sql"
	"iter"
	"strconv"

	"github.com/dapr/components-contrib/state"

	"github.com/hexalith/eventstores-go/adapter/embedded/internal/component"
	"github.com/hexalith/eventstores-go/eventstore/driver"
)

var _ driver.Lister = (*State)(nil)

// ListKeys implements [driver.Lister]. It reads 1,000 keys at a time, in one pass over the table.
func (s *State) ListKeys(ctx context.Context, suffix string) iter.Seq2[string, error] {
	return component.ListKeys(ctx, s.base, suffix)
}

const selectKeys = `SELECT key, rowid FROM state WHERE key LIKE ? ESCAPE '\' AND rowid > ? ORDER BY rowid LIMIT ?`

// KeysLike implements [state.KeysLiker].
func (s *readOnlySQLite) KeysLike(ctx context.Context, request *state.KeysLikeRequest) (page *state.KeysLikeResponse, err error) {
	after := int64(-1 << 63)
	if request.ContinuationToken != nil {
		if after, err = strconv.ParseInt(*request.ContinuationToken, 10, 64); err != nil {
			return nil, err
		}
	}
	err = s.read(ctx, func(db *sql.DB) error {
		page = &state.KeysLikeResponse{}
		rows, err := db.QueryContext(ctx, selectKeys, request.Pattern, after, *request.PageSize)
		if err != nil {
			return err
		}
		defer rows.Close()
		var last int64
		for rows.Next() {
			var key string
			if err := rows.Scan(&key, &last); err != nil {
				return err
			}
			page.Keys = append(page.Keys, key)
		}
		if len(page.Keys) == int(*request.PageSize) {
			next := strconv.FormatInt(last, 10)
			page.ContinuationToken = &next
		}
		return rows.Err()
	})
	return page, err
}
