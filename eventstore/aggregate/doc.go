// Package aggregate loads aggregates from their events, and saves what was decided on them.
//
// A state S is any Go type, usually a struct; a fold makes the next state of one more event; a decision looks at a
// state and says which events follow, or refuses:
//
//	accounts, err := aggregate.NewRepository(provider, "BankAccount", Account.Apply, aggregate.WithSnapshotEvery(100))
//	account, err := accounts.Update(ctx, "123456000", func(a Account) ([]any, error) {
//		return a.Withdraw(500_00)
//	})
//
// Nothing of this needs a base type, an interface or code that is generated. The shape, decide and evolve, is that
// of the functional event sourcing of Jérémie Chassaing's Decider.
//
// # Examples
//
//   - example_test.go: a bank account: update, load, repeated commands, expected versions, metadata
package aggregate
