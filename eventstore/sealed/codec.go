package sealed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/hexalith/eventstores-go/eventstore"
)

// Marker replaces the tagged text fields of a value when they are erased. It is not personal data.
// A value whose tagged fields hold only markers and zero values can be stored without a key.
const Marker = "[erased]"

// Eraser is implemented by a pointer to a type that sets its own replacement values after its data
// was erased. Erased is called after the value was decoded and marked.
type Eraser interface{ Erased() }

// Option configures a codec. See [New].
type Option func(*config) error

type config struct {
	inner   eventstore.Codec
	subject func(eventstore.About, any) string
	whole   bool
}

// WithInner sets the codec whose payloads are sealed. The default is [eventstore.JSON]. A codec
// whose payloads are not JSON objects needs [WithWholePayload].
func WithInner(inner eventstore.Codec) Option {
	return func(c *config) error {
		if _, twice := inner.(eventstore.Sealer); inner == nil || twice {
			return &eventstore.ArgumentError{Argument: "WithInner", Reason: "it is nil, or seals payloads itself"}
		}
		c.inner = inner
		return nil
	}
}

// WithSubject sets the function that finds the subject of a value. By default the subject is the
// field tagged sealed:"subject" or, without such a field, the id of the stream's aggregate. The
// function must be pure.
func WithSubject(subject func(about eventstore.About, value any) string) Option {
	return func(c *config) error {
		if subject == nil {
			return &eventstore.ArgumentError{Argument: "WithSubject", Reason: "the function is nil"}
		}
		c.subject = subject
		return nil
	}
}

// WithWholePayload seals the whole value, not only the fields tagged sealed:"data". Once the
// subject is forgotten, reads return the zero value, with [Marker] in tagged text fields.
func WithWholePayload() Option {
	return func(c *config) error {
		c.whole = true
		return nil
	}
}

// New returns a codec that seals with those keys. Register it for types with eventstore.WithCodec.
// Its content type is the inner codec's with ";sealed=1" appended. It is safe for concurrent use.
//
// The codec checks the tags of a type when a value of it is first stored. A wrong tag is an
// ArgumentError of the append. So is a type without any tag, except with [WithWholePayload].
func New(keys Keys, options ...Option) (eventstore.Codec, error) {
	if keys == nil {
		return nil, &eventstore.ArgumentError{Argument: "keys", Reason: "they are nil: make them with NewStateKeys"}
	}
	c := config{inner: eventstore.JSON}
	for _, option := range options {
		if option == nil {
			return nil, &eventstore.ArgumentError{Argument: "option", Reason: "it is nil"}
		}
		if err := option(&c); err != nil {
			return nil, err
		}
	}
	return &codec{Codec: c.inner, config: c, keys: keys}, nil
}

type codec struct {
	eventstore.Codec // the inner one
	config
	keys Keys
}

var _ eventstore.Sealer = (*codec)(nil)

func (c *codec) ContentType() string     { return c.Codec.ContentType() + ";sealed=1" }
func (c *codec) Inner() eventstore.Codec { return c.Codec }

func unfit(format string, args ...any) error {
	return &eventstore.ArgumentError{Argument: "value", Reason: fmt.Sprintf(format, args...)}
}

// Seal encrypts the personal data in a payload.
func (c *codec) Seal(ctx context.Context, about eventstore.About, value any, payload []byte) ([]byte, error) {
	v := reflect.ValueOf(value)
	tagged := fieldsOf(v.Type())
	switch {
	case tagged.err != nil:
		return nil, unfit("%s can't be sealed: %v", v.Type(), tagged.err)
	case !c.whole && len(tagged.data) == 0:
		return nil, unfit(`no field of %s has the tag sealed:"data": tag what is personal, or use sealed.WithWholePayload`, v.Type())
	}
	if !c.says(v, tagged) {
		return c.unsealed(payload)
	}
	e := envelope{Subject: c.subjectOf(about, v, tagged), Whole: c.whole}
	if e.Subject == "" {
		return nil, unfit(`it is not known whose data the %s holds: fill its field tagged sealed:"subject", or use sealed.WithSubject, or store it in a stream whose id is the subject`, v.Type())
	}
	key, err := c.keys.Create(ctx, e.Subject)
	if isForgotten(err) {
		return nil, &eventstore.ArgumentError{Argument: "value", Reason: fmt.Sprintf("the %s holds data of a forgotten subject: nothing was stored", v.Type()), Cause: err}
	}
	if err != nil {
		return nil, err
	}
	var rest object
	secret := payload
	if !c.whole {
		if rest, secret, err = split(payload, tagged); err != nil {
			return nil, unfit("%s can't be sealed field by field: %v", v.Type(), err)
		}
	}
	if err := e.encrypt(key, about, secret); err != nil {
		return nil, err
	}
	data, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return append(rest, member{envelopeMember, data}).bytes(), nil
}

// says reports whether a value holds anything to seal.
func (c *codec) says(v reflect.Value, tagged fields) bool {
	if c.whole {
		for v.Kind() == reflect.Pointer && !v.IsNil() {
			v = v.Elem()
		}
		if v.IsZero() {
			return false
		}
		if len(tagged.data) == 0 {
			return true
		}
		rest := reflect.New(v.Type()).Elem()
		rest.Set(v)
		for _, f := range tagged.data {
			if f.says(v) {
				return true
			}
			if p := f.of(rest); p.IsValid() && p.CanSet() && len(f.index) == 1 {
				p.SetZero()
			}
		}
		return !rest.IsZero()
	}
	for _, f := range tagged.data {
		if f.says(v) {
			return true
		}
	}
	return false
}

// unsealed returns what is stored for a payload that has nothing to seal.
func (c *codec) unsealed(payload []byte) ([]byte, error) {
	if c.whole {
		return append([]byte{plainPayload}, payload...), nil
	}
	o, err := parseObject(payload)
	if err == nil && o.index(envelopeMember) >= 0 {
		err = fmt.Errorf("it already has a member %s", envelopeMember)
	}
	if err != nil {
		return nil, unfit("it can't be sealed field by field: %v", err)
	}
	return payload, nil
}

// plainPayload marks a payload that was stored unsealed by a codec that seals whole payloads. No
// JSON object begins with it.
const plainPayload = 'p'

func (c *codec) subjectOf(about eventstore.About, v reflect.Value, tagged fields) string {
	switch {
	case c.subject != nil:
		return c.subject(about, v.Interface())
	case tagged.subject != nil:
		if v := tagged.subject.of(v); v.IsValid() {
			return v.String()
		}
		return ""
	}
	return about.Stream.ID
}

// split divides a payload into the part that stays readable and the part to encrypt.
func split(payload []byte, tagged fields) (rest object, secret []byte, err error) {
	if rest, err = parseObject(payload); err != nil {
		return nil, nil, err
	}
	if rest.index(envelopeMember) >= 0 {
		return nil, nil, fmt.Errorf("it already has a member %s", envelopeMember)
	}
	var taken object
	for _, f := range tagged.data {
		if err := rest.take(f.path, &taken); err != nil {
			return nil, nil, err
		}
	}
	return rest, taken.bytes(), nil
}

var errNotSealed = errors.New("sealed: the payload is not a sealed one")

// Open decrypts a sealed payload.
func (c *codec) Open(ctx context.Context, about eventstore.About, stored []byte) (eventstore.Opened, error) {
	if len(stored) > 0 && stored[0] == plainPayload {
		return eventstore.Opened{Payload: stored[1:]}, nil
	}
	rest, err := parseObject(stored)
	if err != nil {
		return eventstore.Opened{}, fmt.Errorf("%w: %w", errNotSealed, eventstore.ErrNotAuthentic)
	}
	i := rest.index(envelopeMember)
	if i < 0 {
		return eventstore.Opened{Payload: stored}, nil
	}
	var e envelope
	if err := json.Unmarshal(rest[i].value, &e); err != nil || e.Subject == "" {
		return eventstore.Opened{}, fmt.Errorf("%w: %w", errNotSealed, eventstore.ErrNotAuthentic)
	}
	rest = append(rest[:i:i], rest[i+1:]...)
	key, err := c.keys.Find(ctx, e.Subject)
	switch {
	case isForgotten(err) && e.Whole:
		return eventstore.Opened{Erased: true}, nil
	case isForgotten(err):
		return eventstore.Opened{Payload: rest.bytes(), Erased: true}, nil
	case err != nil:
		return eventstore.Opened{}, err
	}
	secret, err := e.decrypt(key, about)
	if err != nil {
		return eventstore.Opened{}, err
	}
	if e.Whole {
		return eventstore.Opened{Payload: secret}, nil
	}
	more, err := parseObject(secret)
	if err == nil {
		err = rest.merge(more)
	}
	if err != nil {
		return eventstore.Opened{}, fmt.Errorf("%w: %w", errNotSealed, eventstore.ErrNotAuthentic)
	}
	return eventstore.Opened{Payload: rest.bytes()}, nil
}

// MarkErased sets the tagged text fields of a value to [Marker].
func (c *codec) MarkErased(value any) {
	v := reflect.ValueOf(value)
	for _, f := range fieldsOf(v.Type()).data {
		if text := f.of(v); text.IsValid() && text.CanSet() && text.Kind() == reflect.String && text.Len() == 0 {
			text.SetString(Marker)
		}
	}
	if eraser, ok := value.(Eraser); ok {
		eraser.Erased()
	}
}
