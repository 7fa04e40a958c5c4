package eventstore

import "github.com/hexalith/eventstores-go/eventstore/driver"

// NewLease is the lock that sessions use where there is no lock component.
func NewLease(state driver.State) driver.Locker { return lease{state} }
