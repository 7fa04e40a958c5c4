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

// readsAs is appended to a payload's file name. The result names the file with the value that the
// payload reads as.
const readsAs = ".reads-as"

// Golden checks that everything that history may contain can still be read, and still reads as the
// same values. The test needs only one line:
//
//	func TestHistoryStillReads(t *testing.T) {
//		eventtest.Golden(t, registry, "testdata/events", AccountOpened{Owner: "Ada"}, FundsDeposited{Amount: 100})
//	}
//
// The folder dir holds a file for each registered type and each schema version, from the oldest
// that can be read to the newest. The file holds a payload as it is stored, for example
// FundsDeposited.v1.json. The extension is the end of the content type.
//
// A second file, FundsDeposited.v1.json.reads-as, holds the present value that the payload reads
// as, in JSON. That JSON contains the exported fields, or what the type's MarshalJSON returns. In
// file names, each character other than letters, digits, dots, - and _ is escaped, for example as
// %20. Keep both files with the code, and never change a payload's file.
//
// The test fails if
//
//   - the newest schema version has no payload under the type's name and in the content type that
//     is written;
//   - an older schema version has no payload under the type's name or an alias;
//   - an alias has no payload of any schema version;
//   - a content type that is read has no payload;
//   - a payload cannot be read, or reads differently from its second file;
//   - a payload reads differently each time, which means that an upcaster is not pure;
//   - a sample changes when it is stored and read;
//   - a file's type, schema version or content type is not registered. That part of history can no
//     longer be read. If it is the type of a snapshot, the file can be deleted, because snapshots
//     are derived.
//
// With EVENTTEST_UPDATE=1 in the environment, Golden writes missing files: the payload of each
// type's newest schema version from its sample, and what payloads read as. Pass at most one sample
// per type. Check the difference before you keep it. Golden never overwrites a payload. Copy the
// payload of an older schema version, or of an alias, from the store: read such an event with
// [eventstore.AsRaw].
func Golden(t testing.TB, registry *eventstore.Registry, dir string, samples ...any) {
	t.Helper()
	if registry == nil {
		t.Fatalf("eventtest: Golden needs a registry: make one with eventstore.NewRegistry")
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
			g.Errorf("eventtest: %s: its payload %s is missing: was it deleted?", g.path(name), payload)
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
	files    []string                  // that exist
	possible map[string]eventstore.Raw // what each payload's file name stands for, by file name
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
			g.Errorf("eventtest: sample %d is a Raw: use a value of a registered Go type", i+1)
		case err != nil:
			g.Errorf("eventtest: sample %d, %T: %v", i+1, sample, innermost(err))
		case twice:
			g.Errorf("eventtest: sample %d is the second of type %q: one is enough", i+1, raw.Type)
		default:
			g.samples[raw.Type] = raw
		}
	}
}

// takeFiles lists the files of the folder, except hidden ones.
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

// require checks that the payloads of a type exist. It writes the newest one if it may.
func (g *golden) require(registered eventstore.RegisteredType) {
	g.Helper()
	// is returns the file name of one payload.
	is := func(name string, schema int, contentType string) string {
		file := fmt.Sprintf("%s.v%d.%s", escape(name), schema, extension(contentType))
		if other, ok := g.possible[file]; ok && other.ContentType != contentType {
			g.Fatalf("eventtest: payloads of type %q in %s and %s would have the same file name, %s", name, other.ContentType, contentType, file)
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
	const copied = "copy a stored payload (read the event with AsRaw)"
	for schema := registered.OldestVersion; schema < registered.SchemaVersion; schema++ {
		if !bySchema[schema] {
			g.Errorf("eventtest: type %q reads schema version %d but has no golden file for it: %s to %s",
				registered.Name, schema, copied, g.path(is(registered.Name, schema, registered.ContentTypes[0])))
		}
	}
	for _, alias := range registered.Aliases {
		if !byName[alias] {
			g.Errorf("eventtest: type %q has the alias %q but no golden file for it: %s to %s",
				registered.Name, alias, copied, g.path(is(alias, registered.OldestVersion, registered.ContentTypes[0])))
		}
	}
	for _, contentType := range registered.ContentTypes[1:] {
		if !byContent[contentType] {
			g.Errorf("eventtest: type %q reads %s but has no golden file for it: %s to %s",
				registered.Name, contentType, copied, g.path(is(registered.Name, registered.OldestVersion, contentType)))
		}
	}
}

// writeNewest writes the payload of a type's newest schema version from its sample.
func (g *golden) writeNewest(name string, registered eventstore.RegisteredType) {
	g.Helper()
	sample, ok := g.samples[registered.Name]
	switch {
	case !ok:
		g.Errorf("eventtest: type %q of schema version %d has no golden file %s: pass Golden a sample of type %s with all fields set, and run the test once with %s=1",
			registered.Name, registered.SchemaVersion, g.path(name), registered.GoType, updateGolden)
		return
	case !g.update:
		g.Errorf("eventtest: type %q of schema version %d has no golden file %s: run the test once with %s=1 to write it from the sample",
			registered.Name, registered.SchemaVersion, g.path(name), updateGolden)
		return
	}
	if err := os.MkdirAll(g.dir, 0o777); err != nil {
		g.Fatalf("eventtest: %v", err)
	}
	file, err := os.OpenFile(g.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) // never overwrites a file
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

// read checks that a payload reads as its second file says.
func (g *golden) read(name string, stored eventstore.Raw) {
	g.Helper()
	var err error
	if stored.Payload, err = os.ReadFile(g.path(name)); err != nil {
		g.Errorf("eventtest: %v", err)
		return
	}
	now, err := g.value(stored)
	if err != nil {
		g.Errorf("eventtest: %s can't be read, so stored events like it can't be read either: %v", g.path(name), innermost(err))
		return
	}
	if again, err := g.value(stored); err != nil || !bytes.Equal(again, now) {
		g.Errorf("eventtest: %s reads differently each time: an upcaster or the codec is not a pure function: %v\n%s", g.path(name), err, cmp.Diff(string(now), string(again)))
		return
	}
	was, err := os.ReadFile(g.path(name + readsAs))
	was = bytes.ReplaceAll(was, []byte("\r\n"), []byte("\n")) // a checkout may have changed the line ends
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
		g.Errorf("eventtest: %s is missing: run the test once with %s=1, and check that what it writes is what %s means",
			g.path(name+readsAs), updateGolden, name)
	default:
		g.Errorf("eventtest: %s reads differently than before (-before +now): fix the type or its upcasters or, if the change is intended, run the test once with %s=1\n%s",
			g.path(name), updateGolden, cmp.Diff(string(was), string(now)))
	}
}

// value returns what a payload reads as, in JSON.
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

// stranger says why a payload's file does not belong in the folder.
func (g *golden) stranger(file string) string {
	parts := payloadName.FindStringSubmatch(file)
	if parts == nil {
		return "it is not a golden file, with a name like FundsDeposited.v1.json: move it elsewhere"
	}
	for _, registered := range g.registry.Types() {
		for _, name := range append([]string{registered.Name}, registered.Aliases...) {
			if escape(name) != parts[1] {
				continue
			}
			switch schema, err := strconv.Atoi(parts[2]); {
			case err != nil || schema > registered.SchemaVersion:
				return fmt.Sprintf("type %q is registered up to schema version %d: raise it with WithSchemaVersion, or is the file from a newer version of the program?", name, registered.SchemaVersion)
			case schema < registered.OldestVersion:
				return fmt.Sprintf("type %q reads from schema version %d on, so older history can't be read any more: add WithUpcast from %d on or, if it is the type of a snapshot, delete the file",
					name, registered.OldestVersion, schema)
			default:
				return fmt.Sprintf("type %q is registered with %s: add the codec of the file's content type (WithCodec), or history in it can't be read any more",
					name, strings.Join(registered.ContentTypes, ", "))
			}
		}
	}
	return "no type of that name is registered, so history with it can't be read any more: register the type, or give the name to its successor with WithAliases"
}

// extension returns the file name extension for a content type.
func extension(contentType string) string {
	contentType, _, _ = strings.Cut(contentType, ";")
	return strings.ReplaceAll(escape(contentType[strings.LastIndex(contentType, "/")+1:]), ".", "%2E") // what follows the last dot
}

// escape turns a name into a file name. Every file system accepts it, it is not hidden, and no
// other name has the same one.
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

// innermost adds the message of the first cause to an error. The event store leaves it out, because
// it may quote a payload. The payload of a golden file is no secret.
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
