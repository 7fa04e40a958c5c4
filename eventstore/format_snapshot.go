package eventstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// A snapshotKind says which Go type a snapshot was written from. It is zero in lists that older
// versions of this library wrote.
type snapshotKind struct {
	typeName string
	schema   int
}

// A listedSnapshot is one entry in the list of snapshots.
type listedSnapshot struct {
	version int64
	kind    snapshotKind
}

// A snapshotList names the snapshots of a stream, in ascending order of their versions. It also
// carries the newest snapshot if that is not too large, so that one request reads both.
type snapshotList struct {
	entries []listedSnapshot
	carried int64  // version of the snapshot in record; 0 is none
	record  []byte // as it is stored under the snapshot's own key
}

func (l snapshotList) versions() (versions []int64) {
	for _, e := range l.entries {
		versions = append(versions, e.version)
	}
	return versions
}

// encode returns the record of the list. Its body is the record of the snapshot that it carries.
func (l snapshotList) encode(name string) []byte {
	w := frame.New(kindSnapshots, name, 48*len(l.entries)+len(l.record))
	for _, e := range l.entries {
		w.Number("snapshot", e.version)
		if e.kind.typeName != "" {
			w.Line("kind", strconv.Itoa(e.kind.schema)+" "+e.kind.typeName)
		}
	}
	if l.carried == 0 {
		return w.Finish()
	}
	w.Number("carried", l.carried)
	return w.Finish(l.record)
}

// decodeSnapshots decodes a list of snapshots. The carried record shares the memory of data.
func decodeSnapshots(name string, data []byte) (l snapshotList, err error) {
	l.record, err = frame.Read(data, kindSnapshots, name, func(field, value string) error {
		switch field {
		case "snapshot":
			var e listedSnapshot
			err := frame.ParseNumber(value, &e.version)
			l.entries = append(l.entries, e)
			return err
		case "kind":
			schema, typeName, _ := strings.Cut(value, " ")
			n, err := strconv.Atoi(schema)
			if err != nil || typeName == "" || len(l.entries) == 0 {
				return fmt.Errorf("%q is not a kind of snapshot", value)
			}
			l.entries[len(l.entries)-1].kind = snapshotKind{typeName, n}
		case "carried":
			return frame.ParseNumber(value, &l.carried)
		}
		return nil
	})
	return l, err
}

// encodeSnapshot encodes a snapshot whose state is raw.
func encodeSnapshot(name string, s Snapshot, raw Raw) []byte {
	w := frame.New(kindSnapshot, name, len(raw.Payload))
	w.Number("version", s.Version)
	w.Text("type", raw.Type)
	w.Number("schema", int64(raw.SchemaVersion))
	w.Text("content", raw.ContentType)
	w.Time("created", s.Created)
	w.Custom(s.Custom)
	return w.Finish(raw.Payload)
}

func decodeSnapshot(name string, version int64, data []byte) (s Snapshot, raw Raw, err error) {
	var schema int64
	raw.Payload, err = frame.Read(data, kindSnapshot, name, func(field, value string) error {
		switch field {
		case "version":
			return frame.ParseNumber(value, &s.Version)
		case "type":
			raw.Type = value
		case "schema":
			return frame.ParseNumber(value, &schema)
		case "content":
			raw.ContentType = value
		case "created":
			return frame.ParseTime(value, &s.Created)
		default:
			return frame.ReadCustom(&s.Custom, field, value)
		}
		return nil
	})
	raw.SchemaVersion = int(schema)
	if err == nil && s.Version != version {
		err = fmt.Errorf("it holds version %d", s.Version)
	}
	return s, raw, err
}
