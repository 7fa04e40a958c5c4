// Package eventstore is an event store for services that run on Dapr. It keeps every change of an
// aggregate as an event, one key per event, in a state store with ETags.
//
//   - A [Stream] names the history of one aggregate.
//   - A [Registry] gives each Go type of events and snapshots the name under which it is stored.
//   - A [Provider] opens the streams of one store.
//   - A [Session] is exclusive access to one stream for a limited time. It appends events and gives
//     each a version: 1, 2, 3, … without gaps.
//   - A [Reader] reads a stream without a session and never waits for one.
//
// Package aggregate builds on these. It loads the state of an aggregate, lets a function decide,
// and appends the events. Most services need little else. All packages that are named here are in
// the module github.com/hexalith/eventstores-go.
//
// # A bank account
//
// Events are values of Go types that say what happened. The state of an aggregate is any Go type
// too. A function returns the state after one more event:
//
//	type (
//		AccountOpened  struct{ Owner string }
//		FundsDeposited struct{ Amount int64 } // in cents
//		FundsWithdrawn struct{ Amount int64 }
//	)
//
//	type Account struct {
//		Owner   string
//		Balance int64
//	}
//
//	func (a Account) Apply(event eventstore.Event) (Account, error) {
//		switch e := event.Data.(type) {
//		case AccountOpened:
//			a.Owner = e.Owner
//		case FundsDeposited:
//			a.Balance += e.Amount
//		case FundsWithdrawn:
//			a.Balance -= e.Amount
//		default:
//			return a, fmt.Errorf("unexpected event %T", e)
//		}
//		return a, nil
//	}
//
// A service makes one registry, one store and one provider. They are safe for concurrent use and
// live as long as the process:
//
//	types, err := eventstore.NewRegistry(
//		eventstore.Type[AccountOpened]("AccountOpened"),
//		eventstore.Type[FundsDeposited]("FundsDeposited"),
//		eventstore.Type[FundsWithdrawn]("FundsWithdrawn"),
//		eventstore.Type[Account]("Account"), // for snapshots
//	)
//	state, err := sqlite.Open(ctx, "bank.db") // package adapter/embedded/sqlite
//	defer state.Close()
//	provider, err := eventstore.NewProvider(state, eventstore.WithRegistry(types))
//
// A session appends events. ExpectVersion(0) says that the stream must still be empty:
//
//	session, err := provider.Open(ctx, provider.Stream("BankAccount", "123456000"))
//	defer session.Close()
//	version, err := session.Append(ctx, eventstore.ExpectVersion(0),
//		AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 1_500_00}) // version is 2
//
// Later, the service loads the account, decides, and appends at the version that it has loaded:
//
//	snapshot, events, err := session.Load(ctx)
//	account, _ := snapshot.Data.(Account) // the zero Account if there is no snapshot
//	version := snapshot.Version
//	for event, err := range events {
//		if err != nil {
//			return err
//		}
//		if account, err = account.Apply(event); err != nil {
//			return err
//		}
//		version = event.Version
//	}
//	if account.Balance < 500_00 {
//		return errors.New("insufficient funds")
//	}
//	version, err = session.Append(ctx, eventstore.ExpectVersion(version), FundsWithdrawn{Amount: 500_00})
//
// Package aggregate does these steps in one call. It needs no session, and when another writer came
// first it loads and decides again:
//
//	accounts, err := aggregate.NewRepository(provider, "BankAccount", Account.Apply,
//		aggregate.WithSnapshotEvery(100))
//	account, err := accounts.Update(ctx, "123456000", func(a Account) ([]any, error) {
//		if a.Balance < 500_00 {
//			return nil, errors.New("insufficient funds")
//		}
//		return []any{FundsWithdrawn{Amount: 500_00}}, nil
//	}, aggregate.WithIdempotencyID("command 4711"))
//	fmt.Println(account.State.Balance, account.Version)
//	account, err = accounts.Load(ctx, "123456000") // without an update
//
// # Streams and databases
//
// The name of a [Stream] has three parts: a database, an aggregate type and an aggregate id.
// [Provider.Stream] names a stream of the default database, Settings.DefaultDatabase. A Stream
// literal names a stream of any database, [Provider.StreamOf] the stream of an event's metadata,
// and [ParseStream] the stream that a text from [Stream.String] stands for.
//
// A database is a name that keeps the streams of one store apart, for example a database for each
// tenant. It is a part of every key, not a database server. The metadata of events calls it the
// partition id, see [ContextMetadata].
//
// # Sessions
//
// [Provider.Open] opens a session. By default it is [Exclusive]: sessions of one stream take turns.
// Open waits at most Settings.OpenTimeout (5 s) for its turn. A session lasts at most
// Settings.SessionTimeout (1 min), and [Session.Close] ends it before that.
//
// With [Shared], sessions do not take turns and rely on expected versions alone. [Provider.Append]
// and package aggregate work in this way by default. Their appends end an exclusive session of the
// same stream with a [SessionLostError].
//
// The lock of a session is a lease in the state store, or a lock component with [WithLocker]. Locks
// only keep order. The safety of an append does not depend on them: a session that has expired, or
// whose process only seemed dead, can't overwrite newer events.
//
// [Session.CloseStream] ends a stream for ever, and [Session.DeleteStream] also removes its events.
//
// # Appending
//
// [Session.Append] takes one or more events. All of them take effect together by one
// compare-and-swap, or none does, even if the process or the store crashes in the middle.
// [Provider.Append] does the same without an open session.
//
// The caller says which version it expects. With [ExpectVersion], an append to a stream that has
// newer events stores nothing and returns a [VersionMismatchError]. [ExpectAny] appends at any
// version.
//
// An [Event] in place of a plain value carries [Metadata], such as a correlation id, a user id or
// custom entries. With an idempotency id in it, a command that is delivered twice takes effect
// once. The second append returns an [IdempotencyIDUsedError]:
//
//	event := eventstore.Event{Data: FundsDeposited{Amount: 20_00}}
//	event.Metadata.Context.IdempotencyID = "command 4712"
//	event.Metadata.Context.UserID = "ada"
//	stream := provider.Stream("BankAccount", "123456000")
//	version, err := provider.Append(ctx, stream, eventstore.ExpectAny(), event)
//
// [Session.Prepare] returns events as they will be read, before they are appended.
//
// # Reading
//
// [Provider.Reader] returns a reader. A session has the same methods. [Reader.Read] returns the
// events one after the other, in memory that does not grow with the stream:
//
//	reader := provider.Reader(provider.Stream("BankAccount", "123456000"))
//	for event, err := range reader.Read(ctx, eventstore.FromVersion(2)) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(event.Version, event.Metadata.Message.Type, event.Data)
//	}
//
// [FromVersion], [After] and [ToVersion] limit a read, and [Backwards] reverses it. [AsRaw] returns
// payloads without decoding them. With [MustExist] a stream that does not exist is an error instead
// of an empty stream. [Reader.Slice], [Reader.Event] and [Reader.Version] answer smaller questions.
//
// # Snapshots
//
// A [Snapshot] saves reading old events. [Reader.Load] returns the newest usable snapshot and the
// events after it. [Session.SaveSnapshot], [BuildSnapshots] and package aggregate save snapshots.
// They are derived from events, so a missing or unreadable snapshot costs time and nothing else.
//
// # Types
//
// Stored events never change, but their Go types do. These options of [Type] keep old events
// readable, and say how new ones are stored:
//
//   - [WithSchemaVersion] and [WithUpcast] bring old payloads to the newest schema version when
//     they are read.
//   - [WithAliases] keeps older names readable.
//   - [WithCodec] sets the codec that writes, and codecs that only read. The default is [JSON].
//   - [WithoutFields] names fields that are not stored.
//   - [ForAggregates] binds a type to aggregate types.
//
// Package eventtest tests decisions, and that everything that was ever stored still reads. Package
// sealed encrypts personal data, so that it can be erased.
//
// # Errors
//
// Errors are pointers to struct types such as [VersionMismatchError]. The doc of each type says
// whether the operation may have taken effect. Match them by type, with errors.AsType or errors.As:
//
//	if mismatch, ok := errors.AsType[*eventstore.VersionMismatchError](err); ok { … mismatch.Actual … }
//	if errors.As(err, new(*eventstore.StreamClosedError)) { … }
//
// errors.Is never matches an empty value of such a type. It matches what an error wraps, such as
// [context.Canceled] or [ErrNotAuthentic].
//
// [Advise] tells what a caller can do about any error:
//
//   - [AdviceAlreadyStored]: continue, because the command took effect before.
//   - [AdviceRetry]: send the same call again later. No event was stored.
//   - [AdviceConflict]: read the stream and decide again. No event was stored.
//   - [AdviceRepeatWithSameID]: send the command again with the same idempotency id, or call
//     [Session.Retry]. The events may have been stored.
//   - [AdviceGiveUp]: the same call will fail again.
//
// Plan for [OutcomeUnknownError]: the store did not answer in time. Either all events of the append
// were stored, or none. [Session.Retry] completes the append and never stores the events twice.
//
// # Stores
//
// These adapters connect a store. [NewProvider] takes what they return. Their packages are
// adapter/embedded/memory, adapter/embedded/sqlite, adapter/embedded/redis and adapter/sidecar:
//
//	state := memory.New()
//	state, err := sqlite.Open(ctx, "bank.db")
//	state, err := redis.Open(ctx, "localhost:6379", redis.WithCredentials("", password))
//
//	client, err := dapr.NewClient(sidecar.DialOptions()...) // github.com/dapr/go-sdk/client
//	state, err := sidecar.NewState(ctx, client, "statestore")
//
// The embedded adapters run a Dapr component inside this process. Package adapter/sidecar uses the
// state component of a Dapr sidecar, here the one called statestore. This package does not depend
// on Dapr. It needs only the interfaces of package driver, and package storetest checks any other
// implementation. Package transfer copies streams from one store to another.
//
// # Options of a provider
//
// [NewProvider] needs a store. The options are:
//
//   - [WithRegistry] sets the types. Without it, only [Raw] events can be stored and read.
//   - [WithSettings] sets timeouts and the default database, see [DefaultSettings].
//   - [WithLocker] sets a lock component. The default is a lease in the state store.
//   - [WithLogger] sets the logger. The default is [slog.Default].
//   - [WithObserver] observes operations, for metrics and traces. Package adapter/telemetry has an
//     observer for OpenTelemetry.
//   - [WithHashedIDs] keeps aggregate ids out of logs and errors.
//   - [WithFeed] tells a feed of all commits, so that package feed can list and follow all streams.
//     Such a provider is closed with [Provider.Close].
//
// # Examples
//
// These files in this folder have runnable examples.
//
//   - example_test.go: open a stream, append to it and read it
//   - example_provider_test.go: create a provider, its registry and settings; name streams
//   - example_append_test.go: expected versions, metadata, idempotency ids
//   - example_metadata_test.go: custom metadata; events as JSON
//   - example_provider_append_test.go: append without a session
//   - example_prepare_test.go: see events as they will be read, before they are stored
//   - example_read_test.go: read forwards, backwards, in slices, and without decoding
//   - example_snapshot_test.go: save, load and clear snapshots
//   - example_evolve_test.go: schema versions, upcasters, aliases, codecs
//   - example_bound_test.go: bind event types to aggregate types
//   - example_codec_test.go: what must come back from a codec, and how to leave it out
//   - example_lifecycle_test.go: close and delete streams; shared sessions
//   - example_outcome_test.go: match errors; retry an append whose outcome is unknown
//   - example_advice_test.go: what a caller can do about an error
//   - example_verify_test.go: find damage in a stream
//   - example_rebuild_test.go: rebuild a lost head
//   - example_observe_test.go: observe operations
//   - example_hashids_test.go: keep aggregate ids out of logs and errors
//   - example_feed_test.go: tell a feed of all commits
//   - example_feed_observe_test.go: observe how a feed and its subscriptions are doing
package eventstore
