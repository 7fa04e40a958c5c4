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

// Directory is the numbers that were given away, in the order in which they were.
type Directory struct {
	Numbers []string `json:"numbers"`
}

// Apply is the directory after one more event.
func (d Directory) Apply(event eventstore.Event) (Directory, error) {
	listed, ok := event.Data.(AccountListed)
	if !ok {
		return d, fmt.Errorf("version %d is a %s, which is no event of a directory", event.Version, event.Metadata.Message.Type)
	}
	d.Numbers = append(d.Numbers[:len(d.Numbers):len(d.Numbers)], listed.Number)
	return d, nil
}
