package journal

import (
	"github.com/hexalith/eventstores-go/eventstore/internal/frame"
)

const (
	kindNames = "names"
	kindMark  = "name"
)

// EncodeNames returns the record of a page of the catalogue: names of streams, and the position of
// the log up to which every name is in the catalogue.
func EncodeNames(feed Feed, position int64, names []string) []byte {
	w := frame.New(kindNames, feed.Log(), 64*len(names))
	w.Number("position", position)
	for _, name := range names {
		w.Line("name", name)
	}
	return w.Finish()
}

// DecodeNames decodes a page of the catalogue. A page that is absent is an empty value.
func DecodeNames(feed Feed, data []byte) (position int64, names []string, err error) {
	if len(data) == 0 {
		return 0, nil, nil
	}
	_, err = frame.Read(data, kindNames, feed.Log(), func(field, value string) error {
		switch field {
		case "position":
			return frame.ParseNumber(value, &position)
		case "name":
			names = append(names, value)
		}
		return nil
	})
	return position, names, err
}

// Mark returns the key that says that the catalogue has a stream. It belongs to the partition of
// the log.
func (f Feed) Mark(stream string) string { return "{" + f.Log() + "}:name:" + stream }

// EncodeMark returns the record that says that the catalogue has a stream.
func EncodeMark(feed Feed, stream string) []byte {
	w := frame.New(kindMark, feed.Log(), 0)
	w.Text("of", stream)
	return w.Finish()
}
