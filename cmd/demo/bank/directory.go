package bank

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// A state store can't be listed through Dapr: which accounts there are is a history of its own.
const (
	directoryType = "BankDirectory"
	directoryID   = "accounts"
)

// AccountListed says that an account number was given away. It comes before the account's first event: a process that dies
// between the two leaves a number without an account, not an account that nobody finds.
type AccountListed struct {
	Number string `json:"number"`
}

// Directory is how many numbers were given away. The numbers are the events alone: whoever opens an
// account need not load those of all others.
type Directory struct {
	Count int64 `json:"count"`
}

// Apply is the directory after one more event.
func (d Directory) Apply(event eventstore.Event) (Directory, error) {
	if _, err := listed(event); err != nil {
		return d, err
	}
	d.Count++
	return d, nil
}

// listed is the number that an event of the directory gives away.
func listed(event eventstore.Event) (string, error) {
	data, ok := event.Data.(AccountListed)
	if !ok {
		return "", fmt.Errorf("version %d is a %s, which is no event of a directory", event.Version, event.Metadata.Message.Type)
	}
	return data.Number, nil
}
