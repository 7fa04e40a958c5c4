package memstate

import "github.com/hexalith/eventstores-go/eventstore/driver"

// Kinds are the three ways in which the event store treats a store. Each function returns a new
// one.
var Kinds = map[string]func() *Store{
	"in one transaction": Transactional,
	"with counted ETags": Redis,
	"the careful way":    Careful,
}

// Careful returns a store of which the event store knows nothing, so that it relies on nothing.
func Careful() *Store {
	s := Transactional()
	s.Caps = driver.Capabilities{}
	return s
}
