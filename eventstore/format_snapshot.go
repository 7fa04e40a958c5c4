package eventstore

import "fmt"

func encodeSnapshots(name string, versions []int64) []byte {
	w := newRecord(kindSnapshots, name, 16*len(versions))
	for _, v := range versions {
		w.number("snapshot", v)
	}
	return w.finish()
}

func decodeSnapshots(name string, data []byte) (versions []int64, err error) {
	_, err = readRecord(data, kindSnapshots, name, func(field, value string) error {
		if field != "snapshot" {
			return nil
		}
		var v int64
		err := parseNumber(value, &v)
		versions = append(versions, v)
		return err
	})
	return versions, err
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
