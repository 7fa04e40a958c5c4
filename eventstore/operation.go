package eventstore

// These constants are the names of operations, see [Operation]. Dashboards and alerts match them,
// so a released name never changes.
const (
	OpOpen       = "open"        // [Provider.Open], unless [Shared]
	OpOpenShared = "open_shared" // [Provider.Open] with [Shared]
	OpClose      = "close"       // [Session.Close]

	OpAppend         = "append"          // [Session.Append] and [Provider.Append]
	OpAppendRecorded = "append_recorded" // [Session.AppendRecorded]
	OpRetry          = "retry"           // [Session.Retry]

	OpRead      = "read"       // one loop over [Reader.Read], or over the events of [Reader.Load]
	OpSlice     = "slice"      // [Reader.Slice]
	OpEvent     = "event"      // [Reader.Event]
	OpVersion   = "version"    // [Reader.Version]
	OpVersionOf = "version_of" // [Reader.VersionOf]
	OpOutcome   = "outcome"    // [Reader.Outcome]
	OpClosed    = "closed"     // [Reader.Closed]
	OpVerify    = "verify"     // [Reader.Verify]

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

	OpAggregateLoad   = "aggregate_load"   // Repository.Load of package aggregate
	OpAggregateUpdate = "aggregate_update" // Repository.Update of package aggregate
)
