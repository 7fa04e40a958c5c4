package eventstore

import (
	"errors"
	"fmt"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

// encodeIdempotency encodes the record that maps an idempotency id to the version of its event.
func encodeIdempotency(name string, r record) []byte {
	w := frame.New(kindIdempotency, name, 0)
	w.Text("id", r.idempotencyID)
	w.Number("version", r.version)
	w.Text("commit", r.commit)
	return w.Finish()
}

func decodeIdempotency(name, id string, data []byte) (version int64, err error) {
	var stored string
	_, err = frame.Read(data, kindIdempotency, name, func(field, value string) error {
		switch field {
		case "id":
			stored = value
		case "version":
			return frame.ParseNumber(value, &version)
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
