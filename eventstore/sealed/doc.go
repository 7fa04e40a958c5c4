// Package sealed encrypts personal data in events and snapshots with a key per person, so that it can
// be erased from a history that never changes: destroy the key.
//
//	keys, err := sealed.NewStateKeys(keyStore) // a store of its own, apart from that of the events
//	codec, err := sealed.New(keys)
//	eventstore.Type[CustomerRegistered]("CustomerRegistered", eventstore.WithCodec(codec, eventstore.JSON))
//
//	type CustomerRegistered struct {
//		Customer string `json:"customer" sealed:"subject"`
//		Name     string `json:"name" sealed:"data"`
//		Country  string `json:"country"`
//	}
//
// The field tagged sealed:"subject" says whose data it is. It stays readable, so it is to be an id
// that says nothing by itself. Without such a field the subject is the id of the stream's aggregate;
// [WithSubject] gives another. Fields tagged sealed:"data" are encrypted together, with AES-256-GCM.
// With [WithWholePayload] all of the value is. History that was stored before, as JSON, is read as ever,
// and is not encrypted by that.
//
// [Keys.Forget] erases a subject. From then on reads give [Marker] in place of texts and zero values
// in place of all else, and Event.Erased is true. They never fail for that reason, so that aggregates,
// projections and copies go on. A type with a method Erased() decides itself what stands there.
// Snapshots that hold sealed data of the subject count as not there. Until they are removed or
// replaced, they hold what nobody can read any more.
//
// What is sealed is tied to its stream, its type and its message id. Moved to another place, it is a
// DamagedError of the event store there.
//
// Metadata is not encrypted, neither its fields nor Metadata.Custom and Snapshot.Custom.
//
// See docs/privacy.md for what an erasure does not reach by itself.
//
// # Examples
//
//   - example_test.go: encrypt a field and erase it by its key
package sealed
