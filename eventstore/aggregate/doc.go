// Package aggregate loads aggregates from their events, and stores the events that follow from
// decisions.
//
// A state S is any Go type, usually a struct. A fold takes a state and one more event, and returns
// the next state. A decision takes a state and returns the events that follow, or an error:
//
//	accounts, err := aggregate.NewRepository(provider, "BankAccount", Account.Apply,
//		aggregate.WithSnapshotEvery(100))
//	account, err := accounts.Update(ctx, "123456000", func(a Account) ([]any, error) {
//		return a.Withdraw(500_00)
//	})
//
// No base type, interface or generated code is needed. The two functions, decide and evolve, come
// from Jérémie Chassaing's functional event sourcing with a Decider.
//
// A repository keeps recently used aggregates in memory, and decides updates that wait for each
// other together. So a command usually costs one or two requests, and many commands on one
// aggregate at the same time share them. Nothing is decided on an old state: see
// [Repository.Update]. [Repository.Load] always asks the store, and [Repository.LoadWithin] may
// return a state from memory. Such a state is shared, so neither the fold, a decision nor a caller
// may change anything that it refers to.
//
// # Examples
//
//   - example_test.go: a bank account: update, load, repeated commands, expected versions, metadata
package aggregate
