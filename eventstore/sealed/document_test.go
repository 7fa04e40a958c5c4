package sealed_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/internal/memstate"
	"github.com/hexalith/eventstores-go/eventstore/sealed"
)

// TestAPayloadIsDecryptedAsTheDocumentSays decrypts an event with nothing but what docs/format.md
// says.
func TestAPayloadIsDecryptedAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	type named struct {
		Name     string `sealed:"data"`
		Language string
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keyStore := memstate.Redis()
	keys, err := sealed.NewStateKeys(keyStore)
	must(err)
	codec, err := sealed.New(keys)
	must(err)
	registry, err := eventstore.NewRegistry(eventstore.Type[named]("CustomerNamed", eventstore.WithCodec(codec)))
	must(err)
	provider, err := eventstore.NewProvider(memstate.Redis(), eventstore.WithRegistry(registry))
	must(err)
	stream := eventstore.Stream{Database: "Events", Type: "Customer", ID: "Ada/1"}
	_, err = provider.Append(t.Context(), stream, eventstore.ExpectAny(), named{"Ada", "en"})
	must(err)
	event, err := provider.Reader(stream).Event(t.Context(), 1, eventstore.AsRaw())
	must(err)

	var payload struct {
		Sealed struct {
			Subject string
			Data    []byte
		} `json:"$sealed"`
	}
	must(json.Unmarshal(event.Data.(eventstore.Raw).Payload, &payload))
	name := sha256.Sum256([]byte("eventstores-go subject " + payload.Sealed.Subject))
	record, _ := keyStore.Value("sealed:" + hex.EncodeToString(name[:]))
	var key struct{ Key []byte }
	must(json.Unmarshal(record, &key))

	additional := []byte("eventstores-go sealed 1")
	for _, part := range []string{"event", "fields", payload.Sealed.Subject, "Events", "Customer", "Ada/1", "CustomerNamed", event.Metadata.Message.ID} {
		additional = binary.BigEndian.AppendUint64(additional, uint64(len(part)))
		additional = append(additional, part...)
	}
	additional = binary.BigEndian.AppendUint64(additional, 0)
	block, err := aes.NewCipher(key.Key)
	must(err)
	gcm, err := cipher.NewGCM(block)
	must(err)
	plain, err := gcm.Open(nil, payload.Sealed.Data[:12], payload.Sealed.Data[12:], additional)
	must(err)
	if string(plain) != `{"Name":"Ada"}` {
		t.Errorf("it is %s", plain)
	}
}
