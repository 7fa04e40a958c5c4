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
// # Examples
//
//   - example_test.go: a bank account: update, load, repeated commands, expected versions, metadata
package aggregate
