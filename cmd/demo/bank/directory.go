package bank

import (
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Dapr cannot list the keys of a state store. Therefore a stream of its own records which accounts
// exist.
const (
	directoryType = "BankDirectory"
	directoryID   = "accounts"
)

// AccountListed registers an account number. It is stored before the account's first event: a
// process that dies between the two leaves a number without an account, not an account that cannot
// be found.
type AccountListed struct {
	Number string `json:"number"`
}

// Directory is the number of registered account numbers. Only the events contain the numbers, so
// that opening an account does not load the numbers of all others.
type Directory struct {
	Count int64 `json:"count"`
}

// Apply returns the directory after one more event.
func (d Directory) Apply(event eventstore.Event) (Directory, error) {
	if _, err := listed(event); err != nil {
		return d, err
	}
	d.Count++
	return d, nil
}

// listed returns the number that an event of the directory registers.
func listed(event eventstore.Event) (string, error) {
	data, ok := event.Data.(AccountListed)
	if !ok {
		return "", fmt.Errorf("version %d is a %s, which is not an event of the directory", event.Version, event.Metadata.Message.Type)
	}
	return data.Number, nil
}
