package eventstore

import "time"

// Metadata goes with every event. An append fills in what is left empty, where a field says so.
//
// Its JSON has camelCase names and leaves out what is empty. Times are in RFC 3339.
type Metadata struct {
	Message MessageMetadata `json:"message,omitzero"`
	Context ContextMetadata `json:"context,omitzero"`

	// Custom holds what the fields of Message and Context have no place for. Keys and values are
	// stored and come back exactly as they are given. An empty map comes back as nil. An append
	// copies the map, so a later change of it has no effect.
	//
	// A map has at most 64 entries, with keys of 1 to 200 bytes. All keys and values together have
	// at most 16 KiB, and are valid UTF-8. Anything else is an [ArgumentError]. Custom metadata
	// also counts towards the size of an append, see [BatchTooLargeError].
	//
	// Custom metadata is stored in the clear, even if package sealed encrypts the payload.
	Custom map[string]string `json:"custom,omitempty"`
}

// MessageMetadata says what an event is.
type MessageMetadata struct {
	// ID identifies the event. It defaults to a new UUIDv7. An ID that the caller gives is stored
	// as it is. The store does not check that it is unique, not even within a stream, so the same
	// ID can be stored twice. What makes a repeated command take effect once is
	// Context.IdempotencyID.
	ID string `json:"id,omitempty"`

	Type          string    `json:"type,omitempty"`          // type name, set from the registry; a read returns the stored name, which may be an alias
	SchemaVersion int       `json:"schemaVersion,omitempty"` // schema version of the type, set from the registry; a read returns the stored one
	AggregateType string    `json:"aggregateType,omitempty"` // set from the stream; if given, it must be the stream's
	AggregateID   string    `json:"aggregateId,omitempty"`   // set from the stream; if given, it must be the stream's
	Created       time.Time `json:"created,omitzero"`        // defaults to now; in UTC
}

// ContextMetadata says how an event came about.
type ContextMetadata struct {
	CorrelationID string    `json:"correlationId,omitempty"` // what the event is part of, such as a request or a process
	CausationID   string    `json:"causationId,omitempty"`   // the message that caused it
	UserID        string    `json:"userId,omitempty"`
	PartitionID   string    `json:"partitionId,omitempty"` // set to the stream's database; if given, it must be that
	Timestamp     time.Time `json:"timestamp,omitzero"`    // when it happened for the user; defaults to Created; in UTC
	SessionID     string    `json:"sessionId,omitempty"`   // set to the id of the session that appended it

	// SequenceNumber is the event's version in its stream. If it is given, the append fails with a
	// VersionMismatchError unless the event gets that version.
	SequenceNumber int64 `json:"sequenceNumber,omitempty"`

	// IdempotencyID, if given, can be used once in a stream: see [IdempotencyIDUsedError] and
	// [Reader.VersionOf].
	IdempotencyID string `json:"idempotencyId,omitempty"`

	Scopes []string `json:"scopes,omitempty"` // what the user was allowed to do
}
