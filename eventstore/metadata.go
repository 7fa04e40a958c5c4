package eventstore

import "time"

// Metadata goes with every event. What an append leaves empty the store fills in where a field says so.
type Metadata struct {
	Message MessageMetadata
	Context ContextMetadata

	// Custom holds what the fields of Message and Context have no place for. Keys and values are
	// stored and come back exactly as they are given. An empty map comes back as nil. An append
	// copies the map, so a later change of it has no effect.
	//
	// At most 64 entries are possible, with keys of 1 to 200 bytes. All keys and values together have
	// at most 16 KiB, and are valid UTF-8. Anything else is an [ArgumentError]. Custom metadata also
	// counts into the size of an append: see [BatchTooLargeError].
	//
	// It is stored in the clear, also where package sealed encrypts the payload.
	Custom map[string]string
}

// MessageMetadata says what an event is.
type MessageMetadata struct {
	ID            string    // unique id of the event; default a new UUIDv7
	Type          string    // type name; set from the registry; when reading, the one that is stored, which may be an alias
	SchemaVersion int       // of the type; set from the registry; when reading, the one that is stored
	AggregateType string    // set from the stream; if given it must be the stream's
	AggregateID   string    // set from the stream; if given it must be the stream's
	Created       time.Time // default now; UTC
}

// ContextMetadata says how an event came about.
type ContextMetadata struct {
	CorrelationID string // what the event is part of, as a request or a process
	CausationID   string // the message that caused it
	UserID        string
	PartitionID   string    // set to the stream's database; if given it must be that
	Timestamp     time.Time // when it happened for the user; default Created; UTC
	SessionID     string    // set to the session that appended it

	// SequenceNumber is the event's version in its stream. Given on an append, the append
	// fails with a VersionMismatchError unless the event gets that very version.
	SequenceNumber int64

	// IdempotencyID, where given, can be used once in a stream: see [IdempotencyIDUsedError]
	// and [Reader.VersionOf].
	IdempotencyID string

	Scopes []string // what the user was allowed to
}
