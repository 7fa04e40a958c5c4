package eventstore

import (
	"fmt"
	"strconv"
	"strings"
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
	w := newRecord(kindSnapshots, name, 48*len(l.entries)+len(l.record))
	for _, e := range l.entries {
		w.number("snapshot", e.version)
		if e.kind.typeName != "" {
			w.line("kind", strconv.Itoa(e.kind.schema)+" "+e.kind.typeName)
		}
	}
	if l.carried == 0 {
		return w.finish()
	}
	w.number("carried", l.carried)
	return w.finish(l.record)
}

// decodeSnapshots decodes a list of snapshots. The carried record shares the memory of data.
func decodeSnapshots(name string, data []byte) (l snapshotList, err error) {
	l.record, err = readRecord(data, kindSnapshots, name, func(field, value string) error {
		switch field {
		case "snapshot":
			var e listedSnapshot
			err := parseNumber(value, &e.version)
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
			return parseNumber(value, &l.carried)
		}
		return nil
	})
	return l, err
}

// encodeSnapshot encodes a snapshot whose state is raw.
func encodeSnapshot(name string, s Snapshot, raw Raw) []byte {
	w := newRecord(kindSnapshot, name, len(raw.Payload))
	w.number("version", s.Version)
	w.text("type", raw.Type)
	w.number("schema", int64(raw.SchemaVersion))
	w.text("content", raw.ContentType)
	w.time("created", s.Created)
	w.custom(s.Custom)
	return w.finish(raw.Payload)
}

func decodeSnapshot(name string, version int64, data []byte) (s Snapshot, raw Raw, err error) {
	var schema int64
	raw.Payload, err = readRecord(data, kindSnapshot, name, func(field, value string) error {
		switch field {
		case "version":
			return parseNumber(value, &s.Version)
		case "type":
			raw.Type = value
		case "schema":
			return parseNumber(value, &schema)
		case "content":
			raw.ContentType = value
		case "created":
			return parseTime(value, &s.Created)
		default:
			return readCustom(&s.Custom, field, value)
		}
		return nil
	})
	raw.SchemaVersion = int(schema)
	if err == nil && s.Version != version {
		err = fmt.Errorf("it holds version %d", s.Version)
	}
	return s, raw, err
}
