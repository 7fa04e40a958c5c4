package eventstore

import "time"

// These constants are the names of operations, see [Operation]. Dashboards and alerts match them,
// so a released name never changes.
const (
	OpOpen       = "open"        // [Provider.Open], unless [Shared]
	OpOpenShared = "open_shared" // [Provider.Open] with [Shared]
	OpClose      = "close"       // [Session.Close]

	OpAppend         = "append"          // [Session.Append] and [Provider.Append]
	OpAppendRecorded = "append_recorded" // [Session.AppendRecorded]
	OpRetry          = "retry"           // [Session.Retry]

	OpRead       = "read"        // one loop over [Reader.Read], or over the events of [Reader.Load]
	OpSlice      = "slice"       // [Reader.Slice]
	OpEvent      = "event"       // [Reader.Event]
	OpVersion    = "version"     // [Reader.Version]
	OpVersionOf  = "version_of"  // [Reader.VersionOf]
	OpVersionsOf = "versions_of" // [Session.VersionsOf]
	OpRefresh    = "refresh"     // [Session.Refresh]
	OpOutcome    = "outcome"     // [Reader.Outcome]
	OpClosed     = "closed"      // [Reader.Closed]
	OpVerify     = "verify"      // [Reader.Verify]

	OpLoad                 = "load"                   // [Reader.Load], without the loop over the events
	OpSnapshots            = "snapshots"              // [Reader.Snapshots]
	OpSnapshot             = "snapshot"               // [Reader.Snapshot]
	OpLastSnapshot         = "last_snapshot"          // [Reader.LastSnapshot]
	OpSaveSnapshot         = "save_snapshot"          // [Session.SaveSnapshot]
	OpSaveRecordedSnapshot = "save_recorded_snapshot" // [Session.SaveRecordedSnapshot]
	OpClearSnapshot        = "clear_snapshot"         // [Session.ClearSnapshot]
	OpClearSnapshots       = "clear_snapshots"        // [Session.ClearSnapshots]
	OpBuildSnapshots       = "build_snapshots"        // [BuildSnapshots]

	OpCloseStream    = "close_stream"    // [Session.CloseStream]
	OpDeleteStream   = "delete_stream"   // [Session.DeleteStream]
	OpDeleteRecorded = "delete_recorded" // [Session.DeleteRecorded]
	OpRebuildHead    = "rebuild_head"    // [Provider.RebuildHead]

	OpCloseProvider = "close_provider" // [Provider.Close] with [WithFeed]; its stream is the log of the feed

	OpIndex   = "index"   // a round of Feed.Index of package feed that takes something over; its stream is the log
	OpDeliver = "deliver" // one item that a subscription passes to its handler, with all tries

	OpAggregateLoad   = "aggregate_load"   // Repository.Load and LoadWithin of package aggregate
	OpAggregateUpdate = "aggregate_update" // Repository.Update of package aggregate
)

// Operation is one call of a method that takes a context, or of [Session.Close].
type Operation struct {
	// Name is one of the constants from [OpOpen] to [OpAggregateUpdate]. It is the method's name in
	// lower case with underscores: "append", "version_of".
	// [OpCloseProvider] is the exception, because sessions have a method Close too.
	//
	// [OpRead] begins when a loop over events begins, and ends with it. A loop that never begins is
	// not an operation. [OpAggregateLoad], [OpAggregateUpdate] and [OpBuildSnapshots] contain the
	// operations on the stream that they use.
	Name string

	// Stream is the stream that the caller named, even if the name is not possible.
	Stream Stream

	// Session is the id of the operation's session. It is empty for a reader without one, and when
	// an open begins.
	Session string

	// Events is how many events an append is given.
	Events int

	// Expected is the version at which the stream is expected. -1 stands for any version.
	Expected int64

	// Delivery is what [OpDeliver] is about. For other operations it is nil.
	Delivery *Delivery
}

// OperationResult is how an operation ended.
type OperationResult struct {
	Duration time.Duration

	// Version is the version of the last event appended or read, of the snapshot, or of the event
	// that was looked for. For other operations it is the version of the stream. It is 0 if there
	// is none or it is not known.
	Version int64

	// Events is how many events the operation has read, or has appended for certain.
	Events int

	// Attempts is how often an append sent its commit, an open or a rebuild asked for the lock, an
	// update of an aggregate made its decision, or a delivery called its handler. Lookups is how
	// often an append looked up what had become of its commit, after the commit failed or was not
	// answered.
	Attempts, Lookups int

	// Waited is how long an open waited for other sessions.
	Waited time.Duration

	// Disposition is what became of a delivery. For other operations it is empty.
	Disposition Disposition

	// Err is what the operation returns. For a loop it is the error that the loop was given, or nil
	// if the caller left the loop early. If the operation panics or ends by runtime.Goexit, as
	// codecs and loops can cause it, Err says only that.
	Err error
}
