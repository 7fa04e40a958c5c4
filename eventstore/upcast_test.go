package eventstore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/eventstore/driver"
)

// adding returns a step that adds to the payload.
func adding(text string) func([]byte) ([]byte, error) {
	return func(payload []byte) ([]byte, error) { return append(payload, text...), nil }
}

func textRegistry(t testing.TB, options ...TypeOption) *Registry {
	t.Helper()
	r, err := NewRegistry(Type[string]("text", append([]TypeOption{WithCodec(plain("text"))}, options...)...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUpcastersRunFromTheStoredSchemaVersionOn(t *testing.T) {
	t.Parallel()
	r := textRegistry(t, WithSchemaVersion(4), WithUpcast(2, adding(" 2")), WithUpcast(3, adding(" 3")), WithUpcast(1, adding(" 1")))
	for schema, want := range []string{"x 1 2 3", "x 1 2 3", "x 2 3", "x 3", "x"} { // a Raw without a schema version has 0, which counts as 1
		if value, err := r.Decode(Raw{Type: "text", SchemaVersion: schema, ContentType: "text", Payload: []byte("x")}); err != nil || value != want {
			t.Errorf("schema version %d is read as %q, %v, want %q", schema, value, err, want)
		}
	}
}

func TestAnUpcasterBetweenGoTypes(t *testing.T) {
	t.Parallel()
	type (
		v1 struct{ Amount float64 }
		v2 struct{ Cents int64 }
		v3 struct {
			Cents    int64
			Currency string
		}
	)
	r, err := NewRegistry(Type[v3]("deposit", WithSchemaVersion(3),
		WithUpcastJSON(1, func(old v1) (v2, error) { return v2{int64(old.Amount * 100)}, nil }),
		WithUpcastJSON(2, func(old v2) (v3, error) {
			if old.Cents < 0 {
				return v3{}, fs.ErrInvalid
			}
			return v3{old.Cents, "EUR"}, nil
		})))
	if err != nil {
		t.Fatal(err)
	}
	decode := func(schema int, payload string) (any, error) {
		return r.Decode(Raw{Type: "deposit", SchemaVersion: schema, ContentType: "application/json", Payload: []byte(payload)})
	}
	for schema, payload := range map[int]string{1: `{"Amount":1.5}`, 2: `{"Cents":150}`, 3: `{"Cents":150,"Currency":"EUR"}`} {
		if value, err := decode(schema, payload); err != nil || value != (v3{150, "EUR"}) {
			t.Errorf("schema version %d is read as %v, %v", schema, value, err)
		}
	}
	_, err = decode(1, `{"Amount":"86753094210"}`)
	var unfit *json.UnmarshalTypeError
	if want[*SchemaError](t, err); !errors.As(err, &unfit) || strings.Contains(err.Error(), "86753094210") || !strings.Contains(err.Error(), "the step from 1 to 2: JSON string does not fit") {
		t.Error(err)
	}
	_, err = decode(2, `{"Cents":-86753094210}`)
	if want[*SchemaError](t, err); !errors.Is(err, fs.ErrInvalid) || strings.Contains(err.Error(), "86753094210") {
		t.Error(err)
	}
}

func TestWhatCannotBeBroughtToTheNewestSchemaSaysWhy(t *testing.T) {
	t.Parallel()
	failure := errors.New("the payload is 86753094210")
	r := textRegistry(t, WithSchemaVersion(5),
		WithUpcast(2, adding("")),
		WithUpcast(3, func(payload []byte) ([]byte, error) {
			if string(payload) == "fail" {
				return nil, failure
			}
			return payload, nil
		}),
		WithUpcast(4, func([]byte) ([]byte, error) { return nil, nil }))
	for _, c := range []struct {
		schema  int
		payload string
		says    string
		fails   bool // with the error of the step
	}{
		{0, "x", `"text" can't be upcast from schema version 1 to 5: check its upcasters in the registry, or read with AsRaw: there is no step from 1 to 2`, false},
		{1, "x", "there is no step from 1 to 2", false},
		{2, "fail", "the step from 3 to 4: the codec returned a *errors.errorString, left out because it may quote the payload", true},
		{3, "fail", "from schema version 3 to 5", true},
		{4, "x", `after the upcasters: type "text" can't be decoded into string`, false},
		{6, "x", "has schema version 6, but the newest registered is 5", false},
	} {
		raw := Raw{Type: "text", SchemaVersion: c.schema, ContentType: "text", Payload: []byte(c.payload)}
		_, err := r.decode(labStream, "key", 7, raw)
		e := want[*SchemaError](t, err)
		if e.Stream != labStream || e.Version != 7 || e.Type != "text" || e.Schema != max(c.schema, 1) || e.Newest != 5 || (e.Cause == nil) != (c.schema > 5) {
			t.Errorf("%+v", e)
		}
		if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "86753094210") || errors.Is(err, failure) != c.fails {
			t.Errorf("schema version %d: %v", c.schema, err)
		}
		_, err = r.Decode(raw)
		if e := want[*SchemaError](t, err); e.Stream != (Stream{}) || e.Version != 0 {
			t.Errorf("%+v", e)
		}
	}
	// At the newest schema version no upcaster runs.
	_, err := r.decode(labStream, "key", 7, Raw{Type: "text", SchemaVersion: 5, ContentType: "text"})
	want[*TypeMismatchError](t, err)
}

// fuzzedSteps are upcasters of each kind. They write into their payload, make a new one, keep a
// part of it, or fail.
var fuzzedSteps = []func([]byte) ([]byte, error){
	adding("+"),
	func(payload []byte) ([]byte, error) {
		for i := range payload {
			payload[i] ^= 0xff
		}
		return payload, nil
	},
	func(payload []byte) ([]byte, error) { return bytes.Repeat(payload, 2), nil },
	func(payload []byte) ([]byte, error) { return payload[len(payload)/2:], nil },
	func(payload []byte) ([]byte, error) {
		if len(payload)%7 == 3 {
			return nil, driver.ErrRefused
		}
		return fmt.Appendf(nil, "%d", len(payload)), nil
	},
}

func FuzzAChainIsItsStepsOneAfterAnother(f *testing.F) {
	f.Add([]byte("payload"), []byte{0, 1, 2, 3, 4}, 1)
	f.Add([]byte("in place"), []byte{1, 1, 1}, 1)
	f.Add([]byte("abc"), []byte{4, 4}, 1)
	f.Add([]byte(""), []byte{3}, 2)
	f.Fuzz(func(t *testing.T, payload, kinds []byte, schema int) {
		if len(payload) > 100 || len(kinds) > 8 || schema < 1 || schema > len(kinds)+1 {
			return
		}
		options := []TypeOption{WithSchemaVersion(len(kinds) + 1)}
		for i, kind := range kinds {
			options = append(options, WithUpcast(i+1, fuzzedSteps[int(kind)%len(fuzzedSteps)]))
		}
		want, fails := bytes.Clone(payload), false
		for _, kind := range kinds[schema-1:] {
			var err error
			if want, err = fuzzedSteps[int(kind)%len(fuzzedSteps)](want); err != nil {
				fails = true
				break
			}
		}
		fails = fails || len(want) == 0 // the codec refuses it
		was := bytes.Clone(payload)
		value, err := textRegistry(t, options...).Decode(Raw{Type: "text", SchemaVersion: schema, ContentType: "text", Payload: payload})
		if (err != nil) != fails || err == nil && value != string(want) {
			t.Errorf("%q is read as %q, %v, want %q, an error: %v", payload, value, err, want, fails)
		}
		if !bytes.Equal(payload, was) {
			t.Errorf("the payload %q has become %q", was, payload)
		}
	})
}

// schemas returns a registry in which the labs' event has that schema version and these options.
func schemas(t *testing.T, version int, options ...TypeOption) Option {
	t.Helper()
	r, err := NewRegistry(Type[noted]("noted", append([]TypeOption{WithSchemaVersion(version)}, options...)...))
	if err != nil {
		t.Fatal(err)
	}
	return WithRegistry(r)
}

func TestUpcastingChangesNothingThatIsStored(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.fill(3) // in schema version 1, some of them in the head's tail
		before := l.Values()
		scribbling := schemas(t, 2, WithUpcast(1, func(payload []byte) ([]byte, error) {
			copy(payload, "scribbled all over it")
			return []byte(`{"Text":"upcast"}`), nil
		}))
		s := l.open(scribbling)
		for range 2 {
			l.reads(s.Reader, "upcast", "upcast", "upcast", "upcast")
		}
		event, err := s.Event(t.Context(), 1, AsRaw())
		if raw := event.Data.(Raw); err != nil || raw.SchemaVersion != 1 || string(raw.Payload) != `{"Text":"1"}` {
			t.Errorf("as it is stored: %+v, %v", raw, err)
		}
		event, err = s.Event(t.Context(), 1)
		if err != nil || event.Metadata.Message.SchemaVersion != 1 {
			t.Errorf("the metadata does not say what is stored: %+v, %v", event.Metadata, err)
		}
		for key, value := range before {
			if now, _ := l.Value(key); !bytes.Equal(now, value) {
				t.Errorf("%s has changed to %q", key, now)
			}
		}
		l.add(s, "new") // in schema version 2
		l.reads(l.open(scribbling).Reader, "upcast", "upcast", "upcast", "upcast", "new")
	})
}

func TestASnapshotOfAnotherSchemaVersionIsNotUsed(t *testing.T) {
	inLabs(t, func(t *testing.T, l *lab) {
		l.withSnapshots(10, 8)
		raised := schemas(t, 2, WithAliases("told"))
		s := l.open(raised)
		load := func(want int64) {
			t.Helper()
			if snapshot, _, err := s.Load(t.Context()); err != nil || snapshot.Version != want {
				t.Errorf("the snapshot is %+v, %v, want the one at version %d", snapshot, err, want)
			}
		}
		load(0)
		for name, err := range map[string]error{"Snapshot": errorOf(s.Snapshot(t.Context(), 8)), "LastSnapshot": errorOf(s.LastSnapshot(t.Context()))} {
			if e := want[*SchemaError](t, err); e.Stream != labStream || e.Version != 8 || e.Schema != 1 || e.Newest != 2 {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if err := s.SaveSnapshot(t.Context(), 5, noted{"of the new schema"}); err != nil {
			t.Fatal(err)
		}
		load(5)
		if err := s.SaveSnapshot(t.Context(), 8, noted{"of the new schema"}); err != nil {
			t.Fatal(err)
		}
		load(8)
		if snapshot, _, err := l.reader().Load(t.Context()); err != nil || snapshot.Version != 0 {
			t.Errorf("an older service uses %+v, %v", snapshot, err)
		}
	})
}
