// Package process runs processes over several streams, such as a transfer of money from one account
// to another. They are also called process managers or sagas.
//
//	transfers, err := process.New(f, "Transfer", process.Rules[Transfer]{
//		Fold:   Transfer.Apply,
//		Route:  func(item feed.Item) string { … },              // which transfer an item concerns
//		Decide: func(t Transfer, item feed.Item) ([]any, error) { … }, // events of the transfer
//		Act:    func(t Transfer, e eventstore.Event) []process.Command { … },
//	})
//	…
//	err = transfers.Run(ctx) // in every instance of the service
//
// An instance of a process is an aggregate. It is fed by the feed, decides, and sends commands to
// other aggregates:
//
//   - Route finds the instance that an item of the feed concerns.
//   - Decide returns events of the instance. They are stored in its stream, once for each item.
//   - Act returns the commands that follow from a stored event. They are sent in order.
//
// # What is promised
//
// What was decided is stored before a command is sent. If the process dies, the item is delivered
// again. It is not decided again: the stored events are found, and their commands are sent again
// under the same ids. A command that passes its id on as an idempotency id, by [Call.Options], so
// takes effect once.
//
// The items of one stream come in order. Items of different streams that concern one instance come
// in any order, and at the same time in several instances of the service. Each is decided on the
// state that the one before left.
//
// # When a target refuses
//
// A command may say which errors are answers of its target, such as that an account is closed.
// Their events are stored in the instance, and Act returns what makes up for the earlier commands.
// Any other error is tried again. After that the process stops or parks the stream of the item, as
// its subscription says: see [subscription.WithParking].
//
// # Time
//
// [At] makes an instance wake up at a time, which is kept in the store. [Rules.Wake] then decides
// like Decide, once for each such command. It is called within about a second, or when an instance
// of the service runs again. While nothing is due, each instance of the service looks at the times
// at the beginning of each minute and about every ten seconds, with one or two requests.
//
// # Examples
//
//   - example_test.go: a transfer between two accounts, which is taken back if the target refuses
package process
