package eventstore

// Event is one event of a stream. Reads return events. An append takes an Event, with Version 0, if
// the event needs its own metadata. Otherwise an append takes the plain value.
//
// The JSON form has camelCase names and leaves out empty fields. Data is written as its own JSON.
// To read an Event from JSON, first set Data to a pointer to a value of its type. For an event that
// was read with [AsRaw], set it to &Raw{}.
type Event struct {
	// Version is the event's position in its stream: 1, 2, 3, …
	Version int64 `json:"version,omitempty"`

	// Data is a value of a registered Go type, or a [Raw].
	Data any `json:"data,omitempty"`

	Metadata Metadata `json:"metadata,omitzero"`

	// Erased reports that something in Data was erased on purpose after the event was appended, see
	// [Sealer]. It is false if Data is a Raw. Appends ignore it.
	Erased bool `json:"erased,omitempty"`
}

// Raw is an event or snapshot in its stored form, without a Go type. Reads return it with the
// option [AsRaw]. Appends accept it, and its type need not be registered. The JSON form has
// camelCase names and leaves out empty fields.
type Raw struct {
	Type          string `json:"type,omitempty"`
	SchemaVersion int    `json:"schemaVersion,omitempty"` // not negative; 0 counts as 1
	ContentType   string `json:"contentType,omitempty"`
	Payload       []byte `json:"payload,omitempty"` // in JSON as base64
}
