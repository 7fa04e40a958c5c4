package eventtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hexalith/eventstores-go/eventstore"
)

// updateGolden is the environment variable that lets [Golden] write files.
const updateGolden = "EVENTTEST_UPDATE"

// readsAs is what a payload's file name has more in that of what it reads as.
const readsAs = ".reads-as"

// Golden holds that all that history may contain still reads, and as what it has always read. It is a test of a line:
//
//	func TestHistoryStillReads(t *testing.T) {
//		eventtest.Golden(t, registry, "testdata/events", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100})
//	}
//
// In the folder dir there is a file for each type that is registered and each schema version from the oldest that reads to the newest, and it
// holds a payload as it is stored: FundsDeposited.v1.json, or .protobuf, what the content type ends with. Beside it,
// in FundsDeposited.v1.json.reads-as, is the value of today that it reads as, in JSON (exported fields, or what the type's
// MarshalJSON says). Characters of a name that are not letters, digits, dots, - or _ are written as %20 and the like. Both are kept
// with the code, and a payload's file is never changed again.
//
// The test fails if
//   - there is no payload for the newest schema version under the type's name and in the content type that is written;
//   - there is none for an older schema version, under the name or an alias; for an alias, in any schema version; or for a
//     content type that is read;
//   - a payload can't be read, reads differently from what is beside it, or differently each time, which is an upcaster that is not pure;
//   - a sample does not come back as it was when it is stored and read;
//   - a file is of no type, schema version or content type that is registered: nobody can read that part of history any more.
//     Of a snapshot's type, which is derived, such files can be deleted.
//
// With EVENTTEST_UPDATE=1 in the environment it writes the missing payload of a type's newest schema version from the sample, of which there is
// at most one for a type, and what payloads read as; look at the difference before you keep it. It never overwrites a
// payload. One of an older schema version, or under an alias, is to be copied from what is stored: read such an event with [eventstore.AsRaw].
func Golden(t testing.TB, registry *eventstore.Registry, dir string, samples ...any) {
	t.Helper()
	if registry == nil {
		t.Fatalf("eventtest: Golden has no registry: make it with eventstore.NewRegistry")
	}
	g := &golden{TB: t, registry: registry, dir: dir, update: os.Getenv(updateGolden) == "1"}
	g.takeSamples(samples)
	g.takeFiles()
	g.possible = map[string]eventstore.Raw{}
	for _, registered := range registry.Types() {
		g.require(registered)
	}
	for _, name := range g.files {
		payload, beside := strings.CutSuffix(name, readsAs)
		switch stored, ok := g.possible[payload]; {
		case !ok:
			g.Errorf("eventtest: %s: %s", g.path(name), g.stranger(payload))
		case !beside:
			g.read(name, stored)
		case !slices.Contains(g.files, payload):
			g.Errorf("eventtest: %s: the payload that reads so, %s, is not there: was it deleted?", g.path(name), payload)
		}
	}
}

// golden is a folder of golden files.
type golden struct {
	testing.TB
	registry *eventstore.Registry
	dir      string
	update   bool
	samples  map[string]eventstore.Raw // by type name
	files    []string                  // that are there
	possible map[string]eventstore.Raw // what a payload's file says that it is, by file name
}

func (g *golden) path(name string) string { return filepath.Join(g.dir, name) }

// takeSamples encodes the samples.
func (g *golden) takeSamples(samples []any) {
	g.Helper()
	g.samples = map[string]eventstore.Raw{}
	for i, sample := range samples {
		raw, err := g.registry.Encode(sample)
		_, isRaw := sample.(eventstore.Raw)
		_, twice := g.samples[raw.Type]
		switch {
		case isRaw:
			g.Errorf("eventtest: sample %d is a Raw: give a value of a Go type that is registered", i+1)
		case err != nil:
			g.Errorf("eventtest: sample %d, %T: %v", i+1, sample, innermost(err))
		case twice:
			g.Errorf("eventtest: sample %d is the second of type %q: one is enough", i+1, raw.Type)
		default:
			g.samples[raw.Type] = raw
		}
	}
}

// takeFiles lists the folder, but for what is hidden.
func (g *golden) takeFiles() {
	g.Helper()
	entries, err := os.ReadDir(g.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		g.Fatalf("eventtest: %v", err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") {
			g.files = append(g.files, entry.Name())
		}
	}
}

// require holds that the payloads of a type are there, and writes the newest one if it may.
func (g *golden) require(registered eventstore.RegisteredType) {
	g.Helper()
	// is makes the file name of one payload.
	is := func(name string, schema int, contentType string) string {
		file := fmt.Sprintf("%s.v%d.%s", escape(name), schema, extension(contentType))
		if other, ok := g.possible[file]; ok && other.ContentType != contentType {
			g.Fatalf("eventtest: payloads of type %q in %s and %s would have one file name, %s", name, other.ContentType, contentType, file)
		}
		g.possible[file] = eventstore.Raw{Type: name, SchemaVersion: schema, ContentType: contentType}
		return file
	}
	newest := is(registered.Name, registered.SchemaVersion, registered.ContentTypes[0])
	byName, bySchema, byContent := map[string]bool{}, map[int]bool{}, map[string]bool{}
	for _, name := range append([]string{registered.Name}, registered.Aliases...) {
		for schema := registered.OldestVersion; schema <= registered.SchemaVersion; schema++ {
			for _, contentType := range registered.ContentTypes {
				if slices.Contains(g.files, is(name, schema, contentType)) {
					byName[name], bySchema[schema], byContent[contentType] = true, true, true
				}
			}
		}
	}
	if !slices.Contains(g.files, newest) {
		g.writeNewest(newest, registered)
	}
	const copied = "copy a payload of it from what is stored (read the event with AsRaw)"
	for schema := registered.OldestVersion; schema < registered.SchemaVersion; schema++ {
		if !bySchema[schema] {
			g.Errorf("eventtest: type %q reads schema version %d and has no golden file of it: %s to %s",
				registered.Name, schema, copied, g.path(is(registered.Name, schema, registered.ContentTypes[0])))
		}
	}
	for _, alias := range registered.Aliases {
		if !byName[alias] {
			g.Errorf("eventtest: type %q has the alias %q and no golden file of it: %s to %s",
				registered.Name, alias, copied, g.path(is(alias, registered.OldestVersion, registered.ContentTypes[0])))
		}
	}
	for _, contentType := range registered.ContentTypes[1:] {
		if !byContent[contentType] {
			g.Errorf("eventtest: type %q reads %s and has no golden file of it: %s to %s",
				registered.Name, contentType, copied, g.path(is(registered.Name, registered.OldestVersion, contentType)))
		}
	}
}

// writeNewest makes the payload of a type's newest schema version from its sample.
func (g *golden) writeNewest(name string, registered eventstore.RegisteredType) {
	g.Helper()
	sample, ok := g.samples[registered.Name]
	switch {
	case !ok:
		g.Errorf("eventtest: type %q of schema version %d has no golden file %s: give Golden a sample, a %s with all fields set, and run the test once with %s=1",
			registered.Name, registered.SchemaVersion, g.path(name), registered.GoType, updateGolden)
		return
	case !g.update:
		g.Errorf("eventtest: type %q of schema version %d has no golden file %s: run the test once with %s=1, which writes it from the sample",
			registered.Name, registered.SchemaVersion, g.path(name), updateGolden)
		return
	}
	if err := os.MkdirAll(g.dir, 0o777); err != nil {
		g.Fatalf("eventtest: %v", err)
	}
	file, err := os.OpenFile(g.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) // never one that is there
	if err == nil {
		_, err = file.Write(sample.Payload)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		g.Fatalf("eventtest: %v", err)
	}
	g.Logf("eventtest: wrote %s", g.path(name))
	g.files = append(g.files, name)
}

// read holds that a payload reads as what is beside it.
func (g *golden) read(name string, stored eventstore.Raw) {
	g.Helper()
	var err error
	if stored.Payload, err = os.ReadFile(g.path(name)); err != nil {
		g.Errorf("eventtest: %v", err)
		return
	}
	now, err := g.value(stored)
	if err != nil {
		g.Errorf("eventtest: %s can't be read, and no more can such events: %v", g.path(name), innermost(err))
		return
	}
	if again, err := g.value(stored); err != nil || !bytes.Equal(again, now) {
		g.Errorf("eventtest: %s reads differently each time, an upcaster or the codec is no pure function: %v\n%s", g.path(name), err, cmp.Diff(string(now), string(again)))
		return
	}
	was, err := os.ReadFile(g.path(name + readsAs))
	was = bytes.ReplaceAll(was, []byte("\r\n"), []byte("\n")) // a checkout may have made that of it
	switch {
	case err == nil && bytes.Equal(was, now):
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		g.Errorf("eventtest: %v", err)
	case g.update:
		if err := os.WriteFile(g.path(name+readsAs), now, 0o666); err != nil {
			g.Fatalf("eventtest: %v", err)
		}
		g.Logf("eventtest: wrote %s", g.path(name+readsAs))
	case err != nil:
		g.Errorf("eventtest: %s is missing: run the test once with %s=1, and look whether what it writes is what %s means",
			g.path(name+readsAs), updateGolden, name)
	default:
		g.Errorf("eventtest: %s reads as something else than before (-before +now): repair the type or its upcasters, or, where that is meant, run the test once with %s=1\n%s",
			g.path(name), updateGolden, cmp.Diff(string(was), string(now)))
	}
}

// value is what a payload reads as, in JSON.
func (g *golden) value(stored eventstore.Raw) ([]byte, error) {
	value, err := g.registry.Decode(stored)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

var payloadName = regexp.MustCompile(`^(.+)\.v([0-9]+)\.[^.]+$`)

// stranger says what is wrong with a file of a payload that is not possible.
func (g *golden) stranger(file string) string {
	parts := payloadName.FindStringSubmatch(file)
	if parts == nil {
		return "it is no golden file, whose names are like FundsDeposited.v1.json: move it elsewhere"
	}
	for _, registered := range g.registry.Types() {
		for _, name := range append([]string{registered.Name}, registered.Aliases...) {
			if escape(name) != parts[1] {
				continue
			}
			switch schema, err := strconv.Atoi(parts[2]); {
			case err != nil || schema > registered.SchemaVersion:
				return fmt.Sprintf("type %q is registered up to schema version %d: raise it with SchemaVersion, or is that a newer version's file?", name, registered.SchemaVersion)
			case schema < registered.OldestVersion:
				return fmt.Sprintf("type %q reads from schema version %d on, and history of before can't be read any more: give it a WithUpcast from %d on, or, if it is the type of a snapshot, which is derived, delete the file",
					name, registered.OldestVersion, schema)
			default:
				return fmt.Sprintf("type %q is registered with %s: give it the codec of the file's content type too (WithCodec), or history in it can't be read any more",
					name, strings.Join(registered.ContentTypes, ", "))
			}
		}
	}
	return "no type of that name is registered, and history that holds it can't be read any more: register the type, or give the one that has taken its place the name as an Alias"
}

// extension is what a content type's files end with.
func extension(contentType string) string {
	contentType, _, _ = strings.Cut(contentType, ";")
	return strings.ReplaceAll(escape(contentType[strings.LastIndex(contentType, "/")+1:]), ".", "%2E") // what follows the last dot
}

// escape makes a file name of a name: one that every file system takes, that is not hidden, and that no other name gives.
func escape(name string) string {
	var b strings.Builder
	for i, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// innermost adds to an error what its first cause says, which the event store leaves out of messages since it may quote a payload. A golden
// file's is no secret.
func innermost(err error) error {
	cause := err
	for next := err; next != nil; next = errors.Unwrap(cause) {
		cause = next
	}
	if strings.Contains(err.Error(), cause.Error()) {
		return err
	}
	return fmt.Errorf("%w: %w", err, cause)
}
