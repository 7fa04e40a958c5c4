// Package sealed encrypts personal data in events and snapshots with a key per person. History
// never changes, but destroying the key erases the data.
//
//	keys, err := sealed.NewStateKeys(keyStore) // not the store of the events
//	codec, err := sealed.New(keys)
//	eventstore.Type[CustomerRegistered]("CustomerRegistered", eventstore.WithCodec(codec, eventstore.JSON))
//
//	type CustomerRegistered struct {
//		Customer string `json:"customer" sealed:"subject"`
//		Name     string `json:"name" sealed:"data"`
//		Country  string `json:"country"`
//	}
//
// The field tagged sealed:"subject" says whose data it is. It stays readable, so it should be an id
// that reveals nothing by itself. Without such a field the subject is the id of the stream's
// aggregate. [WithSubject] sets another rule. Fields tagged sealed:"data" are encrypted together,
// with AES-256-GCM. [WithWholePayload] encrypts the whole value. Events that were stored earlier as
// JSON can still be read, but they stay unencrypted.
//
// [Keys.Forget] erases a subject. From then on reads return [Marker] for texts and zero values for
// everything else, and Event.Erased is true. Reads never fail because of an erasure, so aggregates,
// projections and copies keep working. A type with a method Erased() sets its own replacement
// values. A snapshot that holds sealed data of the subject counts as missing. Until it is removed
// or replaced, it holds data that no one can read any more.
//
// Sealed data is bound to its stream, its type and its message id. If it is moved to another place,
// reading it there returns a DamagedError.
//
// Metadata is not encrypted, neither its fields nor Metadata.Custom and Snapshot.Custom.
//
// See docs/privacy.md for what an erasure does not reach.
//
// # Examples
//
//   - example_test.go: encrypt a field and erase it by its key
package sealed
