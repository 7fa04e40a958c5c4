package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore"
)

// envelopeMember is the member of a stored JSON object that holds the encrypted part.
const envelopeMember = "$sealed"

// envelope is the value of that member.
type envelope struct {
	Subject string `json:"subject"`
	Whole   bool   `json:"whole,omitempty"` // data is the whole payload, not some of its members
	Data    []byte `json:"data"`            // nonce and ciphertext
}

// binding returns what a ciphertext is bound to. Each part is preceded by its length, so that no
// two places have the same binding.
func (e envelope) binding(about eventstore.About) []byte {
	what := "event"
	version := int64(0)
	if about.Snapshot {
		what, version = "snapshot", about.Version
	}
	whole := "fields"
	if e.Whole {
		whole = "whole"
	}
	b := []byte("eventstores-go sealed 1")
	for _, part := range []string{what, whole, e.Subject, about.Stream.Database, about.Stream.Type, about.Stream.ID, about.Type, about.Metadata.Message.ID} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return binary.BigEndian.AppendUint64(b, uint64(version))
}

// encrypt fills in Data.
func (e *envelope) encrypt(key []byte, about eventstore.About, secret []byte) error {
	gcm, err := newGCM(key)
	if err != nil {
		return err
	}
	nonce := make([]byte, gcm.NonceSize(), gcm.NonceSize()+len(secret)+gcm.Overhead())
	rand.Read(nonce) // never fails
	e.Data = gcm.Seal(nonce, nonce, secret, e.binding(about))
	return nil
}

// decrypt returns what encrypt was given.
func (e *envelope) decrypt(key []byte, about eventstore.About) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	if len(e.Data) < gcm.NonceSize()+gcm.Overhead() {
		return nil, fmt.Errorf("sealed: %w", eventstore.ErrNotAuthentic)
	}
	secret, err := gcm.Open(nil, e.Data[:gcm.NonceSize()], e.Data[gcm.NonceSize():], e.binding(about))
	if err != nil {
		return nil, fmt.Errorf("sealed: %w", eventstore.ErrNotAuthentic)
	}
	if secret == nil {
		secret = []byte{}
	}
	return secret, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("sealed: a key has %d bytes, not %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// object is a JSON object whose members keep their order and their bytes.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

var errNoObject = errors.New("sealed: the payload is not a JSON object")

func parseObject(data []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, errNoObject
	}
	o := object{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNoObject
		}
		m := member{name: name}
		if err := d.Decode(&m.value); err != nil {
			return nil, errNoObject
		}
		o = append(o, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoObject
	}
	return o, nil
}

func (o object) bytes() []byte {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(m.name) // a string can always be marshalled
		b = append(append(append(b, name...), ':'), m.value...)
	}
	return append(b, '}')
}

// index returns the position of a member, or -1 if there is none.
func (o object) index(name string) int {
	for i := range o {
		if o[i].name == name {
			return i
		}
	}
	return -1
}

// take moves the member at a path from o to secret. It leaves out what does not exist.
func (o *object) take(path []string, secret *object) error {
	i := o.index(path[0])
	if i < 0 {
		return nil
	}
	if len(path) == 1 {
		*secret = append(*secret, (*o)[i])
		*o = append((*o)[:i:i], (*o)[i+1:]...)
		return nil
	}
	if string((*o)[i].value) == "null" {
		return nil
	}
	inner, err := parseObject((*o)[i].value)
	if err != nil {
		return err
	}
	j := secret.index(path[0])
	var innerSecret object
	if j >= 0 {
		if innerSecret, err = parseObject((*secret)[j].value); err != nil {
			return err
		}
	}
	before := len(innerSecret)
	if err := inner.take(path[1:], &innerSecret); err != nil {
		return err
	}
	(*o)[i].value = inner.bytes()
	switch {
	case j >= 0:
		(*secret)[j].value = innerSecret.bytes()
	case len(innerSecret) > before:
		*secret = append(*secret, member{path[0], innerSecret.bytes()})
	}
	return nil
}

// merge reverses all calls of take.
func (o *object) merge(secret object) error {
	for _, m := range secret {
		i := o.index(m.name)
		if i < 0 {
			*o = append(*o, m)
			continue
		}
		inner, err := parseObject((*o)[i].value)
		if err != nil {
			return err
		}
		more, err := parseObject(m.value)
		if err != nil {
			return err
		}
		if err := inner.merge(more); err != nil {
			return err
		}
		(*o)[i].value = inner.bytes()
	}
	return nil
}
