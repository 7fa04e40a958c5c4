package eventstore

import "time"

type leaseRecord struct {
	owner   string // empty: free
	expires time.Time
}

func (r leaseRecord) encode(resource string) []byte {
	w := newRecord(kindLease, resource, 0)
	w.text("owner", r.owner)
	w.time("expires", r.expires)
	return w.finish()
}

func decodeLease(resource string, data []byte) (r leaseRecord, err error) {
	_, err = readRecord(data, kindLease, resource, func(field, value string) error {
		switch field {
		case "owner":
			r.owner = value
		case "expires":
			return parseTime(value, &r.expires)
		}
		return nil
	})
	return r, err
}
