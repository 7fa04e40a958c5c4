package eventtest_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hexalith/eventstores-go/eventstore"
	"github.com/hexalith/eventstores-go/eventstore/eventtest"
)

// asXML is a codec whose content type is its value.
type asXML string

func (c asXML) ContentType() string                  { return string(c) }
func (asXML) Marshal(value any) ([]byte, error)      { return xml.Marshal(value) }
func (asXML) Unmarshal(data []byte, value any) error { return xml.Unmarshal(data, value) }

// folder returns a folder with these files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// contents returns the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(content)
	}
	return files
}

// golden runs Golden on a folder with these types.
func golden(t *testing.T, dir string, types []eventstore.TypeDefinition, samples ...any) *recorder {
	t.Helper()
	registry, err := eventstore.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	return record(func(t testing.TB) { eventtest.Golden(t, registry, dir, samples...) })
}

func same(payload []byte) ([]byte, error) { return payload, nil }

// added1 holds the files of a type "added" of schema version 1.
var added1 = map[string]string{"added.v1.json": `{"N":1}`, "added.v1.json.reads-as": "{\n  \"N\": 1\n}\n"}

// with returns files with more files added or replaced. A file with empty content is left out.
func with(files map[string]string, more ...string) map[string]string {
	if files = maps.Clone(files); files == nil {
		files = map[string]string{}
	}
	for i := 0; i < len(more); i += 2 {
		if files[more[i]] = more[i+1]; more[i+1] == "" {
			delete(files, more[i])
		}
	}
	return files
}

func TestGoldenFilesThatDoNotFitFail(t *testing.T) {
	t.Setenv("EVENTTEST_UPDATE", "")
	calls := new(atomic.Int64)
	type types = []eventstore.TypeDefinition
	plain := types{eventstore.Type[added]("added")}
	for name, c := range map[string]struct {
		files   map[string]string
		types   types
		samples []any
		says    []string // one per failure, none if the test passes
	}{
		"all is well": {files: added1, types: plain},
		"all is well with a sample, which is not looked at": {files: added1, types: plain, samples: []any{added{2}}},
		"all is well with the line ends of another system":  {files: with(added1, "added.v1.json.reads-as", "{\r\n  \"N\": 1\r\n}\r\n"), types: plain},
		"hidden files are not looked at":                    {files: with(added1, ".gitattributes", "x"), types: plain},
		"nothing is registered":                             {},

		"no file, no sample": {types: plain, says: []string{"type \"added\" of schema version 1 has no golden file DIR/added.v1.json: pass Golden a sample of type eventtest_test.added with all fields set, and run the test once with EVENTTEST_UPDATE=1"}},
		"no file, a sample":  {types: plain, samples: []any{&added{1}}, says: []string{"has no golden file DIR/added.v1.json: run the test once with EVENTTEST_UPDATE=1 to write it from the sample"}},
		"no file of what is now the newest": {files: added1, types: types{eventstore.Type[added]("added", eventstore.WithSchemaVersion(2), eventstore.WithUpcast(1, same))},
			says: []string{"of schema version 2 has no golden file DIR/added.v2.json"}},
		"no file of an older schema version": {files: map[string]string{"added.v3.json": `{"N":1}`, "added.v3.json.reads-as": "{\n  \"N\": 1\n}\n"},
			types: types{eventstore.Type[added]("added", eventstore.WithSchemaVersion(3), eventstore.WithUpcast(1, same), eventstore.WithUpcast(2, same))},
			says:  []string{`type "added" reads schema version 1 but has no golden file for it: copy a stored payload (read the event with AsRaw) to DIR/added.v1.json`, "schema version 2"}},
		"no file of an alias":       {files: added1, types: types{eventstore.Type[added]("added", eventstore.WithAliases("plus"))}, says: []string{`type "added" has the alias "plus" but no golden file for it: copy a stored payload (read the event with AsRaw) to DIR/plus.v1.json`}},
		"no file under a new name":  {files: added1, types: types{eventstore.Type[added]("plus", eventstore.WithAliases("added"))}, says: []string{`type "plus" of schema version 1 has no golden file DIR/plus.v1.json`}},
		"no file of a content type": {files: added1, types: types{eventstore.Type[added]("added", eventstore.WithCodec(eventstore.JSON, asXML("application/xml")))}, says: []string{`type "added" reads application/xml but has no golden file for it: copy a stored payload (read the event with AsRaw) to DIR/added.v1.xml`}},
		"no file of the content type that is written": {files: added1, types: types{eventstore.Type[added]("added", eventstore.WithCodec(asXML("application/xml"), eventstore.JSON))},
			says: []string{"has no golden file DIR/added.v1.xml"}},
		"an alias of an older schema version": {
			files: with(added1, "plus.v2.json", `{"N":2}`, "plus.v2.json.reads-as", "{\n  \"N\": 2\n}\n"),
			types: types{eventstore.Type[added]("plus", eventstore.WithAliases("added"), eventstore.WithSchemaVersion(2), eventstore.WithUpcast(1, same))}},

		"nothing says what it reads as": {files: with(added1, "added.v1.json.reads-as", ""), types: plain, says: []string{"DIR/added.v1.json.reads-as is missing: run the test once with EVENTTEST_UPDATE=1"}},
		"it reads as something else": {files: added1, types: types{eventstore.Type[struct{ M int }]("added")},
			says: []string{`DIR/added.v1.json reads differently than before (-before +now): fix the type or its upcasters`}},
		"it can't be read": {files: added1, types: types{eventstore.Type[struct{ N string }]("added")}, says: []string{"DIR/added.v1.json can't be read, so stored events like it can't be read either: eventstore: "}},
		"its upcaster fails": {files: with(added1, "added.v2.json", `{"N":1}`, "added.v2.json.reads-as", added1["added.v1.json.reads-as"]),
			types: types{eventstore.Type[added]("added", eventstore.WithSchemaVersion(2), eventstore.WithUpcast(1, func([]byte) ([]byte, error) { return nil, errors.New("the step's own words") }))},
			says:  []string{"the step's own words"}},
		"its upcaster is not pure": {files: with(added1, "added.v2.json", `{"N":1}`, "added.v2.json.reads-as", added1["added.v1.json.reads-as"]),
			types: types{eventstore.Type[added]("added", eventstore.WithSchemaVersion(2), eventstore.WithUpcastJSON(1, func(added) (added, error) { return added{int(calls.Add(1))}, nil }))},
			says:  []string{"DIR/added.v1.json reads differently each time: an upcaster or the codec is not a pure function"}},
		"what it reads as can't be shown": {files: map[string]string{"f.v1.xml": "<f></f>"}, types: types{eventstore.Type[func()]("f", eventstore.WithCodec(nothing{}))}, says: []string{"json: unsupported type: func()"}},

		"a type that is not registered": {files: with(added1, "removed.v1.json", "{}", "removed.v1.json.reads-as", "{}"), types: plain,
			says: []string{"DIR/removed.v1.json: no type of that name is registered, so history with it can't be read any more: register the type, or give", "DIR/removed.v1.json.reads-as: no type of that name"}},
		"a schema version that is not reached": {files: with(added1, "added.v2.json", "{}"), types: plain, says: []string{`DIR/added.v2.json: type "added" is registered up to schema version 1`}},
		"a schema version beyond all numbers":  {files: with(added1, "added.v99999999999999999999.json", "{}"), types: plain, says: []string{`type "added" is registered up to schema version 1`}},
		"a schema version that can't be read any more": {files: with(added1, "added.v2.json", `{"N":1}`, "added.v2.json.reads-as", added1["added.v1.json.reads-as"]),
			types: types{eventstore.Type[added]("added", eventstore.WithSchemaVersion(2))},
			says:  []string{`DIR/added.v1.json: type "added" reads from schema version 2 on, so older history can't be read any more: add WithUpcast from 1 on or, if it is the type of a snapshot`, "DIR/added.v1.json.reads-as"}},
		"a content type that is not registered": {files: with(added1, "added.v1.xml", "<added/>"), types: plain, says: []string{`DIR/added.v1.xml: type "added" is registered with application/json: add the codec of the file's content type (WithCodec)`}},
		"a file that is none":                   {files: with(added1, "README", "x"), types: plain, says: []string{"DIR/README: it is not a golden file"}},
		"what it reads as, without the payload": {files: with(added1, "added.v1.xml.reads-as", "x"), types: types{eventstore.Type[added]("added", eventstore.WithCodec(eventstore.JSON, asXML("application/xml")))}, says: []string{"reads application/xml but has no golden file", "DIR/added.v1.xml.reads-as: its payload added.v1.xml is missing"}},
		"two content types with one file name":  {files: added1, types: types{eventstore.Type[added]("added", eventstore.WithCodec(asXML("a/xml"), asXML("b/xml")))}, says: []string{`payloads of type "added" in a/xml and b/xml would have the same file name, added.v1.xml`}},
		"a sample of a type that is not known":  {files: added1, types: plain, samples: []any{removed{1}}, says: []string{"sample 1, eventtest_test.removed: eventstore: type \"eventtest_test.removed\" is not registered"}},
		"a sample that does not come back as it was": {files: with(nil, "named.v1.json", `{"Name":""}`, "named.v1.json.reads-as", "{\n  \"Name\": \"\"\n}\n"), types: types{eventstore.Type[named]("named")}, samples: []any{named{"a\xff"}},
			says: []string{"sample 1, eventtest_test.named: eventstore: bad argument value: field Name of eventtest_test.named is a string that is not valid UTF-8"}},
		"two samples of a type":                            {files: added1, types: plain, samples: []any{added{1}, added{2}}, says: []string{`sample 2 is the second of type "added"`}},
		"a sample as it is stored":                         {files: added1, types: plain, samples: []any{eventstore.Raw{Type: "added"}}, says: []string{"sample 1 is a Raw"}},
		"a parameter of a content type, a name with signs": {files: map[string]string{".hidden": "", "%2Ea.b%20c.v1.d%2Ee": "<added><N>1</N></added>", "%2Ea.b%20c.v1.d%2Ee.reads-as": added1["added.v1.json.reads-as"]}, types: types{eventstore.Type[added](".a.b c", eventstore.WithCodec(asXML("text/d.e; charset=utf-8")))}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, c.files)
			r := golden(t, dir, c.types, c.samples...)
			for i, failure := range r.failures {
				r.failures[i] = strings.ReplaceAll(failure, dir, "DIR")
			}
			r.wantFailures(t, c.says...)
			if diff := cmp.Diff(c.files, contents(t, dir), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the folder has changed: %s", diff)
			}
		})
	}
	record(func(t testing.TB) { eventtest.Golden(t, nil, "testdata/bank") }).wantFailures(t, "Golden needs a registry")
	record(func(t testing.TB) { eventtest.Golden(t, mustRegistry(plain...), "golden_test.go") }).wantFailures(t, "golden_test.go")
}

// nothing is a codec that stores and reads nothing.
type nothing struct{}

func (nothing) ContentType() string         { return "application/xml" }
func (nothing) Marshal(any) ([]byte, error) { return nil, nil }
func (nothing) Unmarshal([]byte, any) error { return nil }

func mustRegistry(types ...eventstore.TypeDefinition) *eventstore.Registry {
	registry, err := eventstore.NewRegistry(types...)
	if err != nil {
		panic(err)
	}
	return registry
}

func TestAnUpdateWritesWhatIsMissingAndNoPayloadTwice(t *testing.T) {
	t.Setenv("EVENTTEST_UPDATE", "1")
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	v1 := []eventstore.TypeDefinition{eventstore.Type[added]("added")}
	holds := func(want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}

	r := golden(t, dir, v1, added{1})
	r.wantFailures(t)
	holds(added1)
	if len(r.logs) != 2 {
		t.Errorf("it logs %q", r.logs)
	}
	golden(t, dir, v1, added{2}).wantFailures(t) // another sample changes nothing
	holds(added1)

	// The second file follows the type. The payload never changes.
	golden(t, dir, []eventstore.TypeDefinition{eventstore.Type[struct{ M int }]("added")}, struct{ M int }{7}).wantFailures(t)
	holds(with(added1, "added.v1.json.reads-as", "{\n  \"M\": 0\n}\n"))

	// A new schema version gets its own payload.
	v2 := []eventstore.TypeDefinition{eventstore.Type[added]("added", eventstore.WithSchemaVersion(2), eventstore.WithUpcastJSON(1, func(old added) (added, error) { return added{old.N * 100}, nil }))}
	golden(t, dir, v2).wantFailures(t, "pass Golden a sample")
	golden(t, dir, v2, added{300}).wantFailures(t)
	holds(with(added1, "added.v1.json.reads-as", "{\n  \"N\": 100\n}\n", "added.v2.json", `{"N":300}`, "added.v2.json.reads-as", "{\n  \"N\": 300\n}\n"))
	t.Setenv("EVENTTEST_UPDATE", "0")
	golden(t, dir, v2, added{300}).wantFailures(t)
}

// The second files contain what the example's registry makes of the payloads.
func TestTheExamplesFilesHoldThreeSchemaVersions(t *testing.T) {
	t.Parallel()
	registry := mustRegistry(bankTypes()...)
	for schema, file := range []string{1: "FundsDeposited.v1.json", 2: "FundsDeposited.v2.json", 3: "FundsDeposited.v3.json"} {
		if file == "" {
			continue
		}
		payload, err := os.ReadFile(filepath.Join("testdata", "bank", file))
		if err != nil {
			t.Fatal(err)
		}
		value, err := registry.Decode(eventstore.Raw{Type: "FundsDeposited", SchemaVersion: schema, ContentType: "application/json", Payload: payload})
		if err != nil || value != (FundsDeposited{Money{Minor: 12_50, Currency: "EUR"}}) || !json.Valid(payload) {
			t.Errorf("%s reads as %+v, %v", file, value, err)
		}
	}
	eventtest.Golden(t, registry, filepath.Join("testdata", "bank"))
}
