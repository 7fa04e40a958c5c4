package eventstore

import (
	"time"

	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

type leaseRecord struct {
	owner   string // empty: free
	expires time.Time
}

func (r leaseRecord) encode(resource string) []byte {
	w := frame.New(kindLease, resource, 0)
	w.Text("owner", r.owner)
	w.Time("expires", r.expires)
	return w.Finish()
}

func decodeLease(resource string, data []byte) (r leaseRecord, err error) {
	_, err = frame.Read(data, kindLease, resource, func(field, value string) error {
		switch field {
		case "owner":
			r.owner = value
		case "expires":
			return frame.ParseTime(value, &r.expires)
		}
		return nil
	})
	return r, err
}
