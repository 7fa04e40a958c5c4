package service

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// pageSize is the maximum number of events in one answer.
const pageSize = 100

// event is the JSON form of an account's event.
type event struct {
	Version  int64      `json:"version"`
	Type     string     `json:"type"`
	Data     any        `json:"data"`    // as stored
	Change   bank.Money `json:"change"`  // effect on the balance
	Balance  bank.Money `json:"balance"` // after the event
	Metadata metadata   `json:"metadata"`
}

// metadata describes the origin of an event, see [Origin].
type metadata struct {
	ID             string    `json:"id"`
	SchemaVersion  int       `json:"schemaVersion"`
	Created        time.Time `json:"created"`
	CorrelationID  string    `json:"correlationId,omitempty"`
	CausationID    string    `json:"causationId,omitempty"`
	UserID         string    `json:"userId,omitempty"`
	SessionID      string    `json:"sessionId,omitempty"`
	IdempotencyKey string    `json:"idempotencyKey,omitempty"`

	Custom map[string]string `json:"custom,omitempty"`
}

// events is one page of an account's history.
type events struct {
	Number string  `json:"number"`
	Events []event `json:"events"`
	Next   string  `json:"next,omitempty"` // path of the next page; empty on the last
}

// readEvents answers with a page of a history. A range past the end is empty, not an error, because
// a reader that follows a history asks for future events.
func readEvents(w http.ResponseWriter, r *http.Request, accounts *bank.Accounts) error {
	if err := checkQuery(r, "from", "to"); err != nil {
		return err
	}
	from, err := queryVersion(r, "from", 1, 1)
	if err != nil {
		return err
	}
	to, err := queryVersion(r, "to", from, 0)
	if err != nil {
		return err
	}
	page := events{Number: r.PathValue("number"), Events: []event{}}
	last := from + min(pageSize, math.MaxInt64-from) // one more than a page, to know whether there is another
	if to > 0 {
		last = min(last, to)
	}
	for entry, err := range accounts.Range(r.Context(), page.Number, from, last) {
		if err != nil {
			return err
		}
		if len(page.Events) == pageSize {
			page.Next = fmt.Sprintf("%s/events?from=%d", accountPath(page.Number), entry.Version)
			if to > 0 {
				page.Next += fmt.Sprintf("&to=%d", to)
			}
			break
		}
		m := entry.Metadata
		page.Events = append(page.Events, event{
			Version: entry.Version, Type: m.Message.Type, Data: entry.Data, Change: entry.Change, Balance: entry.Balance,
			Metadata: metadata{
				ID: m.Message.ID, SchemaVersion: m.Message.SchemaVersion, Created: m.Message.Created,
				CorrelationID: m.Context.CorrelationID, CausationID: m.Context.CausationID, UserID: m.Context.UserID,
				SessionID: m.Context.SessionID, IdempotencyKey: m.Context.IdempotencyID,
				Custom: m.Custom,
			},
		})
	}
	writeJSON(w, http.StatusOK, page)
	return nil
}
