// Package fastjson has a codec for events that are stored as JSON. It decodes plain types about
// twice as fast as the default codec. docs/benchmarks.md shows what that saves in a read.
//
//	eventstore.Type[Deposited]("Deposited", eventstore.WithCodec(fastjson.JSON))
//
// # Examples
//
//   - example_test.go: change a type to the codec
package fastjson

import (
	json "github.com/go-json-experiment/json/v1"

	"github.com/hexalith/eventstores-go/eventstore"
)

// JSON is [eventstore.JSON], which stores the same bytes and returns the same values and errors. It
// decodes plain types with the encoding/json of Go 1.27, of which the imported module is a mirror.
// [eventstore.JSONDecodedBy] says which types are plain. All others are decoded as by
// eventstore.JSON. In a program built with Go 1.27, both codecs do the same.
//
// Pass it to [eventstore.WithCodec]. It is safe for concurrent use.
var JSON = eventstore.JSONDecodedBy(json.Unmarshal)
