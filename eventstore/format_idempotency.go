package eventstore

import (
	"errors"
	"fmt"
)

// encodeIdempotency encodes the record that maps an idempotency id to the version of its event.
func encodeIdempotency(name string, r record) []byte {
	w := newRecord(kindIdempotency, name, 0)
	w.text("id", r.idempotencyID)
	w.number("version", r.version)
	w.text("commit", r.commit)
	return w.finish()
}

func decodeIdempotency(name, id string, data []byte) (version int64, err error) {
	var stored string
	_, err = readRecord(data, kindIdempotency, name, func(field, value string) error {
		switch field {
		case "id":
			stored = value
		case "version":
			return parseNumber(value, &version)
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, err
	case stored != id:
		return 0, fmt.Errorf("it belongs to idempotency id %q", stored)
	case version < 1:
		return 0, errors.New("it names no version")
	}
	return version, nil
}
