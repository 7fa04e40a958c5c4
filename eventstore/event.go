package eventstore

// Event is one event of a stream: as it was read, or, with its Version left 0,
// as it is to be appended when it has metadata of its own.
//
// Its JSON has camelCase names and leaves out what is empty. Data is written as its own JSON. To
// read an Event from JSON, set Data to a pointer to a value of its type before, as &Raw{} for an
// event that was read with [AsRaw].
type Event struct {
	// Version is the event's place in its stream, 1, 2, 3, …
	Version int64 `json:"version,omitempty"`

	// Data is a value of a registered Go type, or a [Raw].
	Data any `json:"data,omitempty"`

	Metadata Metadata `json:"metadata,omitzero"`

	// Erased says that something in Data was erased on purpose since the event was appended: see
	// [Sealer]. It is false where Data is a Raw. Appending does not look at it.
	Erased bool `json:"erased,omitempty"`
}

// Raw is an event or snapshot as it is stored, without a Go type. Reading gives it
// with the option [AsRaw]; appending takes it without a registered type. Its JSON has camelCase
// names and leaves out what is empty.
type Raw struct {
	Type          string `json:"type,omitempty"`
	SchemaVersion int    `json:"schemaVersion,omitempty"` // not negative; 0 counts as 1
	ContentType   string `json:"contentType,omitempty"`
	Payload       []byte `json:"payload,omitempty"` // in JSON as base64
}
