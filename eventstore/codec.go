package eventstore

import "encoding/json"

// Codec turns values into stored bytes and back. Implementations are safe for
// concurrent use; Unmarshal must not keep data.
type Codec interface {
	ContentType() string // stored with each event, as "application/json"
	Marshal(value any) ([]byte, error)
	Unmarshal(data []byte, value any) error
}

// JSON is the codec of encoding/json.
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) ContentType() string                    { return "application/json" }
func (jsonCodec) Marshal(value any) ([]byte, error)      { return json.Marshal(value) }
func (jsonCodec) Unmarshal(data []byte, value any) error { return json.Unmarshal(data, value) }
